#!/usr/bin/env bash
# Two shrikes that prove themselves with Kerberos, and a KDC of Debian's on the loopback of either one's namespace (both
# serve the same realm from the same database).
#
#   up        Main Mode in either role, with traffic; each side says which principal the other is
#   refused   another principal than the one that is expected, one that the KDC does not know, one whose key the
#             responder does not have, a KDC that is gone: no SA, and "shrikectl why" says which of those it was
. "$(dirname "$0")/lib.sh"

REALM=LAB.TEST
export KRB5_CONFIG KRB5_KDC_PROFILE KRB5RCACHEDIR

# realm_new: a realm with principals for both gateways and one of nobody's, and keytabs for the gateways
realm_new() {
	local who
	KRB5_CONFIG=$STATE/krb5.conf KRB5_KDC_PROFILE=$STATE/kdc.conf KRB5RCACHEDIR=$STATE
	cat >"$KRB5_CONFIG" <<C
[libdefaults]
  default_realm = $REALM
  dns_lookup_kdc = false
  dns_lookup_realm = false
  rdns = false
[realms]
  $REALM = {
    kdc = 127.0.0.1:8888
  }
C
	cat >"$KRB5_KDC_PROFILE" <<C
[kdcdefaults]
  kdc_listen = 127.0.0.1:8888
  kdc_tcp_listen = 127.0.0.1:8888
[realms]
  $REALM = {
    database_name = $STATE/principal
    key_stash_file = $STATE/stash
    acl_file = $STATE/acl
  }
[logging]
  kdc = FILE:$STATE/kdc.log
C
	kdb5_util create -s -r $REALM -P master-of-the-lab >"$STATE/realm.log" 2>&1 || return 1
	for who in gwa gwb third; do kadmin.local -q "addprinc -randkey host/$who@$REALM"; done >>"$STATE/realm.log" 2>&1
	for who in gwa gwb; do
		kadmin.local -q "ktadd -k $STATE/$who.keytab host/$who@$REALM" >>"$STATE/realm.log" 2>&1
		chmod 600 "$STATE/$who.keytab" || return 1
	done
}

# kdc_up NS: the KDC there; its pid in KDC_PID
kdc_up() {
	bg "$1" "$STATE/kdc-$1.log" krb5kdc -n -r $REALM
	KDC_PID=$BG_PID
	until_true 5 in_ns "$1" sh -c "ss -Hlun sport = :8888 | grep -q ."
}

# gateway NAME SITE PRINCIPAL REMOTE_PRINCIPAL START
gateway() {
	local site=$2 other=$((3 - $2))
	mkdir -p "$STATE/$1"
	{
		shrike_system "$1" "10.9.0.$site" "10.$site.0.254"
		cat <<C
routes:
  - to: 10.$site.0.0/16
    via: 10.$site.0.1
peers:
  - name: other
    local: 10.9.0.$site
    remote: 10.9.0.$other
    auth: kerberos
    principal: host/$3@$REALM
    keytab: $STATE/$3.keytab
    remote-principal: host/$4@$REALM
    proposals: [aes256-sha256-modp2048]
    retries: 2
    children:
      - name: net
        local: [10.$site.0.0/16]
        remote: [10.$other.0.0/16]
        proposals: [aes128gcm16]
        start: $5
C
	} >"$STATE/$1/shrike.yaml"
}

# gateways REMOTE_OF_A REMOTE_OF_B: both anew, a calls
gateways() {
	shrike_down a
	shrike_down b
	gateway b 2 gwb "$2" passive
	gateway a 1 gwa "$1" "${A_STARTS:-on-demand}"
	shrike_up b p && shrike_up a s && return
	fail "kerberos a gateway does not start"
	return 1
}

says() { shrikectl "$1" why other | grep -q "$2"; }
ping_through() { in_ns ha ping -q -c 1 -W 1 10.2.0.1 >/dev/null 2>&1; }
# One of two that come so close behind each other goes again: either will do.
made_as() { shrikectl "$1" stats --json | jq -e "[.main_mode_sas[] | select(.state != \"connecting\" and .role == \"$2\")] | length > 0"; }
no_pairs() { [ "$(shrikectl "$1" stats --json | jq '[.quick_mode_sas[] | select(.state == "current")] | length')" = 0 ]; }
story() { { shrikectl a why other; shrikectl b why other; } 2>&1 | tail -n 12 | tr -s '\n\t ' ' '; }

# refused NAME GATEWAY PATTERN REMOTE_OF_A REMOTE_OF_B
refused() {
	gateways "$4" "$5" || return
	timeout 15 "$SHRIKECTL" -s "$STATE/a/control.sock" up other/net >/dev/null 2>&1 &
	local job=$!
	if ! until_true 20 says "$2" "$3"; then
		fail "kerberos/$1 gateway $2 does not say '$3': $(story)"
	elif ! no_pairs a || ! no_pairs b || ping_through; then
		fail "kerberos/$1 there is an SA, or a ping passes"
	else
		pass "kerberos/$1 \"$(shrikectl "$2" why other | grep -o "$3.*" | head -n 1)\""
	fi
	kill $job 2>/dev/null
	wait $job 2>/dev/null
}

lab_init kerberos
command -v krb5kdc >/dev/null && command -v kadmin.local >/dev/null || { skip "kerberos krb5-kdc is not installed"; exit 0; }
have_shrike || { skip "kerberos shrike is not built in $BUILD"; exit 0; }
netns_add ha && netns_add s && netns_add p && netns_add hb
link_add ha h0 s lan && link_add s wan p wan && link_add p lan hb h0
host_add ha h0 1 10.1.0.254
host_add hb h0 2 10.2.0.254
realm_new || { tail -n 5 "$STATE/realm.log" >&2; fail "kerberos the realm cannot be made"; exit 1; }
kdc_up p && kdc_up s || { fail "kerberos the KDC does not start"; exit 1; }

A_STARTS=immediate gateways gwb gwa || exit 1
if ! until_true 20 ping_through; then
	fail "kerberos/up no ping: $(story)"
elif ! says b "it is the principal host/gwa@$REALM"; then
	fail "kerberos/up no principal was seen: $(story)"
else
	pass "kerberos/up ping; b: \"$(shrikectl b why other | grep -o "it is the principal.*" | head -n 1)\""
fi
shrikectl b rekey other >/dev/null
if until_true 15 made_as b initiator && until_true 5 ping_through; then
	pass "kerberos/other-role b was the initiator of another, ping"
else
	fail "kerberos/other-role $(story)"
fi

refused wrong-principal b "the identity of other differs: expected principal host/third@$REALM, received principal host/gwa@$REALM" gwb third
refused unknown-principal a "Kerberos with other: .*not found in Kerberos database" nobody gwa
refused no-key b "Kerberos with other: .*[Nn]o key\|Kerberos with other: .*keytab" third gwa
end_pid "$KDC_PID"
refused no-kdc a "Kerberos with other: .*[Cc]annot contact any KDC" gwb gwa
shrike_alive a && shrike_alive b || fail "kerberos a gateway is gone"
exit 0
