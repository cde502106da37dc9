# lib.sh - what every end-to-end test begins with: . "$(dirname "$0")/lib.sh"
#
# UW is the program under test, T a directory of the test's own. A test says what holds, one sentence each:
#
#   ok "sentence"                        it does
#   not_ok "sentence" "what came"        it does not
#   check "sentence" command...          the command succeeds
#   refuse "sentence" code command...    the command ends with this exit code
#   is "sentence" "$got" "$expected"     equal texts
#   like "sentence" "$got" 'pattern'     the text matches an extended regular expression
#   not command...                       succeeds if the command fails; to be used within check
#   wait_for seconds command...          polls until the command succeeds; to be used within check
#   cluster_up [options]                 starts a cluster in $T/c and reads its env; ended with the test
#   own_tool name effect <program        adds a tool to that cluster; best before it starts
#   alone house                          nobody but its own agent may own that house, from the next start of all
#   restart_all                          stops that cluster and starts it again
#   on_exit 'command'                    for what a test starts itself
#
# POLICY=roles leaves the first policy as cluster up signs it, with the checks of each house; otherwise everything is allowed.
#
# BROKER_KIND names another broker than Mosquitto (a directory beside this file): its program takes Mosquitto's place,
# and clients speak MQTT 3.1.1.
#
# There is no set -e: a failed check is counted, and the test goes on. Times are multiplied by SLOW.
# shellcheck shell=sh

: "${UW:?run this through make e2e, or set UW to the program}"
SLOW=${SLOW:-1}
T=$(mktemp -d "${UW_TMP:-/tmp}/e.XXXX") || exit 2
CASES=0 FAILED=0 CLEAN_UP=
export LC_ALL=C NO_COLOR=1
unset UNI_WIZARD_CONFIG CDPATH
[ -z "${BROKER_KIND:-}" ] || PATH=$(cd "$(dirname "$0")" && pwd)/$BROKER_KIND:$PATH

on_exit() {
	CLEAN_UP="$1
$CLEAN_UP"
}

# 2: the shell itself gave up, or the test could not begin.
leave() {
	_rc=$?
	trap - EXIT INT TERM
	[ "$_rc" -ne 2 ] || not_ok "the test comes to its end" "exit code 2"
	eval "$CLEAN_UP"
	[ -n "$KEEP_T" ] || rm -rf "$T"
	echo "1..$CASES"
	# Told, because a bare exit in a trap may take the code of the last command before it.
	[ "$FAILED" -eq 0 ] && [ "$CASES" -gt 0 ] && exit 0
	exit 1
}
trap leave EXIT
trap 'FAILED=$((FAILED + 1)); leave' INT TERM

ok() {
	CASES=$((CASES + 1))
	echo "ok - $1"
}

not_ok() {
	CASES=$((CASES + 1)) FAILED=$((FAILED + 1))
	echo "not ok - $1"
	[ $# -lt 2 ] || printf '%s\n' "$2" | sed 's/^/# /'
}

skip() {
	CASES=$((CASES + 1))
	echo "ok - $1 # SKIP $2"
}

check() {
	_sentence=$1
	shift
	if "$@" >"$T/.check" 2>&1; then
		ok "$_sentence"
	else
		_rc=$?
		not_ok "$_sentence" "exit code $_rc of: $*
$(cat "$T/.check")"
	fi
}

refuse() {
	_sentence=$1 _want=$2 _rc=0
	shift 2
	"$@" >"$T/.check" 2>&1 || _rc=$?
	if [ "$_rc" -eq "$_want" ]; then
		ok "$_sentence"
	else
		not_ok "$_sentence" "exit code $_rc, not $_want, of: $*
$(cat "$T/.check")"
	fi
}

is() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "got:      $2
expected: $3"
	fi
}

like() {
	if printf '%s\n' "$2" | grep -Eq -- "$3"; then
		ok "$1"
	else
		not_ok "$1" "got:      $2
expected: $3"
	fi
}

not() {
	! "$@"
}

