# shellcheck shell=bash
# strongSwan as the peer, in one of two flavours ($FLAVOUR):
#
#   libipsec   charon in the namespace with the kernel-libipsec plugin: ESP in user space through a TUN
#              device, always UDP-encapsulated
#   uml        charon inside a User Mode Linux guest, a Linux kernel as an ordinary process: ESP by XFRM,
#              plain protocol 50
#
# Every instance N has a directory $STATE/N with its own strongswan.conf, swanctl.conf, log and vici socket.
# Source lib.sh first.

# openssl first: strongSwan's own ciphers are several times slower
SWAN_PLUGINS="random nonce openssl aes sha1 sha2 md5 hmac kdf gcm ccm ctr cmac xcbc gmp pem pkcs1 x509 constraints pubkey"
SWAN_IKE=${SWAN_IKE:-aes256-sha256-modp2048}
UML_KERNEL=/usr/bin/linux.uml

# What keeps this flavour from running here, or nothing.
swan_missing() {
	[ -x /usr/sbin/charon-systemd ] || { echo "charon-systemd is not installed"; return; }
	if [ "$FLAVOUR" = libipsec ]; then
		[ -c /dev/net/tun ] || echo "there is no /dev/net/tun"
	else
		[ -x $UML_KERNEL ] || echo "user-mode-linux is not installed"
	fi
}

