#!/usr/bin/env bash
# shrike and strongSwan, each as initiator and as responder. Argument: libipsec (ESP in UDP) or uml (plain ESP).
#
#   matrix     every ESP algorithm, with and without PFS: negotiate, ping, 50 MB of TCP with a checksum
#   rekey      either side replaces the keys of either phase while pings pass: none may be lost
#   secret     a wrong pre-shared key fails on both sides, and shrike says why
#   tshark     what shrike sent decodes without a malformed payload, also inside the encryption
FLAVOUR=${1:-libipsec}
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"

MEGABYTES=${MEGABYTES:-50}
CHILDREN="gcm128 1 aes128gcm16
gcm256 2 aes256gcm16
cbc-sha1 3 aes128-sha1
cbc-sha256 4 aes256-sha256
gcm128-pfs 5 aes128gcm16-modp2048
cbc-sha256-pfs 6 aes256-sha256-modp2048"

# Inbound and outbound SPI of the peer's youngest SA pair for gcm128, and the cookies of its ISAKMP SA.
child_spis() {
	swan peer --list-sas --child gcm128 | tr -d '#,' | awk '
		/reqid/ { young = /INSTALLED/ && $2 > newest; if (young) newest = $2 }
		young && $1 == "in" { inbound = $2 }
		young && $1 == "out" { print inbound, $2 }' | tail -n 1
}

peer_cookies() {
	swan peer --list-sas | tr -d '#,*' | awk '/ESTABLISHED IKEv1/ && $2 > newest { newest = $2; cookies = $5 " " $6 }
		END { print cookies }'
}

# matrix ROLE CHILD K
matrix() {
	local name=$FLAVOUR/$1/$2 result put get
	if ! start_child "$1" "$2"; then
		fail "$name not negotiated: $(reason)"
		return
	fi
	if ! ping_one "10.1.$3.1" "10.2.$3.1"; then
		fail "$name negotiated, but no ping passes"
		return
	fi
	if ! put=$(in_ns h "$HERE/transfer.py" put "10.2.$3.1" 5001 $((MEGABYTES * 1000000)) "10.1.$3.1" 2>&1); then
		fail "$name transfer to the peer: ${put##*$'\n'}"
		return
	fi
	if ! get=$(in_ns h "$HERE/transfer.py" get "10.2.$3.1" 5001 5000000 "10.1.$3.1" 2>&1); then
		fail "$name transfer from the peer: ${get##*$'\n'}"
		return
	fi
	pass "$name ping; $MEGABYTES MB there in ${put#* } s, 5 MB back in ${get#* } s, checksums agree"
}

# rekey NAME BEFORE_AFTER_FUNCTION COMMAND...: replaces keys under 4 s of pings
rekey() {
	local name=$FLAVOUR/rekey/$1 state=$2 before after
	shift 2
	before=$($state)
	ping_flood 10.1.1.1 10.2.1.1 4
	sleep 1
	"$@" >"$STATE/why" 2>&1 || sed -i '$s/^/the command failed: /' "$STATE/why"
	sleep 1
	after=$($state)
	ping_wait
	if [ -z "$after" ] || [ "$before" = "$after" ]; then
		fail "$name nothing was replaced ($before): $(reason)"
	elif [ "$PING_LOST" != 0 ]; then
		fail "$name $PING_LOST of $PING_SENT pings lost"
	else
		pass "$name $PING_SENT pings, 0 lost ($before -> $after)"
	fi
}

# By name it would also begin a Main Mode for the old SA, which lives on for some seconds.
rekey_newest() {
	swan peer --rekey --ike-id "$(swan peer --list-sas | sed -n 's/^t: #\([0-9]*\), ESTABLISHED.*/\1/p' | sort -n | tail -n 1)"
}

# Either side's phase 2 and phase 1 lifetimes end at the same moment on both: here by hand, one after the other.
rekey_all() {
	clean_slate
	if ! start_child initiator gcm128 || ! ping_one 10.1.1.1 10.2.1.1; then
		fail "$FLAVOUR/rekey not negotiated: $(reason)"
		return
	fi
	rekey child-by-shrike child_spis shrikectl gw rekey gw-b/gcm128
	rekey child-by-strongswan child_spis swan peer --rekey --child gcm128
	rekey phase1-by-shrike peer_cookies shrikectl gw rekey gw-b
	rekey phase1-by-strongswan peer_cookies rekey_newest
	rekey child-by-shrike-after-phase1 child_spis shrikectl gw rekey gw-b/gcm128
}

# restart_both IKE_PROPOSAL SHRIKE_SECRET: strongSwan only reloads, it keeps its own secret
restart_both() {
	shrike_down gw
	swan peer --terminate --ike t --timeout 3 >/dev/null 2>&1
	SWAN_IKE=$1 swan_conf peer 2 <<<"$CHILDREN"
	swan peer --load-all --file "$STATE/peer/swanctl/swanctl.conf" >/dev/null 2>&1
	SHRIKE_IKE=$1 SHRIKE_PSK=$2 shrike_conf gw <<<"$CHILDREN"
	shrike_up gw s
}