wait_for() {
	_end=$(($(date +%s) + $1 * SLOW + 1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$_end" ] || return 1
		sleep 0.05
	done
}

# token_of HOUSE TOKEN: in the place of the one that `cluster up` made.
token_of() {
	sed "/^  $1:/,/auth_token:/s|auth_token: .*|auth_token: $2|" "$T/c/houses.yaml" >"$T/.yaml" && cat "$T/.yaml" >"$T/c/houses.yaml"
}

cluster_down() {
	[ ! -d "$T/c" ] || "$UW" cluster down --dir "$T/c" >"$T/.down" 2>&1 || cat "$T/.down"
	# Erlang's port mapper outlives its RabbitMQ.
	for _port in "$T"/*/broker/epmd-port; do
		[ ! -e "$_port" ] || epmd -port "$(cat "$_port")" -kill >"$T/.down" 2>&1
	done
}

cluster_up() {
	on_exit cluster_down
	if ! "$UW" cluster up --dir "$T/c" "$@" >"$T/.up" 2>&1; then
		not_ok "a cluster comes up" "$(cat "$T/.up"; tail -n 20 "$T"/c/log/* 2>/dev/null)"
		exit
	fi
	[ -z "${BROKER_KIND:-}" ] || check "the agents speak MQTT 3.1.1" grep -q 'in MQTT 3\.1\.1' "$T"/c/log/*-1.log
	# shellcheck disable=SC1091
	. "$T/c/env"
	[ "${POLICY:-none}" = roles ] || no_checks
}

# Houses in which everything is allowed: most tests are about something else.
no_checks() {
	echo 'houses: {}' >"$T/.policy"
	"$UW" policy sign --yes "$T/.policy" >"$T/.up" 2>&1 || not_ok "a policy is signed" "$(cat "$T/.up")"
}

# Without this other agents take a house over when its own is away.
alone() {
	awk -v agent="$1-1" '{ print } $0 ~ "agents: \\[" agent "\\]" { print "    candidates: [" agent "]" }' \
	    "$T/c/houses.yaml" >"$T/alone" && cat "$T/alone" >"$T/c/houses.yaml"
}

restart_all() {
	if ! { "$UW" cluster down --dir "$T/c" && "$UW" cluster up --dir "$T/c"; } >"$T/.up" 2>&1; then
		not_ok "the cluster starts again" "$(cat "$T/.up")"
	fi
	# shellcheck disable=SC1091
	. "$T/c/env"
}

# owner_of HOUSE: the agent that owns it, as everybody may see.
owner_of() {
	"$UW" house list --json | jq -r --arg house "$1" '.[] | select(.house == $house) | .owner // empty'
}

# As a person or agent, with the plain Mosquitto clients: as operator mosquitto_pub -t ...
# In the background as_exec, so that $! is the client itself.
as() {
	(as_exec "$@")
}

as_exec() {
	_who=$1 _client=$2
	shift 2
	[ -z "${BROKER_KIND:-}" ] || in_311 "$_client" "$@"
	[ -z "${BROKER_KIND:-}" ] || eval "set -- $IN_311"
	exec "$_client" -h "$UW_HOST" -p "$UW_PORT" --cafile "$UW_CAFILE" --cert "$T/c/pki/$_who.crt" \
	    --key "$T/c/pki/$_who.key" "$@"
}

# quoted WORD: for eval
quoted() {
	printf "'%s' " "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

# with_reply TOPIC TASKS: the reply address in each line that is an object.
with_reply() {
	printf '%s' "$2" | sed "s|^{|{\"reply\":{\"topic\":\"$1\"},|; s|^\(.*\),}\$|\1}|"
}

# A client's words as they are in MQTT 3.1.1, for eval in IN_311: no version and no session expiry; and where
# somebody waits for replies, their topic is in the message.
in_311() {
	_to='' IN_311="-V 311 "
	[ "$1" != mosquitto_rr ] || _to=$(printf '%s\n' "$@" | grep -A 1 -x -e -e | tail -n 1)
	shift
	while [ $# -gt 0 ]; do
		case $1$_to in
		-V* | -x*) shift ;;
		-m?*) IN_311="$IN_311 -m $(quoted "$(with_reply "$_to" "$2")")" && shift ;;
		*) IN_311="$IN_311 $(quoted "$1")" ;;
		esac
		shift
	done
}

# own_tool NAME EFFECT [more manifest members] <program: an own tool; agents know it from their next start. All need it
# that may own the house that runs it.
own_tool() {
	mkdir -p "$T/c/tools.d"
	cat >"$T/c/tools.d/$1"
	chmod 755 "$T/c/tools.d/$1"
	printf '{"name":"%s","summary":"A test tool","exec":"%s","effect":"%s","parameters":{"type":"object","additionalProperties":true}%s}' \
	    "$1" "$1" "$2" "${3:+,$3}" >"$T/c/tools.d/$1.json"
}
