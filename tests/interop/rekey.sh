#!/usr/bin/env bash
# shrike and strongSwan (kernel-libipsec) replace keys under traffic in both directions: two iperf3 streams of UDP and
# pings; what gets lost is printed and must be 0.
#
#   ours, theirs   short lifetimes on one side, of both phases: the rekeys come by themselves
#   both           both sides replace the keys of either phase at the same moment, by hand
#   bytes          lifetimes in bytes end first, on either side
#   packets        likewise those in packets
#   sequence       our sequence numbers come to an end, as if there had been three thousand million packets before;
#                  we began phase 1, or strongSwan did
#   huge           the longest lifetimes that can be asked for
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"

SECONDS_OF_TRAFFIC=12

# load: begins the traffic. Slow, for a busy machine: buffers hold what comes while a process waits two seconds for its
# CPU. $VOLUME adds a TCP stream of so much, which may lose what it likes.
load() {
	IPERF_PIDS=()
	DROPS=$(kernel_drops)
	iperf_one there 5201 -u -b 80K -l 200
	iperf_one back 5202 -u -b 80K -l 200 -R
	[ -z "${VOLUME:-}" ] || iperf_one volume 5203 -b "$VOLUME"
	ping_flood 10.1.1.1 10.2.1.1 $SECONDS_OF_TRAFFIC 20
}

# iperf_one NAME PORT OPTIONS...
iperf_one() {
	bg p "$STATE/iperf-server.log" iperf3 -s -1 -p "$2"
	until_true 10 in_ns p sh -c "ss -Hltn sport = :$2 | grep -q ."
	bg h "$STATE/iperf-$1.err" iperf3 -c 10.2.1.1 -B 10.1.1.1 -p "$2" -t $SECONDS_OF_TRAFFIC -J \
		--logfile "$STATE/iperf-$1.json" "${@:3}"
	IPERF_PIDS+=("$BG_PID")
}

# What the kernel dropped because a process did not get the CPU to read it: full socket buffers and a full TUN queue.
kernel_drops() {
	{
		for ns in h p; do in_ns $ns awk '/^Udp:/ && $6 ~ /^[0-9]/ { print $6 }' /proc/net/snmp; done
		in_ns p cat /sys/class/net/ipsec0/statistics/tx_dropped
	} 2>/dev/null | awk '{ n += $1 } END { print n + 0 }'
}

# loss: waits for the end of the traffic; "LOST of SENT" of each stream in $LOSS, and 1 when any was lost that the
# kernel does not own up to
loss() {
	local p way text lost=0 kernel
	for p in "${IPERF_PIDS[@]}"; do wait "$p" 2>/dev/null; done
	ping_wait
	LOSS="lost $PING_LOST of $PING_SENT pings"
	[ "$PING_LOST" = all ] && lost=1000000 || lost=$PING_LOST
	for way in there back; do
		text=$(jq -r 'if .error then .error else "\(.end.sum.lost_packets) of \(.end.sum.packets)" end' "$STATE/iperf-$way.json" 2>&1)
		[[ $text == *[0-9]" of "[1-9]* ]] && lost=$((lost + ${text%% *})) || lost=1000000
		LOSS+=", $text UDP $way"
	done
	rm -f "$STATE"/iperf-*.json
	kernel=$(($(kernel_drops) - DROPS))
	[ $kernel = 0 ] || [ $lost = 0 ] || LOSS+=", of which the kernel dropped $kernel in full buffers"
	[ $lost -le $kernel ]
}

# "MAIN_MODE QUICK_MODE": rekeys so far
rekeys() { shrikectl gw stats --json | jq -r '.totals | "\(.main_mode_rekeys) \(.quick_mode_rekeys)"'; }
drops() { shrikectl gw stats --json | jq -c '.totals.drops'; }

# begin NAME OPTIONS_OF_OUR_CHILD SHRIKE_PEER SWAN_EXTRA [OPTIONS_OF_THEIR_CHILD]: reloads, and brings the tunnel up
begin() {
	SHRIKE_CHILDREN="net 1 aes128gcm16 $2" SHRIKE_PEER=$3 SWAN_EXTRA=$4 SWAN_CHILDREN="net 1 aes128gcm16 ${5:-}"
	clean_slate
	swan_reload && shrike_reload || { fail "$1 not loaded: $(reason)"; return 1; }
	start_child "${ROLE:-initiator}" net
	until_true 20 ping_one 10.1.1.1 10.2.1.1 && return
	fail "$1 no tunnel to begin with: $(reason)"
	return 1
}

