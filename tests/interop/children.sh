#!/usr/bin/env bash
# What is inside of the tunnel, with strongSwan (kernel-libipsec), each in both roles.
#
#   pfs         with and without on either side: who takes what of the other
#   many        several children under one Main Mode SA
#   kinds       a host and a range instead of networks
#   lists       lists of subnets become one Quick Mode per pair
#   selector    protocol and port: what fits passes, what does not stays out
#   on-demand   the first packet brings the tunnel up
#   reload      one child more, another without its SAs, under pings through the one that stays as it was
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"

MANY="one 1 aes128gcm16
two 2 aes256-sha256
three 3 aes128-sha1-modp2048"
LISTS="pair-11 8 aes128gcm16 remote_ts=10.1.8.0/24
pair-12 9 aes128gcm16 remote_ts=10.1.8.0/24
pair-21 8 aes128gcm16 remote_ts=10.1.9.0/24
pair-22 9 aes128gcm16 remote_ts=10.1.9.0/24"

group_is() {
	local got
	got=$(algorithms quick_mode)
	[ "$got" = "$1" ] || { echo "the SA pair has $got"; return 1; }
	echo "$got"
}

# refused NAME ROLE PATTERN: no SA, and "shrikectl why" says why
refused() {
	clean_slate
	if start_child "$2" net; then
		fail "$1/$2 was negotiated: $(algorithms quick_mode)"
	elif ! until_true 10 why_says "$3"; then
		fail "$1/$2 'shrikectl why' does not say '$3': $(reason)"
	elif [ "$(shrikectl gw stats --json | jq '.quick_mode_sas | length')" != 0 ]; then
		fail "$1/$2 there is an SA: $(shrikectl gw sa | tr '\n' ' ')"
	else
		pass "$1/$2 \"$(shrikectl gw why gw-b | grep -o "$3.*" | tail -n 1)\""
	fi
}

why_says() { shrikectl gw why gw-b | grep -q "$1"; }

# pfs OURS THEIRS: modp2048 or none
pfs() {
	local name=pfs/ours-$1-theirs-$2
	SHRIKE_CHILDREN="net 1 aes128gcm16-$1" SWAN_CHILDREN="net 1 aes128gcm16-$2"
	SHRIKE_CHILDREN=${SHRIKE_CHILDREN%-none} SWAN_CHILDREN=${SWAN_CHILDREN%-none}
	swan_reload && shrike_reload || { fail "$name not loaded: $(reason)"; return; }
	case $1-$2 in
	none-none) both_roles "$name" net 1 group_is aes128gcm16 ;;
	modp2048-modp2048) both_roles "$name" net 1 group_is aes128gcm16-modp2048 ;;
	modp2048-none)
		refused "$name" initiator "NO-PROPOSAL-CHOSEN"
		refused "$name" responder "PFS\|without a group\|GROUP"
		;;
	none-modp2048) # strongSwan insists; we take more than we asked for
		refused "$name" initiator "NO-PROPOSAL-CHOSEN"
		clean_slate
		if start_child responder net && ping_one 10.1.1.1 10.2.1.1 && group_is aes128gcm16-modp2048 >"$STATE/why" 2>&1; then
			pass "$name/responder ping, $(algorithms quick_mode)"
		else
			fail "$name/responder $(reason)"
		fi
		;;
	esac
}

# counts MAIN_MODE_SAS PAIRS
counts() {
	local got
	got=$(shrikectl gw stats --json | jq -r '"\(.main_mode_sas | map(select(.state == "established")) | length) \(
		.quick_mode_sas | map(select(.state == "current" and .direction == "in")) | length)"')
	[ "$got" = "$1 $2" ] || { echo "Main Mode SAs and SA pairs: $got" >"$STATE/why"; return 1; }
}

