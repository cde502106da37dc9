#!/bin/sh
# limit: 150
# The bridge to Gitea: what is opened there is triaged by the rules and told in one comment, as its task goes on. And webhooks
# that are not Gitea's.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../gitea/bridge.sh"

MAIN=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa FIX=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb TEXT=cccccccccccccccccccccccccccccccccccccccc
bridge_gitea "\"branches\":{\"main\":\"$MAIN\",\"fix\":\"$FIX\",\"text\":\"$TEXT\"},\"files\":{\"text\":[\"src/a.c\",\"docs/new.md\"]}"
# What it says tries to end the fence around it.
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
bridge_cluster 'poll_s: 1s, link: "https://example.org/#task/"' <<'END'
  crash: {kind: issue, words: [crash, segfault], add: [bug, house/ezra], category: a fault, assignee: ezra, house: ezra,
    task: '{"tool":"examine","params":{"title":"{title}","where":"{repo}#{number}"},"priority":7}', report: result}
  slow: {match: 'takes? +(too )?long', house: ezra, task: '{"tool":"hold"}'}
  gone: {words: [nonsense], house: ezra, task: '{"tool":"no_such_tool"}'}
  twice: {words: [twice], tasks: ['{"tool":"examine","params":{"title":"one of {number}"}}', '{"tool":"examine","params":{"title":"two of {number}"}}']}
  never: {words: [never], house: ezra, tasks: ['{"tool":"no_such_tool"}', '{"tool":"examine","params":{"title":"never"}}']}
  docs: {kind: pull, paths: ["docs/*"], add: [documentation], category: words}
  fixes: {kind: pull, house: ezra, add: [review], task: '{"tool":"examine","params":{"title":"{branch} {sha}"}}'}
  asks: {labels: [question], category: a question}
END
labels() { gitea GET "$R/issues/$1" | jq -r '[.labels[].name] | sort | join(" ")'; }
said() { gitea GET "$R/issues/$1/comments" | jq -r '.[].body'; }

check "the owner of allegro runs a bridge" wait_for 30 bridge_of allegro-1
check "and nobody else" not bridge_of ezra-1

N=$(issue "Crash at start" "It dies.")
check "an issue is triaged by polling" wait_for 20 says "$N" 'a fault (rule `crash`, house `ezra`)'
check "and its task succeeds, which the comment says" wait_for 20 says "$N" '\*\*succeeded\*\*'
like "and who ran it" "$(said "$N")" 'Run by `ezra-1`\.'
like "with a link to it" "$(said "$N")" 'https://example.org/#task/[0-9A-Z]{26}'
like "and what it found, in a fence that it cannot end" "$(said "$N")" '^````$'
is "it has the labels" "$(labels "$N")" "bug house/ezra"
is "and an assignee" "$(gitea GET "$R/issues/$N" | jq -r '.assignees[0].login')" ezra
is "there is one comment" "$(comments "$N")" 1
crashes() { grep -c "Crash at start" "$T/c/work/examined"; }
is "and was run once" "$(crashes)" 1
gitea PATCH "$R/issues/$N" '{"state":"closed"}' >"$T/out"
closed() { [ "$("$UW" allegro --status --json | jq .suggestions.learned_from)" -ge 1 ]; }
check "that it is closed is seen" wait_for 15 closed
gitea PATCH "$R/issues/$N" '{"state":"open"}' >"$T/out"
check "one that is opened again is triaged again" wait_for 20 says "$N" 'as it was opened again: a fault'
check "with another task" wait_for 20 says "$N" '\*\*succeeded\*\*'
is "which was run" "$(crashes)" 2
is "in the same comment" "$(comments "$N")" 1
is "the task is the bridge's, with its priority" "$("$UW" task list --house ezra --json | jq -c '[.. | objects | select(.tool? == "examine") | [.sender, .priority]]')" \
    '[["gitea",7],["gitea",7]]'
is "a line of text became no more than text" "$(sort -u "$T/c/work/examined")" "Crash at start"

