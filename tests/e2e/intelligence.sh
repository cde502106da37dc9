#!/bin/sh
# What agents learn from what they run and hear, what they say of it beforehand, and how right that was.
. "$(dirname "$0")/lib.sh"

own_tool flaky idempotent <<'EOT'
#!/bin/sh
# Fails whenever the parameter says so.
case $(cat) in
*'"bad"'*) echo 'no luck' >&2; exit 1 ;;
esac
echo '{}'
EOT
own_tool moody idempotent <"$T/c/tools.d/flaky"
cluster_up --houses ezra,timmy
pick() { jq -r "$1"; }

"$UW" predict --tool flaky --house ezra >"$T/out" 2>&1
like "of a tool that nobody has seen it is said that it is not known" "$(cat "$T/out")" 'has not seen this tool yet'
refuse "a prediction needs a house" 2 "$UW" predict --tool flaky
refuse "and one that exists" 2 "$UW" predict --tool flaky --house nowhere
refuse "and an agent that exists" 2 "$UW" predict --tool flaky --house ezra --agent nobody
like "naming the field" "$(cat "$T/.check")" 'agent: expected an agent of the configuration'

# Two shapes: long texts always fail, short ones never.
i=0
while [ $i -lt 60 ]; do
	echo '{"house":"ezra","tool":"flaky","params":{"what":"ok"}}'
	echo '{"house":"ezra","tool":"flaky","params":{"bad":"secret-word-in-a-long-text"}}'
	i=$((i + 1))
done >"$T/tasks"
"$UW" submit --batch "$T/tasks" >"$T/out" 2>&1
owner=$(owner_of ezra)
learned() { [ "$("$UW" intelligence show --agent "$1" --json | pick .attempts)" -ge "$2" ]; }
check "the owner has learned from all" wait_for 20 learned "$owner" 120
other=timmy-1
[ "$owner" != timmy-1 ] || other=ezra-1
check "and so has who follows it" wait_for 20 learned "$other" 120

"$UW" predict --tool flaky --house ezra what=ok --ask "$owner" --json >"$T/good"
"$UW" predict --tool flaky --house ezra bad=secret-word-in-a-long-text --ask "$owner" --json >"$T/bad"
is "what has always succeeded will" "$(pick '.success > 0.85 and .low < .success and .high > .success' <"$T/good")" true
is "what has always failed will not" "$(pick '.success < 0.15' <"$T/bad")" true
is "and how" "$(pick .fails_by <"$T/bad")" error
is "it says how long it takes" "$(pick '.median_ms > 0 and .p95_ms >= .median_ms' <"$T/good")" true
is "the follower says about the same" \
    "$("$UW" predict --tool flaky --house ezra bad=secret-word-in-a-long-text --ask "$other" --json | pick '.success < 0.2')" true
like "a person reads it in a few lines" "$("$UW" predict --tool flaky --house ezra what=ok --ask "$owner")" 'of 100 succeed'

"$UW" intelligence report --agent "$owner" --json >"$T/report"
is "each was predicted before it began" "$(pick '.predictions >= 120' <"$T/report")" true
is "the model beats the rate of the tool" "$(pick '.skill_tool > 0.3' <"$T/report")" true
is "and the rate of all" "$(pick '.skill_all > 0.3' <"$T/report")" true
is "bins add up" "$(pick '([.calibration[].predictions] | add) == .predictions' <"$T/report")" true
like "there is a plot" "$("$UW" intelligence report --agent "$owner")" 'o said, \* came'
like "and a page" "$("$UW" intelligence report --agent "$owner" --html)" '<circle cx='

# What is learned changes how a task in mode intelligent is run, and no other.
"$UW" submit flaky bad=secret-word-in-a-long-text --house ezra --mode intelligent --retries 5 --wait >"$T/out" 2>&1
like "a hopeless one is not tried again" "$(cat "$T/out")" 'given up early'
"$UW" intelligence show --agent "$owner" --json >"$T/show"
is "that is noted with its reason" "$(pick '[.adapted[] | select(.gave_up)] | length == 1 and .[0].expected < 0.2' <"$T/show")" true
like "for people, too" "$("$UW" intelligence show --agent "$owner")" 'not tried again'
retried() { "$UW" task list --house ezra --state retrying --json | jq -e 'length > 0' >/dev/null; }
"$UW" submit flaky bad=secret-word-in-a-long-text --house ezra --retries 5 >"$T/out" 2>&1
check "a simple one is tried again" wait_for 10 retried
check "it can be frozen" "$UW" intelligence freeze --agent "$owner"
"$UW" submit flaky bad=secret-word-in-a-long-text --house ezra --mode intelligent --retries 2 --wait >"$T/out" 2>&1
check "then that mode is as the simple one" not grep -q 'given up early' "$T/out"
is "and nothing more is adapted" "$("$UW" intelligence show --agent "$owner" --json | pick '"\(.frozen) \(.adapted_count)"')" "true $(pick .adapted_count <"$T/show")"

restart_all
is "it stays frozen over a restart" "$("$UW" intelligence show --agent "$owner" --json | pick .frozen)" true
check "until it is thawed" "$UW" intelligence thaw --agent "$owner"
check "after a restart all is known again" learned "$owner" 120
before=$(pick .model.brier <"$T/report")
is "the scores too" "$("$UW" intelligence report --agent "$owner" --json | jq --argjson b "$before" '(.model.brier - $b) | fabs < 0.02')" true

