#!/usr/bin/env bash
# A flood of first messages from forged sources at a gateway of ours that also waits for peers at any address, while an honest peer negotiates with it and its
# tunnel carries traffic.
#
#   flood.sh [SECONDS [RATE]]     as in scripts/test: 6 seconds of 30,000 a second; flood.sh 30 100000: the whole thing
. "$(dirname "$0")/lib.sh"
lab_init flood
FLOOD_S=${1:-6} RATE=${2:-30000}
FLOOD=$BUILD/bench/ike/shrike_flood

have_shrike && [ -x "$FLOOD" ] || { fail "flood no shrike in $BUILD: run scripts/build"; exit 1; }

# peer NAME LOCAL REMOTE OUR-SITE THEIR-SITE START: a peer with one child
peer() {
	cat <<C
  - name: $1
    local: $2
    remote: $3
    secret: site
    remote-id: $([ "$3" = any ] && echo road.example || echo "$3")
    proposals: [aes256-sha256-modp2048]
    dpd: 0
    children:
      - name: net
        local: [10.$4.0.0/24]
        remote: [10.$5.0.0/24]
        proposals: [aes128gcm16]
        start: $6
C
}

# gateway NAME ADDRESS LAN_ADDRESS: peers on standard input
gateway() {
	local dir=$STATE/$1
	mkdir -p "$dir"
	(umask 077 && printf '%s' "$PSK_TEXT" >"$dir/site.psk")
	{
		# as many frames may wait as on a NIC: net_af_packet's own 512 are five milliseconds of such a flood
		shrike_system "$1" "$2" "$3" | sed 's/qdisc_bypass=0/qdisc_bypass=1,framecnt=4096/; s|addresses: \[10.9.0.2/24\]|addresses: [10.9.0.2/24, 10.9.0.3/24]|'
		printf 'routes:\n  - to: 0.0.0.0/0\n    via: %s\nsecrets:\n  - name: site\n    file: site.psk\npeers:\n' "$4"
		cat
	} >"$dir/shrike.yaml"
}

pid() { pgrep -P "$(cat "$STATE/a/shrike.pid")" shrike || cat "$STATE/a/shrike.pid"; }
resident() { awk '/^VmRSS/{print $2}' "/proc/$(pid)/status"; }
total() { shrikectl a stats --json | jq "$1"; }
child_up() { [ "$(shrikectl "$1" status --json | jq -r --arg p "$2" '.peers[] | select(.name == $p) | .children[0].state')" = up ]; }

shrike_site
netns_add t
netns_add k
link_add s wan t wan
link_add t lan k h0
host_add k h0 2 10.2.0.254
{ peer gw-b 10.9.0.1 10.9.0.2 1 2 passive; peer gw-c 10.9.0.1 10.9.0.3 11 12 passive; peer road 10.9.0.1 any 13 14 passive; } | gateway a 10.9.0.1 10.1.0.254 10.9.0.2
{ peer gw-a 10.9.0.2 10.9.0.1 2 1 immediate; peer gw-a3 10.9.0.3 10.9.0.1 12 11 on-demand; } | gateway b 10.9.0.2 10.2.0.254 10.9.0.1
shrike_up a s && shrike_up b t || { fail "flood the gateways do not start"; exit 1; }
until_true 10 child_up b gw-a || { fail "flood no tunnel to begin with"; exit 1; }
ping_one 10.1.0.1 10.2.0.1 || { fail "flood nothing passes the tunnel"; exit 1; }
mac=$(shrikectl a stats --json | jq -r '.ports[] | select(.name == "wan") | .mac')

# at the beginning of the flood all is as before; the shortest messages that are answered cannot be amplified either
in_ns t "$FLOOD" --interface wan --gateway 10.9.0.1 --mac "$mac" --seconds 2 --per-second 300 --minimal >"$STATE/minimal.json"
detail="$(jq -r '"\(.sent) of the shortest first messages, \(.answers) answers, bytes out / bytes in \(.amplification)"' "$STATE/minimal.json")"
if [ -s "$STATE/minimal.json" ] && jq -e '.answers > 0 and .amplification <= 1' "$STATE/minimal.json" >/dev/null; then pass "flood-minimal $detail"; else fail "flood-minimal $detail"; fi

before_kb=$(resident)
ping_flood 10.1.0.1 10.2.0.1 $((FLOOD_S + 2)) 100
# the generator stands for other machines: what it does not get of the CPUs, the flood lacks
bg t "$STATE/flood.json" nice -n -10 "$FLOOD" --interface wan --gateway 10.9.0.1 --mac "$mac" --seconds "$FLOOD_S" --per-second "$RATE" --count $((FLOOD_S * RATE))
flood_pid=$BG_PID
sleep 2
times=() refused=0
for i in 1 2 3; do
	shrikectl b down gw-a3 >/dev/null 2>&1
	t=$(date +%s%N)
	shrikectl b up gw-a3 >"$STATE/up.log" 2>&1 || { refused=$((refused + 1)); cp "$STATE/up.log" "$STATE/refused.log"; }
	times+=($((($(date +%s%N) - t) / 1000000)))
	if kill -0 $flood_pid 2>/dev/null; then last=$i; else break; fi
	[ "$FLOOD_S" -gt 10 ] && sleep 3
done
shrikectl b rekey gw-a/net >"$STATE/rekey.log" 2>&1 && rekeyed=yes || rekeyed=no
during_kb=$(resident)
wait $flood_pid
ping_wait
flood=$(cat "$STATE/flood.json")
[ -n "$flood" ] && jq -e '.sent > 0' <<<"$flood" >/dev/null || { fail "flood the generator said: $flood"; exit 1; }
detail="$(jq -r '"\(.sent) first messages in \(.seconds) s, \(.per_second) a second"' <<<"$flood")"
pass "flood-rate $detail (asked for: $RATE)"
worst=$(printf '%s\n' "${times[@]}" | sort -n | tail -n 1)
detail="${#times[@]} negotiations by an honest peer meanwhile (${last:-0} ended within the flood): ${times[*]} ms; rekeying another: $rekeyed"
if [ $refused = 0 ] && [ "$worst" -lt 1000 ] && [ $rekeyed = yes ] && [ "${last:-0}" -gt 0 ]; then pass "flood-honest $detail"; else fail "flood-honest $detail $(cat "$STATE/refused.log" 2>/dev/null)"; fi
if [ "$PING_LOST" = 0 ]; then pass "flood-tunnel none of $PING_SENT pings lost"; else fail "flood-tunnel $PING_LOST of $PING_SENT pings lost"; fi
detail="resident $((before_kb / 1024)) MB before, $((during_kb / 1024)) MB during, $(($(resident) / 1024)) MB after"
if [ $((during_kb - before_kb)) -lt 20480 ]; then pass "flood-memory $detail"; else fail "flood-memory $detail"; fi
detail="$(jq -r '"\(.answers) answers, bytes out / bytes in \(.amplification)"' <<<"$flood")"
if jq -e '.amplification <= 1' <<<"$flood" >/dev/null; then pass "flood-amplification $detail"; else fail "flood-amplification $detail"; fi
detail="at the door: $(total '.totals.drops.ike_stranger // 0') of strangers, in the engine: $(total .totals.half_open_refused), half open at the end: $(total .totals.half_open); longest pause of the control loop $(total .control.longest_pause_ms) ms, its own work at most $(total .control.longest_work_ms) ms"
pass "flood-refused $detail"