# swan_conf N SITE: writes the configuration of site 1 (10.9.0.1, gwa) or 2 (10.9.0.2, gwb); children on
# standard input, one a line: NAME K ESP_PROPOSAL [OPTION=VALUE...].
# Environment: SWAN_IKE (phase 1 proposals), SWAN_PSK, SWAN_EXTRA (lines for the connection), SWAN_ID, SWAN_PEER_ID,
# GUEST_MORE (lines for a guest before charon starts), SWAN_LOCAL, SWAN_REMOTE, SWAN_GATEWAY (addresses), SWAN_ENCAP (yes: as if behind a NAT), SWAN_CHARON (lines for charon).
swan_conf() {
	local n=$1 site=$2 other me them encap=no dir=$STATE/$1 name k esp options o kernel
	other=$((3 - site))
	me=gwa them=gwb
	[ "$site" = 2 ] && me=gwb them=gwa
	mkdir -p "$dir/swanctl"/{conf.d,x509,x509ca,private,rsa,ecdsa,pkcs8,pkcs12,pubkey,x509crl,x509aa,x509ac,x509ocsp,bliss}
	kernel=kernel-netlink
	[ "$FLAVOUR" = libipsec ] && kernel="kernel-libipsec kernel-netlink" encap=yes
	cat >"$dir/strongswan.conf" <<C
charon-systemd {
  load = $SWAN_PLUGINS $kernel socket-default vici updown
  retransmit_tries = 3
  retransmit_timeout = 2
  ${SWAN_CHARON:-}
  plugins {
    vici {
      socket = unix://$(swan_socket "$n")
    }
  }
  filelog {
    f {
      path = $dir/charon.log
      time_format = %T
      flush_line = yes
      default = 1
      ike = ${SWAN_IKE_LOG:-1}
    }
  }
}
swanctl {
  load = random openssl pem pkcs1 x509 pubkey
}
C
	{
		cat <<C
connections {
  t {
    version = 1
    local_addrs = ${SWAN_LOCAL:-10.9.0.$site}
    remote_addrs = ${SWAN_REMOTE:-10.9.0.$other}
    proposals = $SWAN_IKE
    encap = ${SWAN_ENCAP:-$encap}
    ${SWAN_EXTRA:-}
    local {
      auth = psk
      id = ${SWAN_ID:-$me}
    }
    remote {
      auth = psk
      id = ${SWAN_PEER_ID:-$them}
    }
    children {
C
		while read -r name k esp options; do
			printf '      %s {\n        local_ts = 10.%s.%s.0/24\n        remote_ts = 10.%s.%s.0/24\n' \
				"$name" "$site" "$k" "$other" "$k"
			printf '        esp_proposals = %s\n        mode = tunnel\n' "$esp"
			for o in $options; do printf '        %s = %s\n' "${o%%=*}" "${o#*=}"; done
			printf '      }\n'
		done
		printf '    }\n  }\n}\nsecrets {\n  ike-1 {\n    secret = "%s"\n  }\n}\n' "${SWAN_PSK:-$PSK_TEXT}"
	} >"$dir/swanctl/swanctl.conf"
	echo "$site" >"$dir/site"
}

# A guest keeps its socket in its own /run: the host's files cannot carry one.
swan_socket() {
	if [ "$FLAVOUR" = libipsec ]; then echo "$STATE/$1/vici"; else echo /run/vici; fi
}

# AppArmor knows charon and swanctl by their paths and would keep them from our directory: run copies.
swan_programs() {
	[ -x "$STATE/charon" ] && return
	cp /usr/sbin/charon-systemd "$STATE/charon"
	cp /usr/sbin/swanctl "$STATE/swanctl" 2>/dev/null || cp "$(command -v swanctl)" "$STATE/swanctl"
}

# swan N COMMAND ARGUMENTS...: swanctl
swan() {
	local n=$1
	shift
	peer_run "$n" "STRONGSWAN_CONF=$STATE/$n/strongswan.conf SWANCTL_DIR=$STATE/$n/swanctl $STATE/swanctl $1 --uri unix://$(swan_socket "$n") ${*:2}"
}

# peer_run N 'SHELL COMMAND': runs it where the peer lives
peer_run() {
	local n=$1
	shift
	if [ "$FLAVOUR" = libipsec ]; then
		in_ns "$(cat "$STATE/$n/ns")" bash -c "$*"
	else
		uml_run "$n" "$*"
	fi
}

# peer_start N 'COMMAND': the same in the background, for as long as the peer lives
peer_start() {
	if [ "$FLAVOUR" = libipsec ]; then
		# shellcheck disable=SC2086
		bg "$(cat "$STATE/$1/ns")" "$STATE/$1/background.log" $2
	else
		uml_run "$1" "$2 >/dev/null 2>&1 </dev/null &"
	fi
}

# swan_up N NS IF: starts the configured instance with its address on IF, and loads its connections
swan_up() {
	local n=$1 ns=$2 ifname=$3 dir=$STATE/$1
	echo "$ns" >"$dir/ns"
	swan_programs
	if [ "$FLAVOUR" = libipsec ]; then
		swan_start_libipsec "$n" "$ns" "$ifname" || return 1
	else
		uml_up "$n" "$ns" "$ifname" || return 1
	fi
	until_true 10 swan "$n" --stats || { echo "charon of $n does not answer" >&2; return 1; }
	swan "$n" --load-all --file "$dir/swanctl/swanctl.conf" >"$dir/load.log" 2>&1 ||
		{ cat "$dir/load.log" >&2; return 1; }
}

swan_start_libipsec() {
	local n=$1 ns=$2 ifname=$3 site k
	site=$(cat "$STATE/$n/site")
	ip -n "$P-$ns" addr add "${SWAN_LOCAL:-10.9.0.$site}/24" dev "$ifname"
	[ -z "${SWAN_GATEWAY:-}" ] || ip -n "$P-$ns" route add default via "$SWAN_GATEWAY"
	for ((k = 0; k <= 20; k++)); do ip -n "$P-$ns" addr add "10.$site.$k.1/32" dev lo; done
	STRONGSWAN_CONF=$STATE/$n/strongswan.conf bg "$ns" "$STATE/$n/stdout" "$STATE/charon"
	echo "$BG_PID" >"$STATE/$n/pid"
}

swan_down() {
	local n=$1
	if [ "$FLAVOUR" = libipsec ]; then
		end_pid "$(cat "$STATE/$n/pid")"
		ip -n "$P-$(cat "$STATE/$n/ns")" addr flush dev lo 2>/dev/null
	else
		kill -KILL -- "-$(cat "$STATE/$n/pid")" 2>/dev/null
	fi
}

# ------------------------------------------------------------------------- User Mode Linux --------

# uml_up N NS IF: boots a guest whose only interface is IF, and starts charon in it
uml_up() {
	local n=$1 ns=$2 ifname=$3 dir=$STATE/$1 site
	site=$(cat "$dir/site")
	ip -n "$P-$ns" link set "$ifname" promisc on
	cat >"$dir/boot.sh" <<C
ip link set vec0 up
ip addr add ${SWAN_LOCAL:-10.9.0.$site}/24 dev vec0
sysctl -qw net.ipv4.ip_forward=1
for k in \$(seq 0 20); do ip addr add 10.$site.\$k.1/32 dev lo; done
ip route add default via ${SWAN_GATEWAY:-10.9.0.$((3 - site))} dev vec0 mtu 1400
${GUEST_MORE:-}
STRONGSWAN_CONF=$dir/strongswan.conf $STATE/charon >$dir/stdout 2>&1 </dev/null &
C
	uml_boot "$n" "$ns" "transport=raw,ifname=$ifname" "$site"
}

# uml_boot N NS VECTOR HOST: boots a guest that runs $STATE/N/boot.sh; its only interface vec0 is VECTOR of the
# namespace, with MAC address 02:00:00:00:00:0HOST. Tags of VLANs need transport=tap: a raw socket does not see them.
uml_boot() {
	local n=$1 ns=$2 dir=$STATE/$1 version
	version=$(ls /usr/lib/uml/modules | head -n 1)
	mkdir -p "$STATE/modules/lib/modules" "$STATE/uml"
	ln -sfn "/usr/lib/uml/modules/$version" "$STATE/modules/lib/modules/$version"
	rm -f "$dir"/{ready,commands,out.*,done.*}
	mkfifo "$dir/commands"
	echo 0 >"$dir/seq"
	setsid ip netns exec "$P-$ns" $UML_KERNEL mem=160M root=/dev/root rootfstype=hostfs rootflags=/ ro \
		init="$HERE/uml-init" con=null con0=fd:0,fd:1 noreboot quiet umid="$n" uml_dir="$STATE/uml" \
		labname="$n" labdir="$STATE" \
		vec0:"$3",mac="02:00:00:00:00:0$4",depth=128,gro=0 \
		<>"$dir/commands" >"$dir/console.log" 2>&1 &
	echo $! >"$dir/pid"
	echo "-$!" >>"$STATE/pids"
	disown
	until_true 30 test -e "$dir/ready" && return 0
	echo "the User Mode Linux guest $n did not boot:" >&2
	tail -n 5 "$dir/console.log" >&2
	return 1
}

# uml_run N 'SHELL COMMAND': in the guest, one at a time; its output and its exit code
uml_run() {
	local n=$1 dir=$STATE/$1 id tries
	id=$(($(cat "$dir/seq") + 1))
	echo "$id" >"$dir/seq"
	echo "$id $2" >"$dir/commands"
	# On a busy machine the guest sometimes misses that its console has a line; another one wakes it.
	for ((tries = 0; tries < ${UML_TIMEOUT:-90}; tries++)); do
		until_true 1 test -e "$dir/done.$id" && break
		echo >"$dir/commands"
	done
	[ -e "$dir/done.$id" ] || { echo "the guest did not answer"; return 99; }
	cat "$dir/out.$id"
	return "$(cat "$dir/done.$id")"
}
