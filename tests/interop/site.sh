# shellcheck shell=bash
# One shrike ("gw", peer gw-b) and one strongSwan ("peer", connection t): what the scripts about sites share.
# Source lib.sh and strongswan.sh first. The children of both stand in $CHILDREN, one a line: NAME K ESP; where the
# two sides need different options, in $SHRIKE_CHILDREN and $SWAN_CHILDREN.

# site_up NAME: the lab, strongSwan and shrike, configured from the environment (see shrike_conf and swan_conf)
site_up() {
	site_begin "$1"
	link_add s wan p p0
	site_start "$1"
}

# The same in two steps, for another network between both: it must link wan in s and p0 in p.
site_begin() {
	local why
	lab_init "$1"
	why=$(swan_missing)
	[ -z "$why" ] || { skip "$1 $why"; exit 0; }
	have_shrike || { skip "$1 shrike is not built in $BUILD"; exit 0; }
	shrike_site
	netns_add p
}

site_start() {
	site_swan_conf
	swan_up peer p p0 || { fail "$1 strongSwan does not start"; exit 1; }
	site_shrike_conf
	shrike_up gw s || { fail "$1 shrike does not start"; exit 1; }
}

site_swan_conf() { swan_conf peer 2 <<<"${SWAN_CHILDREN:-$CHILDREN}"; }
site_shrike_conf() { shrike_conf gw <<<"${SHRIKE_CHILDREN:-$CHILDREN}"; }

# swan_reload: strongSwan takes its configuration from the environment as it is now; what stands keeps standing
swan_reload() {
	site_swan_conf
	swan peer --load-all --clear --file "$STATE/peer/swanctl/swanctl.conf" >"$STATE/why" 2>&1
}

# shrike_reload: the same for shrike; a peer that changed loses its SAs
shrike_reload() {
	local before
	before=$(reloads)
	site_shrike_conf
	kill -HUP "$(cat "$STATE/gw/shrike.pid")"
	until_true 10 reloaded_since "$before" && return 0
	tail -n 3 "$STATE/gw/shrike.log" >"$STATE/why"
	return 1
}

reloads() { grep -c 'shrike.yaml: read again' "$STATE/gw/shrike.log"; }
reloaded_since() { [ "$(reloads)" -gt "$1" ]; }

# The peer's DELETE ends what stands between both, so that the next negotiation starts from nothing.
# ("shrikectl down" would also keep shrike from answering.)
clean_slate() {
	swan peer --terminate --ike t --timeout 5 >/dev/null 2>&1
	until_true 10 no_sas || echo "SAs are left: $(swan peer --list-sas; shrikectl gw sa)" >&2
}

no_sas() {
	[ -z "$(swan peer --list-sas)" ] && [ "$(live_sas)" = 0 ]
}

# SAs of shrike's that still do something: "closing" ones only wait for copies of the DELETE to arrive
live_sas() {
	shrikectl gw stats --json | jq '[.main_mode_sas[], .quick_mode_sas[] | select(.state != "closing")] | length'
}

# start_child ROLE CHILD: negotiates; what was said is in $STATE/why, for reason
start_child() {
	if [ "$1" = initiator ]; then
		shrikectl gw up "gw-b/$2" >"$STATE/why" 2>&1 || return 1
		until_true 10 child_installed "$2" && return
		echo "strongSwan has no SA for $2; $(shrikectl gw status | tail -n 1)" >>"$STATE/why"
		return 1
	fi
	swan peer --initiate --child "$2" --timeout 20 >"$STATE/why" 2>&1
}

child_installed() {
	swan peer --list-sas --child "$1" | grep -q INSTALLED
}

# All of what the last command said, and what shrike knows about the peer, in one line.
reason() {
	{ cat "$STATE/why"; echo "-- shrikectl why:"; shrikectl gw why gw-b | tail -n 8; } 2>&1 | tr -s '\n\t ' ' '
}

# algorithms main_mode|quick_mode: of the youngest SA
algorithms() {
	shrikectl gw stats --json | jq -r ".$1_sas | map(select(.state == \"established\" or .state == \"current\")) |
		sort_by(.age) | .[0].algorithms // \"none\""
}

before_role() { :; } # a script may have something to do between two roles

# both_roles NAME CHILD K [CHECK...]: negotiates in each role and pings; CHECK must succeed after that and prints
# what is wrong otherwise
both_roles() {
	local role name what
	for role in initiator responder; do
		name=$1/$role
		clean_slate
		before_role
		if ! start_child $role "$2"; then
			fail "$name not negotiated: $(reason)"
		elif ! ping_one "10.1.$3.1" "10.2.$3.1"; then
			fail "$name negotiated, but no ping passes: $(reason)"
		elif [ $# -gt 3 ] && ! what=$("${@:4}" 2>&1); then
			fail "$name $what"
		else
			pass "$name ping${what:+, $what}"
		fi
	done
}

# the_end NAME: shrike must have survived all of it
the_end() {
	shrike_alive gw || fail "$1 shrike is gone"
	exit 0
}
