#!/usr/bin/env bash
# Phase 2's algorithms with strongSwan's own ESP (kernel-libipsec), each in both roles: a Quick Mode, a ping, and 1 MB
# each way with a checksum. Those that only a kernel has: phase2.sh.
# shellcheck disable=SC2034
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
. "$(dirname "$0")/site.sh"

CHILDREN="a 1 3des-sha1
b 2 3des-md5
c 3 aes192-sha1
d 4 aes192gcm16
e 5 aes128ctr-sha1
f 6 aes256ctr-sha256
g 7 aes128gcm8
h 8 aes256gcm12
i 9 null-sha256
j 10 aes256-sha384
k 11 aes256-sha512
l 12 aes128-md5"

# agreed PROPOSAL K
agreed() {
	local got put get
	got=$(algorithms quick_mode)
	[ "$got" = "$1" ] || { echo "the SA pair has $got"; return 1; }
	put=$(in_ns h "$HERE/transfer.py" put "10.2.$2.1" 5001 1000000 "10.1.$2.1" 2>&1) || { echo "there: ${put##*$'\n'}"; return 1; }
	get=$(in_ns h "$HERE/transfer.py" get "10.2.$2.1" 5001 1000000 "10.1.$2.1" 2>&1) || { echo "back: ${get##*$'\n'}"; return 1; }
	echo "1 MB each way, checksums agree"
}

site_up esp
peer_start peer "$HERE/transfer.py serve 5001"
while read -r child k esp; do
	both_roles "esp/$esp" "$child" "$k" agreed "$esp" "$k"
done <<<"$CHILDREN"
the_end esp
