#!/usr/bin/env bash
# ike-scan against shrike, in Main Mode and in Aggressive Mode.
#
#   matrix      of transforms: exactly those are answered that are configured
#   psk-crack   finds our secret by the HASH_R of Aggressive Mode, so the hash is right; and not another one
#   malformed   what RFC 2408 lets a peer do is answered, the rest refused or dropped; shrike lives through all of it
. "$(dirname "$0")/lib.sh"

GOOD="(1=7,14=256,2=4,3=1,4=14)" # AES-256, SHA2-256, PSK, group 14
POOR="(1=1,2=1,3=1,4=1)"         # DES, MD5, PSK, group 1
AGGRESSIVE=(--aggressive --id=scan14 --idtype=2 --dhgroup=14)

scan() {
	in_ns p ike-scan --sport=0 --retry=1 --timeout=${SCAN_TIMEOUT:-700} --nodns "$@" 10.9.0.1 2>&1
}

alive() { shrike_alive gw && shrikectl gw status >/dev/null; }

# expect NAME PATTERN OPTION...
expect() {
	local name=ike-scan/$1 pattern=$2 out
	shift 2
	out=$(scan "$@")
	if grep -q "$pattern" <<<"$out"; then
		pass "$name $(grep -o "$pattern[^(]*" <<<"$out" | head -n 1)"
	else
		fail "$name expected '$pattern', got: $(tail -n 1 <<<"$out")"
	fi
}

# Each damage on its own; none may be answered with a handshake.
damaged() {
	local name=ike-scan/$1 out
	shift
	out=$(scan "$@")
	if grep -q 'Handshake returned' <<<"$out"; then
		fail "$name was answered with a handshake"
	elif ! alive; then
		fail "$name and shrike is gone"
	else
		pass "$name refused: $(grep -oE 'Notify message [0-9]+ \([A-Z-]*\)|0 returned handshake; 0 returned notify' <<<"$out" | head -n 1)"
	fi
}

# Several at once: NAME answered|refused, then lines of options on standard input. One line for all of them.
each() {
	local name=ike-scan/$1 what=$2 line out n=0 wrong=()
	while read -r line; do
		n=$((n + 1))
		# shellcheck disable=SC2086
		out=$(SCAN_TIMEOUT=400 scan $line)
		if grep -q 'Handshake returned' <<<"$out"; then
			[ "$what" = answered ] || wrong+=("[$line] answered")
		else
			[ "$what" = refused ] || wrong+=("[$line] not answered: $(tail -n 1 <<<"$out")")
		fi
	done
	if ! alive; then
		fail "$name and shrike is gone"
	elif [ ${#wrong[@]} -gt 0 ]; then
		fail "$name ${wrong[*]}"
	else
		pass "$name $n forms, all $what"
	fi
}

# matrix MODE CONFIGURED: three ciphers, four hashes and three groups, and those of them that must be answered
matrix() {
	local e h g t want got n=0 yes=0 wrong=() options
	for g in 2 5 14; do
		options=()
		[ "$1" = main ] || options=(--aggressive --id=scan$g --idtype=2 --dhgroup=$g)
		for e in 5,0 7,128 7,256; do
			for h in 1 2 4 5; do
				t="(1=${e%,*},14=${e#*,},2=$h,3=1,4=$g)"
				[ $e = 5,0 ] && t="(1=5,2=$h,3=1,4=$g)"
				want=no got=no
				[[ " $2 " == *" $e/$h/$g "* ]] && want=yes
				SCAN_TIMEOUT=250 scan "${options[@]}" --trans="$t" | grep -q 'Handshake returned' && got=yes
				[ $want = $got ] || wrong+=("$t: $got")
				[ $got = no ] || yes=$((yes + 1))
				n=$((n + 1))
			done
		done
	done
	if [ ${#wrong[@]} = 0 ]; then
		pass "ike-scan/matrix-$1 $n transforms, $yes answered, just as configured"
	else
		fail "ike-scan/matrix-$1 ${wrong[*]}"
	fi
}

# psk_crack WORD yes|no: whether the dictionary's WORD is found to be the secret behind our HASH_R
psk_crack() {
	local file=$STATE/crack out
	rm -f "$file"
	printf 'first guess\n%s\nlast guess\n' "$1" >"$STATE/words"
	scan "${AGGRESSIVE[@]}" --trans="(1=7,14=128,2=2,3=1,4=14)" --pskcrack="$file" >"$STATE/scan.out"
	out=$(psk-crack -d "$STATE/words" "$file" 2>&1)
	if ! [ -s "$file" ]; then
		fail "ike-scan/psk-crack no HASH_R: $(tail -n 1 "$STATE/scan.out")"
	elif grep -q "key \"$1\" matches SHA1 hash" <<<"$out"; then
		[ "$2" = yes ] && pass "ike-scan/psk-crack finds the secret" || fail "ike-scan/psk-crack finds another secret"
	else
		[ "$2" = no ] && pass "ike-scan/psk-crack no other word fits" || fail "ike-scan/psk-crack $(tail -n 2 <<<"$out" | tr '\n' ' ')"
	fi
}

# A connection from anywhere for each group, by its identity
scan_peers() {
	local g text=
	for g in "14 aes256-sha256-modp2048, aes128-sha1-modp2048" "5 3des-sha1-modp1536" "2 aes128-md5-modp1024"; do
		text+="  - name: scan${g%% *}\n    local: 10.9.0.1\n    remote: any\n    local-id: gwa\n    remote-id: scan${g%% *}\n"
		text+="    secret: site-b\n    exchange: aggressive\n    proposals: [${g#* }]\n"
	done
	sed -i "s|^peers:|peers:\n$text|" "$STATE/gw/shrike.yaml"
}

lab_init ike-scan
command -v ike-scan >/dev/null || { skip "ike-scan is not installed"; exit 0; }
have_shrike || { skip "ike-scan shrike is not built in $BUILD"; exit 0; }
shrike_site
netns_add p
link_add s wan p p0
ip -n "$P-p" addr add 10.9.0.2/24 dev p0
SHRIKE_PSK="opensesame42" SHRIKE_IKE="aes256-sha256-modp2048, aes128-sha1-modp1536, 3des-md5-modp1024, aes256-sha384-modp2048" \
	shrike_conf gw <<<"net 1 aes128gcm16"
scan_peers
shrike_up gw s || { fail "ike-scan shrike does not start"; exit 1; }

expect main-mode 'Main Mode Handshake returned' --trans="$GOOD"
expect second-transform 'Main Mode Handshake returned' --trans="$POOR" --trans="$GOOD"
expect aggressive 'Aggressive Mode Handshake returned' "${AGGRESSIVE[@]}" --trans="$GOOD"
damaged poor-transform --trans="$POOR"
matrix main "7,256/4/14 7,128/2/5 5,0/1/2 7,256/5/14"
matrix aggressive "7,256/4/14 7,128/2/14 5,0/2/5 7,128/1/2"
psk_crack opensesame42 yes
psk_crack opensesame43 no

damaged aggressive-unknown-identity --aggressive --id=nobody --idtype=2 --dhgroup=14 --trans="$GOOD"
damaged aggressive-other-group --aggressive --id=scan14 --idtype=2 --dhgroup=5 --trans="$GOOD"
damaged header-length-short --trans="$GOOD" --headerlen=20
damaged header-length-long --trans="$GOOD" --headerlen=+1000
damaged header-length-huge --trans="$GOOD" --headerlen=4294967295
damaged header-version --trans="$GOOD" --headerver=0x20
damaged flags-encrypted --trans="$GOOD" --hdrflags=1
damaged message-id --trans="$GOOD" --hdrmsgid=7
damaged next-payload --trans="$GOOD" --nextpayload=200
damaged responder-cookie --trans="$GOOD" --rcookie=0011223344556677
damaged doi --trans="$GOOD" --doi=9
damaged situation --trans="$GOOD" --situation=64
damaged protocol --trans="$GOOD" --protocol=77
damaged null-cookie --trans="$GOOD" --cookie=0000000000000000

A=${AGGRESSIVE[*]}
LONG=$(printf 'ab%.0s' {1..200})
sleep 1 # half-open places become free
each tolerated answered <<C
--trans=$GOOD --mbz=1
--trans=$GOOD --mbz=255
--trans=$GOOD --hdrflags=2
--trans=$GOOD --hdrflags=254
--trans=$GOOD --headerver=0x11
--trans=$GOOD --spisize=8
--trans=$GOOD --certreq=04
--trans=$GOOD --vendor=$LONG
--trans=$GOOD --lifetime=none
--trans=$GOOD --lifetime=0x0001e240 --lifesize=1000
C
sleep 1
each tolerated-aggressive answered <<C
$A --trans=$GOOD --mbz=255
$A --trans=$GOOD --hdrflags=2
$A --trans=$GOOD --headerver=0x1f
$A --trans=$GOOD --spisize=16
$A --trans=$GOOD --certreq=04
$A --trans=$GOOD --vendor=$LONG
$A --trans=$GOOD --noncelen=8
$A --trans=$GOOD --noncelen=255
C
each refused refused <<C
--transid=2 --trans=$GOOD
--trans=$GOOD --spisize=17
--trans=$GOOD --exchange=0
--trans=$GOOD --exchange=1
--trans=$GOOD --exchange=3
--trans=$GOOD --exchange=4
--trans=$GOOD --exchange=5
--trans=$GOOD --exchange=6
--trans=$GOOD --exchange=32
--trans=$GOOD --exchange=33
--trans=$GOOD --exchange=255
--trans=$GOOD --headerlen=29
--trans=$GOOD --headerlen=31
--trans=$GOOD --headerlen=-1
--trans=$GOOD --headerlen=+1
--trans=$GOOD --nextpayload=2
--trans=$GOOD --nextpayload=4
--trans=$GOOD --nextpayload=255
--trans=$GOOD --headerver=0x00
--trans=$GOOD --headerver=0xff
--trans=(1=7,14=256,2=4,3=3,4=14)
--trans=$GOOD --ikev2
$A --trans=$GOOD --hdrflags=1
$A --trans=$GOOD --hdrmsgid=1
$A --trans=$GOOD --doi=0
$A --trans=$GOOD --situation=0
$A --protocol=3 --trans=$GOOD
$A --transid=0 --trans=$GOOD
$A --trans=$GOOD --noncelen=7
$A --trans=$GOOD --noncelen=257
$A --trans=$GOOD --nextpayload=5
$A --trans=$GOOD --headerlen=-3
$A --trans=$GOOD --idtype=0
$A --trans=$GOOD --idtype=1
$A --trans=$GOOD --idtype=4
$A --trans=$GOOD --idtype=9
$A --trans=$GOOD --idtype=255
$A --trans=$GOOD --id=$LONG$LONG
C
sleep 1
expect after-all-that 'Main Mode Handshake returned' --trans="$GOOD"
expect after-all-that-aggressive 'Aggressive Mode Handshake returned' "${AGGRESSIVE[@]}" --trans="$GOOD"
exit 0