# under_load NAME MAIN_MODES QUICK_MODES [COMMAND...]: at least so many rekeys, while COMMAND runs, and nothing lost
under_load() {
	local name=rekey/$1 before after lost=yes done1 done2 drops_before
	before=$(rekeys)
	drops_before=$(drops)
	load
	[ $# -lt 4 ] || "${@:4}"
	loss && lost=no
	after=$(rekeys)
	done1=$((${after% *} - ${before% *})) done2=$((${after#* } - ${before#* }))
	if [ $lost = yes ]; then
		fail "$name $LOSS; $done1 Main Modes, $done2 Quick Modes; drops $drops_before -> $(drops): $(reason)"
	elif [ $done1 -lt "$2" ] || [ $done2 -lt "$3" ]; then
		fail "$name only $done1 Main Modes and $done2 Quick Modes were replaced: $(reason)"
	else
		pass "$name $LOSS; $done1 Main Modes and $done2 Quick Modes replaced"
	fi
}

# By name it would also begin a Main Mode for the old SA, which lives on for some seconds.
newest_ike() { swan peer --list-sas | sed -n 's/^t: #\([0-9]*\), ESTABLISHED.*/\1/p' | sort -n | tail -n 1; }

# Five rounds; either side first in turns.
both_at_once() {
	local i
	for i in 1 2 3 4 5; do
		if [ $((i % 2)) = 1 ]; then
			swan peer --rekey --child net >"$STATE/why" 2>&1 &
			shrikectl gw rekey gw-b/net >/dev/null 2>&1
		else
			shrikectl gw rekey gw-b >/dev/null 2>&1 &
			swan peer --rekey --ike-id "$(newest_ike)" >"$STATE/why" 2>&1
		fi
		wait $!
		sleep 2
	done
}

# Twice, for the SA that is current then; each has a hundred packets left.
near_the_end() {
	sleep 1
	"$HERE/sequence.py" "$(cat "$STATE/gw/shrike.pid")" 100 >"$STATE/why" || return
	sleep 4
	"$HERE/sequence.py" "$(cat "$STATE/gw/shrike.pid")" 100 >"$STATE/why"
}

lifetime_left() {
	shrikectl gw stats --json | jq '[.quick_mode_sas[] | select(.state == "current") | .lifetime_left | floor] | min'
}

# huge NAME ROLE: more than 2^31 seconds and all the bytes there are from strongSwan, the longest of ours
huge() {
	local left
	left=$(lifetime_left)
	if ! ping_one 10.1.1.1 10.2.1.1 || [ "${left:-0}" -lt 600000 ]; then
		fail "rekey/huge/$1 $left s are left: $(reason)"
	else
		pass "rekey/huge/$1 ping, $left s are left"
	fi
}

CHILDREN="net 1 aes128gcm16"
site_up rekey
begin ours "lifetime=10s rekey-margin=3s" $'lifetime: 12s\nrekey-margin: 4s' "" &&
	under_load ours 1 2
begin theirs "" "" $'rekey_time = 5\n    over_time = 5\n    rand_time = 0' "rekey_time=4 life_time=8 rand_time=0" &&
	under_load theirs 1 2
begin both "" "" "" && under_load both 1 3 both_at_once
VOLUME=1.6M
begin bytes-ours "lifetime-bytes=1M" "" "" && under_load bytes-ours 0 2
begin packets-ours "lifetime-packets=1500" "" "" && under_load packets-ours 0 2
ROLE=responder
begin bytes-theirs "" "" "" "rekey_bytes=700000 life_bytes=1400000 rand_bytes=0" && under_load bytes-theirs 0 2
begin packets-theirs "" "" "" "rekey_packets=900 life_packets=1800 rand_packets=0" && under_load packets-theirs 0 2
unset VOLUME
for ROLE in initiator responder; do
	begin sequence "" "" "" && under_load sequence/$ROLE 0 2 near_the_end
done
for ROLE in initiator responder; do
	begin huge "lifetime=7d lifetime-bytes=1000T" "lifetime: 7d" "rekey_time = 3000000000" \
		"rekey_time=3000000000 life_time=3500000000 rekey_bytes=9000000000000000000 life_bytes=18000000000000000000" && huge $ROLE
done
the_end rekey
