#!/usr/bin/env bash
# XAuth and Mode Config: shrike with clients that come from anywhere, and as such a client.
#
#   vpnc         Aggressive Mode, XAuth, Mode Config; plain ESP and ESP in UDP; traffic through
#   server       strongSwan (kernel-libipsec) as the client: XAuth with a pre-shared key, with RSA certificates and
#                hybrid, address asked for and pushed; a wrong password is refused, and both sides say why
#   two          two clients of one connection are up at once, and each keeps its address
#   lease        after a restart of the daemon, and after others came, a user has the address that it had
#   pam          users by PAM instead of by a file
#   client       shrike asks strongSwan for an address, likewise; the gateway itself answers at it
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"

SWAN_PLUGINS="$SWAN_PLUGINS xauth-generic unity attr"
ALICE=wonderland BOB=builder
PAM_SERVICE=shrike-lab-$$

# ---------------------------------------------------------------------------- certificates --------

# cert_new NAME: an RSA key and a certificate of the lab's CA
cert_new() {
	local d=$STATE/pki
	openssl req -new -newkey rsa:2048 -nodes -keyout "$d/$1.key" -subj "/O=Lab/CN=$1" -out "$d/csr"
	chmod 600 "$d/$1.key"
	openssl x509 -req -in "$d/csr" -CA "$d/ca.pem" -CAkey "$d/ca.key" -CAcreateserial -days 30 -out "$d/$1.pem" \
		-extfile <(printf 'subjectAltName = DNS:%s\nkeyUsage = digitalSignature\n' "$1")
}

pki_new() {
	mkdir -p "$STATE/pki"
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$STATE/pki/ca.key" -subj "/O=Lab/CN=ca" -days 30 \
		-out "$STATE/pki/ca.pem" -addext "keyUsage = critical, keyCertSign, cRLSign" &&
		cert_new gwa && cert_new gwb
}

# -------------------------------------------------------------------------- shrike, server --------

# access_peer NAME POOL LINES: one connection of the server
access_peer() {
	cat <<C
  - name: $1
    local: 10.9.0.1
    remote: any
    proposals: [aes256-sha256-modp2048]
    retries: 3
    xauth: server
    ${USERS:-users: users.txt}
    mode-config: ${MODE:-pull}
    pool: 10.99.$2.0/28
    dns: [10.1.0.53]
    domain: example.net
    banner: hello from the lab
$3
C
}

child_lines() {
	cat <<C
    children:
      - name: rw
        local: [$1]
        remote: [pool]
        proposals: [$2]
C
}

server_conf() {
	local dir=$STATE/gw
	mkdir -p "$dir"
	(
		umask 077
		printf 'group secret of the lab' >"$dir/group.psk"
		printf '# users\nalice:%s\nbob:%s\n' "$(openssl passwd -6 $ALICE)" "$(openssl passwd -5 $BOB)" >"$dir/users.txt"
	)
	{
		shrike_system gw 10.9.0.1 10.1.0.254
		cat <<C
routes:
  - to: 10.1.0.0/16
    via: 10.1.0.1
  - to: 0.0.0.0/0
    via: 10.9.0.2
secrets:
  - name: group
    file: group.psk
authorities: [$STATE/pki/ca.pem]
peers:
C
		access_peer psk 1 "    secret: group
    local-id: gwa
$(child_lines 10.1.0.0/16 aes128gcm16)"
		access_peer rsa 2 "    auth: rsa
    certificate: $STATE/pki/gwa.pem
    key: $STATE/pki/gwa.key
    local-id: gwa
$(child_lines 10.1.0.0/16 aes128gcm16)"
		access_peer hybrid 3 "    auth: hybrid
    certificate: $STATE/pki/gwa.pem
    key: $STATE/pki/gwa.key
    local-id: gwa
$(child_lines 10.1.0.0/16 aes128gcm16)"
		access_peer vpnc 4 "    secret: group
    exchange: aggressive
    split: [10.1.0.0/16]
$(child_lines any aes128-sha1)" | sed 's/aes256-sha256-modp2048/aes128-sha1-modp1024/'
	} >"$dir/shrike.yaml"
}

