#!/usr/bin/env bash
# Limits and wishes of a user, with strongSwan (kernel-libipsec) at the other end.
#
#   master-pfs, quick-mode-limit   Main Modes that strongSwan counts for three children, in both roles, and a ping in each
#   idle-timeout                   nobody sends: both ends are empty; the next packet brings it up again
#   fallback-clear                 strongSwan is gone: packets pass in the clear and it is said; once it is back, they do not.
#                                  RETRY=1: waits for shrike's own attempt after five minutes instead of strongSwan's
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"

THREE="one 1 aes128gcm16
two 2 aes128gcm16
three 3 aes128gcm16"

reload() { swan_reload && shrike_reload || { fail "$1 not loaded: $(reason)"; return 1; }; }
established() { grep -c 'IKE_SA t\[[0-9]*\] established' "$STATE/peer/charon.log"; }

# under_limit NAME LIMIT_LINE MAIN_MODES: so many Main Modes carry the three children
under_limit() {
	local role name before got k
	SHRIKE_PEER=$2 SHRIKE_CHILDREN=$THREE SWAN_CHILDREN=$THREE
	reload "$1" || return
	for role in initiator responder; do
		name=$1/$role
		clean_slate
		before=$(established)
		if [ $role = initiator ]; then
			shrikectl gw up gw-b >"$STATE/why" 2>&1
		else
			for k in one two three; do swan peer --initiate --child $k --timeout 20 >"$STATE/why" 2>&1; done
		fi
		until_true 20 three_pings || { fail "$name not all of three children carry a ping: $(reason)"; continue; }
		got=$(($(established) - before))
		if [ $role = initiator ] && [ $got != "$3" ]; then
			fail "$name strongSwan counts $got Main Modes, not $3"
		elif [ $got -lt "$3" ]; then
			fail "$name strongSwan counts $got Main Modes, fewer than $3"
		else
			pass "$name strongSwan counts $got Main Modes for three children, a ping in each"
		fi
	done
}

three_pings() { ping_one 10.1.1.1 10.2.1.1 && ping_one 10.1.2.1 10.2.2.1 && ping_one 10.1.3.1 10.2.3.1; }
both_empty() { [ -z "$(swan peer --list-sas)" ] && [ "$(live_sas)" = 0 ]; }

idle() {
	local began
	SHRIKE_PEER="idle-timeout: 10s" SHRIKE_CHILDREN="net 1 aes128gcm16 start=on-demand" SWAN_CHILDREN="net 1 aes128gcm16"
	reload idle-timeout || return
	clean_slate
	until_true 15 ping_one 10.1.1.1 10.2.1.1 || { fail "idle-timeout no ping passes to begin with: $(reason)"; return; }
	began=$SECONDS
	until_true 40 both_empty || { fail "idle-timeout SAs are left: $(swan peer --list-sas; shrikectl gw sa)"; return; }
	pass "idle-timeout/ends both ends are empty $((SECONDS - began)) s after the last packet"
	until_true 15 ping_one 10.1.1.1 10.2.1.1 && pass "idle-timeout/wakes the next packets bring it up again" ||
		fail "idle-timeout/wakes it does not come back: $(reason)"
}

child_state() { shrikectl gw stats --json | jq -r '.peers[0].children[0].state'; }
child_is() { [ "$(child_state)" = "$1" ]; }
# What the wire carries of a ping: clear, or esp
wire_carries() {
	wire_record s wan "$STATE/clear.pcap" "$IKE_ONLY or icmp or esp or udp port 4500"
	ping_one 10.1.1.1 10.2.1.1
	wire_stop
	if [ -n "$(tshark -r "$STATE/clear.pcap" -Y 'icmp && ip.src == 10.1.1.1' 2>/dev/null)" ]; then echo clear; else echo esp; fi
}

fallback() {
	local got began
	SHRIKE_PEER=$'retries: 1\nretry-interval: 500ms' SHRIKE_CHILDREN="net 1 aes128gcm16 start=immediate fallback-clear=yes" SWAN_CHILDREN="net 1 aes128gcm16"
	swan_down peer
	ip -n "$P-p" addr flush dev p0
	rm -f "$STATE/peer/vici"
	ip -n "$P-p" addr add 10.9.0.2/24 dev p0 # the router that stays when its strongSwan goes
	ip -n "$P-p" addr add 10.2.1.1/32 dev lo
	ip -n "$P-p" route add 10.1.0.0/16 via 10.9.0.1
	shrike_reload || { fail "fallback-clear not loaded: $(reason)"; return; }
	began=$(date +%s)
	until_true 20 child_is clear || { fail "fallback-clear does not fall back, but is $(child_state): $(reason)"; return; }
	got=$(wire_carries)
	if [ "$got" != clear ] || ! ping_one 10.1.1.1 10.2.1.1; then
		fail "fallback-clear/without no packet passes in the clear: the wire carries $got"
	elif ! grep -q 'unprotected from now on (fallback-clear)' "$STATE/gw/shrike.log"; then
		fail "fallback-clear/without the log does not say so"
	else
		pass "fallback-clear/without packets pass in the clear; the log says so"
	fi
	ip -n "$P-p" addr flush dev p0
	ip -n "$P-p" addr flush dev lo
	swan_up peer p p0 || { fail "fallback-clear strongSwan does not come back"; return; }
	if [ -n "${RETRY:-}" ]; then
		until_true 330 child_is up || { fail "fallback-clear/retry no attempt within $(($(date +%s) - began)) s: $(reason)"; return; }
		pass "fallback-clear/retry up again $(($(date +%s) - began)) s after it fell back"
	else
		start_child responder net
	fi
	until_true 10 child_is up || { fail "fallback-clear/again not up, but $(child_state): $(reason)"; return; }
	got=$(wire_carries)
	if [ "$got" = esp ] && grep -q 'no packet passes unprotected any more' "$STATE/gw/shrike.log"; then
		pass "fallback-clear/again with strongSwan back nothing passes in the clear; the log says so"
	else
		fail "fallback-clear/again the wire carries $got"
	fi
}

CHILDREN=$THREE
site_up policy
under_limit master-pfs "master-pfs: yes" 3
under_limit quick-mode-limit "quick-mode-limit: 2" 2
idle
fallback
the_end policy