# together NAME FROM_TO... -- CHILD...: all children under one Main Mode SA, a ping for each
together() {
	local name=$1 pings=() role c pair ok
	shift
	while [ "$1" != -- ]; do pings+=("$1"); shift; done
	shift
	for role in initiator responder; do
		clean_slate
		ok=yes
		if [ $role = initiator ]; then
			shrikectl gw up gw-b >"$STATE/why" 2>&1 || ok=no
		else
			for c in "$@"; do start_child responder "$c" || ok=no; done
		fi
		if [ $ok = no ] || ! until_true 10 counts 1 ${#pings[@]}; then
			fail "$name/$role $(reason)"
			continue
		fi
		for pair in "${pings[@]}"; do
			ping_one "${pair%:*}" "${pair#*:}" || { fail "$name/$role no ping passes for $pair: $(reason)"; ok=no; }
		done
		[ $ok = no ] || pass "$name/$role ${#pings[@]} SA pairs under one Main Mode SA, a ping in each"
	done
}

# selector: TCP port 5001 of the other side, and nothing else
selector() {
	local role name
	for role in initiator responder; do
		name=selector/$role
		clean_slate
		start_child $role port || { fail "$name not negotiated: $(reason)"; continue; }
		if ! in_ns h "$HERE/transfer.py" put 10.2.4.1 5001 100000 10.1.4.1 >"$STATE/why" 2>&1; then
			fail "$name port 5001: $(reason)"
		elif in_ns h timeout 2 "$HERE/transfer.py" put 10.2.4.1 5002 1000 10.1.4.1 >/dev/null 2>&1; then
			fail "$name port 5002 passes, too"
		elif in_ns h ping -q -c 2 -i 0.2 -W 1 -I 10.1.4.1 10.2.4.1 >/dev/null 2>&1; then
			fail "$name a ping passes, too"
		else
			pass "$name TCP to port 5001 passes; port 5002 and ping do not"
		fi
	done
}

on_demand() {
	clean_slate
	in_ns h ping -c 10 -i 0.5 -W 1 -I 10.1.1.1 10.2.1.1 >"$STATE/why" 2>&1
	if grep -q 'bytes from' "$STATE/why"; then
		pass "on-demand/initiator up by itself: $(grep -o '[0-9]* received' "$STATE/why") of 10 pings"
	else
		fail "on-demand/initiator $(reason)"
	fi
}

spis() { shrikectl gw stats --json | jq -c '[.quick_mode_sas[] | select(.child == "one" and .state == "current") | .spi] | sort'; }

reload_changes_the_rest() {
	local before
	SHRIKE_CHILDREN=$(head -n 2 <<<"$MANY") SWAN_CHILDREN=$MANY
	swan_reload && shrike_reload || { fail "reload not loaded: $(reason)"; return; }
	clean_slate
	start_child initiator one && start_child initiator two || { fail "reload no tunnel to begin with: $(reason)"; return; }
	ping_one 10.1.1.1 10.2.1.1
	before=$(spis)
	ping_flood 10.1.1.1 10.2.1.1 3
	sleep 0.5
	SHRIKE_CHILDREN="$(head -n 1 <<<"$MANY")"$'\n'"$(tail -n 1 <<<"$MANY")"
	shrike_reload || { fail "reload not loaded: $(reason)"; return; }
	start_child initiator three
	ping_wait
	if [ "$PING_LOST" != 0 ] || [ "$(spis)" != "$before" ]; then
		fail "reload lost $PING_LOST of $PING_SENT pings, SPIs $before, then $(spis): $(reason)"
	elif ! ping_one 10.1.3.1 10.2.3.1 || [ "$(shrikectl gw stats --json | jq '[.quick_mode_sas[] | select(.child == "two" and .state == "current")] | length')" != 0 ]; then
		fail "reload the new child carries nothing, or the old one is still there: $(reason)"
	else
		pass "reload lost 0 of $PING_SENT pings of the child that stays, under the same SPIs; the new one carries pings, the third is gone"
	fi
}

CHILDREN="net 1 aes128gcm16"
site_up children
for ours in none modp2048; do
	for theirs in none modp2048; do pfs $ours $theirs; done
done

SHRIKE_CHILDREN=$MANY SWAN_CHILDREN=$MANY
swan_reload && shrike_reload || fail "many not loaded: $(reason)"
together many 10.1.1.1:10.2.1.1 10.1.2.1:10.2.2.1 10.1.3.1:10.2.3.1 -- one two three

SHRIKE_CHILDREN="host 5 aes128gcm16 local=[10.1.5.1] remote=[10.2.5.1]
range 6 aes128gcm16 local=[10.1.6.1-10.1.6.9] remote=[10.2.6.0-10.2.6.99]"
SWAN_CHILDREN="host 5 aes128gcm16 local_ts=10.2.5.1/32 remote_ts=10.1.5.1/32
range 6 aes128gcm16 local_ts=10.2.6.0-10.2.6.99 remote_ts=10.1.6.1-10.1.6.9"
swan_reload && shrike_reload || fail "kinds not loaded: $(reason)"
together kinds 10.1.5.1:10.2.5.1 10.1.6.1:10.2.6.1 -- host range

SWAN_CHILDREN=$LISTS
SHRIKE_CHILDREN="lists 8 aes128gcm16 local=[10.1.8.0/24,10.1.9.0/24] remote=[10.2.8.0/24,10.2.9.0/24]"
swan_reload && shrike_reload || fail "lists not loaded: $(reason)"
together lists 10.1.8.1:10.2.8.1 10.1.8.1:10.2.9.1 10.1.9.1:10.2.8.1 10.1.9.1:10.2.9.1 -- pair-11 pair-12 pair-21 pair-22

SHRIKE_CHILDREN="port 4 aes128gcm16 protocol=tcp remote-port=5001"
SWAN_CHILDREN="port 4 aes128gcm16 local_ts=10.2.4.0/24[tcp/5001] remote_ts=10.1.4.0/24[tcp]"
swan_reload && shrike_reload || fail "selector not loaded: $(reason)"
peer_start peer "$HERE/transfer.py serve 5001"
peer_start peer "$HERE/transfer.py serve 5002"
selector

SHRIKE_CHILDREN="net 1 aes128gcm16 start=on-demand" SWAN_CHILDREN="net 1 aes128gcm16"
swan_reload && shrike_reload || fail "on-demand not loaded: $(reason)"
on_demand

reload_changes_the_rest
the_end children
