#!/usr/bin/env bash
# What devices can do: ports of DPDK's net_tap, which checks and writes checksums, and fills several buffers with a
# frame. Gateway a has buffers of 1 KB, two for a frame of 1500 bytes, gateway b whole ones; ESP goes in UDP over IPv6.
#
#   namespace a, the kernel's side      gateway a                                      gateway b      namespace b
#   10.1.0.1 on lana ──────── lan 10.1.0.254 │ wan 2001:db8:9::1 ══ wana ── br0 ── br0 ── wanb ══ 2001:db8:9::2 ...
#
# One line for each scenario: PASS|FAIL|SKIP name detail.
. "$(dirname "$0")/lib.sh"

lab_init offload
have_shrike || { skip "offload no shrike in $BUILD"; exit 0; }
[ -c /dev/net/tun ] || { skip "offload there is no /dev/net/tun"; exit 0; }

# gateway NAME SITE: its taps appear in its namespace, which is the host behind it, too
gateway() {
	local site=$2 other=$((3 - $2)) ids=(- gwa gwb)
	mkdir -p "$STATE/$1"
	(umask 077 && printf '%s' "$PSK_TEXT" >"$STATE/$1/gw.psk")
	{
		HOST_MTU=1500 shrike_system "$1" "2001:db8:9::$site" "10.$site.0.254" |
			sed "s|\[2001:db8:9::$site/24\]|[\"2001:db8:9::$site/64\"]|; s/net_af_packet0.*/net_tap0,iface=wan$1/; s/net_af_packet1.*/net_tap1,iface=lan$1/"
		cat <<C
routes:
  - {to: 10.$other.0.0/16, via: "2001:db8:9::$other"}
secrets:
  - {name: gw, file: gw.psk}
peers:
  - name: gw
    local: "2001:db8:9::$site"
    remote: "2001:db8:9::$other"
    local-id: ${ids[site]}
    remote-id: ${ids[other]}
    secret: gw
    encapsulation: force
    proposals: [aes128-sha256-modp2048]
    children:
      - {name: net, local: [10.$site.0.0/24], remote: [10.$other.0.0/24], proposals: [aes128gcm16]}
C
	} >"$STATE/$1/shrike.yaml"
	[ "$1" = b ] || sed -i 's/memory: .*/&\n  buffer-size: 1K\n  mbufs: 4096/' "$STATE/$1/shrike.yaml"
	[ "$1" = a ] || sed -i 's/memory: .*/memory: 256M\n  mbufs: 4096/' "$STATE/$1/shrike.yaml"
	shrike_up "$1" "$1" || return 1
	# net_tap gives both ends the same station: what is for shrike would stay with the kernel
	ip -n "$P-$1" link set "wan$1" address "02:00:00:00:09:0$site"
	ip -n "$P-$1" link set "lan$1" address "02:00:00:00:0$site:01"
	ip -n "$P-$1" link set "wan$1" master br0 up
	in_ns "$1" ethtool -K "lan$1" tx off rx off gro off gso off tso off >/dev/null 2>&1
	ip -n "$P-$1" addr add "10.$site.0.1/24" dev "lan$1"
	ip -n "$P-$1" link set "lan$1" up
	ip -n "$P-$1" route add default via "10.$site.0.254"
}

for n in a b; do netns_add $n; done
link_add a w b w
for n in a b; do
	ip -n "$P-$n" link add br0 type bridge mcast_snooping 0
	ip -n "$P-$n" link set br0 up
	ip -n "$P-$n" link set w master br0
done
gateway b 2 && gateway a 1 || { fail "offload a gateway does not start"; exit 1; }
said=$(sed -n 's/.*info: port wan: the device does//p' "$STATE/a/shrike.log")
whole=$(sed -n 's/.*info: port wan: the device does//p' "$STATE/b/shrike.log")
if [ "$said" = " IPv4 header checksums (in) UDP checksums (out) frames in several buffers" ] &&
	[ "$whole" = " IPv4 header checksums (in) UDP checksums (out)" ]; then
	pass "offload/asked a:$said; b:$whole"
else
	fail "offload/asked a:'$said', b:'$whole'"
fi
wire_record a w "$STATE/wan.pcap" ip6
shrikectl a up gw/net >"$STATE/why" 2>&1
until_true 10 in_ns a ping -q -c 1 -W 1 10.2.0.1 || { fail "offload no ping: $(tail -n 1 "$STATE/why")"; exit 1; }
# 1500 - 40 (IPv6) - 8 (UDP) - 8 - 8 - 16 (ESP) = 1420, less 2 of trailer, less IP and ICMP
for way in "a 10.1.0.1 10.2.0.1" "b 10.2.0.1 10.1.0.1"; do
	read -r ns from to <<<"$way"
	if ! got=$(in_ns "$ns" timeout 100 python3 "$HERE/sweep.py" "$from" "$to" 1 8972 131 2>&1); then
		fail "offload/chained/$ns $got"
	elif ! df=$(in_ns "$ns" timeout 100 python3 "$HERE/sweep.py" "$from" "$to" 1 1472 1 df 2>&1); then
		fail "offload/chained/$ns DF: $df"
	elif [[ $df != *"up to 1390;"* ]]; then
		fail "offload/chained/$ns 1390 expected: $df"
	else
		pass "offload/chained/$ns $got; DF: $df"
	fi
done
# to the gateway itself: frames in several buffers go up to control as well
if in_ns a ping -q -c 3 -i 0.2 -W 2 -s 8000 10.1.0.254 >/dev/null; then
	pass "offload/host pings of 8000 bytes to the gateway itself"
else
	fail "offload/host no answer to 8000 bytes: $(shrikectl a stats --json | jq -c .totals.drops)"
fi
bg b "$STATE/serve.log" "$HERE/transfer.py" serve 5001
sleep 0.5
if put=$(in_ns a "$HERE/transfer.py" put 10.2.0.1 5001 20000000 10.1.0.1 2>&1) &&
	get=$(in_ns a "$HERE/transfer.py" get 10.2.0.1 5001 20000000 10.1.0.1 2>&1); then
	pass "offload/tcp 20 MB each way, checksums agree"
else
	fail "offload/tcp $put $get"
fi
wire_stop
total=$(tshark -r "$STATE/wan.pcap" -o udp.check_checksum:TRUE -Y 'udp.port == 4500' 2>/dev/null | wc -l)
right=$(tshark -r "$STATE/wan.pcap" -o udp.check_checksum:TRUE -Y 'udp.port == 4500 && udp.checksum.status == "Good"' 2>/dev/null | wc -l)
if [ "$total" -gt 1000 ] && [ "$total" = "$right" ]; then
	pass "offload/udp the checksums of all $total datagrams on the wire are right"
else
	fail "offload/udp $right of $total checksums are right"
fi
exit $((FAILED > 0))
