#!/usr/bin/env bash
# What a core dump of the daemon holds once it has stopped down: nothing secret. shrike runs under gdb, has
# SAs with strongSwan (which writes every key that the two share to its log), gets SIGTERM, and is dumped
# at its last system call. The dump of the running daemon is the control: there the pre-shared key or the
# keys that packets use must be found, or the search proves nothing.
FLAVOUR=libipsec
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/strongswan.sh"
lab_init no-secrets
have_shrike || { fail "no-secrets no shrike in $BUILD: run scripts/build"; exit 1; }
missing=$(swan_missing)
[ -z "$missing" ] || { skip "no-secrets $missing"; exit 0; }
command -v gdb >/dev/null || { skip "no-secrets gdb is not installed"; exit 0; }

shrike_site
netns_add p
link_add s wan p p0
echo "net 1 aes128gcm16" | shrike_conf s
SWAN_IKE_LOG=4 swan_conf p 2 <<<"net 1 aes128gcm16"
sed -i 's/^      ike = 4/      ike = 4\n      chd = 4/' "$STATE/p/strongswan.conf"
swan_up p p p0 || { fail "no-secrets strongSwan does not start"; exit 1; }

cat >"$STATE/gdb" <<C
set pagination off
set confirm off
handle SIGTERM nostop noprint pass
handle SIGUSR1 nostop noprint pass
handle SIGUSR2 stop print nopass
set use-coredump-filter off
set dump-excluded-mappings on
run -c $STATE/s/shrike.yaml
generate-core-file $STATE/core.running
catch syscall exit_group
continue
generate-core-file $STATE/core.stopped
kill
C
bg s "$STATE/s/shrike.log" gdb -batch -x "$STATE/gdb" "$SHRIKE"
gdb_pid=$BG_PID
until_true 30 shrike_answers s || { fail "no-secrets shrike does not start under gdb"; exit 1; }
daemon=$(pgrep -P "$gdb_pid" -x shrike | head -n 1)
shrikectl s up gw-b/net >/dev/null || { fail "no-secrets the SAs do not come up"; exit 1; }
ping_one 10.1.1.1 10.2.1.1 || { fail "no-secrets no traffic"; exit 1; }
kill -USR2 "$daemon"
until_true 60 shrike_answers s
kill -TERM "$daemon"
until_true 60 sh -c "! kill -0 $gdb_pid"

python3 - "$STATE" "$PSK_TEXT" >"$STATE/found" <<'C'
"""Prints, for each dump, which of the secrets that strongSwan logged are in it."""
import mmap, re, sys
state, psk = sys.argv[1], sys.argv[2].encode()
WANTED = re.compile(r'(SKEYID\w*|encryption key Ka|encryption initiator key|encryption responder key|shared Diffie Hellman secret) => (\d+) bytes')
secrets, name = {'pre-shared key': psk}, None
for line in open(state + '/p/charon.log', errors='replace'):
    m = WANTED.search(line)
    if m:
        name, secrets[m.group(1)] = m.group(1), b''
        continue
    h = re.search(r'\] +\d+: ((?:[0-9A-F]{2} )+)', line)
    if name and h:
        secrets[name] += bytes.fromhex(h.group(1))
    else:
        name = None
for name in [n for n in secrets if n.startswith('encryption ') and n.endswith('tor key')]:
    secrets[name] = secrets[name][:16]  # AES-128 with a salt behind it: packets use the two apart
for dump in 'running', 'stopped':
    with open(f'{state}/core.{dump}', 'rb') as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as core:
        hits = [n for n, s in secrets.items() if len(s) >= 16 and core.find(s) >= 0]
        print(dump, len(secrets), len(hits), ', '.join(hits), sep='|')
C
IFS='|' read -r _ known running names < <(grep '^running' "$STATE/found")
if [ "${running:-0}" -ge 1 ] && [ "$known" -ge 6 ]; then
	pass "no-secrets-control of $known secrets the running daemon's dump holds $running ($names)"
else
	fail "no-secrets-control the search finds nothing in the running daemon (${known:-0} secrets known)"
fi
IFS='|' read -r _ known stopped names < <(grep '^stopped' "$STATE/found")
if [ "${stopped:-1}" = 0 ]; then
	pass "no-secrets-stopped of $known secrets the stopped daemon's dump holds none"
else
	fail "no-secrets-stopped the stopped daemon's dump holds ${names:-?}"
fi
