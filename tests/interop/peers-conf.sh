# shellcheck shell=bash
# A gateway for the simulated peers of bench/ike/sim_peers.c. Source lib.sh first.
PEERS_PSK="simulated peers share one secret" # bench/ike/node.c

# peers_conf DIR N IKE_PROPOSAL START LIFETIME: the configuration on standard output, its secret in DIR. Each peer has two
# children, as node.c has it for the other side; LIFETIME 0: the default.
peers_conf() {
	local dir=$1 n=$2 ike=$3 start=$4 life=$5
	(umask 077 && printf '%s' "$PEERS_PSK" >"$dir/all.psk")
	shrike_system "$(basename "$dir")" 10.9.0.1 10.101.0.254 | sed 's/memory: .*/memory: 768M\n  sa-slots: 65536/; s/stats-interval: .*/stats-interval: '"${STATS:-10s}"'/; s/qdisc_bypass=0/qdisc_bypass=1/'
	cat <<C
routes:
  - to: 0.0.0.0/0
    via: 10.9.0.2
secrets:
  - name: all
    file: all.psk
peers:
C
	awk -v n="$n" -v ike="$ike" -v life="$life" -v start="$start" 'function net(first, i, a) {
		a = i * 8
		return first "." int(a / 65536) "." int(a / 256) % 256 "." a % 256 "/29"
	}
	BEGIN { for (i = 0; i < n; i++) {
		a = 256 + i
		printf "  - name: p%d\n    local: 10.9.0.1\n    remote: 10.%d.%d.%d\n    secret: all\n", i, 64 + int(a / 65536), int(a / 256) % 256, a % 256
		printf "    proposals: [%s]\n    dpd: 0\n    children:\n", ike
		for (k = 0; k < 2; k++) {
			printf "      - name: c%d\n        local: [%s]\n        remote: [%s]\n        proposals: [aes128gcm16]\n        start: %s\n", k, net(100, i * 2 + k), net(101, i * 2 + k), start
			if (life) printf "        lifetime: %ds\n        rekey-margin: %ds\n", life, life / 4
		}
	} }'
}
