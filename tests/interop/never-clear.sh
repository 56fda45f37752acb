#!/usr/bin/env bash
# Tries hard to make one packet of a protected pair appear on the wire in the clear. Two gateways, two workers
# each; hosts behind both send marked packets all the time, an attacker on the wire sends forged clear ones:
#
#   host ha ─── lan [gateway a] wan ──┬── bridge: recorded ──┬── wan [gateway b] lan ─── host hb
#   10.1.K.1                10.9.0.1  │      attacker        │ 10.9.0.2                 10.2.K.1
#
# Meanwhile gateways start, rekey, freeze until SAs expire and volumes are used up, die, are reloaded without
# children, taken down and up, lose their links, find their rings full, and end. In the end a bypass
# is configured, which the recording must show: otherwise this test would see nothing.
#
# One line for each scenario: PASS|FAIL|SKIP name detail. PLANT=1 plants the bypass at the start: then it must fail.
. "$(dirname "$0")/lib.sh"

SCRIPT=$HERE/never_clear.py
lab_init never-clear
have_shrike || { skip "never-clear no shrike in $BUILD"; exit 0; }
for tool in tcpdump ethtool jq; do command -v $tool >/dev/null || { skip "never-clear there is no $tool here"; exit 0; }; done

# gateway NAME SITE CHILDREN [EXTRA_POLICIES]: children are K of "netK"
gateway() {
	local site=$2 other=$((3 - $2)) start=passive k ids=(- gwa gwb)
	[ "$site" = 1 ] && start=immediate
	mkdir -p "$STATE/$1"
	(umask 077 && printf '%s' "$PSK_TEXT" >"$STATE/$1/gw.psk")
	{
		cat <<C
system:
  control-core: 0
  worker-cores: [$(($(nproc) > 1 ? 1 : 0)), 0]
  share-core: yes
  hugepages: no
  memory: 256M
  mbufs: 4096
  idle: sleep
  run-dir: $STATE/$1
ports:
  - {name: wan, device: "net_af_packet0,iface=wan", addresses: [10.9.0.$site/24]}
  - {name: lan, device: "net_af_packet1,iface=lan", addresses: [10.$site.0.254/24]}
routes:
  - {to: 10.$site.0.0/16, via: 10.$site.0.1}
  - {to: 0.0.0.0/0, via: 10.9.0.$other}
secrets:
  - {name: gw, file: gw.psk}
policies:
  - {action: bypass, local: 10.$site.0.0/16, remote: 10.9.0.0/24}
${4:-}
peers:
  - name: gw
    local: 10.9.0.$site
    remote: 10.9.0.$other
    local-id: ${ids[site]}
    remote-id: ${ids[other]}
    secret: gw
    proposals: [aes128-sha256-modp2048]
    dpd: ${DPD:-0s}
    retries: 2
    retry-interval: 500ms
    children:
C
		for k in $3; do
			cat <<C
      - name: net$k
        local: [10.$site.$k.0/24]
        remote: [10.$other.$k.0/24]
        proposals: [aes128gcm16]
        lifetime: $((k == 1 ? 10 : 3600))s
        rekey-margin: $((k == 1 ? 4 : 300))s
        lifetime-bytes: $((k == 2 ? 1 : 1000))M
        sa-pairs: $((k == 0 ? 2 : 1))
        start: $start
C
		done
	} >"$STATE/$1/shrike.yaml"
}

reload() { kill -HUP "$(cat "$STATE/$1/shrike.pid")"; }
up() { [ "$(shrikectl "$1" status --json | jq '[.peers[0].children[] | select(.state == "up")] | length')" = "$2" ]; }
# got SITE: packets that its hosts received so far, all children, or child K
got() { awk -v k="${2:-}" '{print k == "" ? $1 + $2 + $3 : $(k + 1)}' "$STATE/got.$1" 2>/dev/null || echo 0; }
more() { [ "$(got "$1" "${3:-}")" -gt $(($2 + 20)) ]; }
# flows [K]: both hosts receive
flows() {
	local a b
	a=$(got 1 "${1:-}") b=$(got 2 "${1:-}")
	until_true 15 more 1 "$a" "${1:-}" && until_true 15 more 2 "$b" "${1:-}"
}
# phase NAME OK: packets must flow again after it (or OK says what else), and the recording is looked at
SCANNED=24 ESP=0
phase() {
	local name=$1 rc=$2 clear=none esp
	read -r clear _ esp SCANNED < <(python3 "$SCRIPT" scan "$STATE/wire.pcap" "$SCANNED" 2>"$STATE/scan.err")
	ESP=$((ESP + esp))
	[ "$esp" -gt 0 ] || rc=1
	if [ "$clear" != 0 ]; then
		fail "never-clear/$name $clear marked packets in the clear"
		cat "$STATE/scan.err" >&2
		exit 1
	elif [ "$rc" != 0 ]; then
		fail "never-clear/$name packets do not flow as they should"
	else
		pass "never-clear/$name 0 in the clear, $esp in ESP ($SECONDS s)"
	fi
}
drops() { shrikectl "$1" stats --json | jq "[.lcores[].drops.$2] | add"; }

