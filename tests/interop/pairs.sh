#!/usr/bin/env bash
# Two shrikes with four parallel SA pairs on one tunnel (sa-pairs: 4, two workers each), under two streams of UDP and
# pings without loss: traffic on every pair, the renewal of all of them, by hand, and that of one whose volume runs out.
. "$(dirname "$0")/lib.sh"

# gateway NAME SITE START
gateway() {
	local site=$2 other=$((3 - $2)) cores
	mkdir -p "$STATE/$1"
	(umask 077 && printf '%s' "$PSK_TEXT" >"$STATE/$1/site.psk")
	cores=$([ "$(nproc)" -gt 1 ] && echo "[0, 1, 0, 1]" || echo "[0, 0, 0, 0]")
	{
		shrike_system "$1" "10.9.0.$site" "10.$site.0.254" | sed "s/worker-cores: .*/worker-cores: $cores/"
		cat <<C
routes:
  - to: 10.$site.0.0/16
    via: 10.$site.0.1
secrets:
  - name: site
    file: site.psk
peers:
  - name: other
    local: 10.9.0.$site
    remote: 10.9.0.$other
    secret: site
    proposals: [aes256-sha256-modp2048]
    children:
      - name: net
        local: [10.$site.0.0/16]
        remote: [10.$other.0.0/16]
        proposals: [aes128gcm16]
        sa-pairs: 4
        lifetime-packets: 2000
        start: $3
C
	} >"$STATE/$1/shrike.yaml"
}

# pairs GATEWAY DIRECTION: "SPI PACKETS" of each that is current
pairs() {
	shrikectl "$1" stats --json | jq -r ".quick_mode_sas[] | select(.state == \"current\" and .direction == \"$2\") | \"\(.spi) \(.packets)\"" | sort
}
four() { [ "$(pairs a in | wc -l)" = 4 ] && [ "$(pairs b in | wc -l)" = 4 ]; }
all_used() { [ "$({ pairs a out; pairs b out; } | awk '$2 > 0' | wc -l)" = 8 ]; }
renewed() { four && ! pairs a in | cut -d' ' -f1 | grep -qxFf "$STATE/before"; }
said() { { shrikectl a sa; shrikectl b sa; shrikectl a why other | tail -n 6; } 2>&1 | tr -s '\n\t ' ' '; }

# Many flows, so that each pair gets some of them; from several of the hosts' addresses.
many_flows() {
	local i k
	for ((i = 0; i < 4; i++)); do
		for ((k = 1; k <= 16; k++)); do
			in_ns ha ping -q -c 1 -W 1 -I "10.1.$k.1" "10.2.$((1 + (k + 4 * i) % 16)).1" >/dev/null 2>&1
		done
		all_used && return
	done
}

iperf_one() { # NAME PORT OPTIONS...
	bg hb "$STATE/iperf-server.log" iperf3 -s -1 -p "$2"
	until_true 10 in_ns hb sh -c "ss -Hltn sport = :$2 | grep -q ."
	bg ha "$STATE/iperf-$1.err" iperf3 -c 10.2.0.1 -p "$2" -u -b 80K -l 200 -t 8 -J --logfile "$STATE/iperf-$1.json" "${@:3}"
}

lab_init pairs
have_shrike || { skip "pairs shrike is not built in $BUILD"; exit 0; }
netns_add ha && netns_add s && netns_add p && netns_add hb
link_add ha h0 s lan && link_add s wan p wan && link_add p lan hb h0
host_add ha h0 1 10.1.0.254
host_add hb h0 2 10.2.0.254
gateway b 2 passive
gateway a 1 immediate
shrike_up b p || { fail "pairs gateway b does not start"; exit 1; }
shrike_up a s || { fail "pairs gateway a does not start"; exit 1; }

if until_true 30 four; then pass "pairs/four $(pairs a in | wc -l) SA pairs on one tunnel"; else fail "pairs/four $(said)"; exit 1; fi
many_flows
if all_used; then
	pass "pairs/used packets sent by a and b under each: $({ pairs a out; pairs b out; } | awk '{ printf "%s%s", sep, $2; sep = ", " }')"
else
	fail "pairs/used $(said)"
fi

# under_load NAME COMMAND...: between two UDP streams; COMMAND returns when what it began is done, "what" says what that is
under_load() {
	local name=pairs/$1 there back pings lost what
	shift
	pairs a in | cut -d' ' -f1 >"$STATE/before"
	iperf_one there 5201
	there=$BG_PID
	iperf_one back 5202 -R
	back=$BG_PID
	in_ns ha ping -i 0.05 -c 150 -W 3 10.2.0.1 >"$STATE/ping.log" 2>&1 &
	pings=$!
	sleep 1.5
	what=$("$@") || fail "$name $what: $(cat "$STATE/why") $(said)"
	wait $there $back $pings 2>/dev/null
	lost="$(awk '/packets transmitted/{ print $1 - $4 " of " $1 }' "$STATE/ping.log") pings"
	for way in there back; do lost+=", $(jq -r 'if .error then .error else "\(.end.sum.lost_packets) of \(.end.sum.packets)" end' "$STATE/iperf-$way.json") UDP $way"; done
	rm -f "$STATE"/iperf-*.json
	if [[ $lost =~ ^0\ of\ [1-9].*,\ 0\ of\ [1-9].*,\ 0\ of\ [1-9] ]]; then
		pass "$name $what, lost $lost"
	else
		fail "$name $what, lost $lost; $(said)"
	fi
}

all_by_hand() {
	echo "all four under load"
	shrikectl a rekey other/net >"$STATE/why" 2>&1
	until_true 30 renewed
}

# One flow, and so one pair, has more packets than an SA may carry.
one_by_volume() {
	local flow
	in_ns ha ping -q -i 0.004 -c 2100 -W 3 -I 10.1.3.1 10.2.5.1 >"$STATE/why" 2>&1
	flow=$(awk '/packets transmitted/{ print $1 - $4 " of " $1 }' "$STATE/why")
	echo "$(new_ones) of four under load, whose flow lost $flow"
	[[ $flow == "0 of "* ]] && until_true 5 four && [ "$(new_ones)" = 1 ]
}
new_ones() { pairs a in | cut -d' ' -f1 | grep -cvxFf "$STATE/before"; }

under_load renewed all_by_hand
under_load one-renewed one_by_volume
for g in a b; do shrike_alive $g || fail "pairs gateway $g is gone"; done
exit 0
