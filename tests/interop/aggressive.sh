#!/usr/bin/env bash
# Aggressive Mode between shrike and strongSwan (kernel-libipsec, so with NAT-T and message 3 on port 4500), each in
# both roles.
#
#   psk       one connection with a pre-shared key; and as the responder, three connections from anywhere with three
#             secrets, of which the identity in message 1 chooses
#   certs     RSA and ECDSA
#   refused   another secret, an identity that nobody has, a peer that does Main Mode, an unknown CA: no SA, and
#             "shrikectl why" says what it is
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"
. "$(dirname "$0")/pki.sh"
. "$(dirname "$0")/accepted.sh"

CHILDREN="net 1 aes128gcm16"
AGGRESSIVE="exchange: aggressive"
SHRIKE_PEER=$AGGRESSIVE
SWAN_EXTRA="aggressive = yes"
SWAN_CHARON="i_dont_care_about_security_and_use_aggressive_mode_psk = yes"

aggressive_sa() {
	local got
	got=$(shrikectl gw stats --json | jq -r '.main_mode_sas | map(select(.state == "established")) |
		.[0] | "\(.exchange), \(.remote_id.value), port \(.remote.port)"')
	[[ $got == aggressive,* ]] || { echo "the SA's exchange is $got"; return 1; }
	echo "$got"
}

# Connections from anywhere in front of gw-b, with secrets and identities of their own
more_peers() {
	local conf=$STATE/gw/shrike.yaml n
	for n in one two; do
		(umask 077 && printf 'a secret of %s alone' "$n" >"$STATE/gw/$n.psk")
		sed -i -e "s|^secrets:|secrets:\n  - name: $n\n    file: $n.psk|" -e "s|^peers:|peers:\n  - name: $n\n    local: 10.9.0.1\n    remote: any\n    local-id: gwa\n    remote-id: $n.example.org\n    secret: $n\n    exchange: aggressive\n    proposals: [aes256-sha256-modp2048]\n    children: [{ name: net, local: [10.1.9.0/24], remote: [10.7.0.0/24], proposals: [aes128gcm16] }]|" "$conf"
	done
}

by_identity() {
	shrike_down gw
	SHRIKE_REMOTE=any site_shrike_conf
	more_peers
	shrike_up gw s || { fail "$LAB_NAME/by-identity shrike does not start"; return; }
	start_child responder net
	if ! ping_one 10.1.1.1 10.2.1.1; then
		fail "$LAB_NAME/by-identity no ping: $(reason)"
	elif ! aggressive_sa >"$STATE/what"; then
		fail "$LAB_NAME/by-identity $(cat "$STATE/what")"
	else
		pass "$LAB_NAME/by-identity ping, $(cat "$STATE/what"), the third of three with other secrets"
	fi
	swan_reload
	shrike_down gw
	site_shrike_conf
	shrike_up gw s
}

# psk_refused NAME initiator|responder PATTERN: with both configurations as they are in the environment
psk_refused() {
	swan_reload
	shrike_down gw
	site_shrike_conf
	shrike_up gw s
	refused_as "$2" "$1" "$3"
}

site_up aggressive
mkdir -p "$STATE/pki"
pki_new >"$STATE/pki/log" 2>&1 || { tail -n 5 "$STATE/pki/log" >&2; fail "aggressive the certificates cannot be made"; exit 1; }

both_roles aggressive/psk net 1 aggressive_sa
by_identity

SWAN_PSK="another secret" psk_refused other-secret initiator "message 2 does not verify: probable pre-shared key mismatch"
SWAN_PSK="another secret" psk_refused other-secret responder "probable pre-shared key mismatch"
SWAN_ID=gwc psk_refused other-identity responder "identity of gw-b differs: expected FQDN gwb, received FQDN gwc"
SHRIKE_ID=gwc psk_refused our-identity initiator "may not accept our identity\|we offered"
SHRIKE_PEER='' psk_refused we-main responder "gw-b begins IKEv1 Aggressive Mode, we have IKEv1 Main Mode"
SWAN_EXTRA='' psk_refused peer-main responder "gw-b begins IKEv1 Main Mode, we have IKEv1 Aggressive Mode"

swan_write
swan_cert gwb-RSA.pem gwb-RSA.key gwb gwa Lab
shrike_cert rsa gwa-RSA.pem gwa-RSA.key gwa gwb || { fail "aggressive shrike does not start"; exit 1; }
accepted rsa
swan_cert gwb-stranger.pem gwb-RSA.key gwb gwa Lab
refused unknown-ca "unknown CA"
swan_cert gwb-RSA.pem gwb-RSA.key gwb gwa Other
refused_as initiator ours-unknown "does not go on after message 3: it deletes the SA; it may not accept our certificate"
swan_cert gwb-P-256.pem gwb-P-256.key gwb gwa Lab
shrike_cert ecdsa gwa-P-256.pem gwa-P-256.key gwa gwb
accepted ecdsa
the_end aggressive
