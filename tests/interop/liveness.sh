#!/usr/bin/env bash
# shrike and strongSwan (kernel-libipsec) when the other one goes away.
#
#   dpd         the peer vanishes from the wire: cleared; or brought up again once it is back. Noticed by either side
#   peer        strongSwan is killed and comes back: it calls (INITIAL-CONTACT), or we find out by DPD
#   restart     shrike is killed and comes back: it calls; or only the peer's packets, under SPIs that shrike does not
#               have any more, tell it (the time until packets pass again is printed)
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"

# Dead 1 + 0.5 + 1 + 2 s after its last message.
QUICK_DPD=$'dpd: 1s\nretries: 2\nretry-interval: 500ms'

# begin NAME OPTIONS_OF_OUR_CHILD SHRIKE_PEER SWAN_EXTRA [OPTIONS_OF_THEIR_CHILD]: reloads, and brings the tunnel up
begin() {
	SHRIKE_CHILDREN=$CHILDREN SHRIKE_PEER="retries: 4" # another peer: what stands goes, and does not come back by itself
	shrike_reload || { fail "$1 not loaded: $(reason)"; return 1; }
	clean_slate
	SHRIKE_CHILDREN="net 1 aes128gcm16 $2" SHRIKE_PEER=$3 SWAN_EXTRA=$4 SWAN_CHILDREN="net 1 aes128gcm16 ${5:-}"
	swan_reload && shrike_reload || { fail "$1 not loaded: $(reason)"; return 1; }
	[[ $2 == *immediate* ]] || start_child responder net
	until_true 20 pings && return
	fail "$1 no tunnel to begin with: $(reason)"
	return 1
}

cut_wire() { ip -n "$P-p" link set p0 down; }
mend_wire() { ip -n "$P-p" link set p0 up; }
why_says() { shrikectl gw why gw-b | grep -q "$1"; }
swan_empty() { [ -z "$(swan peer --list-sas)" ]; }
gw_empty() { [ "$(live_sas)" = 0 ]; }
pings() { ping_one 10.1.1.1 10.2.1.1; }

# One Main Mode SA and one SA pair on either side, and nothing left of before.
one_of_each() {
	[ "$(swan peer --list-sas | grep -c 'ESTABLISHED')" = 1 ] && [ "$(swan peer --list-sas | grep -c 'INSTALLED')" = 1 ] &&
		[ "$(shrikectl gw stats --json | jq '(.main_mode_sas | map(select(.state == "established")) | length) * 10 +
			(.quick_mode_sas | map(select(.state == "current")) | length)')" = 12 ]
}

all_sas() { { swan peer --list-sas; shrikectl gw sa; } | tr -s '\n\t ' ' '; }

# healed NAME SECONDS: traffic passes again, under one SA of each kind
healed() {
	local began=$SECONDS
	if ! until_true "$2" pings; then
		fail "$1 no ping passes after $2 s: $(reason)"
	elif ! until_true 20 one_of_each; then
		fail "$1 not one SA of each kind: $(all_sas)"
	else
		pass "$1 pings pass again after $((SECONDS - began)) s"
	fi
}

dpd() {
	begin dpd/ours-clear "" "$QUICK_DPD" "" || return
	cut_wire
	if until_true 30 gw_empty && why_says "is dead"; then
		pass "dpd/ours-clear \"$(shrikectl gw why gw-b | grep -o 'gw-b is dead.*' | tail -n 1)\""
	else
		fail "dpd/ours-clear $(reason)"
	fi
	mend_wire

	begin dpd/ours-restart start=immediate "$QUICK_DPD" "" || return
	cut_wire
	until_true 30 why_says "is dead" || fail "dpd/ours-restart not noticed: $(reason)"
	mend_wire
	healed dpd/ours-restart 60

	begin dpd/theirs-clear "" "" $'dpd_delay = 1\n    dpd_timeout = 3' || return
	cut_wire
	if until_true 30 swan_empty; then
		pass "dpd/theirs-clear strongSwan has no SA any more"
	else
		fail "dpd/theirs-clear $(all_sas)"
	fi
	mend_wire

	begin dpd/theirs-restart "" "" $'dpd_delay = 1\n    dpd_timeout = 3' dpd_action=restart || return
	cut_wire
	until_true 30 grep -q 'DPD check timed out' "$STATE/peer/charon.log" || fail "dpd/theirs-restart not noticed"
	sleep 1
	mend_wire
	healed dpd/theirs-restart 60
}

# kill_peer: strongSwan without a goodbye, and a new one in its place
kill_peer() {
	kill -KILL "$(cat "$STATE/peer/pid")"
	wait "$(cat "$STATE/peer/pid")" 2>/dev/null
	rm -f "$STATE/peer/vici"
	swan_start_libipsec peer p p0 2>/dev/null
	until_true 20 swan peer --stats && swan peer --load-all --file "$STATE/peer/swanctl/swanctl.conf" >"$STATE/why" 2>&1
}

peer_restarts() {
	begin peer/calls "" "" "" || return
	kill_peer || { fail "peer/calls strongSwan does not come back: $(reason)"; return; }
	start_child responder net
	why_says "INITIAL-CONTACT" || fail "peer/calls 'shrikectl why' does not mention INITIAL-CONTACT: $(reason)"
	healed peer/calls 20

	begin peer/found-dead start=immediate "$QUICK_DPD" "" || return
	kill_peer || { fail "peer/found-dead strongSwan does not come back: $(reason)"; return; }
	healed peer/found-dead 60
}

kill_shrike() {
	shrike_kill gw
	rm -f "$STATE/gw/control.sock"
	shrike_up gw s
}

# Milliseconds from the first ESP that shrike cannot know to the first that it sends itself.
recovery_ms() {
	tshark -r "$STATE/recovery.pcap" -Y 'esp' -T fields -e frame.time_epoch -e ip.src 2>/dev/null |
		awk '$2 == "10.9.0.2" && !first { first = $1 } $2 == "10.9.0.1" && first { printf "%d", ($1 - first) * 1000; exit }'
}

recovered() { [ -n "$(recovery_ms)" ]; }

shrike_restarts() {
	begin restart/calls start=immediate "" "" || return
	kill_shrike || { fail "restart/calls shrike does not come back: $(tail -n 3 "$STATE/gw/shrike.log")"; return; }
	healed restart/calls 30

	begin restart/invalid-spi start=on-demand "" "" || return
	kill_shrike || { fail "restart/invalid-spi shrike does not come back: $(tail -n 3 "$STATE/gw/shrike.log")"; return; }
	wire_record s wan "$STATE/recovery.pcap"
	bg p "$STATE/ping.log" ping -i 0.2 -I 10.2.1.1 10.1.1.1
	if ! until_true 30 one_of_each || ! until_true 10 recovered; then
		fail "restart/invalid-spi no new SAs: $(all_sas) $(reason)"
	else
		wire_stop
		pass "restart/invalid-spi $(recovery_ms) ms from the first unknown SPI to shrike's first packet under new keys"
	fi
}

CHILDREN="net 1 aes128gcm16"
site_up liveness
dpd
peer_restarts
shrike_restarts
the_end liveness
