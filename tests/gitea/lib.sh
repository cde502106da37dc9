# lib.sh - for tests that need Gitea: . "$(dirname "$0")/../gitea/lib.sh", after lib.sh of the end-to-end tests
#
#   gitea_up [options]          starts the double (gitea.mjs), ended with the test; GITEA is its URL, in GITEA_CONTROL the other's
#   gitea METHOD PATH [JSON]    asks its API as somebody: GITEA_AS is the token (t-allegro); prints the answer
#   gitea_do METHOD PATH [JSON] asks its control port
#   gitea_user LOGIN            a user with the token t-LOGIN
#   gitea_needs SENTENCE        skips the test where there is no node
#
# shellcheck shell=sh

GITEA_DIR=$(cd "$(dirname "$0")/../gitea" && pwd)
GITEA_AS=t-allegro

gitea_needs() {
	command -v node >/dev/null && return
	skip "$1" "needs node (apt-get install nodejs)"
	exit
}

gitea_up() {
	node "$GITEA_DIR/gitea.mjs" "$@" >"$T/gitea.out" 2>"$T/gitea.log" &
	GITEA_PID=$!
	on_exit 'kill "$GITEA_PID" 2>/dev/null'
	if ! wait_for 10 grep -q control "$T/gitea.out"; then
		not_ok "the double of Gitea starts" "$(cat "$T/gitea.log")"
		exit
	fi
	GITEA=http://127.0.0.1:$(cut -d' ' -f3 "$T/gitea.out")
	GITEA_CONTROL=http://127.0.0.1:$(cut -d' ' -f5 "$T/gitea.out")
}

gitea() {
	curl -sS --max-time 10 -X "$1" -H "Authorization: token $GITEA_AS" -H 'Content-Type: application/json' ${3:+--data "$3"} \
	    "$GITEA/api/v1$2"
}

gitea_do() {
	curl -sS --max-time 10 -X "$1" ${3:+--data "$3"} "$GITEA_CONTROL$2"
}

gitea_user() {
	gitea_do POST /users "{\"login\":\"$1\",\"token\":\"t-$1\"}" >/dev/null
}
