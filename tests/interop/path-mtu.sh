#!/usr/bin/env bash
# A link of 1400 bytes between two gateways whose own links carry 1500: TCP, which forbids fragmentation, gets
# through, because the gateways believe the routers' ICMP and tell their hosts.
#
#   host ha ── lan [gateway a] wan ── [r1] ══ 1400 ══ [r2] ── wan [gateway b] lan ── host hb
#  10.1.0.1                10.9.0.1   10.9.0.254   10.8.0.254   10.8.0.2          10.2.0.1
#
# One line for each scenario: PASS|FAIL|SKIP name detail.
. "$(dirname "$0")/lib.sh"

lab_init path-mtu
have_shrike || { skip "path-mtu no shrike in $BUILD"; exit 0; }
for tool in ethtool python3; do command -v $tool >/dev/null || { skip "path-mtu there is no $tool here"; exit 0; }; done

# gateway NAME SITE WAN_NETWORK OTHER_WAN
gateway() {
	local site=$2 other=$((3 - $2)) start=passive ids=(- gwa gwb)
	[ "$site" = 1 ] && start=immediate
	mkdir -p "$STATE/$1"
	(umask 077 && printf '%s' "$PSK_TEXT" >"$STATE/$1/gw.psk")
	{
		shrike_system "$1" "$3.$site" "10.$site.0.254"
		cat <<C
routes:
  - {to: 0.0.0.0/0, via: $3.254}
secrets:
  - {name: gw, file: gw.psk}
peers:
  - name: gw
    local: $3.$site
    remote: $4
    local-id: ${ids[site]}
    remote-id: ${ids[other]}
    secret: gw
    proposals: [aes128-sha256-modp2048]
    children:
      - {name: net, local: [10.$site.0.0/24], remote: [10.$other.0.0/24], proposals: [aes128gcm16], start: $start}
C
	} >"$STATE/$1/shrike.yaml"
}

for n in ha a r1 r2 b hb; do netns_add $n; done
link_add ha h0 a lan
link_add a wan r1 r0
link_add r1 mid r2 mid
link_add r2 r0 b wan
link_add b lan hb h0
HOST_MTU=1500
host_add ha h0 1 10.1.0.254
host_add hb h0 2 10.2.0.254
ip -n "$P-r1" addr add 10.9.0.254/24 dev r0
ip -n "$P-r2" addr add 10.8.0.254/24 dev r0
for r in 1 2; do
	ip -n "$P-r$r" addr add 10.7.0.$r/24 dev mid
	ip -n "$P-r$r" link set mid mtu 1400
done
ip -n "$P-r1" route add 10.8.0.0/24 via 10.7.0.2
ip -n "$P-r2" route add 10.9.0.0/24 via 10.7.0.1
gateway a 1 10.9.0 10.8.0.2
gateway b 2 10.8.0 10.9.0.1
shrike_up b b && shrike_up a a || { fail "path-mtu a gateway does not start"; exit 1; }
until_true 20 in_ns ha ping -q -c 1 -W 1 10.2.0.1 || { fail "path-mtu no tunnel"; exit 1; }

# transfer: 300 KB of TCP each way, whatever the time up to a limit
cat >"$STATE/serve.py" <<'P'
import socket
s = socket.create_server(('10.2.0.1', 7000))
print('ready', flush=True)
while True:
    c, _ = s.accept()
    left = 300000
    while left:
        left -= len(c.recv(min(left, 65536))) or left
    c.sendall(bytes(300000))
    c.close()
P
cat >"$STATE/fetch.py" <<'P'
import socket
s = socket.create_connection(('10.2.0.1', 7000), 10)
s.settimeout(25)
s.sendall(bytes(300000))
n = 0
while data := s.recv(65536):
    n += len(data)
raise SystemExit(n != 300000)
P
bg hb "$STATE/serve.log" python3 "$STATE/serve.py"
until_true 10 grep -q ready "$STATE/serve.log"
if in_ns ha timeout 40 python3 "$STATE/fetch.py"; then
	pass "path-mtu/tcp 300 KB each way"
else
	fail "path-mtu/tcp does not get through"
fi
for g in a b; do
	if grep -q 'carries packets of 1400 bytes' "$STATE/$g/shrike.log"; then
		pass "path-mtu/$g $(sed -n 's/.*info: \(the way to .*\)/\1/p' "$STATE/$g/shrike.log" | head -n 1)"
	else
		fail "path-mtu/$g did not learn the size of the path"
	fi
done
# what exactly fits: 1400 - 20 (IP) - 8 (ESP) - 8 (IV) - 16 (ICV) - 2 (trailer), down to a multiple of 4, less 2
mtu=$(in_ns ha ip route get 10.2.0.1 | sed -n 's/.* mtu \([0-9]*\).*/\1/p')
if [ "$mtu" = 1346 ] && in_ns ha ping -q -c 1 -W 3 -M "do" -s $((1346 - 28)) 10.2.0.1 >/dev/null; then
	pass "path-mtu/inner the host knows that $mtu bytes fit, and they do"
else
	fail "path-mtu/inner the host knows '$mtu', 1346 expected, or they do not fit"
fi
# without DF the inner packet is cut before it is encrypted: no fragment on the small link
wire_record r1 mid "$STATE/m.pcap" 'ip[6:2] & 0x3fff != 0'
in_ns ha ping -q -c 3 -i 0.1 -W 3 -M dont -s 1360 10.2.0.1 >"$STATE/ping.log"
wire_stop
frames=$(tcpdump -nr "$STATE/m.pcap" 2>/dev/null | wc -l)
if grep -q ' 3 received' "$STATE/ping.log" && [ "$frames" = 0 ]; then
	pass "path-mtu/cut larger packets without DF arrive, and no ESP is fragmented"
else
	fail "path-mtu/cut $frames fragments on the small link, or pings lost"
fi
