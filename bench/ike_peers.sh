#!/usr/bin/env bash
# The same negotiations by the real daemon and by strongSwan, one after the other, on this machine and in this run: N
# simulated peers (bench/ike/sim_peers.c) call, one Main Mode and two Quick Modes each. What a negotiation costs the
# gateway is the CPU time of its process, all threads, with what its packet path does for the SAs (strongSwan's is
# kernel-libipsec: this kernel has no ESP); the peers' share is not in it.
#
# Usage: ike_peers.sh [N [GROUP...]]   (2000 modp2048 ecp256 x25519)
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../tests/interop/lib.sh"
FLAVOUR=libipsec
. "$HERE/strongswan.sh"
. "$HERE/peers-conf.sh"
N=${1:-2000}
[ $# = 0 ] || shift
[ $# -gt 0 ] || set -- modp2048 ecp256 x25519
SIM=$BUILD/bench/ike/shrike_sim_peers
PER_SECOND=2000 # more than either can do

ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }

# negotiate NAME GROUP PID: one line about all peers at once with the gateway in this process
negotiate() {
	local name=$1 group=$2 pid=$3 before
	before=$(ticks "$pid")
	in_ns p timeout 120 "$SIM" --interface wan --peers "$N" --per-second $PER_SECOND --once --seconds 100 \
		--ike "aes128-sha256-$group" >"$STATE/sim.log" || { tail -n 3 "$STATE/sim.log" >&2; }
	tail -n 1 "$STATE/sim.log" | jq -r --arg name "$name" --arg group "$group" --argjson ticks $(($(ticks "$pid") - before)) \
		--argjson hz "$(getconf CLK_TCK)" '"\($name)|\($group)|\(.children_up)|\(.seconds)|\($ticks / $hz)|\(.failed)"' |
		awk -F'|' -v n="$N" '{ printf "%-12s %-9s %9d %10.2f %12.0f %12.3f %14.0f %7d\n", $1, $2, $3, $4, n / $4, $5 / n * 1e3, n / $5, $6 }'
}

# theirs GROUP
theirs() {
	local group=${1/x25519/curve25519} dir=$STATE/them
	SWAN_IKE=aes128-sha256-$group SWAN_REMOTE=%any SWAN_PEER_ID=%any swan_conf them 1 <<<"net 0 aes128gcm16"
	sed -i -e 's/local_ts = .*/local_ts = 0.0.0.0\/0/; s/remote_ts = .*/remote_ts = 0.0.0.0\/0/; /id = gwa/d' \
		-e "s/secret = .*/secret = \"$PEERS_PSK\"/" "$dir/swanctl/swanctl.conf"
	sed -i -e 's/default = 1/default = 0/; s/ike = 1/ike = 0/' "$dir/strongswan.conf"
	swan_up them s wan || return 1
	ip -n "$P-s" route replace 10.64.0.0/10 via 10.9.0.2
	negotiate strongSwan "$1" "$(cat "$STATE/them/pid")"
	swan_down them
	ip -n "$P-s" addr flush dev wan
}

# ours GROUP
ours() {
	mkdir -p "$STATE/a"
	peers_conf "$STATE/a" "$N" "aes128-sha256-$1" passive 0 >"$STATE/a/shrike.yaml"
	shrike_up a s || return 1
	negotiate shrike "$1" "$(cat "$STATE/a/shrike.pid")"
	end_pid "$(cat "$STATE/a/shrike.pid")"
}

lab_init ike-peers
[ -z "$(swan_missing)" ] || { echo "ike-peers: $(swan_missing)" >&2; exit 1; }
netns_add s
netns_add p
link_add s wan p wan
netns_add host-s
link_add s lan host-s h0
printf '%-12s %-9s %9s %10s %12s %12s %14s %7s\n' gateway group children seconds peers/s "CPU ms/peer" "peers/CPU-s" failed
for group; do
	ours "$group" || echo "ike-peers: shrike does not start" >&2
	theirs "$group" || echo "ike-peers: strongSwan does not start" >&2
done
