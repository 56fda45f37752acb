#!/usr/bin/env bash
# shrike and strongSwan over IPv6, each as initiator and as responder, with IPv4 and IPv6 inside.
#
#   host                     shrike                              strongSwan
#   10.1.0.1 ──────── 10.1.0.254 │                               │ lo 10.2.1.1
#   2001:db8:1::1     2001:db8:1::fe │ 2001:db8:9::1 ═══ 2001:db8:9::2 │ lo 2001:db8:2::1
#
#   strongswan6.sh [libipsec|uml]   ESP in UDP by strongSwan itself, or plain ESP by a Linux kernel
#
#   four, six   what goes through the tunnel; rekey: a new pair, and pings still pass
# shellcheck disable=SC2034
FLAVOUR=${1:-libipsec}
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"

SHRIKE_LOCAL=2001:db8:9::1 SHRIKE_REMOTE=2001:db8:9::2 SHRIKE_GATEWAY=2001:db8:9::2
SWAN_LOCAL=2001:db8:9::2 SWAN_REMOTE=2001:db8:9::1
[ "$FLAVOUR" = libipsec ] || SWAN_GATEWAY="inet6 2001:db8:9::1"
SHRIKE_CHILDREN='four 1 aes128gcm16
six 2 aes128gcm16 local=["2001:db8:1::/64"] remote=["2001:db8:2::/64"]'
SWAN_CHILDREN='four 1 aes128gcm16
six 2 aes128gcm16 local_ts=2001:db8:2::/64 remote_ts=2001:db8:1::/64'

# The lan has both families, and the host behind it.
site_shrike_conf() {
	shrike_conf gw <<<"$SHRIKE_CHILDREN"
	sed -i -e 's|\[10.1.0.254/24\]|[10.1.0.254/24, "2001:db8:1::fe/64"]|' -e 's|\[2001:db8:9::1/24\]|["2001:db8:9::1/64"]|' \
		-e 's|^routes:|routes:\n  - to: "2001:db8:2::/64"\n    via: "2001:db8:9::2"|' "$STATE/gw/shrike.yaml"
}

ipv6_on() { in_ns "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 "net.ipv6.conf.$2.disable_ipv6=0" "net.ipv6.conf.$2.accept_dad=0"; }

ping_six() {
	local i
	for i in 1 2 3; do in_ns h ping -6 -q -c 1 -W 2 -I 2001:db8:1::1 2001:db8:2::1 >/dev/null 2>&1 && return; done
	return 1
}

passes() { if [ "$1" = four ]; then ping_one 10.1.1.1 10.2.1.1; else ping_six; fi; }

outer_is_ipv6() {
	shrikectl gw stats --json | jq -e 'all(.quick_mode_sas[]; .remote.address == "2001:db8:9::2")' >/dev/null
}

spi_of() { shrikectl gw stats --json | jq -r --arg c "$1" '[.quick_mode_sas[] | select(.child == $c and .direction == "in" and .state == "current")][0].spi'; }
has_new_spi() { local now; now=$(spi_of "$1"); [ "$now" != null ] && [ "$now" != "$2" ]; }

both() {
	local role child name before
	for role in initiator responder; do
		clean_slate
		for child in four six; do
			name=strongswan6-$FLAVOUR/$child/$role
			if ! start_child $role $child; then
				fail "$name not negotiated: $(reason)"
			elif ! passes $child; then
				fail "$name negotiated, but no ping passes: $(reason)"
			elif ! outer_is_ipv6; then
				fail "$name is not over IPv6"
			else
				pass "$name ping"
			fi
		done
		name=strongswan6-$FLAVOUR/rekey/$role
		before=$(spi_of six)
		if [ $role = initiator ]; then shrikectl gw rekey gw-b/six >/dev/null; else swan peer --rekey --child six >/dev/null; fi
		if ! until_true 10 has_new_spi six "$before"; then
			fail "$name no new SA: $(reason)"
		elif ! passes six; then
			fail "$name no ping passes: $(reason)"
		else
			pass "$name SPI $before, then $(spi_of six); ping"
		fi
	done
}

site_begin strongswan6
link_add s wan p p0
ipv6_on h h0
ip -n "$P-h" addr add 2001:db8:1::1/64 dev h0 nodad
ip -n "$P-h" -6 route add default via 2001:db8:1::fe dev h0
if [ "$FLAVOUR" = libipsec ]; then
	ipv6_on p p0
	ipv6_on p lo
	in_ns p sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.disable_ipv6=0
	ip -n "$P-p" addr add 2001:db8:2::1/128 dev lo
	ip -n "$P-p" -6 route add 2001:db8:1::/64 via 2001:db8:9::1 dev p0 2>/dev/null
fi
site_start strongswan6
if [ "$FLAVOUR" = uml ]; then
	peer_run peer "ip addr add 2001:db8:2::1/128 dev lo; ip -6 route replace default via 2001:db8:9::1 dev vec0; sysctl -qw net.ipv6.conf.all.forwarding=1"
fi
both
the_end strongswan6
