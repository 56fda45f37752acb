#!/usr/bin/env bash
# The keys that shrike writes for Wireshark, when it is asked to: tshark reads a recorded negotiation with
# strongSwan and the pings behind it, with nothing but the two exported files.
#
#   key-export/loud      the log, the statistics and "shrikectl status" say that it is on
#   key-export/private   nobody else may read the files; a directory that others can enter is refused
#   key-export/PROPOSAL  Main Mode's identities, Quick Mode's payloads and the inner packets are in clear
#   key-export/off       without it there are no files, and nothing says that it is on
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"

# conf PROPOSAL on|off
conf() {
	shrike_conf gw <<<"net 1 $1"
	[ "$2" = off ] || sed -i "s|^  run-dir:|  key-export: $STATE/keys\n  run-dir:|" "$STATE/gw/shrike.yaml"
}

# read_wire FILTER FIELD...: what tshark sees in the recording with the exported keys
read_wire() {
	local filter=$1 f fields=()
	for f in "${@:2}"; do fields+=(-e "$f"); done
	HOME=$STATE/home tshark -r "$STATE/wire.pcap" -o esp.enable_encryption_decode:TRUE -Y "$filter" -T fields \
		"${fields[@]}" 2>/dev/null
}

decoded() {
	local name=key-export/$1 ids inner
	shrike_down gw
	swan peer --terminate --ike t --force --timeout 1 >/dev/null 2>&1
	swan_conf peer 2 <<<"net 1 $1"
	swan peer --load-all --file "$STATE/peer/swanctl/swanctl.conf" >/dev/null 2>&1
	rm -f "$STATE"/keys/* "$STATE/wire.pcap"
	conf "$1" on
	shrike_up gw s || { fail "$name shrike does not start"; return; }
	wire_record p p0 "$STATE/wire.pcap"
	shrikectl gw up gw-b/net >/dev/null || { wire_stop; fail "$name no SAs"; return; }
	ping_one 10.1.1.1 10.2.1.1
	wire_stop
	rm -rf "$STATE/home"
	mkdir -p "$STATE/home/.config/wireshark"
	cp "$STATE"/keys/{ikev1_decryption_table,esp_sa} "$STATE/home/.config/wireshark/"
	ids=$(read_wire 'isakmp.exchangetype == 2 && isakmp.flag_e == 1' isakmp.id.data.fqdn | sort -u | tr '\n' ' ')
	inner=$(read_wire 'icmp && ip.addr == 10.2.1.1' icmp.type | sort -u | tr '\n' ' ')
	if [ "$ids" != "gwa gwb " ]; then
		fail "$name the identities of Main Mode are not in clear: '$ids'"
	elif ! read_wire 'isakmp.exchangetype == 32' isakmp.typepayload | grep -q 1; then
		fail "$name Quick Mode is not in clear"
	elif [ "$inner" != "0 8 " ]; then
		fail "$name the pings are not in clear: '$inner'"
	else
		pass "$name tshark shows both identities, Quick Mode's payloads, and echo request and reply"
	fi
}

lab_init key-export
why=$(swan_missing)
[ -z "$why" ] || { skip "key-export $why"; exit 0; }
command -v tshark >/dev/null || { skip "key-export tshark is not installed"; exit 0; }
have_shrike || { skip "key-export shrike is not built in $BUILD"; exit 0; }
shrike_site
netns_add p
link_add s wan p p0
swan_conf peer 2 <<<"net 1 aes128gcm16"
swan_up peer p p0 || { fail "key-export strongSwan does not start"; exit 1; }
mkdir -m 755 "$STATE/keys"

conf aes128gcm16 on
if "$SHRIKE" -c "$STATE/gw/shrike.yaml" >"$STATE/refused" 2>&1 || ! grep -q "must belong to us and have mode 0700" "$STATE/refused"; then
	fail "key-export/private a directory that others can enter was taken"
else
	pass "key-export/private a directory that others can enter is refused"
fi
chmod 700 "$STATE/keys"
for proposal in aes128gcm16 aes256-sha256 3des-sha1; do decoded $proposal; done
if grep -q "KEY EXPORT IS ON" "$STATE/gw/shrike.log" && shrikectl gw status | grep -q "KEY EXPORT IS ON" &&
	[ "$(shrikectl gw stats --json | jq -r .key_export)" = "$STATE/keys" ]; then
	pass "key-export/loud the log, the statistics and 'shrikectl status' say that it is on"
else
	fail "key-export/loud the log, the statistics or 'shrikectl status' is silent"
fi
if [ -n "$(find "$STATE/keys" -type f -perm /077)" ]; then
	fail "key-export/files others may read them"
else
	pass "key-export/files only their owner may read them"
fi
shrike_down gw
rm -rf "$STATE/keys"
: >"$STATE/gw/shrike.log"
conf 3des-sha1 off
shrike_up gw s
shrikectl gw up gw-b/net >/dev/null || fail "key-export/off no SAs"
if [ "$(shrikectl gw stats --json | jq -r .key_export)" != null ] || grep -qi "key export" "$STATE/gw/shrike.log" ||
	[ -e "$STATE/keys" ] || find "$STATE" -name esp_sa -not -path '*/home/*' | grep -q .; then
	fail "key-export/off something is exported without being asked for"
else
	pass "key-export/off nothing is exported unless it is asked for"
fi
exit 0
