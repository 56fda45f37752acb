#!/usr/bin/env bash
# A Linux kernel (User Mode Linux, its keys from strongSwan) as the oracle for what the packet path makes of both
# families: every mix of inner and outer, with and without ESN, AH, transport mode, ESP in UDP over IPv6; through each
# of them pings of sizes from 1 to 9000 (STEP=1: every one) with DF set and not, and TCP. net_af_packet joins IPv4
# fragments before it passes them on: frames and buffers of 16 KB have room for them.
#
#   host h                   shrike                              guest: strongSwan and Linux' XFRM
#   10.1.K.1                 10.1.0.254 │ 10.9.0.1        ════   10.9.0.2         10.2.K.1
#   2001:db8:1:K::1    2001:db8:1::fe   │ 2001:db8:9::1   ════   2001:db8:9::2    2001:db8:2:K::1
#                                       │ 2001:db8:9::11         2001:db8:9::12   (for a second transport mode SA)
#
# One line for each scenario: PASS|FAIL|SKIP name detail. Argument: only children whose name begins like this, or "udp".
# shellcheck disable=SC2034
FLAVOUR=uml
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"
ONLY=${1:-}
STEP=${STEP:-97} # between the sizes of the long series; STEP=1: every size

# NAME (inner family, outer family) K PROPOSAL: what shrike calls it
CHILDREN="44-gcm 1 aes128gcm16
44-cbc-esn 2 aes256-sha256-esn
46-gcm 3 aes128gcm16
46-cbc-esn 4 aes256-sha256-esn
46-null 5 null-sha1
64-gcm-esn 6 aes256gcm16-esn
64-cbc 7 aes128-sha1
64-ctr 8 aes128ctr-sha256
66-gcm 9 aes128gcm16
66-gcm-esn 10 aes256gcm16-esn
66-cbc 11 aes256-sha512
66-gmac 12 aes128gmac
66-3des 13 3des-md5
66-ah 14 ah-sha256
66-ah-esn 15 ah-sha512-esn
64-ah 16 ah-sha1
46-ah-esn 17 ah-sha256-esn
44-ah 18 ah-sha384-esn
44-transport 19 ah-sha256
66-transport-ah 20 ah-sha512-esn
77-transport 21 aes256gcm16-esn"

# gateways FAMILY SIDE: our address and the other's; 7: the second ones of IPv6
gateways() {
	local a=10.9.0.1 b=10.9.0.2
	[ "$1" != 6 ] || a=2001:db8:9::1 b=2001:db8:9::2
	[ "$1" != 7 ] || a=2001:db8:9::11 b=2001:db8:9::12
	if [ "$2" = shrike ]; then echo "$a $b"; else echo "$b $a"; fi
}

# children OUTER-FAMILY SIDE: as that side's configuration has them
children() {
	local name k esp inner us them lines mode
	while read -r name k esp; do
		[ "${name:1:1}" = "$1" ] || continue
		inner=${name:0:1}
		case $2:$inner in
		shrike:4) us="10.1.$k.0/24" them="10.2.$k.0/24" ;;
		shrike:6) us="\"2001:db8:1:$k::/64\"" them="\"2001:db8:2:$k::/64\"" ;;
		swan:4) us="10.2.$k.0/24" them="10.1.$k.0/24" ;;
		swan:6) us="2001:db8:2:$k::/64" them="2001:db8:1:$k::/64" ;;
		esac
		mode=tunnel
		if [[ $name == *-transport* ]]; then
			mode=transport
			read -r us them < <(gateways "$1" "$2")
			[ "$2" = swan ] || us="\"$us\"" them="\"$them\""
		fi
		if [ "$2" = shrike ]; then
			printf '      - {name: %s, local: [%s], remote: [%s], proposals: [%s], mode: %s, start: passive}\n' "$name" "$us" "$them" "$esp" $mode
		else
			lines="esp_proposals = $esp"
			[[ $esp == ah-* ]] && lines=$(printf 'esp_proposals =\n        ah_proposals = %s' "${esp#ah-}")
			printf '      %s {\n        local_ts = %s\n        remote_ts = %s\n        mode = %s\n        %s\n      }\n' "$name" "$us" "$them" $mode "$lines"
		fi
	done <<<"$CHILDREN"
}