server_restart() {
	shrike_down gw
	server_conf
	shrike_up gw s
}

# ---------------------------------------------------------------------- strongSwan, client --------

# swan_client KIND PASSWORD [LINES]: psk, rsa or hybrid
swan_client() {
	local d=$STATE/peer/swanctl kind=$1 me them
	swan_conf peer 2 </dev/null
	case $kind in
	psk) me="auth = psk" them="auth = psk" ;;
	rsa) me="auth = pubkey
      certs = gwb.pem" them="auth = pubkey" ;;
	hybrid) me="" them="auth = pubkey" ;;
	esac
	cp "$STATE/pki/ca.pem" "$d/x509ca/"
	cp "$STATE/pki/gwb.pem" "$d/x509/"
	cp "$STATE/pki/gwb.key" "$d/private/"
	{
		cat <<C
connections {
  t {
    version = 1
    local_addrs = 10.9.0.2
    remote_addrs = 10.9.0.1
    proposals = aes256-sha256-modp2048
    encap = yes
    vips = 0.0.0.0
    ${3:-}
C
		[ -z "$me" ] || printf '    local-1 {\n      id = gwb\n      %s\n    }\n' "$me"
		cat <<C
    local-2 {
      auth = xauth
      xauth_id = ${SWAN_USER:-alice}
    }
    remote {
      id = gwa
      $them
    }
    children {
      rw {
        local_ts = dynamic
        remote_ts = 10.1.0.0/16
        esp_proposals = aes128gcm16
      }
    }
  }
}
secrets {
  ike-1 {
    secret = "group secret of the lab"
  }
  xauth-1 {
    id = ${SWAN_USER:-alice}
    secret = "$2"
  }
}
C
	} >"$d/swanctl.conf"
	swan peer --load-all --clear --file "$d/swanctl.conf" >"$STATE/load" 2>&1 || { cat "$STATE/load" >&2; return 1; }
}

swan_start() {
	swan peer --initiate --child rw --timeout 20 >"$STATE/why" 2>&1
}

swan_stop() {
	swan peer --terminate --ike t --timeout 5 >/dev/null 2>&1
	until_true 5 no_swan_sas
}
no_swan_sas() { [ -z "$(swan peer --list-sas)" ]; }

# The address that strongSwan was given
swan_vip() {
	swan peer --list-sas --raw | grep -o 'local-vips=\[[0-9.]*' | head -n 1 | sed 's/.*\[//'
}

reason() {
	{ tail -n 4 "$STATE/why"; shrikectl gw status | tail -n 3; } 2>&1 | tr -s '\n\t ' ' '
}

# served NAME KIND: strongSwan comes in, gets an address, and pings pass from the host behind shrike
served() {
	local name=$1 vip user
	swan_stop
	if ! swan_client "$2" $ALICE "${3:-}" || ! swan_start; then
		fail "$name not negotiated: $(reason)"
		return 1
	fi
	vip=$(swan_vip)
	user=$(shrikectl gw sa --json | jq -r '[.main_mode_sas[] | select(.state == "established") | "\(.user) has \(.leased)"] | join(", ")')
	if [ "$user" != "alice has $vip" ]; then
		fail "$name strongSwan has '$vip', shrike says: $user"
	elif ! ping_one 10.1.1.1 "$vip"; then
		fail "$name no ping passes to $vip: $(reason)"
	else
		pass "$name ping, $user"
	fi
}

server() {
	local MODE
	for MODE in $MODES; do
		server_restart || { fail "server/$MODE shrike does not start"; return; }
		for kind in psk rsa hybrid; do
			served "server/$kind/$MODE" $kind "$([ $MODE = push ] && echo 'pull = no')"
		done
	done
}

