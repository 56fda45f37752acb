#!/usr/bin/env bash
# shrike and strongSwan (kernel-libipsec) cut the messages with their certificates (3 KB) into packets of 400 bytes,
# each as initiator and as responder; a relay between them loses, doubles and reorders packets of IKE.
#
#   s (shrike)             w (relay.py)             p (strongSwan)
#   wan 10.9.0.1 ─────── w0 ─── as it likes ─── w1 ─────── p0 10.9.0.2
#
#   yes       both sides say that they take fragments
#   force     shrike cuts without asking, strongSwan does not say that it takes them. (Short certificates, so that
#             IP has not to cut strongSwan's messages: net_af_packet puts such packets together and cuts off their
#             end behind 2 KB.)
#   lossy     10 % of the packets lost, 10 % doubled, delays up to 40 ms: every negotiation stands in the end
#   firewall  fragments of IP get lost: without this extension nothing comes up, with it all does
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"
. "$(dirname "$0")/pki.sh"

CHILDREN="net 1 aes128gcm16"
SIZE=400
ROUNDS=2 # of lossy, in each role

pki_new() {
	local who san i
	ca_new "Lab" || return 1
	for who in gwa gwb; do
		san="DNS:$who"
		for i in $(seq 60); do san+=",DNS:a-name-that-is-only-there-to-be-long-$i.example"; done
		key_new "$STATE/pki/$who.key" RSA
		issue Lab "$STATE/pki/$who.key" $who "$STATE/pki/$who.pem" "subjectAltName = $san" || return 1
		issue Lab "$STATE/pki/$who.key" $who "$STATE/pki/$who-short.pem" "subjectAltName = DNS:$who" || return 1
	done
}

# relay_up [OPTION...]
relay_up() {
	bg w "$STATE/relay.log" python3 "$HERE/relay.py" w0 w1 "$STATE/relay.stats" "$@"
	RELAY_PID=$BG_PID
}

# relay_down: what it did is in $RELAY
relay_down() {
	end_pid "$RELAY_PID"
	RELAY=$(tr -s '\n' ' ' <"$STATE/relay.stats")
}

# gateways SHRIKE SWAN [-short]: fragmentation at both, and with which certificates
gateways() {
	SWAN_EXTRA="fragmentation = $2" SHRIKE_PEER="fragmentation: $1"
	[ "$1" = no ] || SHRIKE_PEER+=$'\n'"fragment-size: $SIZE"
	SHRIKE_PEER+=$'\n'"retries: 5"
	swan_cert "gwb${3:-}.pem" gwb.key gwb gwa Lab
	shrike_cert rsa "gwa${3:-}.pem" gwa.key gwa gwb
	SEEN_BEFORE=$(swan_reassembled)
}

swan_reassembled() { grep -c 'reassembled fragmented IKE message' "$STATE/peer/charon.log"; }

fragments() { shrikectl gw stats --json | jq -r ".totals.fragments.$1"; }

# What both sides counted since gateways.
counted() {
	echo "shrike: $(fragments out) fragments sent, $(fragments in) received, $(fragments reassembled) messages of them," \
		"$(fragments sets_dropped) sets dropped; strongSwan put $(($(swan_reassembled) - SEEN_BEFORE)) together"
}

before_role() { :; }

# stands ROLE: negotiates and pings
stands() {
	clean_slate
	start_child "$1" net && ping_one 10.1.1.1 10.2.1.1
}

# whole NAME SHRIKE SWAN [RELAY_OPTION...]: in both roles
whole() {
	local role name=fragmentation/$1 took
	gateways "$2" "$3" "$([ "$3" = yes ] || echo -short)"
	relay_up "${@:4}"
	for role in initiator responder; do
		if ! stands $role; then
			fail "$name/$role not negotiated: $(reason)"
			continue
		fi
		took=$(fragments reassembled)
		if [ "$(swan_reassembled)" = "$SEEN_BEFORE" ] || { [ "$3" = yes ] && [ "$took" = 0 ]; }; then
			fail "$name/$role no fragments: $(counted)"
		else
			pass "$name/$role ping; $(counted)"
		fi
	done
	relay_down
}

lossy() {
	local role round up
	gateways yes yes
	for role in initiator responder; do
		up=0
		relay_up --loss 10 --twice 10 --jitter 40 --seed $((7 + ${#role}))
		for round in $(seq $ROUNDS); do
			# a Main Mode may have to give up; whoever wants the SA begins another one
			until_true 60 start_child $role net; ping_one 10.1.1.1 10.2.1.1 && up=$((up + 1))
			kill -USR1 "$RELAY_PID" # DELETE is not acknowledged: the next round needs those
			clean_slate
			kill -USR1 "$RELAY_PID"
		done
		relay_down
		if [ $up = $ROUNDS ]; then
			pass "fragmentation/lossy/$role $up of $ROUNDS stand; relay: $RELAY; $(counted)"
		else
			fail "fragmentation/lossy/$role $up of $ROUNDS stand: $(reason); relay: $RELAY"
		fi
	done
}

# Where fragments of IP do not pass, long messages need those of IKE.
firewall() {
	gateways no yes
	relay_up --no-fragments
	shrikectl gw up gw-b/net >"$STATE/why" 2>&1 &
	local job=$!
	until_true 15 why_says "message 5" # and the firewall has eaten it
	kill $job 2>/dev/null
	wait $job 2>/dev/null
	if [ "$(shrikectl gw stats --json | jq '[.quick_mode_sas[] | select(.state == "current")] | length')" != 0 ]; then
		fail "fragmentation/firewall-control messages of 3 KB passed whole"
	else
		relay_down
		case $RELAY in
		*fragments_dropped=0*) fail "fragmentation/firewall-control nothing was dropped: $RELAY" ;;
		*) pass "fragmentation/firewall-control nothing stands without it; relay: $RELAY" ;;
		esac
	fi
	whole firewall yes yes --no-fragments
	echo "$RELAY" | grep -q 'fragments_dropped=0' || fail "fragmentation/firewall IP had to cut: $RELAY"
}

why_says() { shrikectl gw why gw-b | grep -q "$1"; }

lab_init fragmentation
why=$(swan_missing)
[ -z "$why" ] || { skip "fragmentation $why"; exit 0; }
have_shrike || { skip "fragmentation shrike is not built in $BUILD"; exit 0; }
mkdir -p "$STATE/pki"
pki_new >"$STATE/pki/log" 2>&1 || { tail -n 5 "$STATE/pki/log" >&2; fail "fragmentation the certificates cannot be made"; exit 1; }

shrike_site
netns_add w
netns_add p
link_add s wan w w0
link_add w w1 p p0
SWAN_CHARON="fragment_size = $SIZE"
swan_write
swan_up peer p p0 || { fail "fragmentation strongSwan does not start"; exit 1; }
whole yes yes yes
whole force force no
lossy
firewall
the_end fragmentation