# wrong_secret_case ROLE PATTERN: "shrikectl why" says it at once, the log at the latest when the attempt ends
# (as responder: 30 seconds after its beginning, for until then the right message could still come).
wrong_secret_case() {
	local name=$FLAVOUR/wrong-secret/$1 said
	until_true 20 why_says "$2" || { fail "$name 'shrikectl why' does not say: $2"; return; }
	if ping_one 10.1.1.1 10.2.1.1; then
		fail "$name traffic passes"
		return
	fi
	until_true 40 grep -q "$2" "$STATE/gw/shrike.log" || { fail "$name the log does not say: $2"; return; }
	said=$(grep -o "$2.*" "$STATE/gw/shrike.log" | head -n 1)
	if [[ $said != *pre-shared\ key*site-b* ]]; then
		fail "$name the log does not name the secret's entry: $said"
	else
		pass "$name \"$said\""
	fi
}

why_says() { shrikectl gw why gw-b | grep -q "$1"; }

wrong_secret() {
	restart_both aes256-sha256-modp2048 "not the same words" || { fail "$FLAVOUR/wrong-secret no start"; return; }
	swan peer --initiate --child gcm128 --timeout 3 >/dev/null 2>&1
	swan peer --terminate --ike t --timeout 1 >/dev/null 2>&1
	wrong_secret_case responder "message 5 does not verify"
	shrikectl gw up gw-b/gcm128 >/dev/null 2>&1 &
	wrong_secret_case initiator "does not \(go on after\|answer Main Mode\) message 5"
	if grep -q 'not the same words' "$STATE/gw/shrike.log" <(shrikectl gw why gw-b); then
		fail "$FLAVOUR/wrong-secret/not-shown the log or 'shrikectl why' shows the secret itself"
	else
		pass "$FLAVOUR/wrong-secret/not-shown the secret itself is in no message"
	fi
}

# The keys stand in strongSwan's log, in the order of the Main Modes on the wire.
decode() {
	local name=$FLAVOUR/tshark keys=() cookie key total malformed encrypted opaque
	# Messages that were sent again, byte for byte: tshark would decrypt those with the wrong IV.
	editcap -I 34 -D 100000 "$STATE/all.pcap" "$STATE/wire.pcap" 2>/dev/null
	while read -r cookie key; do
		keys+=(-o "uat:ikev1_decryption_table:$cookie,$key")
	done < <(paste -d' ' <(main_mode_cookies) <(charon_keys))
	# Only what shrike itself sent; float to 4500 included.
	total=$(decode_count "ip.src == 10.9.0.1 && isakmp")
	malformed=$(decode_count "ip.src == 10.9.0.1 && isakmp && _ws.malformed")
	encrypted=$(decode_count "ip.src == 10.9.0.1 && isakmp.flag_e == 1")
	opaque=$(decode_count "ip.src == 10.9.0.1 && isakmp.flag_e == 1 && !isakmp.typepayload")
	if [ "$total" -lt 10 ] || [ "$encrypted" -lt 5 ]; then
		fail "$name only $total messages seen, $encrypted of them encrypted"
	elif [ "$malformed" != 0 ]; then
		fail "$name $malformed of $total messages are malformed"
	else
		pass "$name $total messages of shrike's, none malformed; $((encrypted - opaque)) of $encrypted encrypted ones decrypted"
	fi
}

# Initiator cookies of the Main Modes that came as far as message 5.
main_mode_cookies() {
	tshark -r "$STATE/wire.pcap" -Y 'isakmp.exchangetype == 2 && isakmp.flag_e == 1' -T fields -e isakmp.ispi 2>/dev/null |
		awk '!seen[$1]++'
}

charon_keys() {
	awk '/ encryption key Ka => /{ if (key) print key; key = ""; left = $7; next }
		left > 0 { n = left < 16 ? left : 16; for (i = 1; i <= n; i++) key = key $(i + 3); left -= n
			if (left == 0) { print tolower(key); key = "" } }' "$STATE/peer/charon.log"
}

decode_count() {
	tshark -r "$STATE/wire.pcap" "${keys[@]}" -Y "$1" 2>/dev/null | wc -l
}

lab_init "strongswan-$FLAVOUR"
why=$(swan_missing)
[ -z "$why" ] || { skip "$FLAVOUR $why"; exit 0; }
have_shrike || { skip "$FLAVOUR shrike is not built in $BUILD"; exit 0; }

shrike_site
netns_add p
link_add s wan p p0
SWAN_IKE_LOG=4 swan_conf peer 2 <<<"$CHILDREN"
swan_up peer p p0 || { fail "$FLAVOUR strongSwan does not start"; exit 1; }
peer_start peer "$HERE/transfer.py serve 5001"
wire_record s wan "$STATE/all.pcap" "$IKE_ONLY"
shrike_conf gw <<<"$CHILDREN"
shrike_up gw s || { fail "$FLAVOUR shrike does not start"; exit 1; }

[ "${MEGABYTES}" = 0 ] || for role in initiator responder; do
	clean_slate
	while read -r child k _; do
		matrix $role "$child" "$k"
	done <<<"$CHILDREN"
done
rekey_all
decode
wrong_secret
shrike_alive gw || fail "$FLAVOUR shrike is gone"
exit 0