# ------------------------------------------------------------------------------------ vpnc --------

# vpnc_up NAME USER PASSWORD NS LINES: a client in the namespace; its script only gives the tunnel its address and
# routes, and writes down what it was told
vpnc_up() {
	local dir=$STATE/$1
	mkdir -p "$dir"
	cat >"$dir/script" <<C
#!/bin/sh
[ "\$reason" = connect ] || exit 0
env | grep -E 'INTERNAL|CISCO' >$dir/told
ip link set "\$TUNDEV" up mtu 1380
ip addr add "\$INTERNAL_IP4_ADDRESS/32" dev "\$TUNDEV"
ip rule add from "\$INTERNAL_IP4_ADDRESS" table 10${1#vpn}
ip route replace 10.1.0.0/16 dev "\$TUNDEV" table 10${1#vpn}
C
	chmod +x "$dir/script"
	(umask 077 && cat >"$dir/vpnc.conf") <<C
IPSec gateway 10.9.0.1
IPSec ID group
IPSec secret group secret of the lab
IKE DH Group dh2
Xauth username $2
Xauth password $3
Script $dir/script
Pidfile $dir/pid
Interface name $1
$5
C
	rm -f "$dir/told"
	bg "$4" "$dir/vpnc.log" vpnc --no-detach --debug "${VPNC_DEBUG:-1}" "$dir/vpnc.conf"
	VPNC_PID=$BG_PID
	until_true "${VPNC_WAIT:-15}" test -s "$dir/told"
}

vpnc_address() { sed -n 's/^INTERNAL_IP4_ADDRESS=//p' "$STATE/$1/told"; }

esp_on_the_wire() { # FILE FILTER
	tcpdump -nr "$1" "$2" 2>/dev/null | grep -c .
}

# vpnc_works NAME LINES FILTER: comes in, traffic passes under packets of that kind, and goes
vpnc_works() {
	local name=$1 addr what
	if ! vpnc_up vpn0 alice $ALICE p "$2"; then
		fail "$name vpnc is not connected: $(tail -n 3 "$STATE/vpn0/vpnc.log" | tr -s '\n\t ' ' '); $(shrikectl gw status | tail -n 1)"
		end_pid "$VPNC_PID"
		return
	fi
	addr=$(vpnc_address vpn0)
	wire_record p p0 "$STATE/vpnc.pcap" "$3"
	if ! in_ns p ping -q -c 20 -i 0.05 -W 2 -I "$addr" 10.1.1.1 >"$STATE/ping.log" || ! ping_one 10.1.1.1 "$addr"; then
		fail "$name no ping passes: $(grep loss "$STATE/ping.log"); $(shrikectl gw status | tail -n 1)"
	else
		bg h "$STATE/iperf.log" iperf3 -s -1 -B 10.1.1.1
		sleep 0.3
		what=$(in_ns p timeout 20 iperf3 -c 10.1.1.1 -B "$addr" -n 8M -J 2>&1 | jq -r '.end.sum_received.bytes // .error')
		wire_stop
		if ! [ "$what" -gt 5000000 ] 2>/dev/null; then
			fail "$name 8 MB of TCP: $what"
		elif [ "$(esp_on_the_wire "$STATE/vpnc.pcap" "$3")" -lt 1000 ]; then
			fail "$name the traffic is not in packets of the kind '$3'"
		elif ! grep -q 'CISCO_SPLIT_INC_0_ADDR=10.1.0.0' "$STATE/vpn0/told" ||
			! grep -q 'INTERNAL_IP4_DNS=10.1.0.53' "$STATE/vpn0/told" ||
			! grep -q 'CISCO_BANNER=hello' "$STATE/vpn0/told"; then
			fail "$name it was told: $(tr '\n' ' ' <"$STATE/vpn0/told")"
		else
			pass "$name ping and $what bytes of TCP from $addr, with DNS, split network and banner"
		fi
	fi
	end_pid "$VPNC_PID"
	until_true 10 nobody_there || fail "$name its SAs are still there after it went"
}

nobody_there() {
	[ "$(shrikectl gw stats --json | jq '[.main_mode_sas[], .quick_mode_sas[] | select(.state != "closing")] | length')" = 0 ]
}

vpnc_refused() {
	VPNC_WAIT=4 vpnc_up vpn0 alice wrong p "NAT Traversal Mode none
Local Port 500" && { fail "vpnc/wrong-password it came in"; end_pid "$VPNC_PID"; return; }
	if shrikectl gw why vpnc | grep -q 'the user alice at 10.9.0.2.*the name or the password is wrong' &&
		grep -qi 'auth' "$STATE/vpn0/vpnc.log"; then
		pass "vpnc/wrong-password $(shrikectl gw why vpnc | sed -n '1p;3p' | tr -s '\n ' ' ')"
	else
		fail "vpnc/wrong-password $(tail -n 2 "$STATE/vpn0/vpnc.log"); $(shrikectl gw why vpnc | tail -n 5)"
	fi
	end_pid "$VPNC_PID"
}

# Two clients of one connection, behind one address: neither takes the other's place, and after a restart of the
# daemon each has its address again, whoever comes first.
two_up() { # FIRST SECOND, as "NAME USER PASSWORD"; their pids in ONE and TWO
	# shellcheck disable=SC2086
	vpnc_up $1 p "NAT Traversal Mode none
Local Port 500" || return 1
	ONE=$VPNC_PID
	# shellcheck disable=SC2086
	vpnc_up $2 p "NAT Traversal Mode force-natt
Local Port 501"
	TWO=$VPNC_PID
}

two_clients() {
	local alice bob
	two_up "vpn1 alice $ALICE" "vpn2 bob $BOB" || { fail "two clients are not connected: $(tail -n 1 "$STATE"/vpn[12]/vpnc.log | tr '\n' ' ')"; }
	alice=$(vpnc_address vpn1) bob=$(vpnc_address vpn2)
	if [ -n "$alice" ] && [ "$alice" != "$bob" ] && ping_one 10.1.1.1 "$alice" && ping_one 10.1.1.1 "$bob" && ping_one 10.1.1.1 "$alice"; then
		pass "two alice at $alice and bob at $bob, from one address: $(shrikectl gw status | grep -c 'rw-10.99.4.*up') children up"
	else
		fail "two alice at '$alice', bob at '$bob': $(shrikectl gw status | grep rw- | tr -s '\n ' ' ')"
	fi
	end_pid "$ONE"
	end_pid "$TWO"
	server_restart || { fail "lease shrike does not start again"; return; }
	two_up "vpn2 bob $BOB" "vpn1 alice $ALICE"
	if [ "$(vpnc_address vpn1) $(vpnc_address vpn2)" = "$alice $bob" ]; then
		pass "lease after a restart of the daemon bob has $bob and alice $alice again"
	else
		fail "lease alice had $alice and bob $bob, now $(vpnc_address vpn1) and $(vpnc_address vpn2)"
	fi
	end_pid "$ONE"
	end_pid "$TWO"
}

with_vpnc() {
	vpnc_works vpnc/plain "NAT Traversal Mode none
Local Port 500" "ip proto 50"
	vpnc_works vpnc/udp "NAT Traversal Mode force-natt" "udp port 4500"
	vpnc_refused
	two_clients
}

# ------------------------------------------------------------------------------------- PAM --------

# PAM's own module asks a script of ours: it sees the password that came over XAuth.
with_pam() {
	local USERS="pam: $PAM_SERVICE" MODE=pull
	printf '#!/bin/sh\nread -r password\n[ "$PAM_USER:$password" = "alice:%s" ]\n' $ALICE >"$STATE/pam-check"
	chmod +x "$STATE/pam-check"
	printf '%s\n' "auth [success=1 default=ignore] pam_exec.so quiet expose_authtok $STATE/pam-check" \
		'auth requisite pam_deny.so' 'auth required pam_permit.so' 'account required pam_permit.so' \
		>"/etc/pam.d/$PAM_SERVICE"
	server_restart || { fail "pam shrike does not start"; return; }
	served pam/right psk
	swan_stop
	swan_client psk wrong
	if swan_start; then
		fail "pam/wrong-password it came in"
	elif shrikectl gw why psk | grep -q 'the user alice at 10.9.0.2.*the name or the password is wrong'; then
		pass "pam/wrong-password refused, and shrikectl why says it"
	else
		fail "pam/wrong-password $(reason)"
	fi
	rm -f "/etc/pam.d/$PAM_SERVICE"
}

# -------------------------------------------------------------------------- shrike, client --------

# swan_server KIND LINES
swan_server() {
	local d=$STATE/peer/swanctl me="auth = psk" them="auth = psk"
	case $1 in
	rsa) them="auth = pubkey" ;;&
	rsa | hybrid) me="auth = pubkey
      certs = gwb.pem" ;;
	esac
	{
		cat <<C
connections {
  t {
    version = 1
    local_addrs = 10.9.0.2
    remote_addrs = 10.9.0.1
    proposals = aes256-sha256-modp2048
    encap = yes
    pools = rw
    $2
    local {
      id = gwb
      $me
    }
C
		[ "$1" = hybrid ] || printf '    remote-1 {\n      id = gwa\n      %s\n    }\n' "$them"
		cat <<C
    remote-2 {
      auth = xauth
    }
    children {
      net {
        local_ts = 10.2.0.0/16
        remote_ts = dynamic
        esp_proposals = aes128gcm16
      }
    }
  }
}
pools {
  rw {
    addrs = 10.98.0.0/28
    dns = 10.2.0.53
    subnet = 10.2.0.0/16
  }
}
secrets {
  ike-1 {
    secret = "group secret of the lab"
  }
  xauth-1 {
    id = alice
    secret = "$ALICE"
  }
}
C
	} >"$d/swanctl.conf"
	swan peer --load-all --clear --file "$d/swanctl.conf" >"$STATE/load" 2>&1 || { cat "$STATE/load" >&2; return 1; }
}

