#!/usr/bin/env bash
# Phase 1's ciphers, hashes and groups, with strongSwan (kernel-libipsec), each in both roles: a Main Mode, a Quick Mode
# and a ping. shrike offers and accepts all of them at once, strongSwan one at a time: what comes out is checked.
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"

CHILDREN="net 1 aes128gcm16"
MATRIX="3des-md5-modp1024 3des-sha1-modp1536 aes128-md5-modp2048 aes128-sha1-modp2048 aes192-sha1-modp2048
	aes256-sha256-modp2048 aes256-sha384-modp3072 aes256-sha512-modp4096 aes128-sha256-modp6144 aes256-sha256-modp8192
	aes128-sha256-ecp256 aes256-sha384-ecp384 aes256-sha512-ecp521 aes128-sha1-modp1024s160 aes128-sha256-modp2048s224
	aes256-sha256-modp2048s256 aes256-sha256-x25519"

algorithms_are() {
	local got
	got=$(algorithms main_mode)
	[ "$got" = "$1" ] || { echo "the SA has $got"; return 1; }
}

SHRIKE_IKE=$(tr -s ' \t\n' , <<<"$MATRIX")
SWAN_PLUGINS="$SWAN_PLUGINS curve25519"
site_up phase1
for ike in $MATRIX; do
	SWAN_IKE=$ike
	swan_reload || { fail "phase1/$ike strongSwan does not take it: $(reason)"; continue; }
	both_roles "phase1/$ike" net 1 algorithms_are "$ike"
done
the_end phase1
