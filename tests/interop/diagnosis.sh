#!/usr/bin/env bash
# Misconfigurations made for real between shrike and strongSwan (kernel-libipsec), and what "shrikectl
# why" makes of each: its code, both sides' values, and the lines that would mend it. Where a line of ours
# mends it, the scenario puts it into the configuration and waits for the tunnel.
#
#   diagnosis/NAME/ROLE   ROLE is shrike's
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"

CHILD="net 1 aes128gcm16"
CONF=

# ------------------------------------------------------------------------------ the two sides -----

# No goodbye: it costs a second or two each time, and the peer takes a new start for what it is.
gw_kill() {
	local pid
	pid=$(cat "$STATE/gw/shrike.pid" 2>/dev/null) || return 0
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
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
	swan peer --terminate --ike t --force --timeout 1 >/dev/null 2>&1
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

# a diagnosis of that code and role that is not over, or nothing
diagnosis() {
	why | jq -c --arg c "$1" --arg r "$2" '[.diagnoses[] | select(.code == $c and .role == $r)][0] // empty'
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
# a jq condition. With a pattern a line of "mend" must match it; then it is applied and must mend.
scenario() {
	local name=diagnosis/$1/$2 role=$2 code=$3 condition=$4 pattern=${5:-} found line where
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
	if ! diagnosis_is "$code" "$role" "$condition"; then
		fail "$name is not as expected ($condition): $found"
		return
	fi
	if ! shrikectl gw why gw-b | grep -qF -- "$(jq -r '.text' <<<"$found")"; then
		fail "$name the text of 'shrikectl why' lacks the sentence"
		return
	fi
	if ! grep -qF -- "$(jq -r '.text' <<<"$found")" "$STATE/gw/shrike.log"; then
		fail "$name the log has no line of it: $(jq -r .text <<<"$found")"
		return
	fi
	if [ -z "$pattern" ]; then
		pass "$name $(jq -r '.text' <<<"$found"); $(jq -r '.remedy' <<<"$found")"
		return
	fi
	line=$(jq -r '.mend.lines[]' <<<"$found" | grep -E -m 1 -- "$pattern")
	where=$(jq -r '.mend.where' <<<"$found")
	if [ -z "$line" ]; then
		fail "$name no line like '$pattern' mends it: $(jq -c '.mend' <<<"$found")"
		return
	fi
	[ -n "${NOT_APPLIED:-}" ] || jq -r '.mend.lines[]' <<<"$found" | { 
		if [ -n "${ONE_LINE:-}" ]; then grep -E -m 1 -- "$pattern"; else cat; fi; } >"$STATE/mend"
	if [ -z "${NOT_APPLIED:-}" ]; then
		if [[ $where == *", children" ]]; then
			sed 's/^/      /' "$STATE/mend" >>"$CONF"
		else
			while read -r l; do mend "$l" "$where"; done <"$STATE/mend"
		fi
		if ! "$SHRIKE" --check "$CONF" >"$STATE/check" 2>&1; then
			fail "$name '$line' does not pass --check: $(grep -v warning "$STATE/check" | head -n 2 | tr '\n' ' ')"
			return
		fi
		gw_kill
		shrike_up gw s
		swan peer --terminate --ike t --force --timeout 1 >/dev/null 2>&1
		begin "$role"
		if ! until_true 12 tunnel_up; then
			begin_end
			fail "$name '$line' does not mend it: $(why | jq -r '.last_error')"
			return
		fi
		begin_end
	fi
	pass "$name $(jq -r '.text' <<<"$found"); $where: $line"
}

diagnosis_is() { diagnosis "$1" "$2" | jq -e "$3" >/dev/null; }

# differs WHAT OURS THEIRS: a condition for jq
differs() { printf '(.differences | any(.what == "%s" and .ours == "%s" and .theirs == "%s"))' "$1" "$2" "$3"; }

lab_init diagnosis
why=$(swan_missing)
[ -z "$why" ] || { skip "diagnosis $why"; exit 0; }
have_shrike || { skip "diagnosis shrike is not built in $BUILD"; exit 0; }
shrike_site
netns_add p
link_add s wan p p0
swan_conf peer 2 <<<"$CHILD"
swan_up peer p p0 || { fail "diagnosis strongSwan does not start"; exit 1; }

# ------------------------------------------------------------------------- phase 1 proposals ------
SWAN_IKE=aes256-sha256-modp3072 theirs "$CHILD"
ours "$CHILD"
scenario phase1-group responder phase1-transform \
	"(.offer == 1 and .transform == 1 and .certain and $(differs GROUP modp2048 modp3072))" 'proposals: .*modp3072'
ours "$CHILD"
ONE_LINE=1 scenario phase1-group initiator phase1-refused '(.certain | not) and (.text | contains("NO-PROPOSAL-CHOSEN"))' 'proposals: '
SWAN_IKE=aes128-sha1-modp2048 theirs "$CHILD"
ours "$CHILD"
scenario phase1-cipher responder phase1-transform "$(differs ENCR "AES-CBC with 256 bits" "AES-CBC with 128 bits")" 'proposals: '

# ------------------------------------------------------------------------------- who it is --------
SWAN_PSK="another secret altogether" theirs "$CHILD"
ours "$CHILD"
for role in initiator responder; do
	NOT_APPLIED=1 scenario psk $role pre-shared-key '(.secret == "site-b") and (.text | contains("site-b"))' '^secret: site-b '
done
if grep -qrF "$PSK_TEXT" "$STATE/gw/shrike.log" || why | grep -qF "$PSK_TEXT" || shrikectl gw why gw-b | grep -qF "$PSK_TEXT"; then
	fail "diagnosis/psk/secret it tells the secret itself"
else
	pass "diagnosis/psk/secret neither the log nor 'shrikectl why' holds the secret"
fi
theirs "$CHILD"
ours "$CHILD" 's/remote-id: .*/remote-id: gwc/'
scenario identity responder identity "$(differs ID "FQDN gwc" "FQDN gwb")" '^remote-id: "gwb"$'
ours "$CHILD" 's/remote-id: .*/remote-id: gwc/'
scenario identity initiator identity "$(differs ID "FQDN gwc" "FQDN gwb")" '^remote-id: "gwb"$'
ours "$CHILD" 's/local-id: .*/local-id: gwx/'
NOT_APPLIED=1 scenario our-identity initiator our-identity '(.differences[0].ours == "FQDN gwx") and (.text | contains("identity"))' 'local-id: '

# A NAT at the peer's: shrike sees 10.9.0.3, and the peer calls itself by the address that it knows, 10.9.0.2.
ip -n "$P-p" addr add 10.9.0.3/24 dev p0
SWAN_ID=10.9.0.2 theirs "$CHILD"
for role in responder initiator; do
	natted || break
	SHRIKE_REMOTE=10.9.0.3 ours "$CHILD" '/remote-id:/d'
	scenario identity-nat $role identity "($(differs ID "IPv4 address 10.9.0.3" "IPv4 address 10.9.0.2")) and (.text | contains(\"NAT\"))" '^remote-id: "10.9.0.2"$'
done
in_ns p nft delete table ip lab 2>/dev/null
ip -n "$P-p" addr del 10.9.0.3/24 dev p0

# ------------------------------------------------------------------------------- phase 2 ----------
theirs "net 1 aes256gcm16"
ours "$CHILD"
scenario phase2-cipher responder phase2-transform "$(differs ENCR "AES-GCM-16 with 128 bits" "AES-GCM-16 with 256 bits")" 'proposals: .*aes256gcm16'
ours "$CHILD"
ONE_LINE=1 scenario phase2-cipher initiator phase2-refused '(.certain | not) and (.text | contains("NO-PROPOSAL-CHOSEN"))' 'proposals: .*other algorithms'
theirs "$CHILD"
ours "net 1 aes128gcm16-modp2048"
scenario pfs-ours responder pfs "$(differs GROUP modp2048 none)" '^proposals: \[aes128gcm16\]$'
theirs "net 1 aes128gcm16-modp2048"
ours "$CHILD"
ONE_LINE=1 scenario pfs-theirs initiator phase2-refused '.certain | not' 'wants PFS'
theirs "net 2 aes128gcm16"
ours "$CHILD"
scenario selectors responder selectors '.differences[0].theirs == "10.1.2.0/24 === 10.2.2.0/24"' 'name: new'
theirs "$CHILD" 's|local_ts = 10.2.1.0/24|local_ts = 10.2.1.0/25|'
ours "$CHILD"
scenario selectors-near responder selectors "$(differs REMOTE 10.2.1.0/24 10.2.1.0/25)" '^remote: \[10.2.1.0/25\]$'
ours "$CHILD"
scenario selectors-narrowed initiator selectors "$(differs REMOTE 10.2.1.0/24 10.2.1.0/25)" '^remote: \[10.2.1.0/25\]$'
theirs "net 2 aes128gcm16"
ours "$CHILD"
scenario selectors initiator selectors '(.differences[0].ours == "10.1.1.0/24 === 10.2.1.0/24") and (.text | contains("INVALID-ID-INFORMATION"))'
theirs "$CHILD" 's|local_ts = .*|local_ts = 10.9.0.2/32|' 's|remote_ts = .*|remote_ts = 10.9.0.1/32|'
ours "$CHILD" 's|^        local: .*|        local: [10.9.0.1]|' 's|^        remote: .*|        remote: [10.9.0.2]\n        mode: transport|'
NOT_APPLIED=1 scenario mode responder mode "$(differs MODE "UDP-encapsulated transport" "UDP-encapsulated tunnel")" '^mode: tunnel$'

# --------------------------------------------------------------------- other IKE, lifetimes -------
theirs "$CHILD" 's/version = 1/version = 1\n    aggressive = yes/'
ours "$CHILD"
scenario aggressive responder exchange-type "$(differs EXCHANGE "IKEv1 Main Mode" "IKEv1 Aggressive Mode")"
theirs "$CHILD" 's/version = 1/version = 2/'
ours "$CHILD"
scenario ikev2 responder exchange-type "$(differs EXCHANGE "IKEv1 Main Mode" IKEv2)"
theirs "net 1 aes128gcm16 rekey_time=20m life_time=30m"
ours "$CHILD"
scenario lifetime responder lifetime "(.degraded and ($(differs SECONDS "3600 s" "1800 s")))" '^lifetime: 30m$'

# --------------------------------------------------------------------- what does not arrive -------
# libipsec cuts HMAC-SHA-256 at 128 bits and cannot do otherwise: ours is the side that cuts at 96
theirs "net 1 aes256-sha256"
ours "net 1 aes256-sha256_96"
begin initiator
until_true 12 tunnel_up
begin_end
bg p "$STATE/ping.log" ping -q -i 0.1 -c 60 -I 10.2.1.1 10.1.1.1
SETTLE=8 scenario truncation initiator sha256-truncation "(.degraded and ($(differs ICV 96 128)))" '^proposals: \[aes256-sha256\]$'

theirs "$CHILD"
ours "$CHILD"
blocked 'udp dport 4500 drop' || exit 0
SETTLE=1 scenario natt-blocked initiator nat-t-blocked '.text | contains("4500")'
# our half-open Main Mode gives up after 30 s
ours "$CHILD"
WAIT=45 SETTLE=1 scenario natt-blocked responder nat-t-blocked '.text | contains("4500")'
blocked 'meta l4proto udp drop' || exit 0
ours "$CHILD"
NOT_APPLIED=1 scenario silent initiator silent '(.text | contains("UDP port 500")) and (.text | contains("message 1"))' '^remote: 10.9.0.2 '
in_ns p nft delete table ip lab
exit 0
