#!/usr/bin/env bash
# Misconfigurations made for real between shrike and strongSwan (kernel-libipsec), and what "shrikectl
# why" makes of each: its code, both sides' values, and what would mend it. Then that is done (a line of ours
# goes into the configuration as it was printed), and the tunnel must come up without that diagnosis.
#
#   diagnosis.sh [GROUP...]   each group in a lab of its own, side by side
#   diagnosis/NAME/ROLE       ROLE is shrike's
#
# In one role only: what the other side alone can know. As the initiator we are told NO-PROPOSAL-CHOSEN and nothing
# of the transforms; strongSwan as the responder takes our mode and our lifetimes without a word, and tells nobody
# that it wanted another exchange.
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"

CHILD="net 1 aes128gcm16"
CONF=
POLL=0.25 # many labs at once, but
LABS=6    # no more than those

# ------------------------------------------------------------------------------ the two sides -----

# No goodbye: it costs a second or two each time. The peer forgets what there was, too: what it begins next
# must not go under an SA that we have lost.
gw_kill() {
	swan peer --terminate --ike t --force --timeout 1 >/dev/null 2>&1
	shrike_kill gw
}

# ours 'LINE' [SED...]: shrike's configuration with that child, changed by sed expressions, started anew
ours() {
	gw_kill
	shrike_conf gw <<<"$1"
	CONF=$STATE/gw/shrike.yaml
	shift
	sed -i -e 's/retries: 3/retries: 2\n    retry-interval: 400ms/' "$CONF"
	[ $# = 0 ] || sed -i "${@/#/-e}" "$CONF"
	shrike_up gw s
}

# theirs 'CHILD' [SED...]: strongSwan's likewise, loaded into the running charon
theirs() {
	local file=$STATE/peer/swanctl/swanctl.conf
	swan_conf peer 2 <<<"$1"
	shift
	[ $# = 0 ] || sed -i "${@/#/-e}" "$file"
	swan peer --load-creds --clear --file "$file" >/dev/null 2>&1
	swan peer --load-all --file "$file" >"$STATE/peer/load.log" 2>&1
}

# blocked 'RULE': strongSwan's namespace drops what the nftables rule says, and nothing else any more
blocked() {
	in_ns p nft delete table ip lab 2>/dev/null # that of the scenario before
	in_ns p nft -f - <<<"table ip lab {
		chain in { type filter hook input priority 0; $1; };
		chain out { type filter hook output priority 0; $1; };
	};" && return
	skip "diagnosis/natt-blocked there are no nftables here"
	return 1
}

# natted: strongSwan's IKE and ESP-in-UDP leave from 10.9.0.3, and what comes to that address reaches it
natted() {
	in_ns p nft delete table ip lab 2>/dev/null
	in_ns p nft -f - <<<'table ip lab {
		chain out { type nat hook postrouting priority 100; ip saddr 10.9.0.2 udp dport { 500, 4500 } snat to 10.9.0.3; };
		chain in { type nat hook prerouting priority -100; ip daddr 10.9.0.3 udp dport { 500, 4500 } dnat to 10.9.0.2; };
	};' && return
	skip "diagnosis/identity-nat there is no NAT in this kernel"
	return 1
}

begin() {
	if [ "$1" = initiator ]; then
		"$SHRIKECTL" -s "$STATE/gw/control.sock" -t 12 up gw-b/net >"$STATE/begin.log" 2>&1 &
	else
		STRONGSWAN_CONF=$STATE/peer/strongswan.conf in_ns p "$STATE/swanctl" --initiate --child net --timeout 8 \
			--uri "unix://$(swan_socket peer)" >"$STATE/begin.log" 2>&1 &
	fi
	BEGUN=$!
}

begin_end() {
	kill $BEGUN 2>/dev/null
	wait $BEGUN 2>/dev/null
}

why() { shrikectl gw why gw-b --json; }