# client_conf KIND PULL_OR_PUSH PASSWORD [ROUTES]
client_conf() {
	local dir=$STATE/gw
	mkdir -p "$dir"
	(umask 077 && printf 'group secret of the lab' >"$dir/group.psk" && echo "$3" >"$dir/alice.pass")
	{
		shrike_system gw 10.9.0.1 10.1.0.254
		cat <<C
routes:
  - to: 10.1.0.0/16
    via: 10.1.0.1
  - to: 0.0.0.0/0
    via: 10.9.0.2
${4:-}
secrets:
  - name: group
    file: group.psk
authorities: [$STATE/pki/ca.pem]
peers:
  - name: gw-b
    local: 10.9.0.1
    remote: 10.9.0.2
    local-id: gwa
    remote-id: gwb
    proposals: [aes256-sha256-modp2048]
    xauth: client
    xauth-user: alice
    xauth-password-file: alice.pass
    mode-config: $2
C
		case $1 in
		psk) echo "    secret: group" ;;
		rsa) printf '    auth: rsa\n    certificate: %s\n    key: %s\n' "$STATE/pki/gwa.pem" "$STATE/pki/gwa.key" ;;
		hybrid) echo "    auth: hybrid" ;;
		esac
		cat <<C
    children:
      - name: net
        local: [assigned]
        remote: [10.2.0.0/16]
        proposals: [aes128gcm16]
        start: immediate