N=$(issue "How is this done?")
check "what no rule is about is told, too" wait_for 20 says "$N" 'no rule speaks for this'
N=$(issue "Nonsense")
check "a task that its house refuses is told" wait_for 20 says "$N" 'refused by its house.* Error: `unknown_tool`'
TWICE=$(issue "Look twice") NEVER=$(issue "As never before")
check "a chain goes to one house, which the router chooses" wait_for 30 says "$TWICE" 'All of it \*\*succeeded\*\*'
is "in its order" "$(grep -o '^[a-z]* of .*' "$T/c/work/examined" | tr '\n' ' ')" "one of $TWICE two of $TWICE "
check "one whose first task is refused ends with that" wait_for 20 says "$NEVER" 'It ended with task 1 of 2, which \*\*was refused'
check "and nothing of it runs" not grep -q never "$T/c/work/examined"
N=$(issue "It takes too long")
check "what runs is told while it does" wait_for 20 says "$N" 'is running'
GITEA_AS=t-allegro
OWN=$(issue "Our own crash")
GITEA_AS=t-timmy
check "and how it ended in the same comment" wait_for 20 says "$N" '\*\*succeeded\*\*'
is "which is one" "$(comments "$N")" 1

pull() { gitea POST $R/pulls "{\"title\":\"Of $1\",\"head\":\"$1\",\"base\":\"main\"}" | jq -r .number; }
FIXES=$(pull fix) DOCS=$(pull text)
check "a pull request is triaged" wait_for 20 says "$FIXES" '\*\*succeeded\*\*'
check "another by what it changes" wait_for 20 says "$DOCS" 'words (rule `docs`)'
is "its commit has the status" "$(gitea GET "$R/commits/$FIX/status" | jq -r '.statuses[0] | .context + " " + .status')" "uni-wizard/triage success"
check "the task knew branch and commit" grep -q "^fix $FIX" "$T/c/work/examined"
gitea POST "$R/pulls/$FIXES/merge" '{"do":"merge"}' >"$T/out"
merged() { [ "$("$UW" allegro --status --json | jq .pulls_merged.week)" = 1 ]; }
check "that it was merged is counted" wait_for 20 merged
is "what we wrote ourselves is left alone" "$(comments "$OWN")" 0
"$UW" allegro --status >"$T/status"
like "the state is shown: how available Gitea is" "$(cat "$T/status")" '^Gitea +answers, available [0-9.]+ %$'
like "how long a triage took" "$(cat "$T/status")" '^triage by poll +p50 [0-9.]+ s, p99 [0-9.]+ s of [1-9][0-9]*$'
like "and what became of pull requests" "$(cat "$T/status")" '^pull requests +0 opened by tasks; 1 merged in the last week, 1 in all$'
"$UW" allegro --status --json >"$T/status"
is "as JSON too" "$(jq -c '[.runs, .gitea.reachable, .gitea.availability > 0.5, .triage.poll.n > 5, .sums.pulls, .pulls_merged.all]' "$T/status")" \
    '[true,true,true,true,2,1]'
check "by polling a triage takes at most the interval and 5 s" jq -e '.triage.poll.p99_ms < 6000' "$T/status"
TOKEN=$(sed -n '/^  allegro:/,/auth_token:/s/.*auth_token: "\(.*\)"/\1/p' "$T/c/houses.yaml")
curl -s -H "Authorization: Bearer $TOKEN" "$(cat "$T/c/state/allegro-1.http")/metrics" >"$T/metrics"
like "and in /metrics" "$(cat "$T/metrics")" '^uw_bridge_triaged_total\{kind="pull"\} 2$'

listens() { curl -s -o "$T/out" "http://127.0.0.1:$PORT/"; }
check "it listens for webhooks" wait_for 10 listens
echo '{"action":"opened","repository":{"full_name":"x/y"},"issue":{"number":1,"state":"open"}}' >"$T/body"
is "a webhook with the right signature is taken" "$(signed s3cret one "$T/body")" 202
is "the same delivery again is not" "$(signed s3cret one "$T/body")" 409
is "nor one with another key" "$(signed other two "$T/body")" 401
head -c 1100000 /dev/zero | tr '\0' ' ' >"$T/big"
is "nor one that is too big" "$(signed s3cret three "$T/big")" 413
is "nor one without a name" "$(signed s3cret '' "$T/body")" 400
echo '{"action":"opened","repository":[],"issue":{}}' >"$T/body"
is "what is nonsense is taken, for it is signed" "$(signed s3cret four "$T/body")" 202
check "and told in the log" wait_for 5 grep -q 'webhook four: repository.full_name: expected owner/name' "$T/c/log/allegro-1.log"
BRIDGE=$(bridge_of allegro-1)
kill -9 "$BRIDGE"
again() { bridge_of allegro-1 && listens; }
check "a bridge that is killed is started again" wait_for 10 again
is "and knows what it took" "$(signed s3cret one "$T/body")" 409

"$UW" cluster kill allegro-1 >"$T/out"
ended() { ! bridge_of allegro-1; }
check "it ends with its agent" wait_for 5 ended

gitea_kept "$T/record" 30
