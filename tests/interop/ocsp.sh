#!/usr/bin/env bash
# OCSP: shrike checks strongSwan's certificate (kernel-libipsec) with "openssl ocsp" as the responder, on the loopback
# of shrike's namespace: the requests leave through the kernel's own stack. Each as initiator and as responder.
#
#   good       "ocsp: require", the responder in the certificate (AIA): up, asked once, then remembered
#   revoked    refused by either policy, with the reason
#   silent     nobody listens, or somebody who never answers: require refuses, if-available accepts and warns
#   forged     an answer of a responder that the CA has not made one: as good as none
#   others     while one peer's responder is awaited, another peer's Main Mode is not held up
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"
. "$(dirname "$0")/pki.sh"

CHILDREN="net 1 aes128gcm16"
PORT=8080
RESPONDER=

pki_new() {
	local d=$STATE/pki aia="authorityInfoAccess = OCSP;URI:http://127.0.0.1:$PORT/" who
	ca_new "Lab" && ca_new "Other" || return 1
	for who in gwa gwb gwb-revoked; do
		[ -e "$d/${who%-*}.key" ] || key_new "$d/${who%-*}.key" P-256
		issue Lab "$d/${who%-*}.key" "${who%-*}" "$d/$who.pem" "subjectAltName = DNS:${who%-*}"$'\n'"$aia" || return 1
	done
	openssl ca -batch -config "$d/Lab/ca.cnf" -revoke "$d/gwb-revoked.pem" || return 1
	key_new "$d/responder.key" P-256
	issue Lab "$d/responder.key" responder "$d/responder.pem" "extendedKeyUsage = OCSPSigning" || return 1
	issue Lab "$d/responder.key" nobody "$d/nobody.pem" "keyUsage = digitalSignature"
}

# responder_up CERTIFICATE: "openssl ocsp" that signs with it; responder_down ends it
responder_up() {
	local d=$STATE/pki
	bg s "$STATE/responder.log" openssl ocsp -port $PORT -index "$d/Lab/index" -CA "$d/Lab/ca.pem" -rsigner "$d/$1.pem" \
		-rkey "$d/responder.key" -nmin 5
	RESPONDER=$BG_PID
	until_true 5 listens
}

# responder_deaf: takes connections and never says a word
responder_deaf() {
	bg s "$STATE/responder.log" python3 -c "
import socket, time
s = socket.create_server(('127.0.0.1', $PORT))
held = []
while True: held.append(s.accept())"
	RESPONDER=$BG_PID
	until_true 5 listens
}

responder_down() {
	[ -z "$RESPONDER" ] || end_pid "$RESPONDER"
	RESPONDER=
}

listens() { in_ns s ss -Hltn "sport = :$PORT" | grep -q .; }
why_says() { shrikectl gw why gw-b | grep -q "$1"; }
# diagnosed ROLE CODE TEXT: prints the sentence
diagnosed() {
	shrikectl gw why gw-b --json | jq -r --arg r "$1" --arg c "$2" '.diagnoses[] | select(.role == $r and .code == $c) | .text' |
		grep -o "$3.*"
}

# gateways POLICY CERTIFICATE: of strongSwan
gateways() {
	PKI_TOP="ocsp: $1\nocsp-timeout: 2s"
	swan_cert "$2.pem" gwb.key gwb gwa Lab
	shrike_cert ecdsa gwa.pem gwa.key gwa gwb
}

negotiate() {
	if [ "$1" = initiator ]; then
		timeout 10 "$SHRIKECTL" -s "$STATE/gw/control.sock" up gw-b/net >"$STATE/why" 2>&1
	else
		swan peer --initiate --child net --timeout 10 >"$STATE/why" 2>&1
	fi
}

# accepted NAME TEXT: in both roles, with a ping; "shrikectl why" must say TEXT
accepted() {
	local role name
	for role in initiator responder; do
		name=ocsp/$1/$role
		clean_slate
		negotiate $role
		if ! ping_one 10.1.1.1 10.2.1.1; then
			fail "$name no ping: $(reason)"
		elif ! why_says "$2"; then
			fail "$name 'shrikectl why' does not say: $2; $(reason)"
		else
			pass "$name ping; \"$(shrikectl gw why gw-b | grep -o "$2.*" | head -n 1)\""
		fi
	done
}

