# shellcheck shell=bash
# Certificates good and bad (pki_new), and what a negotiation with them must come to. Source lib.sh, strongswan.sh, site.sh
# and pki.sh first.

pki_new() {
	local d=$STATE/pki usage="keyUsage = digitalSignature" kind who
	mkdir -p "$d"
	ca_new "Lab" && ca_new "Other" && ca_new "Middle" "Lab" || return 1
	for who in gwa gwb; do
		for kind in RSA P-256 P-384 P-521; do
			key_new "$d/$who-$kind.key" $kind
			issue Lab "$d/$who-$kind.key" $who "$d/$who-$kind.pem" "subjectAltName = DNS:$who"$'\n'"$usage"
		done
		issue Lab "$d/$who-RSA.key" $who-dn "$d/$who-dn.pem" "$usage"
		issue Middle "$d/$who-RSA.key" $who "$d/$who-chain.pem" "subjectAltName = DNS:$who"$'\n'"$usage"
		issue Other "$d/$who-RSA.key" $who "$d/$who-stranger.pem" "subjectAltName = DNS:$who"$'\n'"$usage"
	done
	cat "$d/Middle/ca.pem" >>"$d/gwa-chain.pem"
	issue Lab "$d/gwb-RSA.key" gwb "$d/gwb-expired.pem" "subjectAltName = DNS:gwb" \
		-startdate 20200101000000Z -enddate 20210101000000Z
	issue Lab "$d/gwb-RSA.key" gwb "$d/gwb-revoked.pem" "subjectAltName = DNS:gwb"
	issue Lab "$d/gwb-RSA.key" gwc "$d/gwb-else.pem" "subjectAltName = DNS:gwc"
	openssl ca -config "$d/Lab/ca.cnf" -gencrl -out "$d/Lab/ca-before.crl" || return 1
	openssl ca -batch -config "$d/Lab/ca.cnf" -revoke "$d/gwb-revoked.pem" &&
		openssl ca -config "$d/Lab/ca.cnf" -gencrl -out "$d/Lab/ca.crl"
}

clean_slate() {
	swan peer --terminate --ike t --force --timeout 3 >/dev/null 2>&1
	until_true 5 no_sas
}

negotiate() {
	if [ "$1" = initiator ]; then
		timeout 10 "$SHRIKECTL" -s "$STATE/gw/control.sock" up gw-b/net >"$STATE/why" 2>&1
	else
		swan peer --initiate --child net --timeout "${2:-10}" >"$STATE/why" 2>&1
	fi
}

why_says() { shrikectl gw why gw-b | grep -q "$1"; }

# accepted NAME: in both roles, with a ping
accepted() {
	local role name
	for role in initiator responder; do
		name=$LAB_NAME/$1/$role
		clean_slate
		negotiate $role
		if ! ping_one 10.1.1.1 10.2.1.1; then
			fail "$name no ping: $(reason)"
		elif ! why_says "the certificate .* and its signature are good"; then
			fail "$name no certificate was checked"
		else
			pass "$name ping"
		fi
	done
}

# help_for ROLE CODE: the lines that would mend what this diagnosis found, and what helps elsewhere
help_for() {
	shrikectl gw why gw-b --json | jq -r --arg r "$1" --arg c "$2" \
		'.diagnoses[] | select(.role == $r and .code == $c) | .mend.lines[], .remedy'
}

helps() { help_for "$1" "$2" | grep -q -- "$3"; }

# refused NAME PATTERN [CODE HELP]: in both roles, with the reason, and what would help
refused() {
	local role
	for role in initiator responder; do
		refused_as $role "$@"
	done
}

# mended NAME WHAT: once that is done, in both roles
mended() {
	local name role
	for role in initiator responder; do
		name=$LAB_NAME/$1-mended/$role
		clean_slate
		negotiate $role
		if ping_one 10.1.1.1 10.2.1.1; then pass "$name ping; $2"; else fail "$name $2: $(reason)"; fi
	done
}

refused_as() {
	local name=$LAB_NAME/$2/$1
	clean_slate
	negotiate "$1" 3 &
	local job=$!
	if ! until_true 8 why_says "$3"; then
		fail "$name 'shrikectl why' does not say: $3; $(shrikectl gw why gw-b | tail -n 2 | tr '\n' ' ')"
	elif [ "$(shrikectl gw stats --json | jq '.quick_mode_sas | length')" != 0 ]; then
		fail "$name there is an SA"
	elif [ $# -gt 3 ] && ! until_true 3 helps "$1" "$4" "$5"; then
		fail "$name no diagnosis $4 that says what would help ($5), but: $(help_for "$1" "$4"; reason)"
	else
		pass "$name ${4:-} \"$(shrikectl gw why gw-b | grep -o "$3.*" | head -n 1)\"" \
			"$([ $# -lt 4 ] || help_for "$1" "$4" | grep -m 1 -- "$5")"
	fi
	kill $job 2>/dev/null
	wait $job 2>/dev/null
	shrike_down gw
	shrike_up gw s
}