# Where no rule speaks for a house, the router sends it where it is likely to succeed.
i=0
while [ $i -lt 40 ]; do
	echo '{"house":"ezra","tool":"moody","params":{"what":"ok"}}'
	echo '{"house":"timmy","tool":"moody","retry":{"max":1},"params":{"bad":"x"}}'
	echo '{"tool":"moody","mode":"intelligent","timeout_s":60,"params":{}}' >&3
	i=$((i + 1))
done >"$T/tasks" 3>"$T/routed"
"$UW" submit --batch "$T/tasks" >"$T/out" 2>&1
router=$(owner_of _)
seen_in() { [ "$("$UW" predict --tool moody --house "$1" --ask "$router" --json | pick '[.levels[] | select(.name == "tool, house").attempts] | add // 0')" -ge 35 ]; }
check "the router has learned of one house" wait_for 20 seen_in ezra
check "and of the other" wait_for 20 seen_in timmy
"$UW" submit --batch "$T/routed" --wait >"$T/out" 2>&1
"$UW" intelligence show --agent "$router" --json >"$T/sent"
is "it sends away from where it would fail, and says so" \
    "$(pick '[.adapted[] | select(.what == "house" and .tool == "moody")] | length >= 5 and all(.[]; .instead_of == "timmy" and .house == "ezra")' <"$T/sent")" true
like "for people, too" "$("$UW" intelligence show --agent "$router")" 'moody to house ezra, not to timmy'

check "it can be reset" "$UW" intelligence reset --agent "$owner"
is "then it knows nothing" "$("$UW" intelligence show --agent "$owner" --json | pick .attempts)" 0
check "the other goes on knowing" learned "$other" 120

# ---- history of Hermes ----

if command -v sqlite3 >/dev/null; then
	# Two calls in one message: the second begins when the first has ended. Then one that fails, and one without a result.
	at=$(($(date +%s) - 3600))
	sqlite3 "$T/state.db" <<EOS >/dev/null
PRAGMA journal_mode=WAL;
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT, role TEXT, content TEXT, tool_call_id TEXT,
    tool_calls TEXT, tool_name TEXT, timestamp REAL, finish_reason TEXT);
INSERT INTO messages (session_id, role, content, timestamp) VALUES ('s', 'user', 'hello', $at + 0.0);
INSERT INTO messages (session_id, role, tool_calls, timestamp) VALUES ('s', 'assistant',
    '[{"id":"a","type":"function","function":{"name":"terminal","arguments":"{\"command\":\"ls\"}"}},{"id":"b","type":"function","function":{"name":"terminal","arguments":"{\"command\":\"pwd\"}"}}]', $at + 1.0);
INSERT INTO messages (session_id, role, content, tool_call_id, timestamp) VALUES ('s', 'tool', '{"output":"x","exit_code":0}', 'a', $at + 3.0);
INSERT INTO messages (session_id, role, content, tool_call_id, timestamp) VALUES ('s', 'tool', 'plain text', 'b', $at + 3.5);
INSERT INTO messages (session_id, role, tool_calls, timestamp) VALUES ('s', 'assistant',
    '[{"id":"c","type":"function","function":{"name":"web_search","arguments":"not json"}},{"id":"d","type":"function","function":{"name":"terminal","arguments":"{}"}}]', $at + 10.0);
INSERT INTO messages (session_id, role, content, tool_call_id, timestamp) VALUES ('s', 'tool', '{"error":"request timed out"}', 'c', $at + 40.0);
EOS
	is "what tools came to under Hermes is learned" \
	    "$("$UW" intelligence import hermes "$T/state.db" --agent "$owner" --json | pick '"\(.attempts) \(.failed) \(.upto)"')" "3 1 6"
	is "its tools are known by its name" "$("$UW" predict --tool hermes/web_search --house ezra --ask "$owner" --json | pick '"\(.of_tool) \(.fails_by)"')" "1 timeout"
	is "with durations" "$("$UW" predict --tool hermes/terminal --house ezra --ask "$owner" --json | pick '.median_ms > 400 and .median_ms < 2100')" true
	is "once" "$("$UW" intelligence import hermes "$T/state.db" --agent "$owner" --json | pick .attempts)" 0
	sqlite3 "$T/state.db" "INSERT INTO messages (session_id, role, content, tool_call_id, timestamp) VALUES ('s', 'tool', '{}', 'd', $at + 41.0)"
	is "what came since is taken, though its call was before" \
	    "$("$UW" intelligence import hermes "$T/state.db" --agent "$owner" --json | pick '"\(.attempts) \(.upto)"')" "1 7"
	restart_all
	is "and known after a restart" "$("$UW" predict --tool hermes/terminal --house ezra --ask "$owner" --json | pick .of_tool)" 3
	sqlite3 "$T/state.db" "DELETE FROM messages WHERE id > 2"
	refuse "another database there is noticed" 1 "$UW" intelligence import hermes "$T/state.db" --agent "$owner"
	echo nonsense >"$T/not.db"
	refuse "what is no database is refused" 1 "$UW" intelligence import hermes "$T/not.db" --agent "$owner"
	refuse "and what is not there" 2 "$UW" intelligence import hermes "$T/none.db"
	refuse "and history of others" 2 "$UW" intelligence import zeus "$T/state.db"
else
	skip "history of Hermes" "no sqlite3"
fi
