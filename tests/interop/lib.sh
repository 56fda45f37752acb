# shellcheck shell=bash
# The lab: gateways, hosts and foreign peers on one machine, in network namespaces of our own.
#
#   host behind shrike           shrike                                   peer (strongSwan, ike-scan, ...)
#  ┌─────────────────┐   ┌──────────────────────────┐              ┌──────────────────────────────────────┐
#  │ netns lab-PID-h │   │ netns lab-PID-s          │              │ netns lab-PID-p                      │
#  │ h0 10.1.0.1/24 ─┼───┼─ lan            wan ─────┼──────────────┼─ p0                                  │
#  │ lo 10.1.K.1/32  │   │  10.1.0.254     10.9.0.1 │     wire     │  10.9.0.2        lo 10.2.K.1/32      │
#  └─────────────────┘   └──────────────────────────┘              └──────────────────────────────────────┘
#
# lan and wan belong to shrike through net_af_packet: the kernel has no address on them. K counts the
# children; each has selectors of its own, 10.1.K.0/24 <-> 10.2.K.0/24. The peer's addresses are the
# namespace's own (kernel-libipsec), or those of a User Mode Linux guest behind p0 (plain ESP).
#
# State lives in one mktemp directory ($STATE); one EXIT trap ends every process by its pid and removes
# the namespaces and the directory. KEEP=1 keeps the directory.
#
# A scenario ends in exactly one line: "PASS|FAIL|SKIP name detail".
set -u # no pipefail: "COMMAND | grep -q" would fail when grep has seen enough

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$HERE/../.." && pwd)
BUILD=${BUILD:-$TOP/build}
SHRIKE=$BUILD/control/shrike
SHRIKECTL=$BUILD/control/shrikectl
PSK_TEXT="correct horse battery staple"

FAILED=0
LAB_NETNS=()

pass() { printf 'PASS %s\n' "$*"; }
skip() { printf 'SKIP %s\n' "$*"; }
fail() {
	printf 'FAIL %s\n' "$*"
	FAILED=$((FAILED + 1))
	lab_explain >&2
}

# Shows the ends of the logs once a scenario failed.
lab_explain() {
	local f
	for f in "$STATE"/*/shrike.log "$STATE"/*/charon.log; do
		[ -s "$f" ] || continue
		echo "  --- the last lines of ${f#"$STATE"/}:"
		tail -n "${EXPLAIN_LINES:-15}" "$f" | sed 's/^/  | /'
	done
}

# lab_init NAME: scratch directory, clean-up, and the checks without which nothing here can run.
lab_init() {
	LAB_NAME=$1
	[ "$(id -u)" = 0 ] || { skip "$LAB_NAME needs root for network namespaces"; exit 0; }
	STATE=$(mktemp -d "/tmp/lab-$LAB_NAME-XXXXXX")
	: >"$STATE/pids"
	trap lab_cleanup EXIT
	trap 'exit 130' INT TERM
	P=lab-$$
	if ! ip netns add "$P-try" 2>/dev/null; then
		skip "$LAB_NAME network namespaces cannot be made here"
		exit 0
	fi
	ip netns del "$P-try"
}

lab_cleanup() {
	local code=$? pids groups p n
	trap - EXIT INT TERM
	# Process groups are written as negative numbers, like kill takes them; they are guests, which need no goodbye.
	groups=$(grep '^-' "$STATE/pids")
	pids=$(grep -v '^-' "$STATE/pids")
	for p in $groups; do kill -KILL -- "$p" 2>/dev/null; done
	for p in $pids; do kill -TERM "$p" 2>/dev/null; done
	for p in $pids; do end_pid "$p"; done
	for n in "${LAB_NETNS[@]}"; do ip netns del "$n" 2>/dev/null; done
	if [ -n "${KEEP:-}" ]; then echo "state kept in $STATE" >&2; else rm -rf "$STATE"; fi
	[ $code = 0 ] && [ $FAILED -gt 0 ] && code=1
	exit $code
}

# Ends one process: SIGTERM, twenty seconds (the machine may be busy), SIGKILL. Returns 0 when it went by itself.
end_pid() {
	local p=$1 i
	kill -TERM "$p" 2>/dev/null || { wait "$p" 2>/dev/null; return 0; }
	for ((i = 0; i < 400; i++)); do
		kill -0 "$p" 2>/dev/null || { wait "$p" 2>/dev/null; return 0; }
		sleep 0.05
	done
	kill -KILL "$p" 2>/dev/null
	wait "$p" 2>/dev/null
	return 1
}

