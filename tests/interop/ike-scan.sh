#!/usr/bin/env bash
# ike-scan against shrike: the right transform is answered, others and damaged messages are not, and
# shrike lives through all of it.
. "$(dirname "$0")/lib.sh"

GOOD="(1=7,14=256,2=4,3=1,4=14)" # AES-256, SHA2-256, PSK, group 14
POOR="(1=1,2=1,3=1,4=1)"         # DES, MD5, PSK, group 1

scan() {
	in_ns p ike-scan --sport=0 --retry=1 --timeout=700 "$@" 10.9.0.1 2>&1
}

expect() {
	local name=ike-scan/$1 pattern=$2 out
	shift 2
	out=$(scan "$@")
	if grep -q "$pattern" <<<"$out"; then
		pass "$name $(grep -o "$pattern[^(]*" <<<"$out" | head -n 1)"
	else
		fail "$name expected '$pattern', got: $(tail -n 1 <<<"$out")"
	fi
}

# Each damage on its own; none may be answered with a handshake.
damaged() {
	local name=ike-scan/$1 out
	shift
	out=$(scan "$@")
	if grep -q 'Handshake returned' <<<"$out"; then
		fail "$name was answered with a handshake"
	elif ! shrike_alive gw || ! shrikectl gw status >/dev/null; then
		fail "$name and shrike is gone"
	else
		pass "$name refused: $(grep -oE 'Notify message [0-9]+ \([A-Z-]*\)|0 returned handshake; 0 returned notify' <<<"$out" | head -n 1)"
	fi
}

lab_init ike-scan
command -v ike-scan >/dev/null || { skip "ike-scan is not installed"; exit 0; }
have_shrike || { skip "ike-scan shrike is not built in $BUILD"; exit 0; }
shrike_site
netns_add p
link_add s wan p p0
ip -n "$P-p" addr add 10.9.0.2/24 dev p0
shrike_conf gw <<<"net 1 aes128gcm16"
shrike_up gw s || { fail "ike-scan shrike does not start"; exit 1; }

expect main-mode 'Main Mode Handshake returned' --trans="$GOOD"
expect second-transform 'Main Mode Handshake returned' --trans="$POOR" --trans="$GOOD"
damaged poor-transform --trans="$POOR"
damaged aggressive --aggressive --id=gwb --dhgroup=14 --trans="$GOOD"
damaged header-length-short --trans="$GOOD" --headerlen=20
damaged header-length-long --trans="$GOOD" --headerlen=+1000
damaged header-length-huge --trans="$GOOD" --headerlen=4294967295
damaged header-version --trans="$GOOD" --headerver=0x20
damaged flags-encrypted --trans="$GOOD" --hdrflags=1
damaged message-id --trans="$GOOD" --hdrmsgid=7
damaged next-payload --trans="$GOOD" --nextpayload=200
damaged exchange --trans="$GOOD" --exchange=99
damaged responder-cookie --trans="$GOOD" --rcookie=0011223344556677
damaged doi --trans="$GOOD" --doi=9
damaged situation --trans="$GOOD" --situation=64
damaged protocol --trans="$GOOD" --protocol=77
damaged null-cookie --trans="$GOOD" --cookie=0000000000000000
expect after-all-that 'Main Mode Handshake returned' --trans="$GOOD"
exit 0
