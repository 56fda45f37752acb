#!/usr/bin/env bash
# Two shrike gateways over IPv6: IKE, ESP and Neighbour Discovery on the wire, hosts of both families behind.
#
# Between them is a bridge that passes on what goes to a group only where somebody has said that he listens to it
# (MLD snooping, RFC 4541), and that asks.
#
#   host a              gateway a                                 gateway b              host b
#   10.1.0.1 ─────── 10.1.0.254 │                                │ 10.2.0.254 ─────── 10.2.0.1
#   2001:db8:1::1    2001:db8:1::fe │ 2001:db8:9::1 ═══ 2001:db8:9::2 │ 2001:db8:2::fe    2001:db8:2::1
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# gateway NAME SITE START
gateway() {
	local site=$2 other=$((3 - $2)) ids=(- gwa gwb)
	mkdir -p "$STATE/$1"
	(umask 077 && printf '%s' "$PSK_TEXT" >"$STATE/$1/site.psk")
	{
		shrike_system "$1" "2001:db8:9::$site" "10.$site.0.254" |
			sed "s|\[2001:db8:9::$site/24\]|[2001:db8:9::$site/64]|; s|\[10.$site.0.254/24\]|[10.$site.0.254/24, 2001:db8:$site::fe/64]|"
		cat <<C
routes:
  - to: 10.$other.0.0/16
    via: 2001:db8:9::$other
  - to: 2001:db8:$other::/64
    via: 2001:db8:9::$other
secrets:
  - name: site
    file: site.psk
peers:
  - name: other
    local: 2001:db8:9::$site
    remote: 2001:db8:9::$other
    local-id: ${ids[site]}
    remote-id: ${ids[other]}
    secret: site
    encapsulation: ${ENCAP:-auto}
    proposals: [aes256-sha256-modp2048]
    children:
      - name: four
        local: [10.$site.0.0/24]
        remote: [10.$other.0.0/24]
        proposals: [${PROPOSAL:-aes128gcm16}]
        start: $3
      - name: six
        local: ["2001:db8:$site::/64"]
        remote: ["2001:db8:$other::/64"]
        proposals: [${PROPOSAL:-aes128gcm16}]
        start: $3
C
	} >"$STATE/$1/shrike.yaml"
}

# host_add6 NS IF SITE
host_add6() {
	in_ns "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 "net.ipv6.conf.$2.disable_ipv6=0" "net.ipv6.conf.$2.accept_dad=0"
	ip -n "$P-$1" addr add "2001:db8:$3::1/64" dev "$2" nodad
	ip -n "$P-$1" route add default via "2001:db8:$3::fe" dev "$2"
}

snooping_bridge() {
	in_ns w sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
	ip -n "$P-w" link add br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_query_response_interval 100 mcast_startup_query_interval 100
	for p in p1 p2; do
		in_ns w sysctl -qw "net.ipv6.conf.$p.disable_ipv6=1"
		ip -n "$P-w" link set $p master br0
	done
	ip -n "$P-w" link set br0 up
}

# listens PORT GROUP: the bridge knows it
listens() { bridge -n "$P-w" mdb show dev br0 | grep -q "port $1 grp $2 "; }

pings() { # FROM-NS TO
	local i
	for i in 1 2 3; do in_ns "$1" ping -q -c 5 -i 0.1 -W 2 "$2" >"$STATE/ping.log" 2>&1 && return 0; done
	return 1
}

one_round() { # NAME FILTER WHAT: of frames that are ESP, or AH
	local name=$1 filter=$2 what=${3:-ESP} wire=$STATE/$1.pcap esp clear
	gateway a 1 passive
	gateway b 2 passive
	wire_record a wan "$wire" ip6
	shrike_up b b && shrike_up a a || { fail "$name a gateway did not start"; return; }
	shrikectl a up other/four >/dev/null 2>&1
	shrikectl a up other/six >/dev/null 2>&1
	if ! until_true 10 listens p1 ff02::1:ff00:1 || ! until_true 10 listens p2 ff02::1:ff00:2; then
		fail "$name a bridge that snoops does not know the gateways' groups: $(bridge -n "$P-w" mdb show dev br0 | tr '\n' ' ')"
	elif ! pings ha 10.2.0.1; then
		fail "$name IPv4 in IPv6"
	elif ! pings ha 2001:db8:2::1 || ! pings hb 2001:db8:1::1; then
		fail "$name IPv6 in IPv6"
	elif ! in_ns ha ping -q -c 2 -W 2 -s 3000 2001:db8:2::1 >/dev/null; then
		fail "$name pings of 3,000 bytes"
	elif ! in_ns ha ping -q -c 2 -W 2 -s 3000 2001:db8:2::fe >/dev/null; then
		fail "$name pings of 3,000 bytes to the other gateway, whose answers it must cut itself"
	else
		wire_stop
		esp=$(tshark -r "$wire" -Y "$filter" 2>/dev/null | wc -l)
		clear=$(tshark -r "$wire" -Y '!(isakmp || '"${what,,}"' || icmpv6.type == 135 || icmpv6.type == 136 || icmpv6.type == 130 || icmpv6.type == 143 || ipv6.fragment || eth.src == '"$(in_ns w cat /sys/class/net/br0/address)"')' 2>/dev/null | wc -l)
		if [ "$esp" -lt 30 ] || [ "$clear" != 0 ]; then
			fail "$name $esp $what frames, $clear that are neither $what, IKE, Neighbour Discovery nor MLD"
		else
			pass "$name both families through, $esp $what frames, nothing else on the wire but IKE, Neighbour Discovery and MLD, through a snooping bridge"
		fi
	fi
	shrike_down a
	shrike_down b
}

lab_init ipv6
have_shrike || { skip "ipv6 the build has no shrike in $BUILD"; exit 0; }
netns_add ha && netns_add a && netns_add b && netns_add hb && netns_add w
link_add ha h0 a lan && link_add a wan w p1 && link_add b wan w p2 && link_add b lan hb h0
snooping_bridge
host_add ha h0 1 10.1.0.254
host_add hb h0 2 10.2.0.254
host_add6 ha h0 1
host_add6 hb h0 2
ENCAP=auto one_round ipv6-esp 'esp && !udp'
ENCAP=force one_round ipv6-udp 'udpencap && esp'
PROPOSAL=ah-aes256gmac-esn ENCAP=auto one_round ipv6-ah-gmac 'ah && ah.length == 8' AH # RFC 4543: 12 bytes, IV, tag, 4 of padding
exit $((FAILED > 0))