# until_true SECONDS COMMAND...: tries every 100 ms ($POLL seconds) until it succeeds; 1 when time is up.
until_true() {
	local end=$(($(date +%s%N) + $1 * 1000000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s%N)" -lt $end ] || return 1
		sleep "${POLL:-0.1}"
	done
}

# ------------------------------------------------------------------------------ namespaces --------

netns_add() {
	ip netns add "$P-$1"
	LAB_NETNS+=("$P-$1")
	# Only what a scenario asks for is on the wire: no router solicitations, no multicast reports.
	in_ns "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>/dev/null
	in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	ip -n "$P-$1" link set lo up
}

in_ns() {
	local ns=$1
	shift
	ip netns exec "$P-$ns" "$@"
}

# link_add NS1 IF1 NS2 IF2: a veth pair without offloads (AF_PACKET would see unfinished checksums).
link_add() {
	ip link add "$2" netns "$P-$1" type veth peer name "$4" netns "$P-$3"
	in_ns "$1" ethtool -K "$2" tx off rx off gro off gso off tso off >/dev/null 2>&1
	in_ns "$3" ethtool -K "$4" tx off rx off gro off gso off tso off >/dev/null 2>&1
	ip -n "$P-$1" link set "$2" up
	ip -n "$P-$3" link set "$4" up
}

# host_add NS IF SUBNETS GATEWAY: a host 10.SITE.0.1/24 on IF, 10.SITE.K.1 for every child, the rest via GATEWAY.
# The MTU leaves room for ESP, so that scenarios do not depend on path MTU discovery.
host_add() {
	local ns=$1 ifname=$2 site=$3 gateway=$4 k
	ip -n "$P-$ns" addr add "10.$site.0.1/24" dev "$ifname"
	ip -n "$P-$ns" link set "$ifname" mtu "${HOST_MTU:-1400}"
	for ((k = 1; k <= 20; k++)); do ip -n "$P-$ns" addr add "10.$site.$k.1/32" dev lo; done
	ip -n "$P-$ns" route add default via "$gateway" dev "$ifname"
}

# bg NS LOG COMMAND...: runs it in the namespace in the background; its pid in BG_PID, ended at exit.
bg() {
	local ns=$1 log=$2
	shift 2
	ip netns exec "$P-$ns" "$@" >>"$log" 2>&1 </dev/null &
	BG_PID=$!
	echo "$BG_PID" >>"$STATE/pids"
}

IKE_ONLY='udp port 500 or (udp port 4500 and udp[8:4] = 0)' # a filter for tcpdump

# wire_record NS IF FILE [FILTER]: tcpdump to FILE; wire_stop ends the youngest one with nothing lost.
wire_record() {
	bg "$1" "$STATE/tcpdump.log" tcpdump --immediate-mode -U -s 0 -ni "$2" -w "$3" "${4:-}"
	WIRE_PID=$BG_PID
	until_true 5 test -s "$3"
}

wire_stop() {
	sleep 0.3
	end_pid "$WIRE_PID"
}

# ---------------------------------------------------------------------------------- shrike --------

have_shrike() {
	[ -x "$SHRIKE" ] && [ -x "$SHRIKECTL" ]
}

# shrike_site: namespaces h and s, and the link between them. The wan end is linked by the peer's setup.
shrike_site() {
	netns_add h
	netns_add s
	link_add h h0 s lan
	host_add h h0 1 10.1.0.254
}

# shrike_system NAME WAN_ADDRESS LAN_ADDRESS: the part of a configuration that all our gateways share.
# The lan's MTU is the hosts': a veth drops what its other end does not take, and the kernel then tries the same frame of
# AF_PACKET's ring again for ever. qdisc_bypass=0: otherwise tcpdump on the same interface would not see what it sends.
shrike_system() {
	cat <<C
system:
  control-core: 0
  worker-cores: [$(($(nproc) > 1 ? 1 : 0))]
  share-core: yes
  hugepages: no
  memory: 256M
  idle: sleep
  run-dir: $STATE/$1
  stats-file: stats.json
  stats-interval: 1s
ports:
  - name: wan
    device: net_af_packet0,iface=wan,qdisc_bypass=0
    addresses: [$2/24]
    mtu: 1500
  - name: lan
    device: net_af_packet1,iface=lan,qdisc_bypass=0
    addresses: [$3/24]
    mtu: ${HOST_MTU:-1400}
C
}

# shrike_conf NAME: site 1 with peer gw-b; children on standard input, one a line: NAME K ESP_PROPOSAL
# [OPTION=VALUE...]. An option without blanks, in the words of the configuration, replaces the line that is there.
# Environment: SHRIKE_IKE (phase 1 proposals), SHRIKE_PSK, ENCAP (auto or force), SHRIKE_LOCAL (10.9.0.1),
# SHRIKE_REMOTE (10.9.0.2), SHRIKE_ID, SHRIKE_PEER_ID, SHRIKE_PEER (more lines for the peer).
shrike_conf() {
	local dir=$STATE/$1 name k esp options
	mkdir -p "$dir"
	(umask 077 && printf '%s' "${SHRIKE_PSK:-$PSK_TEXT}" >"$dir/site-b.psk")
	{
		shrike_system "$1" "${SHRIKE_LOCAL:-10.9.0.1}" 10.1.0.254
		cat <<C
routes:
  - to: 10.1.0.0/16
    via: 10.1.0.1
  - to: 0.0.0.0/0
    via: ${SHRIKE_GATEWAY:-10.9.0.2}
secrets:
  - name: site-b
    file: site-b.psk
peers:
  - name: gw-b
    local: ${SHRIKE_LOCAL:-10.9.0.1}
    remote: ${SHRIKE_REMOTE:-10.9.0.2}
    local-id: "${SHRIKE_ID:-gwa}"
    remote-id: "${SHRIKE_PEER_ID:-gwb}"
    secret: site-b
    proposals: [${SHRIKE_IKE:-aes256-sha256-modp2048}]
    encapsulation: ${ENCAP:-auto}
C
		[[ ${SHRIKE_PEER:-} == *dpd:* ]] || echo "    dpd: 0"
		[[ ${SHRIKE_PEER:-} == *retries:* ]] || echo "    retries: 3"
		[ -z "${SHRIKE_PEER:-}" ] || sed 's/^/    /' <<<"$SHRIKE_PEER"
		echo "    children:"
		while read -r name k esp options; do
			printf '      - name: %s\n' "$name"
			# shellcheck disable=SC2086
			printf '%s\n' "local=[10.1.$k.0/24]" "remote=[10.2.$k.0/24]" "proposals=[$esp]" start=passive $options |
				awk '{ i = index($0, "="); key = substr($0, 1, i - 1); if (!(key in v)) order[++n] = key
					v[key] = substr($0, i + 1) } END { for (i = 1; i <= n; i++) print "        " order[i] ": " v[order[i]] }'
		done
	} >"$dir/shrike.yaml"
}