# a diagnosis of that code and role (and child, $ABOUT) that is not over, or nothing
diagnosis() {
	why | jq -c --arg c "$1" --arg r "$2" --arg a "${ABOUT:-}" \
		'[.diagnoses[] | select(.code == $c and .role == $r and ($a == "" or .child == $a))][0] // empty'
}

has_diagnosis() { [ -n "$(diagnosis "$1" "$2")" ]; }
tunnel_up() { [ "$(shrikectl gw stats --json | jq '[.quick_mode_sas[] | select(.state == "current")] | length')" -ge 2 ]; }

# mend LINE WHERE: puts it in place of the line with that key of the peer or its child, or adds it
mend() {
	python3 - "$CONF" "${1%%:*}" "$1" "$2" <<'C'
import re, sys
file, key, line, where = sys.argv[1:]
text = open(file).read()
head, peers = text.split('\npeers:', 1)
child = ', child ' in where
pattern = r'(?m)^%s%s:.*$' % (' ' * (8 if child else 4), re.escape(key))
if re.search(pattern, peers):
    peers = re.sub(pattern, lambda m: ' ' * (8 if child else 4) + line, peers, count=1)
else:
    peers = peers.rstrip('\n') + '\n' + ' ' * 8 + line + '\n' if child else \
        re.sub(r'(?m)^    children:', '    ' + line + '\n    children:', peers, count=1)
open(file, 'w').write(head + '\npeers:' + peers)
C
}

# scenario NAME ROLE CODE JQ [MEND_LINE_PATTERN]: begins in that role, waits for the diagnosis, checks it with
# a jq condition. With a pattern a line of "mend" must match it. Then the lines are applied (ONE_LINE=1: that one
# alone), or APPLY, a function, does what the diagnosis says (": nothing can"), and it must be up in the same role.
scenario() {
	local name=diagnosis/$1/$2 role=$2 code=$3 condition=$4 pattern=${5:-} found text help
	begin "$role"
	if ! until_true "${WAIT:-15}" has_diagnosis "$code" "$role"; then
		begin_end
		fail "$name no diagnosis $code, but: $(why | jq -c '[.diagnoses[] | [.code, .role, .text]], .last_error' | tr '\n' ' ')"
		return
	fi
	# what is seen first may be less than what is known in the end
	until_true "${SETTLE:-3}" diagnosis_is "$code" "$role" "$condition"
	begin_end
	found=$(diagnosis "$code" "$role")
	text=$(jq -r '.text' <<<"$found")
	if ! diagnosis_is "$code" "$role" "$condition"; then
		fail "$name is not as expected ($condition): $found"
	elif ! shrikectl gw why gw-b | grep -qF -- "$text"; then
		fail "$name the text of 'shrikectl why' lacks the sentence"
	elif ! grep -qF -- "$text" "$STATE/gw/shrike.log"; then
		fail "$name the log has no line of it: $text"
	elif ! help=$(helps "$found" "$pattern"); then
		fail "$name no line like '$pattern' mends it: $(jq -c '.mend' <<<"$found")"
	elif [ "${APPLY:-}" = : ] || mended "$name" "$role" "$code" "$help"; then
		pass "$name $text; $help"
	fi
}

# helps DIAGNOSIS PATTERN: what would mend it; the lines are in $STATE/mend, where they belong in $STATE/where
helps() {
	jq -r '.mend.lines[]' <<<"$1" >"$STATE/lines"
	jq -r '.mend.where' <<<"$1" >"$STATE/where"
	if [ -z "$2" ]; then
		jq -r '.remedy' <<<"$1"
		return
	fi
	if [ -n "${ONE_LINE:-}" ]; then grep -E -m 1 -- "$2" "$STATE/lines"; else cat "$STATE/lines"; fi >"$STATE/mend"
	grep -E -m 1 -- "$2" "$STATE/lines" | sed "s/^/$(cat "$STATE/where"): /"
	return "${PIPESTATUS[0]}"
}

