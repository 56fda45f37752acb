#!/usr/bin/env bash
# Two shrike daemons from end to end, with the control tool: negotiation, ping through the tunnel, rekeying,
# a reload that adds a child, the statistics, bad clients, a second instance, the end with its DELETEs.
#
#   host a            gateway a                 gateway b            host b
#  10.1.0.2 ── lan 10.1.0.254  wan 10.9.0.1 ── wan 10.9.0.2  lan 10.2.0.254 ── 10.2.0.2
#
# Usage: daemon.sh SHRIKE SHRIKECTL. Exit code 77 where it cannot run. Each gateway shares its two cores with
# everything else and sleeps when idle. With SHRIKE built under AddressSanitizer a leak fails the test.
set -uo pipefail
SHRIKE=$1 CTL=$2
[ "$(id -u)" = 0 ] || { echo "network namespaces need root"; exit 77; }
for tool in ip ethtool ping jq; do command -v $tool >/dev/null || { echo "there is no $tool here"; exit 77; }; done

P=dmn$$
T=$(mktemp -d /tmp/shrike-daemon-XXXXXX)
pids=()
cleanup() {
	for p in "${pids[@]}"; do kill -KILL "$p" 2>/dev/null; done
	for n in ha a b hb; do ip netns del "$P-$n" 2>/dev/null; done
	if [ -n "${KEEP:-}" ]; then echo "kept $T"; else rm -rf "$T"; fi
}
trap cleanup EXIT
ip netns add "$P-ha" 2>/dev/null || { echo "network namespaces cannot be made here"; exit 77; }
for n in a b hb; do ip netns add "$P-$n"; done

