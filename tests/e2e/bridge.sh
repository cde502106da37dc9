#!/bin/sh
# limit: 150
# The bridge to Gitea: what is opened there is triaged once and told in one comment, by webhook and by polling, whatever is
# killed or away meanwhile, and whoever owns the house. Gitea is a double: tests/gitea/gitea.mjs.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../gitea/lib.sh"
gitea_needs "the bridge is tried with a double of Gitea"

gitea_up
for who in timmy allegro ezra; do
	gitea_user "$who"
done
MAIN=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa FIX=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
gitea_do POST /repos "{\"full_name\":\"timmy/work\",\"writers\":[\"allegro\"],\"branches\":{\"main\":\"$MAIN\",\"fix\":\"$FIX\"}}" >"$T/out"
R=/repos/timmy/work
GITEA_AS=t-timmy
free_port() {
	node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}
PORT=$(free_port)
hook() {
	gitea POST $R/hooks "{\"type\":\"gitea\",\"active\":true,\"events\":[\"issues\",\"pull_request\"],
	    \"config\":{\"url\":\"http://127.0.0.1:$PORT/gitea\",\"content_type\":\"json\",\"secret\":\"s3cret\"}}"
}

# Each run is a line, so that none is made twice. What it says tries to end the fence around it.
own_tool examine idempotent <<'END'
#!/bin/sh
jq -r .title >>"$UW_ROOTS/examined"
echo '{"found":"``` <!-- uni-wizard -->"}'
END
own_tool hold idempotent <<'END'
#!/bin/sh
sleep 4
echo '{}'
END
cluster_up --houses allegro,ezra
printf 't-allegro\n' >"$T/token"
printf 's3cret\n' >"$T/secret"
chmod 600 "$T/token" "$T/secret"
cat >>"$T/c/houses.yaml" <<END
operators: [operator, gitea]
secrets:
  GITEA: {file: $T/token}
  HOOK: {file: $T/secret}
gitea: {url: "$GITEA", token: GITEA, rate: 500/s, burst: 50}
bridge: {repos: [timmy/work], listen: "127.0.0.1:$PORT", secret: HOOK, poll_s: 1s, link: "https://example.org/#task/"}
triage:
  crash: {kind: issue, words: [crash, segfault], add: [bug, house/ezra], category: a fault, assignee: ezra, house: ezra,
    task: '{"tool":"examine","params":{"title":"{title}","where":"{repo}#{number}"},"priority":7}', report: result}
  slow: {match: 'takes? +(too )?long', house: ezra, task: '{"tool":"hold"}'}
  gone: {words: [nonsense], house: ezra, task: '{"tool":"no_such_tool"}'}
  fixes: {kind: pull, house: ezra, add: [review], task: '{"tool":"examine","params":{"title":"{branch} {sha}"}}'}
  asks: {labels: [question], category: a question}
END
check "the configuration is right" "$UW" config check
restart_all

state() { gitea_do GET /state; }
# Of one issue: how many comments, and all they say.
comments() { gitea GET "$R/issues/$1/comments"; }
said() { comments "$1" | jq -r '.[].body'; }
says() { said "$1" | grep -q -- "$2"; }
labels() { gitea GET "$R/issues/$1" | jq -r '[.labels[].name] | sort | join(" ")'; }
status() { "$UW" allegro --status --json | jq -r "$1"; }
issue() { gitea POST $R/issues "$(jq -nc --arg t "$1" --arg b "${2:-}" '{title: $t, body: $b}')" | jq -r .number; }
bridge_of() { pgrep -f "bridge --agent $1 --config $T/c/houses.yaml"; }

check "the owner of allegro runs a bridge" wait_for 30 bridge_of allegro-1
check "and nobody else" not bridge_of ezra-1

N=$(issue "Crash at start" "It dies.")
check "an issue is triaged by polling" wait_for 20 says "$N" 'a fault (rule `crash`, house `ezra`)'
check "and its task succeeds, which the comment says" wait_for 20 says "$N" '\*\*succeeded\*\*'
like "with a link to it" "$(said "$N")" 'https://example.org/#task/[0-9A-Z]{26}'
like "and what it found, in a fence that it cannot end" "$(said "$N")" '^````$'
is "it has the labels" "$(labels "$N")" "bug house/ezra"
is "and an assignee" "$(gitea GET "$R/issues/$N" | jq -r '.assignees[0].login')" ezra
is "there is one comment" "$(comments "$N" | jq length)" 1
like "the task is the bridge's, with its priority" "$("$UW" task list --house ezra --json | jq -c '.[0] // .tasks[0]')" '"sender":"gitea".*"priority":7|"priority":7.*"sender":"gitea"'
is "a line of text became no more than text" "$(cat "$T/c/work/examined")" "Crash at start"

N=$(issue "How is this done?")
check "what no rule is about is told, too" wait_for 20 says "$N" 'no rule speaks for this'
N=$(issue "Nonsense")
check "a task that its house refuses is told" wait_for 20 says "$N" 'refused by its house.* Error: `unknown_tool`'
N=$(issue "It takes too long")
check "what runs is told while it does" wait_for 20 says "$N" 'is running'
GITEA_AS=t-allegro
N2=$(issue "Our own crash")
GITEA_AS=t-timmy
check "and how it ended in the same comment" wait_for 20 says "$N" '\*\*succeeded\*\*'
is "which is one" "$(comments "$N" | jq length)" 1