# mended NAME ROLE CODE HELP: does it, and tries again
mended() {
	"${APPLY:-put_lines}"
	if ! "$SHRIKE" --check "$CONF" >"$STATE/check" 2>&1; then
		fail "$1 '$4' does not pass --check: $(grep -v warning "$STATE/check" | head -n 2 | tr '\n' ' ')"
		return 1
	fi
	gw_kill
	shrike_up gw s
	begin "$2"
	if ! until_true 12 tunnel_up; then
		begin_end
		fail "$1 '$4' does not mend it: $(why | jq -r '.last_error')"
		return 1
	fi
	begin_end
	! has_diagnosis "$3" "$2" && return
	fail "$1 '$4' is done, and still: $(diagnosis "$3" "$2" | jq -r .text)"
	return 1
}

put_lines() {
	local line
	if [[ $(cat "$STATE/where") == *", children" ]]; then
		sed 's/^/      /' "$STATE/mend" >>"$CONF"
	else
		while read -r line; do mend "$line" "$(cat "$STATE/where")"; done <"$STATE/mend"
	fi
}

# what no line of ours can mend
right_secret() { printf '%s' "$PSK_TEXT" >"$STATE/gw/site-b.psk"; }
right_name() { sed -i 's/local-id: .*/local-id: gwa/' "$CONF"; }
right_peer() { theirs "$CHILD"; }
open_ports() { in_ns p nft delete table ip lab; }

diagnosis_is() { diagnosis "$1" "$2" | jq -e "$3" >/dev/null; }

# differs WHAT OURS THEIRS: a condition for jq
differs() { printf '(.differences | any(.what == "%s" and .ours == "%s" and .theirs == "%s"))' "$1" "$2" "$3"; }

# ------------------------------------------------------------------------- phase 1 proposals ------

phase1_group() {
	SWAN_IKE=aes256-sha256-modp3072 theirs "$CHILD"
	ours "$CHILD"
	scenario phase1-group responder phase1-transform \
		"(.offer == 1 and .transform == 1 and .certain and $(differs GROUP modp2048 modp3072))" 'proposals: .*modp3072'
	ours "$CHILD"
	ONE_LINE=1 scenario phase1-group initiator phase1-refused '(.certain | not) and (.text | contains("NO-PROPOSAL-CHOSEN"))' 'proposals: '
	SWAN_IKE=aes128-sha256-modp2048 theirs "$CHILD"
	ours "$CHILD"
	scenario phase1-cipher responder phase1-transform "$(differs ENCR "AES-CBC with 256 bits" "AES-CBC with 128 bits")" 'proposals: '
	ours "$CHILD"
	ONE_LINE=1 scenario phase1-cipher initiator phase1-refused '.text | contains("NO-PROPOSAL-CHOSEN")' 'proposals: '
	SWAN_IKE=3des-sha1-modp2048 theirs "$CHILD"
	ours "$CHILD"
	scenario phase1-two responder phase1-transform "$(differs ENCR "AES-CBC with 256 bits" 3DES-CBC) and $(differs HASH sha256 sha1)" 'proposals: .*3des-sha1-modp2048'
	SWAN_IKE=aes256-sha512-modp2048 theirs "$CHILD"
	ours "$CHILD"
	scenario phase1-hash responder phase1-transform "$(differs HASH sha256 sha512) and (.differences | length == 1)" 'proposals: .*sha512'
	# a key of its own is all that strongSwan needs to offer signatures
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$STATE/key" -out "$STATE/peer/swanctl/x509/gwb.pem" \
		-subj /CN=gwb -addext subjectAltName=DNS:gwb >/dev/null 2>&1
	openssl rsa -traditional -in "$STATE/key" -out "$STATE/peer/swanctl/rsa/gwb.key" 2>/dev/null
	theirs "$CHILD" 's/auth = psk/auth = pubkey/' 's/id = gwb/&\n      certs = gwb.pem/'
	ours "$CHILD"
	APPLY=right_peer scenario phase1-auth responder phase1-transform "$(differs AUTH "pre-shared key" "RSA signatures")" '^auth: rsa'
}