shrike_side() {
	local f us them
	mkdir -p "$STATE/gw"
	(umask 077 && printf '%s' "$PSK_TEXT" >"$STATE/gw/site-b.psk")
	{
		HOST_MTU=1500 shrike_system gw 10.9.0.1 10.1.0.254 | sed 's|\[10.9.0.1/24\]|[10.9.0.1/24, "2001:db8:9::1/64", "2001:db8:9::11/64"]|
			s|\[10.1.0.254/24\]|[10.1.0.254/24, "2001:db8:1::fe/64"]|
			s|iface=.*|&,framesz=16384,blocksz=65536,framecnt=256|; s|memory: .*|&\n  buffer-size: 16K\n  mbufs: 3072|'
		cat <<C
routes:
  - {to: 10.1.0.0/16, via: 10.1.0.1}
  - {to: "2001:db8:1::/48", via: "2001:db8:1::1"}
  - {to: 10.2.0.0/16, via: 10.9.0.2}
  - {to: "2001:db8:2::/48", via: "2001:db8:9::2"}
secrets:
  - {name: site-b, file: site-b.psk}
peers:
C
		for f in 4 6 7; do
			read -r us them < <(gateways $f shrike)
			cat <<C
  - name: gw-$f
    local: "$us"
    remote: "$them"
    local-id: gwa
    remote-id: gwb
    secret: site-b
    proposals: [aes256-sha256-modp2048]
    encapsulation: $([ $f != 4 ] && echo "${ENCAP:-auto}" || echo auto)
    dpd: 0
    children:
C
			children $f shrike
		done
	} >"$STATE/gw/shrike.yaml"
}