C
	} >"$dir/shrike.yaml"
}

client_up() { shrikectl gw stats --json | jq -e '.peers[0].children[0].state == "up"' >/dev/null; }
assigned() { shrikectl gw stats --json | jq -r '.peers[0].assigned.address // "none"'; }

client() {
	local mode kind addr name
	shrike_down gw
	for mode in pull push; do
		for kind in psk rsa hybrid; do
			name=client/$kind/$mode
			swan_stop
			swan_server $kind "$([ $mode = push ] && echo 'pull = no')" || { fail "$name strongSwan takes no configuration"; return; }
			client_conf $kind $mode $ALICE
			shrike_up gw s || { fail "$name shrike does not start"; return; }
			if ! until_true 15 client_up; then
				fail "$name not negotiated: $(shrikectl gw why gw-b | tail -n 3 | tr -s '\n ' ' ')"
			elif addr=$(assigned) && ! in_ns p ping -q -c 3 -i 0.2 -W 2 -I 10.2.1.1 "$addr" >/dev/null; then
				fail "$name the gateway does not answer at $addr"
			else
				pass "$name the gateway answers at $(shrikectl gw status | sed -n 's/^gw-b: assigned to us //p')"
			fi
			shrike_down gw
		done
	done
	client_host
	client_refused
}