# ------------------------------------------------------------------------------- who it is --------

who_group() {
	local role
	SWAN_PSK="another secret altogether" theirs "$CHILD"
	for role in initiator responder; do
		ours "$CHILD"
		APPLY=: scenario psk $role pre-shared-key '(.secret == "site-b") and (.text | contains("site-b"))' '^secret: site-b '
	done
	if grep -qrF "$PSK_TEXT" "$STATE/gw/shrike.log" || why | grep -qF "$PSK_TEXT" || shrikectl gw why gw-b | grep -qF "$PSK_TEXT"; then
		fail "diagnosis/psk/secret it tells the secret itself"
	else
		pass "diagnosis/psk/secret neither the log nor 'shrikectl why' holds the secret"
	fi
	theirs "$CHILD"
	for role in initiator responder; do
		SHRIKE_PSK="another secret altogether" ours "$CHILD"
		APPLY=right_secret scenario psk-ours $role pre-shared-key '.secret == "site-b"' '^secret: site-b '
		ours "$CHILD" 's/remote-id: .*/remote-id: gwc/'
		scenario identity $role identity "$(differs ID "FQDN gwc" "FQDN gwb")" '^remote-id: "gwb"$'
		ours "$CHILD" 's/local-id: .*/local-id: gwx/'
		APPLY=right_name scenario our-identity $role our-identity '(.differences[0].ours == "FQDN gwx") and (.text | contains("identity"))' 'local-id: '
	done
}

# A NAT at the peer's: shrike sees 10.9.0.3, and the peer calls itself by the address that it knows, 10.9.0.2.
nat_group() {
	local role
	ip -n "$P-p" addr add 10.9.0.3/24 dev p0
	SWAN_ID=10.9.0.2 theirs "$CHILD"
	for role in responder initiator; do
		natted || break
		SHRIKE_REMOTE=10.9.0.3 ours "$CHILD" '/remote-id:/d'
		scenario identity-nat $role identity "($(differs ID "IPv4 address 10.9.0.3" "IPv4 address 10.9.0.2")) and (.text | contains(\"NAT\"))" '^remote-id: "10.9.0.2"$'
	done
	open_ports
	ip -n "$P-p" addr del 10.9.0.3/24 dev p0
}

# ------------------------------------------------------------------------------- phase 2 ----------

phase2_group() {
	theirs "net 1 aes256gcm16"
	ours "$CHILD"
	scenario phase2-cipher responder phase2-transform "$(differs ENCR "AES-GCM-16 with 128 bits" "AES-GCM-16 with 256 bits")" 'proposals: .*aes256gcm16'
	ours "$CHILD"
	ONE_LINE=1 scenario phase2-cipher initiator phase2-refused '(.certain | not) and (.text | contains("NO-PROPOSAL-CHOSEN"))' 'proposals: .*other algorithms'
	theirs "net 1 aes128-sha1"
	ours "net 1 aes128-sha256"
	scenario phase2-integrity responder phase2-transform "$(differs AUTH HMAC-SHA256-128 HMAC-SHA1-96)" 'proposals: .*aes128-sha1'
}

pfs_group() {
	theirs "$CHILD"
	ours "net 1 aes128gcm16-modp2048"
	scenario pfs-ours responder pfs "$(differs GROUP modp2048 none)" '^proposals: \[aes128gcm16\]$'
	ours "net 1 aes128gcm16-modp2048"
	ONE_LINE=1 scenario pfs-ours initiator phase2-refused '.certain | not' 'wants no PFS'
	theirs "net 1 aes128gcm16-modp2048"
	ours "$CHILD"
	ONE_LINE=1 scenario pfs-theirs initiator phase2-refused '.certain | not' 'wants PFS'
	ours "$CHILD"
	begin responder
	if until_true 12 tunnel_up && [ "$(why | jq '.diagnoses | length')" = 0 ]; then
		pass "diagnosis/pfs-theirs/responder is no fault: who begins may have PFS"
	else
		fail "diagnosis/pfs-theirs/responder $(why | jq -c '.diagnoses, .last_error')"
	fi
	begin_end
	theirs "net 1 aes128gcm16-modp3072"
	ours "net 1 aes128gcm16-modp2048"
	scenario pfs-group responder pfs "$(differs GROUP modp2048 modp3072)" '^proposals: \[aes128gcm16-modp3072\]$'
}

