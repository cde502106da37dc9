# bridge.sh - for tests of the bridge to Gitea: . "$(dirname "$0")/../gitea/bridge.sh", after lib.sh of the end-to-end tests
#
#   bridge_gitea [MEMBERS]      starts the double, with users timmy, allegro and ezra, and the repository timmy/work (R), which
#                               allegro may write to; MEMBERS: more of its JSON. What timmy does from then on is `gitea ...`
#   bridge_cluster KEYS <rules  starts a cluster of allegro and ezra that watches it: of `bridge`, and of `triage`, in YAML; own
#                               tools come before it. PORT is where it takes webhooks
#   bridge_hook                 a webhook from there to that port
#   bridge_of AGENT             the process that it keeps; fails if there is none
#   issue TITLE [BODY]          opens one, and prints its number
#   comments N  says N TEXT     how many there are; whether one has the text
#   signed KEY ID FILE          sends it as a webhook, and prints the status of the answer
#
# shellcheck shell=sh
. "$(dirname "$0")/../gitea/lib.sh"
gitea_needs "the bridge is tried with a double of Gitea"
R=/repos/timmy/work

bridge_gitea() {
	gitea_up --record "$T/record"
	for who in timmy allegro ezra; do
		gitea_user "$who"
	done
	gitea_do POST /repos "{\"full_name\":\"timmy/work\",\"writers\":[\"allegro\"]${1:+,$1}}" >"$T/out"
	GITEA_AS=t-timmy
}

bridge_cluster() {
	cat >"$T/rules"
	PORT=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
	cluster_up --houses allegro,ezra
	printf 't-allegro\n' >"$T/token"
	printf 's3cret\n' >"$T/secret"
	chmod 600 "$T/token" "$T/secret"
	cat >>"$T/c/houses.yaml" <<-END
		operators: [operator, gitea]
		secrets:
		  GITEA: {file: $T/token}
		  HOOK: {file: $T/secret}
		gitea: {url: "$GITEA", token: GITEA, rate: 500/s, burst: 50}
		bridge: {repos: [timmy/work], listen: "127.0.0.1:$PORT", secret: HOOK, $1}
		triage:
	END
	cat "$T/rules" >>"$T/c/houses.yaml"
	check "the configuration is right" "$UW" config check
	restart_all
}

bridge_hook() {
	gitea POST $R/hooks "{\"type\":\"gitea\",\"active\":true,\"events\":[\"issues\",\"pull_request\"],
	    \"config\":{\"url\":\"http://127.0.0.1:$PORT/gitea\",\"content_type\":\"json\",\"secret\":\"s3cret\"}}"
}

bridge_of() {
	pgrep -f "bridge --agent $1 --config $T/c/houses.yaml"
}

issue() {
	gitea POST $R/issues "$(jq -nc --arg t "$1" --arg b "${2:-}" '{title: $t, body: $b}')" | jq -r .number
}

comments() {
	gitea GET "$R/issues/$1/comments" | jq length
}

says() {
	gitea GET "$R/issues/$1/comments" | jq -r '.[].body' | grep -q -- "$2"
}

signed() {
	curl -s -o "$T/answer" -w '%{http_code}' -H 'X-Gitea-Event: issues' -H "X-Gitea-Delivery: $2" \
	    -H "X-Gitea-Signature: $(openssl dgst -sha256 -hmac "$1" -r "$3" | cut -d ' ' -f 1)" --data-binary "@$3" "http://127.0.0.1:$PORT/gitea"
}
