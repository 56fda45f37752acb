#!/usr/bin/env bash
# shrike and strongSwan with real NATs between them: each NAT is a namespace of its own that masquerades to other
# ports and forwards UDP 500 and 4500, so that either side can begin. strongSwan runs in a User Mode Linux guest (a
# Linux kernel does its UDP encapsulation).
#
#   s (shrike)            n                     m             p (strongSwan)
#   wan 10.9.0.1 ── n0 10.9.0.254 | n1 10.8.0.1 ── m1 10.8.0.2 | m0 10.7.0.254 ── p0 10.7.0.2
#
#   ours, theirs, both   who is behind a NAT, in both roles: seen by both sides, ESP in UDP, and pings
#   none, forced         no NAT: plain ESP; the same with encapsulation forced by us
#   keepalive            shrike's, on the wire
#   rebind               a NAT forgets its ports and takes others, under pings
# shellcheck disable=SC2034
FLAVOUR=${1:-uml}
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"

CHILDREN="net 1 aes128gcm16"

# router NS INSIDE_IF INSIDE OUTSIDE_IF OUTSIDE ROUTE VIA
router() {
	ip -n "$P-$1" addr add "$3/24" dev "$2"
	ip -n "$P-$1" addr add "$5/24" dev "$4"
	ip -n "$P-$1" route add "$6" via "$7"
}

# nat_set NS INSIDE_HOST OUTSIDE_IF [FIRST_PORT [closed]]: a NAT with ports of its own, closed: one that lets nobody in
# who was not called; without FIRST_PORT: none
nat_set() {
	local in="iifname \"$3\" udp dport { 500, 4500 } dnat to $2"
	[ "${5:-}" = closed ] && in="iifname \"$3\" ct state new udp sport 0-65535 drop"
	{
		echo "flush ruleset"
		[ -z "${4:-}" ] || cat <<C
table ip nat {
	chain out { type nat hook postrouting priority 100; oifname "$3" udp dport 0-65535 masquerade to :$4-$(($4 + 999)) random; }
	chain in { type nat hook prerouting priority -100; $in; }
}
C
	} | in_ns "$1" nft -f -
	in_ns "$1" conntrack -F 2>/dev/null
}

ours_behind() { nat_set n 10.9.0.1 n1 "$@"; }
theirs_behind() { nat_set m 10.7.0.2 m1 "$@"; }

# What a NAT still remembers of the other role would make it take the same ports again, or clash with them.
before_role() {
	in_ns n conntrack -F 2>/dev/null
	in_ns m conntrack -F 2>/dev/null
}

# nat_is LOCAL REMOTE ENCAPSULATION: what shrike found, and that strongSwan agrees
nat_is() {
	local got theirs
	got=$(shrikectl gw stats --json | jq -r '(.main_mode_sas | map(select(.state == "established")) | .[0].nat |
		"\(.local) \(.remote)") + " " + (.quick_mode_sas | map(select(.state == "current")) | .[0].udp_encapsulation | tostring)')
	theirs=$(swan peer --list-sas | grep -o 'TUNNEL[A-Za-z-]*' | head -n 1)
	[ "$got" = "$1 $2 $3" ] || { echo "NAT here, NAT there, UDP: $got; strongSwan says $theirs"; return 1; }
	if [ "$3" = true ]; then
		[ "$theirs" = TUNNEL-in-UDP ]
	else
		[ "$theirs" = TUNNEL ]
	fi || { echo "strongSwan's mode is $theirs"; return 1; }
	echo "$theirs"
}

# between NAME LOCAL REMOTE ENCAPSULATION: both roles, and what there is on the wire between the NATs
between() {
	local plain udp
	swan_reload && shrike_reload || { fail "nat/$1 not loaded: $(reason)"; return; }
	wire_record n n1 "$STATE/wire.pcap"
	both_roles "nat/$1" net 1 nat_is "$2" "$3" "$4"
	wire_stop
	plain=$(frames "$STATE/wire.pcap" 'ip proto 50')
	udp=$(frames "$STATE/wire.pcap" 'udp port 4500 and udp[8:4] != 0 and udp[4:2] > 9')
	if [ "$4" = true ] && [ "$plain" != 0 ] || [ "$4" = false ] && [ "$udp" != 0 ]; then
		fail "nat/$1/wire $plain frames of plain ESP, $udp of ESP in UDP"
	else
		pass "nat/$1/wire $plain frames of plain ESP, $udp of ESP in UDP"
	fi
}

