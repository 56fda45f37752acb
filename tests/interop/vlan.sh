#!/usr/bin/env bash
# Tags on every link, and MSS clamping: two gateways whose cables carry nothing but VLANs, a third VLAN on the
# same wire that no port is, and TCP between hosts that get no ICMP.
#
#   host ha (a Linux guest)     gateway a                       gateway b               host hb
#   vec0.30 10.1.0.1 ══ 30 ══ lan 10.1.0.254 │ wan 10.9.0.1 ══ 10 ══ wan 10.9.0.2 │ lan 10.2.0.254 ── h0 10.2.0.1
#   vec0    10.3.0.1 ─────── flat 10.3.0.254 │  (the same cable and device, frames without a tag)
#
# One line for each scenario: PASS|FAIL|SKIP name detail.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh" # for its User Mode Linux: not every host's kernel knows VLANs
FLAVOUR=uml

lab_init vlan
have_shrike || { skip "vlan no shrike in $BUILD"; exit 0; }
[ -x $UML_KERNEL ] || { skip "vlan user-mode-linux is not installed"; exit 0; }

# gateway NAME SITE: the LAN of site 1 is a VLAN, and beside it a port for frames without a tag
gateway() {
	local site=$2 other=$((3 - $2)) ids=(- gwa gwb)
	mkdir -p "$STATE/$1"
	(umask 077 && printf '%s' "$PSK_TEXT" >"$STATE/$1/gw.psk")
	{
		HOST_MTU=1500 shrike_system "$1" "10.9.0.$site" "10.$site.0.254" |
			sed "s/iface=wan,.*/&\n    vlan: 10/"
		[ "$site" = 2 ] || cat <<C
    vlan: 30
  - name: flat
    device: net_af_packet1,iface=lan,qdisc_bypass=0
    addresses: [10.3.0.254/24]
C
		cat <<C
routes:
  - {to: 10.$other.0.0/16, via: 10.9.0.$other}
secrets:
  - {name: gw, file: gw.psk}
peers:
  - name: gw
    local: 10.9.0.$site
    remote: 10.9.0.$other
    local-id: ${ids[site]}
    remote-id: ${ids[other]}
    secret: gw
    proposals: [aes128-sha256-modp2048]
    children:
      - {name: net, local: [10.$site.0.0/24], remote: [10.$other.0.0/24], proposals: [aes128gcm16], clamp-mss: auto}
C
	} >"$STATE/$1/shrike.yaml"
}

# frames FILE FILTER
frames() { tshark -r "$STATE/$1" -Y "$2" 2>/dev/null | wc -l; }

for n in a b hb; do netns_add $n; done
link_add a wan b wan
link_add b lan hb h0
HOST_MTU=1500 host_add hb h0 2 10.2.0.254
ip -n "$P-a" tuntap add lan mode tap
ip -n "$P-a" link set lan up
mkdir -p "$STATE/ha"
cat >"$STATE/ha/boot.sh" <<C
ethtool -K vec0 tx off rx off tso off gso off gro off sg off
ip link set vec0 up
ip addr add 10.3.0.1/24 dev vec0
ip link add link vec0 name vec0.30 type vlan id 30
ip addr add 10.1.0.1/24 dev vec0.30
ip link set vec0.30 up
ip route add 10.0.0.0/8 via 10.1.0.254
C
uml_boot ha a transport=tap,ifname=lan 1 || { fail "vlan the guest does not start"; exit 1; }
gateway a 1
gateway b 2
wire_record a wan "$STATE/wan.pcap"
wan_pid=$WIRE_PID
shrike_up b b && shrike_up a a || { fail "vlan a gateway does not start"; exit 1; }
shrikectl a up gw/net >"$STATE/why" 2>&1
if until_true 10 uml_run ha "ping -q -c 1 -W 1 10.2.0.1" && in_ns hb ping -q -c 5 -i 0.1 -W 2 10.1.0.1 >/dev/null; then
	pass "vlan/tunnel pings both ways, a host in VLAN 30, gateways in VLAN 10"
else
	fail "vlan/tunnel no ping: $(tail -n 1 "$STATE/why")"
fi