PULL=$(gitea POST $R/pulls '{"title":"A fix","head":"fix","base":"main"}' | jq -r .number)
check "a pull request is triaged" wait_for 20 says "$PULL" '\*\*succeeded\*\*'
is "its commit has the status" "$(gitea GET "$R/commits/$FIX/status" | jq -r '.statuses[0] | .context + " " + .status')" "uni-wizard/triage success"
check "the task knew branch and commit" grep -q "^fix $FIX" "$T/c/work/examined"
gitea POST "$R/pulls/$PULL/merge" '{"do":"merge"}' >"$T/out"
merged() { [ "$(status .pulls_merged.week)" = 1 ]; }
check "that it was merged is counted" wait_for 20 merged
is "what we wrote ourselves is left alone" "$(comments "$N2" | jq length)" 0

# Webhooks.
listens() { curl -s -o "$T/out" "http://127.0.0.1:$PORT/"; }
check "it listens for webhooks" wait_for 10 listens
signed() {      # KEY ID BODY-FILE: the answer's status
	curl -s -o "$T/answer" -w '%{http_code}' -H 'X-Gitea-Event: issues' -H "X-Gitea-Delivery: $2" \
	    -H "X-Gitea-Signature: $(openssl dgst -sha256 -hmac "$1" -r "$3" | cut -d ' ' -f 1)" --data-binary "@$3" "http://127.0.0.1:$PORT/gitea"
}
echo '{"action":"opened","repository":{"full_name":"x/y"},"issue":{"number":1,"state":"open"}}' >"$T/body"
is "a webhook with the right signature is taken" "$(signed s3cret one "$T/body")" 202
is "the same delivery again is not" "$(signed s3cret one "$T/body")" 409
is "nor one with another key" "$(signed other two "$T/body")" 401
head -c 1100000 /dev/zero | tr '\0' ' ' >"$T/big"
is "nor one that is too big" "$(signed s3cret three "$T/big")" 413
is "nor one without a name" "$(signed s3cret '' "$T/body")" 400
hook >"$T/out"

# Many, while webhooks are dropped, the bridge and then its agent are killed, and Gitea is away.
gitea_do POST /webhooks '{"drop":0.3,"twice":0.2}' >"$T/out"
FROM=$((N2 + 2))
opened=0
while [ $opened -lt 60 ]; do
	issue "Crash number $opened" >"$T/out"
	opened=$((opened + 1))
	case $opened in
	10 | 25) kill -9 "$(bridge_of allegro-1)" ;;
	15) gitea_do POST /away '{"ms":1500}' >"$T/out" && sleep 1.6 ;;
	35) "$UW" cluster kill allegro-1 >"$T/out" ;;
	esac
	sleep 0.05
done
LAST=$((FROM + 59))
is "60 issues were opened" "$(state | jq '.repos["timmy/work"].issues | length')" "$LAST"
done_all() {
	[ "$(state | jq --argjson from "$FROM" '[.repos["timmy/work"].issues[] | select(.number >= $from and any(.comments[]; .body | contains("**succeeded**")))] | length')" = 60 ]
}
check "another candidate has the house, and a bridge" wait_for 30 bridge_of ezra-1
check "all are triaged, and their tasks succeeded" wait_for 60 done_all
count() { state | jq -c --argjson from "$FROM" "[.repos[\"timmy/work\"].issues[] | select(.number >= \$from) | $1] | group_by(.) | map([.[0], length])"; }
is "each has one comment" "$(count '.comments | length')" '[[1,60]]'
is "and the labels once" "$(count '.labels | length')" '[[2,60]]'
is "each task ran once" "$(sort "$T/c/work/examined" | grep '^Crash number' | uniq | wc -l | tr -d ' ')" 60
is "under one id" "$("$UW" task list --house ezra --limit 200 --json | jq '[.. | objects | select(.tool? == "examine") | .id] | unique | length')" 62

"$UW" cluster start allegro-1 >"$T/out"
check "the bridge comes back with the house" wait_for 40 bridge_of allegro-1
gone() { not bridge_of ezra-1; }
check "and the other one ends" wait_for 10 gone
like "the state is shown" "$("$UW" allegro --status)" '^Gitea +answers, available'
AGENT=$(cat "$T/c/run/allegro-1.pid")
BRIDGE=$(bridge_of allegro-1)
kill -STOP "$AGENT"
N=$(issue "Crash under a frozen agent")
check "while its agent is frozen the other's bridge works" wait_for 40 says "$N" '\*\*succeeded\*\*'
kill -CONT "$AGENT"
is "and one comment is made" "$(comments "$N" | jq length)" 1
"$UW" cluster kill allegro-1 >"$T/out"
ended() { not kill -0 "$BRIDGE"; }
check "a bridge ends with its agent" wait_for 5 ended
