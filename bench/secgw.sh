# Sourced by peers.sh. DPDK's ipsec-secgw in tunnel mode with one SA of AES-128-GCM: frames come endlessly from a file by
# net_pcap and leave through net_null. What these ports cost alone, dpdk-testpmd says, which only forwards between them.
#
# SECGW is the program's path. As it is in DPDK's sources it wants ports that check checksums, which none in memory does:
# its port_conf needs `.offloads = 0` in the place of RTE_ETH_RX_OFFLOAD_CHECKSUM.

# frames SIZE: of the inner packet; all alike, to ports' addresses that nobody checks
frames() {
	python3 - "$1" "$STATE/frames-$1.pcap" <<'P'
import struct, sys
size, path = int(sys.argv[1]), sys.argv[2]
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size, 0, 0, 64, 17, 0, bytes([10, 1, 0, 5]), bytes([10, 16, 0, 1]))
total = sum(struct.unpack("!10H", head))
total = (total & 0xffff) + (total >> 16)
head = head[:10] + struct.pack("!H", ~total & 0xffff) + head[12:]
frame = bytes.fromhex("027063617000020000080002") + b"\x08\x00" + head + struct.pack("!HHHH", 4000, 4001, size - 20, 0)
frame += bytes(size - 28)
with open(path, "wb") as f:
    f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    for _ in range(64):
        f.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
P
}

secgw_conf() {
	local key=2b:7e:15:16:28:ae:d2:a6:ab:f7:15:88:09:cf:4f:3d:de:ad:be:ef # the last four: salt
	cat <<C
sp ipv4 out esp protect 5 pri 1 dst 10.16.0.0/12 sport 0:65535 dport 0:65535
sa out 5 aead_algo aes-128-gcm aead_key $key mode ipv4-tunnel src 10.9.0.1 dst 10.9.0.2 type cpu-crypto
sp ipv4 in esp protect 6 pri 1 dst 10.1.0.0/16 sport 0:65535 dport 0:65535
sa in 6 aead_algo aes-128-gcm aead_key $key mode ipv4-tunnel src 10.9.0.2 dst 10.9.0.1 type cpu-crypto
rt ipv4 dst 10.9.0.2/32 port 1
rt ipv4 dst 10.1.0.0/16 port 0
neigh port 0 02:00:00:08:00:02
neigh port 1 02:00:00:09:00:02
C
}

# ports SIZE: EAL's options
ports() {
	echo "--no-pci --in-memory --no-telemetry --log-level=*:4 --vdev net_pcap0,rx_pcap=$STATE/frames-$1.pcap,infinite_rx=1 --vdev net_null1,no-rx=1"
}

# secgw_ns SIZE, ports_ns SIZE: of a packet, all in all
secgw_ns() {
	timeout 6 "$SECGW" -l "$cpu" $(ports "$1") --vdev crypto_aesni_gcm0 -- -p 3 -P -u 2 -l -t 1 --config "(0,0,$cpu),(1,0,$cpu)" \
		-f "$STATE/secgw.cfg" 2>/dev/null |
		awk '/^Total packets sent/ { if (n++ > 0 && $4 > last) print 1e9 / ($4 - last); last = $4 }' | sort -n | head -n 1
}

ports_ns() {
	timeout 6 dpdk-testpmd -l "0,$cpu" $(ports "$1") -- --forward-mode=io --auto-start --stats-period 1 --total-num-mbufs=8192 2>/dev/null </dev/null |
		awk '/Tx-pps/ && $2 > 1000 { print 1e9 / $2 }' | sort -n | head -n 1
}

# secgw_rows FILE: of peers.sh, with shrike's figures
secgw_rows() {
	local size whole alone best=
	secgw_conf >"$STATE/secgw.cfg"
	for size in 64 1420; do
		frames $size
		for i in 1 2 3; do
			whole=$(secgw_ns $size)
			alone=$(ports_ns $size)
			[ -n "$whole" ] && [ -n "$alone" ] || { echo "ipsec-secgw or dpdk-testpmd does not run" >&2; return 1; }
			echo "$size $whole $alone" >>"$STATE/secgw"
		done
		best=$(awk -v s=$size '$1 == "ours" && $2 == s && (!b || $3 < b) { b = $3 } END { printf "%.1f", b }' "$1")
		awk -v s=$size -v ours="$best" '$1 == s { if (!w || $2 < w) w = $2; if (!p || $3 < p) p = $3 }
			END { printf "%-18s %5d %14.1f %14.1f %14.1f %14.1f\n", "AES-128-GCM", s, w, p, w - p, ours }' "$STATE/secgw"
	done
}
