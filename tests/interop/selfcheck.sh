#!/usr/bin/env bash
# The lab without shrike: strongSwan negotiates with itself, so that a failure elsewhere is not the lab's.
# Argument: libipsec (default) or uml.
FLAVOUR=${1:-libipsec}
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"

lab_init "selfcheck-$FLAVOUR"
why=$(swan_missing)
[ -z "$why" ] || { skip "lab/$FLAVOUR $why"; exit 0; }

netns_add p
netns_add q
link_add p p0 q q0
children=$'gcm128 1 aes128gcm16\ngcm256 2 aes256gcm16\nsha1 3 aes128-sha1\nsha256 4 aes256-sha256-modp2048'
swan_conf one 1 <<<"$children"
swan_conf two 2 <<<"$children"
swan_programs
swan_up one p p0 & # both guests boot at the same time
first=$!
swan_up two q q0
wait $first
while read -r name k _; do
	if swan one --initiate --child "$name" --timeout 10 >"$STATE/out" 2>&1 &&
		peer_run one "ping -q -i 0.2 -c 3 -W 2 -I 10.1.$k.1 10.2.$k.1" | grep -qE ' [23] received'; then
		pass "lab/$FLAVOUR/$name strongSwan with itself"
	else
		fail "lab/$FLAVOUR/$name $(tail -n 1 "$STATE/out")"
	fi
done <<<"$children"
