#!/usr/bin/env bash
# What phase 2 can agree on besides the everyday algorithms, with strongSwan on a Linux kernel (User Mode Linux),
# each in both roles: ciphers with salts, ESN, SHA-256 at 96 bits, NULL, GMAC, AH, and transport mode. When strongSwan
# begins in another mode than ours, "shrikectl why" has the line that mends it (as the responder it takes either).
# shellcheck disable=SC2034
FLAVOUR=uml
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"

AH="esp_proposals="
GATEWAYS="local_ts=10.9.0.2/32 remote_ts=10.9.0.1/32 mode=transport"
SWAN_CHILDREN="ctr 1 aes128ctr-sha256
ctr256 2 aes256ctr-sha512
gcm8 3 aes192gcm8
gcm12 4 aes256gcm12
gmac 5 aes128gmac
null 6 null-sha384
sha96 7 aes128-sha256 sha256_96=yes
tdes 8 3des-md5
esn 9 aes128gcm16-esn
esn-cbc 10 aes256-sha256-esn
ah 11 none ah_proposals=sha256 $AH
ah-sha1 12 none ah_proposals=sha1 $AH
ah-esn 13 none ah_proposals=sha512-esn $AH
transport 14 aes128gcm16 $GATEWAYS"
OURS="local=[10.9.0.1] remote=[10.9.0.2] mode=transport"
SHRIKE_CHILDREN="ctr 1 aes128ctr-sha256
ctr256 2 aes256ctr-sha512
gcm8 3 aes192gcm8
gcm12 4 aes256gcm12
gmac 5 aes128gmac
null 6 null-sha384
sha96 7 aes128-sha256_96
tdes 8 3des-md5
esn 9 aes128gcm16-esn
esn-cbc 10 aes256-sha256-esn
ah 11 ah-sha256
ah-sha1 12 ah-sha1
ah-esn 13 ah-sha512-esn
transport 14 aes128gcm16 $OURS"
ONLY=${1:-}

# agreed ALGORITHMS: what the youngest SA pair has
agreed() {
	local got
	got=$(algorithms quick_mode)
	[ "$got" = "$1" ] || { echo "the SA pair has $got"; return 1; }
	echo "$got"
}

# The gateways themselves: nobody else can ping through transport mode.
gateways_ping() { peer_run peer "ping -q -c 3 -i 0.3 -W 2 10.9.0.1" | grep -q ' 0% packet loss'; }

# The counters say that the pings went through the SA pair, and not beside it.
transport_case() {
	local role name got
	for role in initiator responder; do
		name=$FLAVOUR/phase2/$1/$role
		clean_slate
		if ! start_child $role transport; then
			fail "$name not negotiated: $(reason)"
		elif ! gateways_ping; then
			fail "$name negotiated, but no ping passes: $(reason)"
		else
			got=$(shrikectl gw stats --json | jq -r '[.quick_mode_sas[] | select(.state == "current") |
				"\(.mode) \(.direction) \(.packets >= 3) \(.udp_encapsulation)"] | sort | join(", ")')
			[ "$got" = "transport in true $2, transport out true $2" ] || { fail "$name $got"; continue; }
			pass "$name 3 pings through the SAs, UDP encapsulation: $2"
		fi
	done
}

# mode_case OURS THEIRS
mode_case() {
	local name=$FLAVOUR/phase2/mode-$1/responder line
	SWAN_CHILDREN="transport 14 aes128gcm16 local_ts=10.9.0.2/32 remote_ts=10.9.0.1/32 mode=$2"
	SHRIKE_CHILDREN="transport 14 aes128gcm16 local=[10.9.0.1] remote=[10.9.0.2] mode=$1"
	clean_slate
	swan_reload && shrike_reload || { fail "$name not loaded: $(reason)"; return; }
	if start_child responder transport; then
		fail "$name was negotiated: $(shrikectl gw sa | tr '\n' ' ')"
		return
	fi
	line=$(shrikectl gw why gw-b --json | jq -r '[.diagnoses[] | select(.code == "mode")][0].mend.lines[0]')
	if [ "$line" != "mode: $2" ]; then
		fail "$name the line that mends it is '$line': $(reason)"
		return
	fi
	SHRIKE_CHILDREN="${SHRIKE_CHILDREN%mode=*}${line/: /=}"
	if shrike_reload && start_child responder transport; then
		pass "$name $(shrikectl gw why gw-b --json | jq -r '[.diagnoses[] | select(.code == "mode")][0].text // "mended"'); $line"
	else
		fail "$name '$line' does not mend it: $(reason)"
	fi
}

site_up phase2
while read -r name k esp _; do
	[ -z "$ONLY" ] || [ "$ONLY" = "$name" ] || continue
	[ "$name" = transport ] || both_roles "$FLAVOUR/phase2/$name" "$name" "$k" agreed "$esp"
done <<<"$SHRIKE_CHILDREN"
if [ -z "$ONLY" ] || [ "$ONLY" = transport ]; then
	transport_case transport false
	SWAN_BEFORE=$SWAN_CHILDREN SHRIKE_BEFORE=$SHRIKE_CHILDREN
	mode_case tunnel transport
	mode_case transport tunnel
	SWAN_CHILDREN=$SWAN_BEFORE SHRIKE_CHILDREN=$SHRIKE_BEFORE
	# Both say that they sit behind a NAT, so that NAT-OA is sent and read (RFC 3947 section 5.2).
	SWAN_ENCAP=yes ENCAP=force
	SWAN_CHILDREN=${SWAN_CHILDREN##*$'\n'} SHRIKE_CHILDREN=${SHRIKE_CHILDREN##*$'\n'}
	clean_slate
	if swan_reload && shrike_reload; then
		transport_case transport-udp true
	else
		fail "$FLAVOUR/phase2/transport-udp not loaded: $(reason)"
	fi
fi
the_end phase2
