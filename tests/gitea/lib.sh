# lib.sh - for tests that need Gitea: . "$(dirname "$0")/../gitea/lib.sh", after lib.sh of the end-to-end tests
#
#   gitea_up [options]          starts the double (gitea.mjs), ended with the test; GITEA is its URL, in GITEA_CONTROL the other's
#   gitea_prism proxy           a proxy in front of it that checks requests and answers against Gitea's contract: GITEA is its
#                               URL from then on. gitea_prism mock: one that answers by itself, GITEA_MOCK. Fails where npm
#                               cannot bring it, and says why in $T/prism.why
#   gitea_kept FILE N           what the double recorded there (gitea_up --record FILE) is more than N different requests, and is as the
#                               contract has it: sent once more to that mock
#   gitea_violations            what it found, answers that are null where the contract forgets to allow it left out
#   gitea METHOD PATH [JSON]    asks its API as somebody: GITEA_AS is the token (t-allegro); prints the answer
#   gitea_do METHOD PATH [JSON] asks its control port
#   gitea_user LOGIN            a user with the token t-LOGIN
#   gitea_needs SENTENCE        skips the test where there is no node
#   gitea_config                the lines of houses.yaml, with a token file in $T
#
# shellcheck shell=sh disable=SC2034

GITEA_DIR=$(cd "$(dirname "$0")/../gitea" && pwd)
GITEA_AS=t-allegro
GITEA_MODULES=${GITEA_MODULES:-$GITEA_DIR/../../build/gitea}

gitea_needs() {
	command -v node >/dev/null && return
	skip "$1" "needs node (apt-get install nodejs)"
	exit
}

gitea_up() {
	: >"$T/gitea.out"
	node "$GITEA_DIR/gitea.mjs" "$@" >"$T/gitea.out" 2>"$T/gitea.log" &
	GITEA_PID=$!
	on_exit 'kill "$GITEA_PID" 2>/dev/null'
	if ! wait_for 10 grep -q control "$T/gitea.out"; then
		not_ok "the double of Gitea starts" "$(cat "$T/gitea.log")"
		exit
	fi
	GITEA=http://127.0.0.1:$(cut -d' ' -f3 "$T/gitea.out") GITEA_DIRECT=$GITEA
	GITEA_CONTROL=http://127.0.0.1:$(cut -d' ' -f5 "$T/gitea.out")
}

gitea() {
	curl -sS --max-time 10 -X "$1" -H "Authorization: token $GITEA_AS" -H 'Content-Type: application/json' ${3:+--data "$3"} \
	    "$GITEA_DIRECT/api/v1$2"
}

# Two tests may need it at the same time.
prism_install() {
	[ ! -d "$GITEA_MODULES" ] || return 0
	_new=$GITEA_MODULES.$$
	mkdir -p "$_new" && cp "$GITEA_DIR/package.json" "$_new" &&
	    (cd "$_new" && npm install --no-audit --no-fund --ignore-scripts) >"$T/prism.why" 2>&1 &&
	    { [ -d "$GITEA_MODULES" ] || mv "$_new" "$GITEA_MODULES"; }
	_rc=$?
	rm -rf "$_new"
	return "$_rc"
}

gitea_prism() {
	prism_install || return 1
	_upstream=
	[ "$1" = mock ] || _upstream=$GITEA
	_port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
	gunzip -c "$GITEA_DIR/swagger.json.gz" >"$T/swagger.json"
	# shellcheck disable=SC2086
	"$GITEA_MODULES/node_modules/.bin/prism" "$1" -h 127.0.0.1 -p "$_port" --cors=false "$T/swagger.json" $_upstream >"$T/prism.log" 2>&1 &
	_prism=$!
	on_exit "kill $_prism 2>/dev/null"
	wait_for 60 grep -q 'Prism is listening' "$T/prism.log" || return 1
	if [ "$1" = mock ]; then
		GITEA_MOCK=http://127.0.0.1:$_port
	else
		GITEA=http://127.0.0.1:$_port
	fi
}

# That the double hung up, as it was told to, is none. Gitea answers null for what there is none of, and with statuses, which its contract does not say.
gitea_violations() {
	grep -oE 'Violation: .*|[a-z]+ [^ ]+ ✖ .*terminated.*' "$T/prism.log" |
	    grep -Ev 'Violation: response\.body[.0-9]*(pull_request\.)?(assignees?|closed_at|due_date|labels|merge_commit_sha|merged_at|merged_by|milestone|pull_request|requested_reviewers|state|statuses|team|errors)( |$)' |
	    grep -v -e 'Violation: response Unable to match the returned status code' -e FetchError
}

gitea_kept() {
	if ! gitea_prism mock; then
		skip "THE CONTRACT OF GITEA" "npm could not bring Prism: $(tail -n 1 "$T/prism.why" 2>/dev/null)"
		return
	fi
	node "$GITEA_DIR/replay.mjs" "$1" "$GITEA_MOCK" >"$T/sent"
	check "more than $2 different requests were made of Gitea" [ "$(cat "$T/sent")" -gt "$2" ]
	is "and are as its contract has them" "$(gitea_violations)" ""
}

gitea_config() {
	printf 't-allegro\n' >"$T/token"
	chmod 600 "$T/token"
	printf 'gitea:\n  url: %s\n  token: GITEA\n  repositories: [timmy/work]\nsecrets:\n  GITEA: { file: %s }\n' "$GITEA" "$T/token"
}

gitea_do() {
	curl -sS --max-time 10 -X "$1" ${3:+--data "$3"} "$GITEA_CONTROL$2"
}

gitea_user() {
	gitea_do POST /users "{\"login\":\"$1\",\"token\":\"t-$1\"}" >/dev/null
}
