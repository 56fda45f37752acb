#!/usr/bin/env bash
# Very many peers: the daemon with N of them, simulated in a second process (bench/ike/sim_peers.c), each with two
# children: how fast they stand, what they cost, whether everything is renewed in time, and how long the control loop is
# held up meanwhile, also by somebody who asks for listings.
#
#   peers-scale.sh [N [SECONDS [LIFETIME [START]]]]    START passive: the peers call; immediate: the gateway does
. "$(dirname "$0")/lib.sh"
. "$HERE/peers-conf.sh"
lab_init peers-scale
N=${1:-10000} SECONDS_UP=${2:-60} LIFE=${3:-0} START=${4:-passive}
SIM=$BUILD/bench/ike/shrike_sim_peers
PAUSE_MS=${PAUSE_MS:-10} LIST_S=${LIST_S:-1} PEER_KB=${PEER_KB:-16}
PER_SECOND=${PER_SECOND:-1000}

have_shrike && [ -x "$SIM" ] || { fail "peers-scale no shrike in $BUILD: run scripts/build"; exit 1; }

# ms COMMAND...: how long it took
ms() {
	local t=$(date +%s%N)
	"$@" >/dev/null 2>&1
	echo $((($(date +%s%N) - t) / 1000000))
}

pid() { pgrep -P "$(cat "$STATE/a/shrike.pid")" shrike || cat "$STATE/a/shrike.pid"; }
resident() { awk '/^VmRSS/{print $2}' "/proc/$(pid)/status"; }
stat_of() { shrikectl a stats --json | jq -r "$1"; }

netns_add s
netns_add p
link_add s wan p wan
netns_add host-s
link_add s lan host-s h0
mkdir -p "$STATE/a"
peers_conf "$STATE/a" "$N" aes128-sha256-x25519 "$START" "$LIFE" >"$STATE/a/shrike.yaml"
check_ms=$(ms "$SHRIKE" --check "$STATE/a/shrike.yaml")
began=$(date +%s%N)
shrike_up a s || { fail "peers-scale the daemon does not start"; exit 1; }
start_ms=$((($(date +%s%N) - began) / 1000000))
idle_kb=$(resident)
pass "peers-scale-start $N peers, $((2 * N)) children: the file is read in $check_ms ms, the daemon answers after $start_ms ms"

bg p "$STATE/sim.log" "$SIM" --interface wan --peers "$N" --per-second "$PER_SECOND" --seconds $((SECONDS_UP + 600)) \
	$([ "$START" = passive ] || echo --wait) $([ "$LIFE" = 0 ] || echo --child-life "$LIFE")
SIM_PID=$BG_PID
last() { tail -n 1 "$STATE/sim.log" | jq -r "$1" 2>/dev/null; }
all_up() { [ "$(last .children_up)" = $((2 * N)) ]; }
until_true 180 all_up || { fail "peers-scale after 180 s: $(tail -n 1 "$STATE/sim.log")"; exit 1; }
pass "peers-scale-up all $((2 * N)) children after $(last .seconds) s: $(last '"\(.main_modes) Main Modes, \(.retransmits) repeats, \(.failed) failed"')"
sleep 2
now_kb=$(resident)
each=$(((now_kb - idle_kb) / N))
engine=$(stat_of '.memory.ike_bytes')
detail="$each KB a peer beyond what the configuration took ($((idle_kb / 1024)) to $((now_kb / 1024)) MB resident), the engine's own objects $((engine / N / 1024)) KB"
[ $each -le "$PEER_KB" ] && pass "peers-scale-memory $detail" || fail "peers-scale-memory $detail"

status_ms=$(ms shrikectl a status)
sa_ms=$(ms shrikectl a sa --json)
detail="status $status_ms ms, sa --json $sa_ms ms (at most $LIST_S s)"
[ "$status_ms" -le $((LIST_S * 1000)) ] && [ "$sa_ms" -le $((LIST_S * 1000)) ] && pass "peers-scale-listings $detail" || fail "peers-scale-listings $detail"

sleep "$SECONDS_UP"
pause=$(stat_of '.control.longest_pause_ms')
detail="longest pause of the control loop $pause ms (at most $PAUSE_MS)"
awk "BEGIN { exit !($pause <= $PAUSE_MS) }" && pass "peers-scale-pause $detail" || fail "peers-scale-pause $detail"
if [ "$LIFE" != 0 ]; then
	detail="$(last '"\(.quick_mode_rekeys) Quick Mode rekeys, \(.main_mode_rekeys) of Main Modes in \(.seconds) s; \(.children_lost) children lost, \(.overdue) overdue, \(.failed) failed"')"
	[ "$(last .children_lost)" = 0 ] && [ "$(last .overdue)" = 0 ] && pass "peers-scale-rekey $detail" || fail "peers-scale-rekey $detail"
fi
end_pid "$SIM_PID"