selectors_group() {
	theirs "net 2 aes128gcm16"
	ours "$CHILD"
	scenario selectors responder selectors '.differences[0].theirs == "10.1.2.0/24 === 10.2.2.0/24"' 'name: new'
	ours "$CHILD"
	APPLY=right_peer scenario selectors initiator selectors '(.differences[0].ours == "10.1.1.0/24 === 10.2.1.0/24") and (.text | contains("INVALID-ID-INFORMATION"))'
	theirs "$CHILD" 's|local_ts = 10.2.1.0/24|local_ts = 10.2.1.0/25|'
	ours "$CHILD"
	scenario selectors-near responder selectors "$(differs REMOTE 10.2.1.0/24 10.2.1.0/25)" '^remote: \[10.2.1.0/25\]$'
	ours "$CHILD"
	scenario selectors-narrowed initiator selectors "$(differs REMOTE 10.2.1.0/24 10.2.1.0/25)" '^remote: \[10.2.1.0/25\]$'
	theirs "$CHILD" 's|local_ts = 10.2.1.0/24|local_ts = 10.2.1.0/24[tcp/443]|' 's|remote_ts = 10.1.1.0/24|remote_ts = 10.1.1.0/24[tcp]|'
	ours "$CHILD"
	scenario selectors-port responder selectors "$(differs PROTOCOL any 6) and $(differs REMOTE-PORT any 443)" '^remote-port: 443$'
	theirs "$CHILD" 's|local_ts = .*|local_ts = 10.9.0.2/32|' 's|remote_ts = .*|remote_ts = 10.9.0.1/32|'
	ours "$CHILD" 's|^        local: .*|        local: [10.9.0.1]|' 's|^        remote: .*|        remote: [10.9.0.2]\n        mode: transport|'
	# libipsec has no way to tunnel from its own address to ours
	APPLY=: scenario mode responder mode "$(differs MODE "UDP-encapsulated transport" "UDP-encapsulated tunnel")" '^mode: tunnel$'
}

# --------------------------------------------------------------------- other IKE, lifetimes -------

other_group() {
	theirs "$CHILD" 's/version = 1/version = 1\n    aggressive = yes/'
	ours "$CHILD"
	scenario aggressive responder exchange-type "$(differs EXCHANGE "IKEv1 Main Mode" "IKEv1 Aggressive Mode")" '^exchange: aggressive$'
	theirs "$CHILD"
	ours "$CHILD" 's/^    encapsulation: /    exchange: aggressive\n&/'
	scenario main responder exchange-type "$(differs EXCHANGE "IKEv1 Aggressive Mode" "IKEv1 Main Mode")" '^exchange: main$'
	theirs "$CHILD" 's/version = 1/version = 2/'
	ours "$CHILD"
	APPLY=right_peer scenario ikev2 responder exchange-type "$(differs EXCHANGE "IKEv1 Main Mode" IKEv2)"
	theirs "net 1 aes128gcm16 rekey_time=20m life_time=30m"
	ours "$CHILD"
	scenario lifetime responder lifetime "(.degraded and ($(differs SECONDS "3600 s" "1800 s")))" '^lifetime: 30m$'
	theirs "net 1 aes128gcm16 rekey_time=50m life_time=60m life_bytes=1024000000 rekey_bytes=900000000"
	ours "$CHILD"
	scenario lifetime-bytes responder lifetime "(.degraded and ($(differs KILOBYTES none "1024000 KB")))" '^lifetime-bytes: 1024000K$'
	SWAN_EXTRA=$'rekey_time = 50m\n    over_time = 10m' theirs "$CHILD"
	ours "$CHILD"
	scenario lifetime-phase1 responder lifetime "(.degraded and ($(differs SECONDS "14400 s" "3600 s")))" '^lifetime: 1h$'
}

