# shellcheck shell=bash
# What every script here needs: strict mode, the top folder, saying and failing.
set -Eeuo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export TOP

say() { printf '%s: %s\n' "${0##*/}" "$*"; }
warn() { say "$@" >&2; }
die() {
	warn "$@"
	exit 1
}

# A command that fails without a word of its own still ends with a sentence.
trap 'warn "line $LINENO failed: $BASH_COMMAND"' ERR

need_root() {
	[ "$(id -u)" = 0 ] || die "this needs root ($1); run it with sudo"
}

# Prints the number of free 2 MB hugepages (0 where the kernel has none).
hugepages_free() {
	local f=/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages
	if [ -r $f ]; then cat $f; else echo 0; fi
}