fails=0
ok() { echo "ok: $*"; }
bad() {
	echo "FAILED: $*"
	fails=$((fails + 1))
}
# check WHAT COMMAND...: the command must succeed
check() {
	local what=$1
	shift
	if "$@" >"$T/out" 2>&1; then ok "$what"; else
		bad "$what"
		sed 's/^/    /' "$T/out"
	fi
}
# says WORDS CODE COMMAND...: the command must exit with CODE and say WORDS
says() {
	local words=$1 code=$2 got=0
	shift 2
	"$@" >"$T/out" 2>&1 || got=$?
	if [ $got = "$code" ] && grep -qF -- "$words" "$T/out"; then ok "${*##*/}: $words"; else
		bad "${*##*/}: expected code $code and '$words', got code $got and:"
		sed 's/^/    /' "$T/out"
	fi
}
within() { # within SECONDS COMMAND...
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
ctl() { "$CTL" -s "$T/$1/control.sock" "${@:2}"; }

link() { # link NS IF NS IF: veth without offloads, which net_af_packet would see as unfinished checksums
	ip link add "$P-0" type veth peer name "$P-1"
	ip link set "$P-0" netns "$P-$1" name "$2" up
	ip link set "$P-1" netns "$P-$3" name "$4" up
	ip netns exec "$P-$1" ethtool -K "$2" tx off rx off gro off gso off tso off >/dev/null 2>&1
	ip netns exec "$P-$3" ethtool -K "$4" tx off rx off gro off gso off tso off >/dev/null 2>&1
}
for n in ha a b hb; do ip netns exec "$P-$n" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1; done
link ha h0 a lan
link a wan b wan
link b lan hb h0
for s in "ha 1" "hb 2"; do
	set -- $s
	ip -n "$P-$1" addr add "10.$2.0.2/24" dev h0
	ip -n "$P-$1" addr add "10.$2.1.2/32" dev lo
	ip -n "$P-$1" link set lo up
	ip -n "$P-$1" route add default via "10.$2.0.254" src "10.$2.0.2"
done

configure() { # configure SIDE OUR_NUMBER THEIR_NUMBER START CHILDREN
	local worker=$(($(nproc) > 1 ? 1 : 0)) i
	mkdir -p "$T/$1"
	(umask 077 && echo "a secret for this test only" >"$T/$1/gw.psk")
	cat >"$T/$1/shrike.yaml" <<C
system:
  control-core: 0
  worker-cores: [$worker]
  share-core: yes
  hugepages: no
  memory: 256M
  idle: sleep
  run-dir: $T/$1
  stats-interval: 1s
ports:
  - {name: wan, device: "net_af_packet0,iface=wan", addresses: [10.9.0.$2/24]}
  - {name: lan, device: "net_af_packet1,iface=lan", addresses: [10.$2.0.254/24]}
routes:
  - {to: 10.$2.1.0/24, via: 10.$2.0.2}
  - {to: 0.0.0.0/0, via: 10.9.0.$3}
secrets:
  - {name: gw, file: gw.psk}
peers:
  - name: gw
    local: 10.9.0.$2
    remote: 10.9.0.$3
    local-id: gw$2.example
    remote-id: gw$3.example
    secret: gw
    proposals: [aes256-sha256-modp2048]
    children:
C
	for ((i = 0; i < $5; i++)); do
		cat >>"$T/$1/shrike.yaml" <<C
      - {name: net$i, local: [10.$2.$i.0/24], remote: [10.$3.$i.0/24], proposals: [aes128gcm16], start: $4}
C
	done
}
start() { # start SIDE
	ip netns exec "$P-$1" "$SHRIKE" -d -c "$T/$1/shrike.yaml" >"$T/$1/log" 2>&1 &
	pids+=($!)
	echo $! >"$T/$1/pid"
	within 20 ctl "$1" status || {
		echo "gateway $1 did not start:"
		sed 's/^/    /' "$T/$1/log"
		exit 1
	}
}
stop() { # stop SIDE: SIGTERM, and the exit code must be 0
	local pid code=0
	pid=$(cat "$T/$1/pid")
	kill -TERM "$pid"
	wait "$pid" || code=$?
	[ $code = 0 ] && ! grep -q 'LeakSanitizer\|runtime error' "$T/$1/log" && return 0
	echo "exit code $code"
	tail -n 40 "$T/$1/log"
	return 1
}
spis() { ctl "$1" sa --json | jq -r --arg c "$2" '.quick_mode_sas[] | select(.child == $c and .state == "current") | .spi' | sort | paste -sd' '; }
through() { ip netns exec "$P-ha" ping -q -c 3 -i 0.05 -W 2 -I "10.1.$1.2" "10.2.$1.2"; }
is_up() { [ "$(ctl "$1" status --json | jq '.peers[0].children_up')" = "$2" ]; }

configure a 1 2 immediate 1
configure b 2 1 passive 1
says 'OK: 2 ports, 1 worker core, 1 peer, 1 child' 0 "$SHRIKE" --check "$T/a/shrike.yaml"
says 'no shrike is listening at' 3 ctl a status
touch "$T/a/control.sock" # a dead one's
start b
start a
check 'negotiated at the start' within 10 is_up a 1
within 5 through 0
check 'ping through the tunnel' through 0

says 'aes128gcm16' 0 ctl a sa
says 'established' 0 ctl a status
says 'gw/net0 is rekeyed' 0 ctl a rekey gw/net0
says 'gw is rekeyed' 0 ctl b rekey gw
says 'is up already' 0 ctl a up gw
check 'ping after rekeying' through 0
says "has no child 'x'" 1 ctl a up gw/x
says 'needs the NAME' 2 ctl a rekey
says 'Main Mode message 2' 0 ctl a why gw
check 'stats have version 1 and count the traffic' jq -e \
	'.version == 1 and .totals.in_packets >= 3 and (.lcores[0].drops | has("esp_icv")) and .main_mode_sas[0].algorithms == "aes256-sha256-modp2048"' \
	<(ctl a stats --json)
check 'one direction only' jq -e '[.quick_mode_sas[].direction] | unique == ["out"]' <(ctl a stats --json --direction out)
rm -f "$T/a/stats.json"
kill -USR1 "$(cat "$T/a/pid")"
check 'SIGUSR1 writes the statistics' within 5 jq -e '.version == 1' "$T/a/stats.json"
printf 'no JSON\n' | timeout 5 nc -UN "$T/a/control.sock" >"$T/nc" 2>/dev/null
command -v nc >/dev/null && check 'a bad request gets a sentence' grep -q 'one JSON object' "$T/nc"

# watching COMMAND...: a trace or capture on gateway a, while pings go through; its output is $T/watch
watching() {
	ctl a "$@" >"$T/watch" 2>"$T/watch.err" &
	local pid=$! code=0 end=$((SECONDS + 15))
	while kill -0 $pid 2>/dev/null && [ $SECONDS -lt $end ]; do through 0 >/dev/null; done
	wait $pid || code=$?
	[ $code = 0 ] || cat "$T/watch.err"
	return $code
}
has() { grep -qE "$1" "$T/watch"; }
check 'a trace ends' watching trace --peer gw --count 8 --seconds 10
check 'it tells the way out' has '^  policy +10\.1\.0\.2 > 10\.2\.0\.2 ICMP, 84 bytes: policy [0-9]+, protect$'
check 'with the SA' has '^  encrypt +.*: SPI [0-9a-f]{8} to 10\.9\.0\.2, sequence [0-9]+$'
check 'and the way in' has '^  decrypted +.*right: 10\.2\.0\.2 > 10\.1\.0\.2 ICMP, 84 bytes$'
check 'with the names of ports and children' has '^packet 1 .* gw/net0$|^  sent +port (lan|wan), 1 frame'
check 'a capture of inner packets ends' watching capture --side plain --peer gw/net0 --count 4 "$T/plain.pcap"
check 'it warns' grep -q 'records packets in the clear' "$T/watch.err"
check 'so does the log' grep -q 'packets in the clear are being captured' "$T/a/log"
check 'its file is for its owner only' [ "$(stat -c %a "$T/plain.pcap")" = 600 ]
check 'a capture of ESP ends' watching capture --count 4 "$T/esp.pcap"
check 'a capture of a port ends' watching capture --port lan --count 4 "$T/lan.pcap"
says "there is no port 'moon'" 1 ctl a capture --port moon "$T/none.pcap"
says 'needs a FILE' 2 ctl a capture
says 'not a regular file' 1 ctl a capture /dev/null
if command -v tshark >/dev/null; then
	reads() { [ "$(tshark -r "$1" -Y "$2" 2>/dev/null | wc -l)" -ge "$3" ]; }
	check 'tshark reads inner packets' reads "$T/plain.pcap" 'icmp && !eth' 4
	check 'tshark reads ESP' reads "$T/esp.pcap" 'eth && esp' 3
	check "tshark reads a port's frames" reads "$T/lan.pcap" 'eth && icmp' 1
fi

before=$(spis a net0)
configure a 1 2 immediate 2
configure b 2 1 passive 2
kill -HUP "$(cat "$T/b/pid")"
within 5 grep -q 'read again: 1 peer, 2 children' "$T/b/log"
kill -HUP "$(cat "$T/a/pid")"
check 'SIGHUP adds a child' within 10 is_up a 2
check 'ping through the new child' through 1
check "the old child's SAs were not touched" [ "$before" = "$(spis a net0)" ]
sed -i 's/^peers:/peersx:/' "$T/a/shrike.yaml"
kill -HUP "$(cat "$T/a/pid")"
check 'a bad file is refused, with its line' within 5 grep -q "shrike.yaml:[0-9]*: unknown key 'peersx', did you mean 'peers'" "$T/a/log"
configure a 1 2 immediate 2
sed -i 's/memory: 256M/memory: 300M/' "$T/a/shrike.yaml"
kill -HUP "$(cat "$T/a/pid")"
check 'what needs a restart is said' within 5 grep -q "'system' differs from what runs: restart needed" "$T/a/log"
check 'and the tunnel stays' through 1

says 'runs with run-dir' 1 "$SHRIKE" -c "$T/a/shrike.yaml"
says 'gw is down' 0 ctl a down gw
check 'b was told' within 5 is_up b 0
says 'gw is up' 0 ctl a up gw
check 'ping after up' through 1

check 'a ends on SIGTERM' stop a
check 'b was told of the end' within 5 is_up b 0
[ -e "$T/a/control.sock" ] && bad 'the control socket stayed behind'
says 'no shrike is listening at' 3 ctl a status
start a
check 'a starts again' within 10 is_up a 2
check 'ping after the restart' through 0
check 'b ends on SIGTERM' stop b
check 'a ends on SIGTERM too' stop a
[ $fails = 0 ] || { for s in a b; do echo "--- log of $s"; tail -n 40 "$T/$s/log"; done; exit 1; }