# frames FILE FILTER: how many of them a capture has
frames() { tcpdump -r "$1" -n "$2" 2>/dev/null | wc -l; }

# The seconds without an answer, while one ping every 100 ms runs: from the log with one line per answer (-D -O).
gap() {
	awk '/bytes from/ { t = substr($1, 2, length($1) - 2); if (last && t - last > max) max = t - last; last = t }
		END { printf "%.1f", max }' "$STATE/rebind.log"
}

answers() { grep -c 'bytes from' "$STATE/rebind.log"; }
more_answers() { [ "$(answers)" -ge "$1" ]; }

# Where each side thinks that the other one is: a port of the NAT's.
their_view() { swan peer --list-sas | sed -n "s/.*remote 'gwa' @ .*\[\([0-9]*\)\]/\1/p" | tail -n 1; }
our_view() { shrikectl gw stats --json | jq '.main_mode_sas | map(select(.state == "established")) | .[0].remote.port'; }
follows() {
	local port
	port=$([ "$1" = ours ] && their_view || our_view)
	[ "${port:-0}" -ge 30000 ]
}

# rebind NAME ROLE BEHIND: the side that is behind a NAT begins; then the NAT changes under pings, which must be
# answered again
rebind() {
	local name=nat/rebind-$1 before
	clean_slate
	$3 20000 closed
	start_child "$2" net || { fail "$name not negotiated: $(reason)"; return; }
	: >"$STATE/rebind.log"
	bg h "$STATE/rebind.log" ping -D -i 0.1 -W 1 -I 10.1.1.1 10.2.1.1
	if ! until_true 10 more_answers 5; then
		fail "$name no ping passes before: $(reason)"
	else
		$3 30000 closed
		sleep 0.5
		before=$(answers)
		if ! until_true 45 more_answers $((before + 5)); then
			fail "$name pings are not answered any more: $(reason)"
		elif ! until_true 10 follows "$1"; then
			fail "$name strongSwan's idea of our port, and ours of its: $(their_view), $(our_view)"
		else
			pass "$name pings are answered again; the longest gap was $(gap) s"
		fi
	fi
	end_pid "$BG_PID"
}

# Every twenty seconds, one byte.
keepalives() { [ "$(frames "$STATE/keepalive.pcap" "$KEEPALIVE")" -ge 1 ]; }
KEEPALIVE='src host 10.9.0.1 and udp src port 4500 and udp[4:2] = 9 and udp[8] = 0xff'

SHRIKE_GATEWAY=10.9.0.254
SWAN_LOCAL=10.7.0.2 SWAN_GATEWAY=10.7.0.254
SWAN_EXTRA="dpd_delay = 2"
SWAN_CHARON="keep_alive = 2"
SHRIKE_REMOTE=10.7.0.2 SWAN_REMOTE=10.9.0.1
for program in nft conntrack; do
	command -v $program >/dev/null || { echo "SKIP nat $program is not installed"; exit 0; }
done
site_begin nat
netns_add n && netns_add m
link_add s wan n n0 && link_add n n1 m m1 && link_add m m0 p p0
router n n0 10.9.0.254 n1 10.8.0.1 10.7.0.0/24 10.8.0.2
router m m0 10.7.0.254 m1 10.8.0.2 10.9.0.0/24 10.8.0.1
site_start nat

between none false false false
ENCAP=force
between forced false false true
ENCAP=auto

SWAN_REMOTE=10.8.0.1
ours_behind 20000
between ours true false true
wire_record s wan "$STATE/keepalive.pcap" 'udp port 4500'
rebind ours initiator ours_behind
if until_true 40 keepalives; then
	pass "nat/keepalive $(frames "$STATE/keepalive.pcap" "$KEEPALIVE") on the wire"
else
	fail "nat/keepalive none within 40 s"
fi

SHRIKE_REMOTE=10.8.0.2 SWAN_REMOTE=10.9.0.1
theirs_behind 20000
ours_behind
between theirs false true true
rebind theirs responder theirs_behind

ours_behind 40000
theirs_behind 20000
SWAN_REMOTE=10.8.0.1
between both true true true
the_end nat
