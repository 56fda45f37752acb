#!/usr/bin/env bash
# The manual pages format without a complaint, and the page of the configuration names every option.
# man.sh SHRIKE SHRIKECTL
set -euo pipefail

command -v groff >/dev/null || { echo "groff is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# page FILE: complaints go to standard output
page() {
	groff -man -ww -Tutf8 -P-cbou "$work/$1" 2>&1 >"$work/$1.txt"
}

"$1" --man=5 >"$work/shrike.yaml.5"
"$1" --man=8 >"$work/shrike.8"
"$2" --man >"$work/shrikectl.1"
for p in shrike.yaml.5 shrike.8 shrikectl.1; do
	complaints=$(page $p)
	[ -z "$complaints" ] || { echo "$p: $complaints"; exit 1; }
	grep -q '^NAME' "$work/$p.txt" || { echo "$p has no NAME"; exit 1; }
done

"$1" --reference | sed -n 's/^### .*\.//p; s/^### //p' | sort -u >"$work/options"
[ "$(wc -l <"$work/options")" -gt 40 ] || { echo "--reference lists too few options"; exit 1; }
while read -r option; do
	grep -qE "^ +$option( |\$)" "$work/shrike.yaml.5.txt" || { echo "shrike.yaml.5 misses $option"; exit 1; }
done <"$work/options"
! "$1" --man=7 2>/dev/null || { echo "--man=7 was taken"; exit 1; }