# Between the LAN's VLAN and its frames without a tag, through one device.
if uml_run ha "ping -q -c 3 -i 0.2 -W 2 -I 10.3.0.1 10.3.0.254 && ping -q -c 3 -i 0.2 -W 2 10.1.0.254" >"$STATE/why"; then
	pass "vlan/flat a VLAN and frames without a tag on one device"
else
	fail "vlan/flat no answer from both ports of one device"
fi

# A VLAN that is no port, and a tag within a tag: dropped, counted, answered by nothing.
cat >"$STATE/ha/tags.py" <<'P'
from scapy.all import Ether, Dot1Q, IP, ICMP, ARP, sendp
b = "ff:ff:ff:ff:ff:ff"
sendp([Ether(dst=b) / Dot1Q(vlan=31) / ARP(pdst="10.1.0.254"),
       Ether(dst=b) / Dot1Q(vlan=30) / Dot1Q(vlan=30) / ARP(pdst="10.1.0.254")] * 5, iface="vec0", verbose=0)
P
uml_run ha "python3 $STATE/ha/tags.py" >"$STATE/why" 2>&1
dropped() { [ "$(shrikectl a stats --json | jq '[.lcores[].drops.vlan_unknown] | add')" -ge 10 ]; }
if until_true 5 dropped; then
	pass "vlan/unknown 10 frames of other VLANs counted under vlan_unknown"
else
	fail "vlan/unknown $(shrikectl a stats --json | jq -c .totals.drops)"
fi

# TCP between a host of 1500 bytes and one of 1500, with no help from ICMP: both learn the MSS from what the
# gateways made of the SYNs.
wire_record hb h0 "$STATE/hb.pcap" tcp
hb_pid=$WIRE_PID
wire_record a lan "$STATE/ha.pcap" 'tcp or (vlan and tcp)'
peer_start ha "$HERE/transfer.py serve 5001"
sleep 1
put="" get=""
put=$(in_ns hb "$HERE/transfer.py" put 10.1.0.1 5001 3000000 10.2.0.1 2>&1) &&
	get=$(in_ns hb "$HERE/transfer.py" get 10.1.0.1 5001 3000000 10.2.0.1 2>&1)
code=$?
wire_stop
end_pid "$hb_pid"
end_pid "$wan_pid"
# 1500 - 20 (IP) - 8 - 8 - 16 (ESP, IV, ICV) = 1448, less 2 of trailer: 1446; less IP and TCP: 1406
syn=$(tshark -r "$STATE/ha.pcap" -Y 'tcp.flags.syn == 1 && tcp.flags.ack == 0' -T fields -e tcp.options.mss_val 2>/dev/null | sort -u | tr '\n' ' ')
ack=$(tshark -r "$STATE/hb.pcap" -Y 'tcp.flags.syn == 1 && tcp.flags.ack == 1' -T fields -e tcp.options.mss_val 2>/dev/null | sort -u | tr '\n' ' ')
large=$(frames hb.pcap 'tcp.len > 1406')
if [ $code != 0 ]; then
	fail "vlan/mss TCP does not get through: $put $get"
elif [ "$syn" != "1406 " ] || [ "$ack" != "1406 " ] || [ "$large" != 0 ]; then
	fail "vlan/mss SYN says '$syn', SYN-ACK '$ack', 1406 expected; $large segments are larger"
else
	pass "vlan/mss SYN and SYN-ACK of 1460 arrive with 1406; 3 MB each way, checksums agree"
fi

tagged=$(frames wan.pcap 'vlan.id == 10 && esp') other=$(frames wan.pcap '!(vlan.id == 10)')
if [ "$tagged" -gt 100 ] && [ "$other" = 0 ]; then
	pass "vlan/wire $tagged ESP frames in VLAN 10, no frame without its tag"
else
	fail "vlan/wire $tagged ESP frames in VLAN 10, $other frames outside of it"
fi
by_port=$(shrikectl a stats --json | jq -c '[.ports[] | select(.vlan > 0) | [.name, .vlan, .rx_packets > 100, .tx_packets > 100]]')
if [ "$by_port" = '[["wan",10,true,true],["lan",30,true,true]]' ]; then
	pass "vlan/statistics $by_port"
else
	fail "vlan/statistics $by_port"
fi
exit $((FAILED > 0))
