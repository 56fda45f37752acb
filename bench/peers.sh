#!/usr/bin/env bash
# The same work by others, on this machine and in this run:
#
#   1. the cryptography as DPDK ships it: dpdk-test-crypto-perf with its IPsec-MB drivers, beside shrike's whole
#      packet path (shrike_bench), in turns
#   2. whole gateways in network namespaces, as processes with sockets: strongSwan with kernel-libipsec against
#      itself, shrike against itself; UDP at a fixed rate through each, and what CPU the two gateways used for it
#
#   3. where SECGW names a binary of it (see secgw.sh), DPDK's ipsec-secgw beside shrike's whole packet path
#
# Usage: [SECGW=PATH] peers.sh [RATE]: of UDP in 2., in Mbit/s (default 200).
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../tests/interop/lib.sh"
FLAVOUR=libipsec
. "$HERE/strongswan.sh"
. "$TOP/bench/secgw.sh"
RATE=${1:-200}
BENCH=$BUILD/bench/shrike_bench
SECONDS_EACH=5
cpu=$(($(nproc) - 1))

# crypto_perf DEVICE SIZES OPTIONS...: lines "SIZE NS"
crypto_perf() {
	local dev=$1 sizes=$2
	shift 2
	dpdk-test-crypto-perf --no-pci --in-memory -m 128 --no-telemetry --lcores "0@0,1@$cpu" --log-level='*:4' --vdev "${dev}0" -- \
		--devtype "$dev" "$@" --ptest throughput --buffer-sz "$sizes" --burst-sz 32 --total-ops 2000000 --silent 2>/dev/null |
		awk '$1 == 1 && NF == 10 { print $2, 1e3 / $8 }'
}

GCM=(--optype aead --aead-algo aes-gcm --aead-op encrypt --aead-key-sz 16 --aead-iv-sz 12 --digest-sz 16 --aead-aad-sz 8)
CBC=(--optype cipher-then-auth --cipher-algo aes-cbc --cipher-op encrypt --cipher-key-sz 16 --cipher-iv-sz 16
	--auth-op generate --auth-key-sz 64)

# ours ALGORITHM: lines "SIZE NS NS_OF_THE_CRYPTOGRAPHY"
ours() {
	local size
	for size in 64 1420; do
		"$BENCH" --json --cpu "$cpu" --reps 5 --only "out $1 $size 1 1 1" |
			jq -r '.rows[] | "\(.inner_bytes) \(.ns_per_packet) \(.crypto_ns.median)"'
	done
}

# row NAME DEVICE LARGE OPTIONS...: LARGE is what 1420 bytes are with the cipher's padding
row() {
	local name=$1 dev=$2 large=$3 size i
	shift 3
	for i in 1 2 3; do
		crypto_perf "$dev" "64,$large" "$@" | sed "s/^$large /1420 /; s/^/perf /" >>"$STATE/$name"
		ours "$name" | sed 's/^/ours /' >>"$STATE/$name"
	done
	for size in 64 1420; do
		# the best of three: who shares the machine only makes it slower
		awk -v size=$size -v name="$name" 'function least(a, b) { return a && a < b ? a : b }
			$1 == "perf" && $2 == size { perf = least(perf, $3) }
			$1 == "ours" && $2 == size { whole = least(whole, $3); crypto = least(crypto, $4) }
			END { printf "%-18s %5d %14.1f %14.1f %14.1f\n", name, size, perf, crypto, whole }' \
			"$STATE/$name"
	done
}

cpu_ticks() {
	local sum=0 p
	for p in "$@"; do sum=$((sum + $(awk '{ print $14 + $15 }' "/proc/$p/stat"))); done
	echo $sum
}

# load NAME FROM TO CLIENT_NS SERVER_NS PID...: one line about UDP through two gateways
load() {
	local name=$1 from=$2 to=$3 client=$4 server=$5 ticks
	shift 5
	bg "$server" "$STATE/iperf.log" iperf3 -s -1 -B "$to"
	until_true 5 in_ns "$server" bash -c "ss -ltn | grep -q :5201"
	ticks=$(cpu_ticks "$@")
	in_ns "$client" iperf3 -c "$to" -B "$from" -u -b "${RATE}M" -l 1200 -t $SECONDS_EACH -J >"$STATE/iperf.json"
	ticks=$(($(cpu_ticks "$@") - ticks))
	jq -r --arg name "$name" --argjson ticks "$ticks" --argjson hz "$(getconf CLK_TCK)" '.end.sum |
		"\($name)|\(.packets)|\(.packets - .lost_packets)|\($ticks / $hz / (.packets - .lost_packets) * 1e9 | floor)"' "$STATE/iperf.json" |
		awk -F'|' '{ printf "%-34s %10d %10d %14d\n", $1, $2, $3, $4 }'
}