# A host behind us may have the address: the configuration routes it there.
client_host() {
	local addr
	swan_stop
	swan_server psk "" && client_conf psk pull $ALICE "  - to: 10.98.0.1/32
    via: 10.1.0.1"
	ip -n "$P-h" addr add 10.98.0.1/32 dev lo
	shrike_up gw s && until_true 15 client_up
	addr=$(assigned)
	if [ "$addr" = 10.98.0.1 ] && in_ns h ping -q -c 5 -i 0.2 -W 2 -I "$addr" 10.2.1.1 >"$STATE/ping.log"; then
		pass "client/host a host behind us has $addr: $(grep -o '[0-9]* received' "$STATE/ping.log")"
	else
		fail "client/host $addr: $(grep loss "$STATE/ping.log")"
	fi
	shrike_down gw
}

client_refused() {
	swan_stop
	client_conf psk pull wrong
	shrike_up gw s
	if until_true 10 has_code user && ! client_up; then
		pass "client/wrong-password $(shrikectl gw why gw-b | sed -n '1p;3p' | tr -s '\n ' ' ')"
	else
		fail "client/wrong-password $(shrikectl gw why gw-b | tail -n 5)"
	fi
	shrike_down gw
}
has_code() { shrikectl gw why gw-b --json | jq -e --arg c "$1" '[.diagnoses[].code] | index($c) != null' >/dev/null; }

# --------------------------------------------------------------------------------- the run --------

lab_init xauth
trap 'rm -f "/etc/pam.d/$PAM_SERVICE"; lab_cleanup' EXIT
why=$(swan_missing)
[ -z "$why" ] || { skip "xauth $why"; exit 0; }
have_shrike || { skip "xauth shrike is not built in $BUILD"; exit 0; }
pki_new >"$STATE/pki.log" 2>&1 || { fail "xauth no certificates: $(tail -n 1 "$STATE/pki.log")"; exit 1; }
shrike_site
netns_add p
link_add s wan p p0
swan_conf peer 2 </dev/null
swan_up peer p p0 || { fail "xauth strongSwan does not start"; exit 1; }
MODES=${MODES:-pull push}
PARTS=${PARTS:-vpnc server pam client}
for part in $PARTS; do
	case $part in
	vpnc)
		swan_down peer # vpnc needs its ports
		if server_restart; then with_vpnc; else fail "vpnc shrike does not start"; fi
		ip -n "$P-p" addr flush dev p0
		swan_up peer p p0 || fail "xauth strongSwan does not start again"
		;;
	server) server ;;
	pam) with_pam ;;
	client) client ;;
	esac
done
shrike_alive gw 2>/dev/null || [ "${PARTS##* }" = client ] || fail "xauth shrike is gone"
exit 0
