#!/usr/bin/env bash
# Two real daemons between a packet generator and a sink, both dpdk-testpmd: four processes, joined by
# shared memory (virtio_user/vhost-user to the daemons, memif between them).
#
#   testpmd txonly ══vhost══ shrike a ══memif (ESP)══ shrike b ══vhost══ testpmd, counts and answers ARP
#   10.1.0.1               .254 | 10.9.0.1      10.9.0.2 | 10.2.0.254            10.2.0.1
#
# Prints for each packet size what was sent, carried and received. The generator offers all that it can; what
# a full queue refuses is counted as tx_full by the daemon before it.
# Usage: e2e.sh [SECONDS] [SIZE...]; the sizes are those of inner IP packets.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../tests/interop/lib.sh"
SECONDS_EACH=${1:-5}
shift
SIZES=("$@")
[ ${#SIZES[@]} -gt 0 ] || SIZES=(64 512 1420)
MACS=(02:00:00:01:00:fe 02:00:00:02:00:fe) # of the daemons' lan ports

lab_init e2e
have_shrike || { echo "e2e: shrike is not built in $BUILD" >&2; exit 1; }
command -v dpdk-testpmd >/dev/null || { echo "e2e: there is no dpdk-testpmd; scripts/setup installs it" >&2; exit 1; }
free=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 2>/dev/null || echo 0)
[ "$free" -ge 512 ] || { echo "e2e: vhost-user needs shared hugepages: 512 of 2 MB, $free are free" >&2; exit 1; }
cpus=$(nproc)

# gateway NAME SITE CPU
gateway() {
	local dir=$STATE/$1 site=$2 other=$((3 - $2)) role=client start=passive
	mkdir -p "$dir"
	(umask 077 && printf '%s' "$PSK_TEXT" >"$dir/e2e.psk")
	[ "$site" = 1 ] && role=server start=immediate
	cat >"$dir/shrike.yaml" <<C
system:
  control-core: 0
  worker-cores: [$3]
  share-core: yes
  hugepages: yes
  memory: 256M
  idle: sleep
  run-dir: $dir
  stats-file: stats.json
  stats-interval: 0s
ports:
  - name: wan
    device: net_memif0,role=$role,id=0,socket=$STATE/memif.sock,socket-abstract=no,rsize=11
    addresses: [10.9.0.$site/24]
    mtu: 1500
  - name: lan
    device: net_virtio_user0,path=$STATE/lan$site.sock,mac=${MACS[$site - 1]},queue_size=1024
    addresses: [10.$site.0.254/24]
secrets:
  - name: e2e
    file: e2e.psk
peers:
  - name: other
    local: 10.9.0.$site
    remote: 10.9.0.$other
    secret: e2e
    proposals: [aes256-sha256-modp2048]
    children:
      - name: net
        local: [10.$site.0.0/24]
        remote: [10.$other.0.0/24]
        proposals: [${ESP:-aes128gcm16}]
        start: $start
C
}

# testpmd NAME SITE CPU OPTIONS...: its commands come through a pipe
testpmd() {
	local name=$1 site=$2 cpu=$3
	shift 3
	mkfifo "$STATE/$name.in"
	stdbuf -oL dpdk-testpmd --no-pci --in-memory --single-file-segments -m 128 --no-telemetry --lcores "0@0,1@$cpu" --log-level='*:4' \
		--vdev "net_vhost0,iface=$STATE/lan$site.sock,queues=1" -- --total-num-mbufs=8192 --interactive "$@" \
		<"$STATE/$name.in" >"$STATE/$name.log" 2>&1 &
	echo $! >>"$STATE/pids"
}

tell() { printf '%s\n' "${@:2}" >&"$1"; }
count() { shrikectl "$1" stats --json | jq "$2"; }
# A report ends with its rates.
reports() { grep -c "Tx-pps" "$STATE/$1.log"; }
reported_after() { [ "$(reports "$1")" -gt "$2" ]; }
# testpmd's own count: port_count NAME FD PATTERN
port_count() {
	local seen
	seen=$(reports "$1")
	tell "$2" "show port stats 0"
	until_true 10 reported_after "$1" "$seen"
	grep -o "$3: *[0-9]*" "$STATE/$1.log" | tail -n 1 | grep -o '[0-9]*$'
}
tunnel_up() { [ "$(count a '[.quick_mode_sas[] | select(.state == "current")] | length')" = 2 ]; }
lan_up() { [ "$(count "$1" '.ports[] | select(.name == "lan").link_up')" = true ]; }

gateway a 1 0
gateway b 2 $((cpus - 1))
testpmd gen 1 $((cpus - 1)) --forward-mode=txonly "--tx-ip=10.1.0.1,10.2.0.1" "--eth-peer=0,${MACS[0]}" --txd=1024 --rxd=1024
testpmd sink 2 0 --forward-mode=icmpecho --txd=1024 --rxd=1024
exec 7>"$STATE/gen.in" 8>"$STATE/sink.in"
until_true 20 test -S "$STATE/lan1.sock" && until_true 20 test -S "$STATE/lan2.sock" || { echo "e2e: testpmd does not start:" >&2; tail "$STATE"/*.log >&2; exit 1; }
for n in a b; do
	"$SHRIKE" -c "$STATE/$n/shrike.yaml" >"$STATE/$n/shrike.log" 2>&1 &
	echo $! >>"$STATE/pids"
	until_true 15 shrike_answers $n || { echo "e2e: shrike $n does not start:" >&2; tail "$STATE/$n/shrike.log" >&2; exit 1; }
done
until_true 20 tunnel_up || { echo "e2e: no tunnel:" >&2; lab_explain >&2; exit 1; }
tell 8 start

printf 'two daemons, %s; %s CPUs for four polling processes and two control threads; %s s each\n' "${ESP:-aes128gcm16}" "$cpus" "$SECONDS_EACH"
printf '%6s %12s %12s %12s %12s %9s %9s\n' inner sent encrypted decrypted received Mpps Gbit/s
for size in "${SIZES[@]}"; do
	tell 7 "set txpkts $((size + 14))" "clear port stats all"
	tell 8 "clear port stats all"
	sleep 0.5
	out=$(count a '.lcores[0].esp_out_packets') in=$(count b '.lcores[0].esp_in_packets')
	tell 7 start
	sleep "$SECONDS_EACH"
	tell 7 stop
	sleep 1 # what is under way arrives
	out=$(($(count a '.lcores[0].esp_out_packets') - out)) in=$(($(count b '.lcores[0].esp_in_packets') - in))
	sent=$(port_count gen 7 TX-packets) got=$(port_count sink 8 RX-packets)
	awk -v size="$size" -v sent="${sent:-0}" -v out="$out" -v in_="$in" -v got="${got:-0}" -v t="$SECONDS_EACH" \
		'BEGIN { printf "%6d %12d %12d %12d %12d %9.3f %9.3f\n", size, sent, out, in_, got, got / t / 1e6, got * size * 8 / t / 1e9 }'
	[ "${got:-0}" -gt 0 ] || FAILED=1
done
for n in a b; do echo "drops of $n: $(count $n '[.lcores[].drops // {} | to_entries[] | select(.value > 0)] | from_entries' | tr -d '\n')"; done
tell 7 quit
tell 8 quit
exec 7>&- 8>&-
exit $FAILED
