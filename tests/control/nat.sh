#!/usr/bin/env bash
# A NAT changes its mapping under a tunnel: the gateway outside follows the first authentic packet of ESP, and
# the traffic goes on, although the peer inside never learns of it.
#
#   host a            gateway a                  NAT                   gateway b            host b
#  10.1.0.2 ── lan 10.1.0.254  wan 10.9.0.1 ── 10.9.0.254  10.8.0.254 ── wan 10.8.0.2  lan 10.2.0.254 ── 10.2.0.2
#
# Usage: nat.sh SHRIKE SHRIKECTL. Exit code 77 where it cannot run.
set -uo pipefail
SHRIKE=$1 CTL=$2
[ "$(id -u)" = 0 ] || { echo "network namespaces need root"; exit 77; }
for tool in ip ethtool ping jq nft conntrack; do command -v $tool >/dev/null || { echo "there is no $tool here"; exit 77; }; done

P=nat$$
T=$(mktemp -d /tmp/shrike-nat-XXXXXX)
pids=()
cleanup() {
	for p in "${pids[@]}"; do kill -KILL "$p" 2>/dev/null; done
	for n in ha a n b hb; do ip netns del "$P-$n" 2>/dev/null; done
	if [ -n "${KEEP:-}" ]; then echo "kept $T"; else rm -rf "$T"; fi
}
trap cleanup EXIT
ip netns add "$P-ha" 2>/dev/null || { echo "network namespaces cannot be made here"; exit 77; }
for n in a n b hb; do ip netns add "$P-$n"; done

fail() {
	echo "FAILED: $*"
	for s in a b; do
		echo "--- log of $s"
		tail -n 30 "$T/$s/log"
	done
	exit 1
}
within() { # within SECONDS COMMAND...
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}
ctl() { "$CTL" -s "$T/$1/control.sock" "${@:2}"; }

link() { # link NS IF NS IF: veth without offloads, which net_af_packet would see as unfinished checksums
	ip link add "$P-0" type veth peer name "$P-1"
	ip link set "$P-0" netns "$P-$1" name "$2" up
	ip link set "$P-1" netns "$P-$3" name "$4" up
	ip netns exec "$P-$1" ethtool -K "$2" tx off rx off gro off gso off tso off >/dev/null 2>&1
	ip netns exec "$P-$3" ethtool -K "$4" tx off rx off gro off gso off tso off >/dev/null 2>&1
}
for n in ha a n b hb; do ip netns exec "$P-$n" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1; done
link ha h0 a lan
link a wan n out
link n in b wan
link b lan hb h0
for s in "ha 1" "hb 2"; do
	set -- $s
	ip -n "$P-$1" addr add "10.$2.0.2/24" dev h0
	ip -n "$P-$1" route add default via "10.$2.0.254"
done
ip -n "$P-n" addr add 10.9.0.254/24 dev out
ip -n "$P-n" addr add 10.8.0.254/24 dev in
ip netns exec "$P-n" sysctl -qw net.ipv4.ip_forward=1
# map FIRST: the NAT gives port 4500 a port from FIRST on, from now on
map() {
	ip netns exec "$P-n" nft -f - <<N || return 1
flush ruleset
table ip nat {
	chain post {
		type nat hook postrouting priority 100;
		oifname "out" udp sport 4500 snat to 10.9.0.254:$1-$(($1 + 99))
		oifname "out" masquerade
	}
}
N
	ip netns exec "$P-n" conntrack -F >/dev/null 2>&1
}
map 20000 || { echo "there is no NAT in this kernel"; exit 77; }

configure() { # configure SIDE OUR_NUMBER WAN PEER GATEWAY START
	local worker=$(($(nproc) > 1 ? 1 : 0))
	mkdir -p "$T/$1"
	(umask 077 && echo "a secret for this test only" >"$T/$1/gw.psk")
	cat >"$T/$1/shrike.yaml" <<C
system:
  control-core: 0
  worker-cores: [$worker]
  share-core: yes
  hugepages: no
  memory: 256M
  idle: sleep
  run-dir: $T/$1
ports:
  - {name: wan, device: "net_af_packet0,iface=wan", addresses: [$3/24]}
  - {name: lan, device: "net_af_packet1,iface=lan", addresses: [10.$2.0.254/24]}
routes:
  - {to: 0.0.0.0/0, via: $5}
secrets:
  - {name: gw, file: gw.psk}
peers:
  - name: gw
    local: $3
    remote: $4
    local-id: gw$2.example
    remote-id: gw$((3 - $2)).example
    secret: gw
    proposals: [aes256-sha256-modp2048]
    children:
      - {name: net, local: [10.$2.0.0/24], remote: [10.$((3 - $2)).0.0/24], proposals: [aes128gcm16], start: $6}
C
	ip netns exec "$P-$1" "$SHRIKE" -d -c "$T/$1/shrike.yaml" >"$T/$1/log" 2>&1 &
	pids+=($!)
	within 20 ctl "$1" status || fail "gateway $1 did not start"
}
configure a 1 10.9.0.1 10.9.0.254 10.9.0.254 passive
configure b 2 10.8.0.2 10.9.0.1 10.8.0.254 immediate
up() { [ "$(ctl b status --json | jq '.peers[0].children_up')" = 1 ]; }
within 15 up || fail "nothing was negotiated"
one() { ip netns exec "$P-hb" ping -q -c 1 -W 1 10.1.0.2; }
within 10 one || fail "no ping through the NAT"
sends_to() { # the port that a's current outbound SA sends to begins with this
	ctl a sa --json | jq -e --arg p "$1" \
		'[.quick_mode_sas[] | select(.direction == "out" and .state == "current") | .remote.port | tostring | startswith($p)] | any'
}
sends_to 200 >/dev/null || fail "the NAT's first port is not the SA's: $(ctl a sa --json)"
echo "ok: a tunnel through a NAT, to port 200xx"

map 30000
start=$(date +%s%N)
within 20 one || fail "no ping after the NAT changed its mapping"
echo "ok: traffic goes on $((($(date +%s%N) - start) / 1000000)) ms after the mapping changed"
within 10 sends_to 300 || fail "a does not send to the new port: $(ctl a sa --json)"
ctl a why gw | grep -q 'the peer is now at 10.9.0.254, UDP port 300' || fail "'why' does not tell: $(ctl a why gw)"
lost=$(ip netns exec "$P-hb" ping -q -c 20 -i 0.05 -W 2 10.1.0.2 | sed -n 's/.* \([0-9]*\)% packet loss.*/\1/p')
[ "$lost" = 0 ] || fail "$lost % lost afterwards"
echo "ok: and nothing is lost from then on"