swan_side() {
	local f us them
	swan_conf peer 2 </dev/null
	{
		echo "connections {"
		for f in 4 6 7; do
			read -r us them < <(gateways $f swan)
			cat <<C
  c$f {
    version = 1
    local_addrs = $us
    remote_addrs = $them
    proposals = aes256-sha256-modp2048
    encap = $([ $f != 4 ] && [ "${ENCAP:-auto}" = force ] && echo yes || echo no)
    local {
      auth = psk
      id = gwb
    }
    remote {
      auth = psk
      id = gwa
    }
    children {
C
			children $f swan
			printf '    }\n  }\n'
		done
		printf '}\nsecrets {\n  ike-1 {\n    secret = "%s"\n  }\n}\n' "$PSK_TEXT"
	} >"$STATE/peer/swanctl/swanctl.conf"
}

# far NAME K, near NAME K: the host's and the guest's address for this child
near() { if [ "${1:0:1}" = 4 ]; then echo "10.1.$2.1"; else echo "2001:db8:1:$2::1"; fi; }
far() { if [ "${1:0:1}" = 4 ]; then echo "10.2.$2.1"; else echo "2001:db8:2:$2::1"; fi; }

# sweep NAME K FIRST LAST STEP [df]
sweep() {
	local name=$1 k=$2
	shift 2
	in_ns h timeout 150 python3 "$HERE/sweep.py" "$(near "$name" "$k")" "$(far "$name" "$k")" "$@" 2>&1 | tail -n 1
	return "${PIPESTATUS[0]}"
}

# one NAME K PROPOSAL: negotiated, pings across the sizes around blocks and the MTU, both with and without DF
one() {
	local name=$1 k=$2 small large df got
	if ! shrikectl gw up "gw-${name:1:1}/$name" >"$STATE/why" 2>&1; then
		fail "kernel/$name not negotiated: $(tr -s '\n\t ' ' ' <"$STATE/why") $(shrikectl gw why "gw-${name:1:1}" | tail -n 4 | tr -s '\n\t ' ' ')"
		return 1
	fi
	if ! small=$(sweep "$name" "$k" 1 80 1); then
		fail "kernel/$name small: $small"
	elif ! large=$(sweep "$name" "$k" 1280 1560 7); then
		fail "kernel/$name around the MTU: $large"
	elif ! df=$(sweep "$name" "$k" 1200 1480 1 df); then
		fail "kernel/$name with DF: $df"
	else
		got=$(shrikectl gw stats --json | jq -r --arg c "$name" '[.quick_mode_sas[] | select(.child == $c and .direction == "in") | .algorithms + (if .udp_encapsulation then ", in UDP" else "" end)] | .[0]')
		pass "kernel/$name $got: pings of 1-80 and 1280-1560; DF: $df"
	fi
}

# transport NAME PROPOSAL: the gateways themselves, whole packets and such as are cut behind AH or ESP (which count
# as one), and the counters that say that it was through the SAs
transport() {
	local name=$1 f=${1:0:1} us them small all got udp=""
	read -r us them < <(gateways "$f" swan)
	shrikectl gw up "gw-$f/$name" >"$STATE/why" 2>&1 || { fail "kernel/$name not negotiated: $(tr -s '\n\t ' ' ' <"$STATE/why")"; return; }
	small=$(peer_run peer "timeout 60 python3 $HERE/sweep.py $us $them 1 1390 23 df" 2>&1 | tail -n 1)
	[[ $small == "61 sizes answered"*"0 larger"* ]] || { fail "kernel/$name pings with DF: $small"; return; }
	all=$(peer_run peer "timeout 60 python3 $HERE/sweep.py $us $them 1 9000 180" 2>&1 | tail -n 1)
	[[ $all == "all 50 sizes"* ]] || { fail "kernel/$name pings: $all"; return; }
	[ "${ENCAP:-auto}" = auto ] || udp=" in UDP"
	got=$(shrikectl gw stats --json | jq -r --arg c "$name" '[.quick_mode_sas[] | select(.child == $c and .state == "current") |
		"\(.mode) \(.algorithms) \(.direction) \(if .packets >= 111 then "all" else .packets end)" + (if .udp_encapsulation then " in UDP" else "" end)] | sort | join(", ")')
	[ "$got" = "transport $2 in all$udp, transport $2 out all$udp" ] || { fail "kernel/$name $got"; return; }
	pass "kernel/$name pings of the guest, with DF: $small; without: $all: $got"
}

# whole NAME K: sizes from 1 to 9000, and up to the MTU with DF
whole() {
	local name=$1 k=$2 all df
	if ! all=$(sweep "$name" "$k" 1 9000 "$STEP"); then
		fail "kernel/$name/sizes $all"
		return 1
	elif ! df=$(sweep "$name" "$k" 1 9000 "$STEP" df); then
		fail "kernel/$name/sizes-df $df"
		return 1
	fi
	pass "kernel/$name/sizes $all; DF: $df"
}

# tcp NAME K: 1 MB each way, hosts with an MTU that the tunnel does not have
tcp() {
	local name=$1 k=$2 put get
	if put=$(in_ns h "$HERE/transfer.py" put "$(far "$name" "$k")" 5001 1000000 "$(near "$name" "$k")" 2>&1) &&
		get=$(in_ns h "$HERE/transfer.py" get "$(far "$name" "$k")" 5001 1000000 "$(near "$name" "$k")" 2>&1); then
		pass "kernel/$name/tcp 1 MB each way, checksums agree"
	else
		fail "kernel/$name/tcp ${put##*$'\n'} ${get##*$'\n'}"
	fi
}

lab_init kernel
why=$(swan_missing)
[ -z "$why" ] || { skip "kernel $why"; exit 0; }
have_shrike || { skip "kernel shrike is not built in $BUILD"; exit 0; }
HOST_MTU=1500 shrike_site
netns_add p
link_add s wan p p0
in_ns h sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.h0.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0
ip -n "$P-h" addr add 2001:db8:1::1/64 dev h0 nodad
ip -n "$P-h" route add default via 2001:db8:1::fe dev h0
for k in $(seq 1 20); do ip -n "$P-h" addr add "2001:db8:1:$k::1/128" dev lo; done
swan_side
# Linux would protect Neighbour Discovery, too, where everything between the gateways is protected
GUEST_MORE="ip addr add 2001:db8:9::2/64 dev vec0 nodad
ip addr add 2001:db8:9::12/64 dev vec0 nodad
for t in 135 136; do for d in in out; do
ip xfrm policy add dir \$d src 2001:db8:9::/64 dst 2001:db8:9::/64 proto ipv6-icmp type \$t priority 1 action allow
done; done
ip route add default via 2001:db8:9::1 dev vec0
ip route replace default via 10.9.0.1 dev vec0
for k in \$(seq 1 20); do ip addr add 2001:db8:2:\$k::1/128 dev lo; done"
swan_up peer p p0 || { fail "kernel strongSwan does not start"; exit 1; }
peer_start peer "$HERE/transfer.py serve 5001"
shrike_side
shrike_up gw s || { fail "kernel shrike does not start"; exit 1; }
while read -r name k esp; do
	[[ $name == "$ONLY"* ]] || continue
	[[ $name != *-transport* ]] || { transport "$name" "$esp"; continue; }
	one "$name" "$k" || continue
	[[ $name == *-3des ]] || whole "$name" "$k" # the guest's is too slow for that on a busy machine
	tcp "$name" "$k"
done <<<"$CHILDREN"
# once more in UDP over IPv6, where the checksum counts
if [ -z "$ONLY" ] || [ "$ONLY" = udp ]; then
	ENCAP=force
	CHILDREN=$(grep -v " ah-" <<<"$CHILDREN") # AH cannot go in UDP
	swan_side
	for k in c6 c7; do swan peer --terminate --ike $k --timeout 5 >/dev/null 2>&1; done
	swan peer --load-all --clear --file "$STATE/peer/swanctl/swanctl.conf" >"$STATE/why" 2>&1
	shrike_down gw
	shrike_side
	if shrike_up gw s; then
		for k in "66-gcm 9" "46-cbc-esn 4"; do
			# shellcheck disable=SC2086
			one $k && whole $k && tcp $k
		done
		transport 77-transport aes256gcm16-esn
	else
		fail "kernel/udp shrike does not start"
	fi
fi
shrike_alive gw || fail "kernel shrike is gone"
exit $((FAILED > 0))
