#!/usr/bin/env bash
# Pre-shared keys under every type of identity, with strongSwan (kernel-libipsec), each in both roles. Certificates:
# certs.sh.
#
#   any    strongSwan comes from an address that is not configured: a connection with its identity goes before one that
#          takes everybody, wherever it stands; without one, that takes it
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

# Before our connection, one that takes everybody who knows the secret.
site_shrike_conf() {
	local conf=$STATE/gw/shrike.yaml
	shrike_conf gw <<<"$CHILDREN"
	[ -n "${OPEN:-}" ] || return 0
	sed -n '/^  - name: gw-b/,$p' "$conf" |
		sed -e 's/name: gw-b/name: anybody/' -e '/remote-id:/d' -e "s|remote: \\[.*|remote: [$OPEN/24]|" >"$STATE/anybody"
	sed -i -e "/^peers:/r $STATE/anybody" "$conf"
}

# any NAME OUR_PEER_ID PEER NET_OF_THE_OPEN_ONE NET_OF_OURS: which of both connections strongSwan gets
any() {
	local name=identity/any/$1/responder got
	SHRIKE_REMOTE=any SHRIKE_ID=gwa SHRIKE_PEER_ID=$2 SWAN_ID=gwb SWAN_PEER_ID=gwa OPEN=$4
	CHILDREN="net 1 aes128gcm16 remote=[$5/24]"
	shrike_reload || { fail "$name not loaded: $(reason)"; return; }
	clean_slate
	if ! start_child responder net || ! ping_one 10.1.1.1 10.2.1.1; then
		fail "$name $(reason)"
		return
	fi
	got=$(shrikectl gw stats --json | jq -r '.main_mode_sas | map(select(.state == "established")) | .[0].peer')
	if [ "$got" = "$3" ]; then pass "$name ping, by $got"; else fail "$name by $got, not $3"; fi
}

site_up identities
identity address "IPv4 address" 10.9.0.1 10.9.0.2 10.9.0.2 10.9.0.1
identity fqdn "FQDN" a.example.org b.example.org b.example.org a.example.org
identity user-fqdn "user FQDN" gw@a.example.org gw@b.example.org gw@b.example.org gw@a.example.org
identity dn "distinguished name" "C=DE, O=Lab, CN=gwa" "C=DE, O=Lab, CN=gwb" '"C=DE, O=Lab, CN=gwb"' '"C=DE, O=Lab, CN=gwa"'
identity key-id "key id" keyid:0a0b0c keyid:000102ff '"@#000102ff"' '"@#0a0b0c"'
SWAN_ID=gwb SWAN_PEER_ID=gwa
swan_reload || fail "identity/any strongSwan does not take it: $(reason)"
any by-identity gwb gw-b 10.2.9.0 10.2.1.0
any nobody-else gwx anybody 10.2.1.0 10.2.9.0
the_end identities
