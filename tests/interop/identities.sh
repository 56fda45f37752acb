#!/usr/bin/env bash
# Pre-shared keys under every type of identity, with strongSwan (kernel-libipsec), each in both roles. Certificates:
# certs.sh.
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"

CHILDREN="net 1 aes128gcm16"

# id_type_is TYPE: of what the peer sent, as shrike read it
id_type_is() {
	local got
	got=$(shrikectl gw stats --json | jq -r '.main_mode_sas | map(select(.state == "established")) | .[0].remote_id.type')
	[ "$got" = "$1" ] || { echo "the identity's type is $got, not $1"; return 1; }
	echo "$got"
}

# identity NAME TYPE SHRIKE_OURS SHRIKE_PEERS SWAN_OURS SWAN_PEERS
identity() {
	SHRIKE_ID=$3 SHRIKE_PEER_ID=$4 SWAN_ID=$5 SWAN_PEER_ID=$6
	swan_reload && shrike_reload || { fail "identity/$1 not loaded: $(reason)"; return; }
	both_roles "identity/$1" net 1 id_type_is "$2"
}

site_up identities
identity address "IPv4 address" 10.9.0.1 10.9.0.2 10.9.0.2 10.9.0.1
identity fqdn "FQDN" a.example.org b.example.org b.example.org a.example.org
identity user-fqdn "user FQDN" gw@a.example.org gw@b.example.org gw@b.example.org gw@a.example.org
identity dn "distinguished name" "C=DE, O=Lab, CN=gwa" "C=DE, O=Lab, CN=gwb" '"C=DE, O=Lab, CN=gwb"' '"C=DE, O=Lab, CN=gwa"'
identity key-id "key id" keyid:0a0b0c keyid:000102ff '"@#000102ff"' '"@#0a0b0c"'
the_end identities