# --------------------------------------------------------------------- what does not arrive -------

# libipsec cuts HMAC-SHA-256 at 128 bits and cannot do otherwise: ours is the side that cuts at 96
truncation_group() {
	local role
	for role in initiator responder; do
		theirs "net 1 aes256-sha256"
		ours "net 1 aes256-sha256_96"
		begin $role
		until_true 12 tunnel_up
		begin_end
		bg p "$STATE/ping.log" ping -q -i 0.1 -c 60 -I 10.2.1.1 10.1.1.1
		SETTLE=8 scenario truncation $role sha256-truncation "(.degraded and ($(differs ICV 96 128)))" '^proposals: \[aes256-sha256\]$'
		if ping_one 10.1.1.1 10.2.1.1; then
			pass "diagnosis/truncation-mended/$role ping"
		else
			fail "diagnosis/truncation-mended/$role no ping: $(why | jq -r '.last_error')"
		fi
	done
}

silence_group() {
	theirs "$CHILD"
	ours "$CHILD"
	blocked 'udp dport 4500 drop' || return
	APPLY=open_ports SETTLE=1 scenario natt-blocked initiator nat-t-blocked '.text | contains("4500")'
	blocked 'meta l4proto udp drop' || return
	ours "$CHILD"
	APPLY=open_ports scenario silent initiator silent '(.text | contains("UDP port 500")) and (.text | contains("message 1"))' '^remote: 10.9.0.2 '
	ours "$CHILD"
	begin initiator
	until_true 12 tunnel_up
	begin_end
	blocked 'meta l4proto udp drop' || return
	shrikectl gw rekey gw-b/net >/dev/null 2>&1
	ABOUT=net APPLY=open_ports scenario silent-quick initiator silent '(.text | contains("UDP port 4500")) and (.text | contains("Quick Mode"))'
}

# our half-open Main Mode gives up after 30 s
half_silence_group() {
	theirs "$CHILD"
	blocked 'udp dport 4500 drop' || return
	ours "$CHILD"
	APPLY=open_ports WAIT=45 SETTLE=1 scenario natt-blocked responder nat-t-blocked '.text | contains("4500")'
}

half_silence500_group() {
	theirs "$CHILD"
	blocked 'ip saddr 10.9.0.1 udp dport 500 drop' || return
	ours "$CHILD"
	APPLY=open_ports WAIT=45 SETTLE=1 scenario silent responder silent '(.text | contains("message 3 never came"))'
}

group() {
	local why
	lab_init diagnosis
	why=$(swan_missing)
	[ -z "$why" ] || { skip "diagnosis/$1 $why"; exit 0; }
	have_shrike || { skip "diagnosis/$1 shrike is not built in $BUILD"; exit 0; }
	shrike_site
	netns_add p
	link_add s wan p p0
	swan_conf peer 2 <<<"$CHILD"
	swan_up peer p p0 || { fail "diagnosis/$1 strongSwan does not start"; exit 1; }
	"${1}_group"
	shrike_alive gw || fail "diagnosis/$1 shrike is gone"
	exit 0
}

[ $# != 1 ] || group "$1"
[ $# -gt 0 ] || set -- half_silence half_silence500 who phase1 selectors other pfs phase2 nat truncation silence
out=$(mktemp -d) pids=() running=0
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$out"' EXIT
for g in "$@"; do
	[ $((running++)) -lt $LABS ] || wait -n
	"$0" "$g" >"$out/$g" &
	pids+=($!)
done
for p in "${pids[@]}"; do wait "$p" || FAILED=1; done
for g in "$@"; do cat "$out/$g"; done
exit $FAILED