# What responders said, or did not: shrike forgets it when it reads its configuration again.
forget() {
	local before
	before=$(reloads)
	kill -HUP "$(cat "$STATE/gw/shrike.pid")"
	until_true 10 reloaded_since "$before"
}

# refused NAME CODE TEXT: in both roles
refused() {
	local role name job
	for role in initiator responder; do
		name=ocsp/$1/$role
		clean_slate
		forget
		negotiate $role &
		job=$!
		if ! until_true 10 diagnosed $role "$2" "$3"; then
			fail "$name no diagnosis $2 with: $3; $(reason)"
		elif [ "$(shrikectl gw stats --json | jq '.quick_mode_sas | length')" != 0 ]; then
			fail "$name there is an SA"
		else
			pass "$name $2: \"$(diagnosed $role "$2" "$3")\""
		fi
		kill $job 2>/dev/null
		wait $job 2>/dev/null
	done
}

mends() {
	if shrikectl gw why gw-b | grep -q "ocsp: if-available"; then
		pass "ocsp/mend the line is there: $(shrikectl gw why gw-b | grep 'ocsp: if-available' | head -n 1 | tr -s ' ')"
	else
		fail "ocsp/mend no line that would mend it: $(reason)"
	fi
}

# A deaf responder takes two seconds of one exchange, and nothing of the daemon: the control socket answers meanwhile.
busy_elsewhere() {
	local start end
	clean_slate
	forget
	negotiate initiator &
	local job=$! slowest=0 took i
	for ((i = 0; i < 20; i++)); do
		start=$(date +%s%N)
		shrikectl gw status >/dev/null
		end=$(date +%s%N)
		took=$(((end - start) / 1000000))
		[ $took -le $slowest ] || slowest=$took
		sleep 0.1
	done
	kill $job 2>/dev/null
	wait $job 2>/dev/null
	if [ $slowest -lt 1000 ]; then
		pass "ocsp/others the control socket answered within $slowest ms while a responder said nothing"
	else
		fail "ocsp/others the control socket took $slowest ms while a responder said nothing"
	fi
}

lab_init ocsp
why=$(swan_missing)
[ -z "$why" ] || { skip "ocsp $why"; exit 0; }
have_shrike || { skip "ocsp shrike is not built in $BUILD"; exit 0; }
mkdir -p "$STATE/pki"
pki_new >"$STATE/pki/log" 2>&1 || { tail -n 5 "$STATE/pki/log" >&2; fail "ocsp the certificates cannot be made"; exit 1; }

shrike_site
netns_add p
link_add s wan p p0
swan_write
swan_up peer p p0 || { fail "ocsp strongSwan does not start"; exit 1; }

gateways require gwb
responder_up responder
wire_record s lo "$STATE/lo.pcap" "tcp dst port $PORT and tcp[tcpflags] == tcp-syn"
accepted good "the certificate .* and its signature are good"
wire_stop
asked=$(tcpdump -nr "$STATE/lo.pcap" 2>/dev/null | grep -c .)
if [ "$asked" = 1 ]; then pass "ocsp/cache two Main Modes, 1 request"; else fail "ocsp/cache two Main Modes, $asked requests"; fi
responder_down

gateways if-available gwb-revoked
responder_up responder
refused revoked certificate-revoked "was revoked by .*, says OCSP"
responder_down

gateways require gwb
refused silent-require ocsp-silent "no answer from the OCSP responder http://127.0.0.1:$PORT/ .* one is required"
mends
gateways require gwb
responder_deaf
refused deaf-require ocsp-silent "no answer from the OCSP responder .* one is required"
busy_elsewhere
responder_down
gateways require gwb
responder_up nobody
refused forged ocsp-silent "is not signed by the issuer"
responder_down

gateways if-available gwb
accepted silent-if-available "no answer from the OCSP responder .* accepted without"
the_end ocsp