swan_pair() {
	netns_add p
	netns_add q
	link_add p p0 q q0
	swan_conf one 1 <<<"net 1 aes128gcm16"
	swan_conf two 2 <<<"net 1 aes128gcm16"
	swan_up one p p0 && swan_up two q q0 && swan one --initiate --child net --timeout 10 >/dev/null || return 1
	load "strongSwan, kernel-libipsec" 10.1.1.1 10.2.1.1 p q "$(cat "$STATE/one/pid")" "$(cat "$STATE/two/pid")"
	swan_down one
	swan_down two
}

# shrike_gateway NAME SITE
shrike_gateway() {
	local site=$2 other=$((3 - $2)) start=passive
	mkdir -p "$STATE/$1"
	(umask 077 && printf '%s' "$PSK_TEXT" >"$STATE/$1/peers.psk")
	[ "$site" = 1 ] && start=immediate
	{
		shrike_system "$1" "10.9.0.$site" "10.$site.0.254"
		cat <<C
secrets:
  - name: peers
    file: peers.psk
peers:
  - name: other
    local: 10.9.0.$site
    remote: 10.9.0.$other
    secret: peers
    proposals: [aes256-sha256-modp2048]
    encapsulation: force
    children:
      - name: net
        local: [10.$site.0.0/24]
        remote: [10.$other.0.0/24]
        proposals: [aes128gcm16]
        start: $start
C
	} >"$STATE/$1/shrike.yaml"
}

shrike_pair() {
	netns_add ha && netns_add a && netns_add b && netns_add hb
	link_add ha h0 a lan && link_add a wan b wan && link_add b lan hb h0
	host_add ha h0 1 10.1.0.254
	host_add hb h0 2 10.2.0.254
	shrike_gateway a 1
	shrike_gateway b 2
	shrike_up b b && shrike_up a a && until_true 15 in_ns ha ping -q -c 1 -W 1 10.2.0.1 || return 1
	load "shrike, net_af_packet, idle: sleep" 10.1.0.1 10.2.0.1 ha hb "$(cat "$STATE/a/shrike.pid")" "$(cat "$STATE/b/shrike.pid")"
}

lab_init peers
for p in dpdk-test-crypto-perf iperf3 jq; do
	command -v $p >/dev/null || { echo "peers: there is no $p; scripts/setup installs it" >&2; exit 1; }
done
have_shrike || { echo "peers: shrike is not built in $BUILD" >&2; exit 1; }

echo "1. encryption of one packet, ns on one core, the best of three runs in turns"
echo "   crypto-perf: DPDK's IPsec-MB driver, cryptography only. IPsec-MB: ours, direct. shrike: the whole path outbound"
printf '%-18s %5s %14s %14s %14s\n' algorithm bytes "crypto-perf" "IPsec-MB" shrike
row AES-128-GCM crypto_aesni_gcm 1424 "${GCM[@]}"
row AES-128-CBC+SHA1 crypto_aesni_mb 1424 "${CBC[@]}" --auth-algo sha1-hmac --digest-sz 12
row AES-128-CBC+SHA256 crypto_aesni_mb 1424 "${CBC[@]}" --auth-algo sha2-256-hmac --digest-sz 16

echo
echo "2. two gateways each, UDP of 1200 bytes at $RATE Mbit/s for $SECONDS_EACH s, AES-128-GCM in UDP"
printf '%-34s %10s %10s %14s\n' "" sent received "CPU ns a packet"
why=$(swan_missing)
if [ -n "$why" ]; then echo "strongSwan: $why"; else swan_pair || echo "strongSwan: no tunnel"; fi
shrike_pair || { echo "shrike: no tunnel" >&2; exit 1; }

[ -n "${SECGW:-}" ] || exit 0
echo
echo "3. one packet outbound, ns on one core, the best of three; ports: what net_pcap and net_null cost"
printf '%-18s %5s %14s %14s %14s %14s\n' algorithm bytes "ipsec-secgw" ports "secgw's own" shrike
secgw_rows "$STATE/AES-128-GCM"
