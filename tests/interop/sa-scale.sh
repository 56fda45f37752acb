#!/usr/bin/env bash
# How much memory SAs take: two of our gateways, one peer with N x N subnets (a Quick Mode each), and the
# resident memory of the daemon beyond what DPDK's own pools took at start.
#
#   sa-scale.sh [N]     N = 71: 5041 Quick Modes, 10082 SAs
. "$(dirname "$0")/lib.sh"
lab_init sa-scale
N=${1:-71}
LIMIT_MB=200

have_shrike || { fail "sa-scale no shrike in $BUILD: run scripts/build"; exit 1; }

# subnets SITE: N of them as a YAML list
subnets() {
	local i list=""
	for ((i = 0; i < N; i++)); do list+="${list:+, }10.$1.$i.0/24"; done
	echo "[$list]"
}

# gateway NAME SITE START
gateway() {
	local name=$1 me=$2 other=$((3 - $2)) dir=$STATE/$1
	mkdir -p "$dir"
	(umask 077 && printf '%s' "$PSK_TEXT" >"$dir/site.psk")
	# statistics only when asked for: here it is the control loop's own work that counts
	{
		shrike_system "$name" "10.9.0.$me" "10.$((100 + me)).0.254" | sed 's/memory: .*/memory: 512M\n  sa-slots: 16384/; s/stats-interval: .*/stats-interval: 60s/'
		cat <<C
secrets:
  - name: site
    file: site.psk
peers:
  - name: other
    local: 10.9.0.$me
    remote: 10.9.0.$other
    secret: site
    proposals: [aes256-sha256-modp2048]
    children:
      - name: net
        local: $(subnets "$me")
        remote: $(subnets "$other")
        proposals: [aes256gcm16]
        lifetime: 8h
        start: $3
C
	} >"$dir/shrike.yaml"
}

# resident NAME: kilobytes, hugepages included (there are none here)
resident() { awk '/^VmRSS/{print $2}' "/proc/$(pgrep -P "$(cat "$STATE/$1/shrike.pid")" shrike || cat "$STATE/$1/shrike.pid")/status"; }
sas() { shrikectl "$1" stats --json | jq '.quick_mode_sas | map(select(.installed)) | length'; }
all_up() { [ "$(sas a)" = $((2 * N * N)) ] && [ "$(sas b)" = $((2 * N * N)) ]; }

netns_add s
netns_add p
link_add s wan p wan
for g in s p; do
	netns_add "host-$g"
	link_add "$g" lan "host-$g" h0
done
gateway b 2 passive
gateway a 1 immediate
shrike_up b p || { fail "sa-scale gateway b does not start"; exit 1; }
shrike_up a s || { fail "sa-scale gateway a does not start"; exit 1; }
began=$(date +%s%N)
for ((i = 0; i < 60; i++)); do # not in a tight loop: asking builds a document of ten megabytes
	all_up && break
	sleep 4
done
if ! all_up; then
	fail "sa-scale $((2 * N * N)) SAs wanted, after 240 s there are $(sas a) on a and $(sas b) on b"
	exit 1
fi
took=$((($(date +%s%N) - began) / 1000000))
for g in a b; do
	pools=$(($(shrikectl $g stats --json | jq '.memory.data_plane_bytes') / 1024))
	rss=$(resident $g)
	detail="$((2 * N * N)) SAs after $took ms; resident $((rss / 1024)) MB, DPDK's pools $((pools / 1024)) MB, beyond them $(((rss - pools) / 1024)) MB (at most $LIMIT_MB)"
	if [ $(((rss - pools) / 1024)) -lt $LIMIT_MB ]; then pass "sa-scale-memory-$g $detail"; else fail "sa-scale-memory-$g $detail"; fi
done
for g in a b; do
	pid=$(cat "$STATE/$g/shrike.pid")
	if shrike_down $g && ! kill -0 "$pid" 2>/dev/null; then pass "sa-scale-stop-$g ended by itself after SIGTERM"; else fail "sa-scale-stop-$g had to be killed"; fi
done