for n in ha a w b hb; do netns_add $n; done
for n in a w b; do in_ns $n sysctl -qw net.ipv4.ip_forward=0; done
link_add ha h0 a lan
link_add a wan w wa
link_add b wan w wb
link_add hb h0 b lan
ip -n "$P-w" link add br0 type bridge mcast_snooping 0
for i in wa wb; do ip -n "$P-w" link set $i master br0; done
ip -n "$P-w" link set br0 up
HOST_MTU=1500
host_add ha h0 1 10.1.0.254
host_add hb h0 2 10.2.0.254
wire_record w br0 "$STATE/wire.pcap"
for n in ha hb; do wire_record $n h0 "$STATE/inside-$n.pcap" 'udp port 7000 and less 200'; done
gateway a 1 "0 1 2" "${PLANT:+  - {action: bypass, local: 10.1.2.0/24, remote: 10.2.2.0/24\}}"
gateway b 2 "0 1 2"
mac=$(in_ns a cat /sys/class/net/wan/address)
bg ha "$STATE/host.log" python3 "$SCRIPT" host 1 "$STATE"
bg hb "$STATE/host.log" python3 "$SCRIPT" host 2 "$STATE"
bg w "$STATE/host.log" python3 "$SCRIPT" forge br0 "$mac" 1
until_true 10 test -s "$STATE/got.1" -a -s "$STATE/got.2" || { fail "never-clear the hosts do not start"; exit 1; }

shrike_up a a || { fail "never-clear gateway a does not start"; exit 1; }
sleep 1 # a alone: nobody to negotiate with
[ "$(drops a spd_no_sa)" -gt 0 ]
held=$?
shrike_up b b || { fail "never-clear gateway b does not start"; exit 1; }
flows && flows 1 && flows 2
phase start-up $((held | $?))

for i in 1 2; do
	for k in 0 1 2; do shrikectl a rekey gw/net$k >/dev/null; done
	shrikectl b rekey gw >/dev/null
done
flows
phase rekey $?

# child 2 may carry 1 MB, child 1 lasts 10 seconds: b is frozen until a has neither
kill -STOP "$(cat "$STATE/b/shrike.pid")"
echo 2 >"$STATE/burst"
until_true 15 grep -q 'net2: down: its outbound volume is used up' "$STATE/a/shrike.log" &&
	until_true 15 grep -q 'net1: down: its lifetime is over' "$STATE/a/shrike.log"
dead=$?
rm "$STATE/burst"
sleep 0.5
kill -CONT "$(cat "$STATE/b/shrike.pid")"
flows
phase "frozen-peer-expiry" $((dead | $?))

DPD=1s
gateway a 1 "0 1 2"
reload a
sleep 0.5
shrike_kill b
until_true 10 up a 0
rc=$?
shrike_up b b && flows
phase peer-death $((rc | $?))

gateway a 1 "1"
reload a
sleep 0.5
flows 1
rc=$?
gateway a 1 "2 0 1"
gateway b 2 "0 2"
reload a
reload b
sleep 0.5
gateway b 2 "0 1 2"
reload b
flows 0 && flows 2 && flows 1
phase reload $((rc | $?))

for i in 1 2; do
	shrikectl a down gw >/dev/null
	sleep 0.3
	shrikectl a up gw >/dev/null
	shrikectl b down gw >/dev/null
	shrikectl b up gw >/dev/null
done
flows
phase down-up $?

for i in 1 2; do
	for l in wan lan; do
		ip -n "$P-a" link set $l down
		sleep 0.3
		ip -n "$P-a" link set $l up
		sleep 0.2
	done
done
flows
rc=$?
grep -q 'port wan: the link is down' "$STATE/a/shrike.log" && [ "$(drops a port_down)" -gt 0 ] || rc=1
phase links $rc

# Packets come while nobody takes them, four times as many as the two queues of a port have places; then the
# gateway runs again, with its rings full.
arrived() { [ "$(in_ns a cat /sys/class/net/lan/statistics/rx_packets)" -gt $((before + 4096)) ]; }
echo 0 >"$STATE/burst"
rc=0
for i in 1 2; do
	before=$(in_ns a cat /sys/class/net/lan/statistics/rx_packets)
	kill -STOP "$(cat "$STATE/a/shrike.pid")"
	until_true 15 arrived || rc=1
	kill -CONT "$(cat "$STATE/a/shrike.pid")"
	shrikectl a rekey gw/net0 >/dev/null
done
rm "$STATE/burst"
flows
phase full-rings $((rc | $?))

sleep 0.5
shrike_down a # SIGTERM
phase sigterm $?
shrike_up a a && flows
rc=$?
shrike_kill a
sleep 0.3
phase sigkill $rc
shrike_up a a && flows
phase restart $?

forged=$(for n in ha hb; do python3 "$SCRIPT" scan "$STATE/inside-$n.pcap" 2>/dev/null; done | awk '{n += $2} END{print n}')
if [ "$forged" = 0 ] && [ "$(drops a spd_in_clear)" -gt 0 ] && [ "$(drops a source_check)" -gt 0 ]; then
	pass "never-clear/forged none reached a host; spd_in_clear $(drops a spd_in_clear), source_check $(drops a source_check)"
else
	fail "never-clear/forged $forged forged packets reached hosts; spd_in_clear $(drops a spd_in_clear), source_check $(drops a source_check)"
fi

# The proof that the recording would have shown it.
gateway a 1 "0 1 2" "  - {action: bypass, local: 10.1.2.0/24, remote: 10.2.2.0/24}"
reload a
sleep 1
read -r clear _ < <(python3 "$SCRIPT" scan "$STATE/wire.pcap" "$SCANNED" 2>/dev/null)
if [ "$clear" -gt 0 ]; then
	pass "never-clear/planted a bypass shows as $clear marked packets"
else
	fail "never-clear/planted a configured bypass is not seen: this test sees nothing"
fi
