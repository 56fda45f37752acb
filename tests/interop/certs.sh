#!/usr/bin/env bash
# shrike and strongSwan (kernel-libipsec) with certificates, each as initiator and as responder.
#
#   accepted   RSA by subjectAltName and by DN, through an intermediate CA, of two CAs on both sides; ECDSA on
#              P-256, P-384 and P-521
#   refused    a peer's certificate of an unknown CA, expired, revoked, or of somebody else: no SA, and
#              "shrikectl why" says which of those it was, and what would mend it; with that done, it is up
#   ours       strongSwan does not know our CA: "shrikectl why" says what to look at
#   key        a dump of the daemon that has stopped does not hold our private key
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"
. "$(dirname "$0")/pki.sh"
. "$(dirname "$0")/accepted.sh"

CHILDREN="net 1 aes128gcm16"

# key_in CORE KEY: whether the private number is in the dump, as DER has it or as OpenSSL computes with it
key_in() {
	python3 - "$1" "$(openssl pkey -in "$2" -noout -text | awk '/^priv:/{on = 1; next} /^[^ ]/{on = 0} on' | tr -d ' :\n')" <<'C'
import mmap, sys
key = bytes.fromhex(sys.argv[2])
with open(sys.argv[1], 'rb') as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as core:
    sys.exit(0 if len(key) >= 32 and max(core.find(key), core.find(key[::-1])) >= 0 else 1)
C
}

# private_key KEY: the running daemon's whole memory is the control, there the search must find it
private_key() {
	local pid gdb_pid
	command -v gdb >/dev/null || { skip "certs/key gdb is not installed"; return; }
	pid=$(cat "$STATE/gw/shrike.pid")
	bg s "$STATE/gdb.log" gdb -batch -p "$pid" -ex "handle SIGTERM nostop noprint pass" \
		-ex "set use-coredump-filter off" -ex "set dump-excluded-mappings on" \
		-ex "generate-core-file $STATE/core.running" -ex "catch syscall exit_group" -ex continue \
		-ex "generate-core-file $STATE/core.stopped" -ex kill
	gdb_pid=$BG_PID
	until_true 30 grep -q "Catchpoint 1" "$STATE/gdb.log"
	until_true 10 shrike_answers gw
	kill -TERM "$pid"
	until_true 30 sh -c "! kill -0 $gdb_pid"
	if ! key_in "$STATE/core.running" "$1"; then
		fail "certs/key-control the search does not find the key in the running daemon"
	elif [ ! -s "$STATE/core.stopped" ]; then
		fail "certs/key there is no dump of the stopped daemon"
	elif key_in "$STATE/core.stopped" "$1"; then
		fail "certs/key the stopped daemon's dump holds our private key"
	else
		pass "certs/key the stopped daemon's dump does not hold our private key, the running one's does"
	fi
}

lab_init certs
why=$(swan_missing)
[ -z "$why" ] || { skip "certs $why"; exit 0; }
have_shrike || { skip "certs shrike is not built in $BUILD"; exit 0; }
mkdir -p "$STATE/pki"
pki_new >"$STATE/pki/log" 2>&1 || { tail -n 5 "$STATE/pki/log" >&2; fail "certs the certificates cannot be made"; exit 1; }

PKI_TOP="revocation-lists: [$STATE/pki/Lab/ca.crl]"
shrike_site
netns_add p
link_add s wan p p0
swan_write
swan_up peer p p0 || { fail "certs strongSwan does not start"; exit 1; }

DN_A="C=DE, O=Lab, CN=gwa-dn" DN_B="C=DE, O=Lab, CN=gwb-dn"
swan_cert gwb-RSA.pem gwb-RSA.key gwb gwa Lab
shrike_cert rsa gwa-RSA.pem gwa-RSA.key gwa gwb || { fail "certs shrike does not start"; exit 1; }
accepted rsa-san
swan_cert gwb-expired.pem gwb-RSA.key gwb gwa Lab
refused expired "expired at 2021-01-01" certificate-expired "the peer needs a new certificate"
swan_cert gwb-RSA.pem gwb-RSA.key gwb gwa Lab
mended expired "the peer has a new certificate"
swan_cert gwb-revoked.pem gwb-RSA.key gwb gwa Lab
refused revoked "was revoked by" certificate-revoked "if it was revoked by mistake, a new list in revocation-lists and SIGHUP"
cp "$STATE/pki/Lab/ca.crl" "$STATE/pki/true.crl"
cp "$STATE/pki/Lab/ca-before.crl" "$STATE/pki/Lab/ca.crl"
before=$(reloads)
kill -HUP "$(cat "$STATE/gw/shrike.pid")"
until_true 10 reloaded_since "$before"
mended revoked "a list without it, and SIGHUP"
cp "$STATE/pki/true.crl" "$STATE/pki/Lab/ca.crl"
shrike_cert rsa gwa-RSA.pem gwa-RSA.key gwa gwb
swan_cert gwb-stranger.pem gwb-RSA.key gwb gwa Lab
refused stranger "unknown CA" unknown-ca "^authorities: "
shrike_cert rsa gwa-RSA.pem gwa-RSA.key gwa gwb Other
mended stranger "its authority is in the list"
shrike_cert rsa gwa-RSA.pem gwa-RSA.key gwa gwb
swan_cert gwb-else.pem gwb-RSA.key gwc gwa Lab
refused else "identity of gw-b differs: expected FQDN gwb, received FQDN gwc" identity '^remote-id: "gwc"$'
shrike_cert rsa gwa-RSA.pem gwa-RSA.key gwa gwc
mended else 'remote-id: "gwc"'
shrike_cert rsa gwa-RSA.pem gwa-RSA.key gwa gwb
swan_cert gwb-RSA.pem gwb-RSA.key gwb gwa Other
refused_as initiator ours-unknown "does not \(go on after\|answer Main Mode\) message 5" our-identity "local-id: "
refused_as responder ours-unknown "does not go on after message 6" our-identity "must trust an authority that our certificate leads to"
swan_cert gwb-RSA.pem gwb-RSA.key gwb gwa Lab
mended ours-unknown "it knows our authority"

swan_cert gwb-dn.pem gwb-RSA.key "$DN_B" "$DN_A" Lab
shrike_cert rsa gwa-dn.pem gwa-RSA.key "$DN_A" "$DN_B"
accepted rsa-dn
swan_cert gwb-RSA.pem gwb-RSA.key gwb gwa Lab
shrike_cert rsa gwa-chain.pem gwa-RSA.key gwa gwb
accepted rsa-chain
swan_cert gwb-stranger.pem gwb-RSA.key gwb gwa Lab Other
shrike_cert rsa gwa-RSA.pem gwa-RSA.key gwa gwb Other
accepted rsa-two-cas
for curve in P-256 P-384 P-521; do
	swan_cert gwb-$curve.pem gwb-$curve.key gwb gwa Lab
	shrike_cert ecdsa gwa-$curve.pem gwa-$curve.key gwa gwb
	accepted ecdsa-$curve
done
shrike_alive gw || fail "certs shrike is gone"
private_key "$STATE/pki/gwa-P-521.key"
exit 0