# shrike_up NAME NS: starts it on $STATE/NAME/shrike.yaml and waits for the control socket.
shrike_up() {
	local name=$1 ns=$2 dir=$STATE/$1
	bg "$ns" "$dir/shrike.log" "$SHRIKE" -c "$dir/shrike.yaml"
	echo "$BG_PID" >"$dir/shrike.pid"
	until_true "${START_SECONDS:-30}" shrike_answers "$name" && return 0
	echo "shrike did not start:" >&2
	tail -n 20 "$dir/shrike.log" >&2
	return 1
}

shrike_answers() {
	[ -S "$STATE/$1/control.sock" ] && shrikectl "$1" status
}

shrike_alive() {
	kill -0 "$(cat "$STATE/$1/shrike.pid")" 2>/dev/null
}

shrike_down() {
	local pid
	pid=$(cat "$STATE/$1/shrike.pid" 2>/dev/null) || return 0
	rm -f "$STATE/$1/shrike.pid"
	end_pid "$pid"
}

# shrike_kill NAME: SIGKILL, and it is gone
shrike_kill() {
	local pid
	pid=$(cat "$STATE/$1/shrike.pid" 2>/dev/null) || return 0
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	return 0
}

# shrikectl NAME ARGUMENTS...
shrikectl() {
	local name=$1
	shift
	timeout 20 "$SHRIKECTL" -s "$STATE/$name/control.sock" "$@"
}

# ------------------------------------------------------------------------------- measuring --------

# ping_one FROM TO: one answer within three tries. (The initiator may send before the responder has
# handled the third Quick Mode message; RFC 2409 has no answer to it.)
ping_one() {
	in_ns h ping -q -c 1 -W 1 -I "$1" "$2" >/dev/null 2>&1 ||
		in_ns h ping -q -c 1 -W 1 -I "$1" "$2" >/dev/null 2>&1 ||
		in_ns h ping -q -c 1 -W 2 -I "$1" "$2" >/dev/null 2>&1
}

# ping_flood FROM TO SECONDS [RATE]: RATE (100) a second, in the background.
ping_flood() {
	PING_COUNT=$(($3 * ${4:-100}))
	: >"$STATE/ping.log"
	bg h "$STATE/ping.log" ping -i "$(awk "BEGIN { print 1 / ${4:-100} }")" -c $PING_COUNT -W 3 -I "$1" "$2"
	PING_PID=$BG_PID
}

# Sets PING_SENT and PING_LOST once the flood is over (in this shell: only it can wait for its child). ping itself
# does not wait for late answers to its last requests: those of the last half second count if any later ones came.
ping_wait() {
	wait "$PING_PID" 2>/dev/null
	read -r PING_SENT PING_LOST < <(awk -v sent="$PING_COUNT" '/bytes from/ && !/DUP/ { got++
		for (i = 1; i <= NF; i++) if ($i ~ /^icmp_seq=/) seq = substr($i, 10) + 0
		if (seq > last) last = seq }
		END { if (!got) print 0, "all"; else { if (last >= sent - 50) sent = last; print sent, sent - got } }' "$STATE/ping.log")
}
