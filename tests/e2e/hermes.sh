#!/bin/sh
# limit: 200
# Hermes: runs that the cluster gives it, and what it does being told. Hermes itself is not here: its API is that of
# tests/hermes/double.mjs, its database that of hermes_writer, both as its source has them.
. "$(dirname "$0")/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
if ! command -v node >/dev/null; then
	skip "HERMES" "needs node (apt-get install nodejs)"
	exit
fi
key=an-api-key-of-hermes
double() {
	HERMES_KEY=$key node "$here/../hermes/double.mjs" "$T/$1" "$T/$1.log" >"$T/$1.out" 2>&1 &
	echo $! >"$T/$1.pid"
	on_exit "kill $! 2>/dev/null"
}
HERMES_MAX=3 double port
HERMES_OLD=1 double old
check "two doubles run" wait_for 10 [ -s "$T/port" -a -s "$T/old" ]
port=$(cat "$T/port")

POLICY=roles
cluster_up --houses bezalel
W=$T/c/work
mkdir -p "$T/home"
listen=127.0.0.1:$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
printf '%s\n' "$key" >"$T/c/key"
printf '%s\n' hook-secret-value >"$T/c/hook"
chmod 600 "$T/c/key" "$T/c/hook"
cat >>"$T/c/houses.yaml" <<END
hermes:
  url: http://127.0.0.1:$port
  secret: HERMES_KEY
  home: $T/home
  listen: $listen
  webhook_secret: HERMES_HOOK
breakers: {failures: 2, open_s: 10s, open_cap_s: 60s}
workers:
  count: 6
  grace_ms: 3000
secrets:
  HERMES_KEY: {file: key}
  HERMES_HOOK: {file: hook}
END
check "the configuration is accepted" "$UW" config check
restart_all
# run NAME STEPS [options]: a task whose prompt is that; what came of it is in $T/NAME
run() {
	_name=$1 _steps=$2
	shift 2
	"$UW" submit hermes_run "prompt=$_steps" --house bezalel --wait --json "$@" >"$T/$_name" 2>"$T/$_name.err"
}
of() { jq -r "$2" "$T/$1"; }
posted() { jq -r --arg url "$1" 'select(.method == "POST" and (.url | test($url))) | .body' "$T/port.log"; }

run proven "say it is done"
is "a house that asks for proof has it" "$("$UW" audit show "$(of proven .id)" --json | jq -c '[.. | objects | select(.check? == "hermes_run") | .found] | unique')" \
    '["completed"]'
echo 'houses: {}' >"$T/.policy"
check "a policy without rules is signed" "$UW" policy sign --yes "$T/.policy"
unset POLICY

run ok "say There is
tool terminal ls
wait 30
failing web_search nothing
say one file."
is "a run that completes succeeds" "$(of ok .state)" succeeded
is "with its text, and what it used" "$(of ok '[.result.output, .result.tools, .result.tools_failed, .result.usage.input_tokens] | tostring')" \
    '["There is one file.",2,1,1200]'
id=$(of ok .id)
is "in a session of its own" "$(of ok .result.session)" "uw-$id"
like "its output was told while it ran, and is kept" "$("$UW" logs "$id")" '\* terminal: ls'
is "the key went to Hermes" "$(jq -r 'select(.url == "/v1/runs") | .auth' "$T/port.log" | sort -u)" "Bearer $key"
is "and is nowhere else" "$(grep -rlaF "$key" "$T"/c/state "$T"/c/log "$T"/ok* | wc -l | tr -d ' ')" 0
run named "say yes" session=20261123_104200_ab12cd model=opus
like "session and model are told to it" "$(posted '/v1/runs$' | tail -n 1)" '"session_id":"20261123_104200_ab12cd","model":"opus"'
run there "say here" "path=$W"
like "so is the directory to work in" "$(posted '/v1/runs$' | tail -n 1)" "Work in the directory $W and nowhere else"
run nowhere "say x" "path=$W/none"
like "which has to be there" "$(of nowhere '"\(.state) \(.error.message)"')" '^failed params.path: '

run fails "fail HTTP 401: invalid key"
is "a run that fails before it did anything has failed" "$(of fails .state)" failed
like "for its reason" "$(of fails .error.message)" 'HTTP 401: invalid key'
run halfway "tool terminal ls
fail no more money"
is "one that did something first is uncertain" "$(of halfway .state)" uncertain
for how in "" partial failed interrupted; do
	run partial "say half
partial $how"
	is "one that is no more than ${how:-a part} is no success" "$(of partial .state)" failed
done
run empty "empty"
like "nor is one without a text" "$(of empty .error.message)" 'ended without a text'
run cut "say before
wait 300
cut
wait 200
say after"
is "a stream that is cut is not the end of the run" "$(of cut .result.output)" "before after"
is "which says that it did not see everything" "$(of cut .result.events_cut)" true
run blind "wait 300
cut
wait 50
tool terminal rm
wait 100
fail late"
is "one that fails unseen may have done something" "$(of blind .state)" uncertain
run lost "say x
wait 300
lose"
like "a run that Hermes has forgotten is uncertain" "$(of lost '"\(.state) \(.error.message)"')" '^uncertain .*lost from sight.*Run not found'
run many "tool a x
tool b x
tool c x
wait 10000" max_turns=2
like "one that goes on and on is stopped" "$(of many .error.message)" 'more than 2 calls of tools'
run late "hang" --timeout 2
like "so is one that takes too long" "$(of late '"\(.error.code) \(.error.message)"')" '^timeout .*its time is over'

for i in 1 2 3; do
	"$UW" submit hermes_run "prompt=hang" --house bezalel --json >"$T/hang.$i" 2>&1
done
active() { [ "$(posted '/v1/runs$' | grep -c '"input":"hang"')" -ge 4 ]; }
check "three runs hang" wait_for 15 active
run busy "say x"
like "a fourth is refused, and had no effect" "$(of busy '"\(.state) \(.error.message)"')" '^failed .*status 429.*Too many concurrent'
for i in 1 2 3; do
	"$UW" task cancel "$(jq -rs '.[0].id' "$T/hang.$i")" >"$T/cancel" 2>&1
done
cancelled() { [ "$(posted '/stop$' | wc -l)" -ge $((1 + 1 + 3)) ]; }
check "cancelling their tasks stops them at Hermes" wait_for 15 cancelled
run after "say free"
is "which has room then" "$(of after .state)" succeeded

# What needs approval
run asks "say I clean up
tool terminal rm -rf build
ask rm -rf build
say done"
is "a run that asks for approval does not get it" "$(of asks '[.state, .error.code, .error.got] | tostring')" '["failed","approval","rm -rf build"]'
is "Hermes was told so" "$(posted '/approval$')" '{"choice":"deny"}'
like "the log has the task that would have it" "$("$UW" logs "$(of asks .id)")" '"mode":"sovereign".*"allow":\["rm -rf build"\]'
run allowed "ask rm -rf build" 'allow=["rm -rf build"]'
like "to say that it may is not enough" "$(of allowed '"\(.state) \(.error.message)"')" '^failed .*params.allow: expected a task that the sovereign has approved'
"$UW" logs "$(of asks .id)" | sed -n 's/^Hermes may not go on without this approval: //p' >"$T/follower"
"$UW" submit --batch "$T/follower" --house bezalel >"$T/batch" 2>&1
waiting() { "$UW" approvals --json | jq -e 'length == 1 and .[0].valid' >/dev/null; }
check "that task waits for Timmy" wait_for 10 waiting
like "as it was submitted" "$(cat "$T/follower" "$T/batch")" waiting_approval
id=$("$UW" approvals --json | jq -r '.[0].task')

check "he approves it" "$UW" approve "$id"
succeeded() { [ "$("$UW" task show "$id" --json | jq -r .state)" = succeeded ]; }
check "and it succeeds" wait_for 15 succeeded
like "having run just that" "$("$UW" task show "$id" --json | jq -r .result.output)" 'ran: rm -rf build'
is "once" "$(posted '/approval$' | tail -n 1)" '{"choice":"once"}'
id=$("$UW" submit hermes_run "prompt=ask rm -rf build
ask rm -rf /
say done" 'allow=["rm -rf build"]' --mode sovereign --house bezalel --json | jq -rs '.[0].id')
check "what he approves for one command" wait_for 10 waiting
check "is approved" "$UW" approve "$id"
ended() { "$UW" task show "$id" --json | jq -e '.state == "failed" or .state == "uncertain"'; }
check "and comes to an end" wait_for 15 ended
is "at another, which he did not see" "$("$UW" task show "$id" --json | jq -c '[.error.code, .error.got]')" '["approval","rm -rf /"]'
is "and which is denied" "$(posted '/approval$' | tail -n 2 | tr '\n' ' ')" '{"choice":"once"} {"choice":"deny"} '

# ---- what it does is told ----

as_exec operator mosquitto_sub -q 1 -t 'uw/home/agent/bezalel-1/telemetry/hermes' >"$T/heard" 2>&1 &
on_exit "kill $! 2>/dev/null"
as_exec operator mosquitto_sub -t 'uw/home/agent/bezalel-1/health/state' -R >"$T/beats" 2>&1 &
on_exit "kill $! 2>/dev/null"
follow() {
	"$UW" hermes tail "$@" >>"$T/tail.log" 2>&1 &
	tail=$!
}
on_exit 'kill $tail 2>/dev/null'
follow
# told FILTER: of what was heard, each number once
told() { jq -cs "unique_by(.stream, .seq) | .[] | $1" "$T/heard"; }
# has COUNT FILTER: so many; and has_for SECONDS COUNT FILTER: waits for them
has() { [ "$(told "$2" | grep -c .)" -eq "$1" ]; }
has_for() { wait_for "$1" has "$2" "$3"; }
says() { grep -q "$1" "$T/tail.log"; }
check "who follows it connects" wait_for 10 says 'connected'
write() { "$HELPERS/hermes_writer" "$T/home/state.db" "$@" >"$T/last"; }

calls=0
for version in 8 16 17 30 99; do
	write $version 6 2 "s-$version"
	calls=$((calls + 6))
	check "calls of tools in a database of version $version are told" has_for 10 6 "select(.event == \"tool.completed\" and .session == \"s-$version\")"
	check "and how its session came out" has_for 10 1 "select(.event == \"session.ended\" and .session == \"s-$version\" and .tool_call_count == 6)"
	# Another database takes its place.
	rm "$T/home"/state.db*
done
is "a version that nobody knows is named, and no other" "$(grep -o 'schema [0-9]* (not one that was looked at)' "$T/tail.log" | sort -u)" \
    "schema 99 (not one that was looked at)"
like "what a tool failed with is seen" "$(told 'select(.call == "call_4" and .session == "s-17" and .event == "tool.completed") | .ok')" '^false$'
like "and how long it took" "$(told 'select(.call == "call_4" and .session == "s-17" and .event == "tool.completed") | .ms')" '^[0-9]+$'
is "no text and no argument has left the host" "$(grep -c SECRET "$T/heard")" 0

# Reader and writer die while it goes on.
for i in 1 2 3 4; do
	"$HELPERS/hermes_writer" "$T/home/state.db" 17 100000 2 "killed-$i" >"$T/out" 2>&1 &
	writer=$!
	sleep 0.4
	kill -9 $tail
	sleep 0.1
	[ $((i % 2)) -eq 0 ] || kill -9 $writer
	sleep 0.2
	follow
	sleep 0.2
	kill -9 $writer 2>/dev/null
	wait $writer 2>/dev/null
done
# A last row of a writer that was not killed, so that what was lost of the others is known.
write 17 1 2 killed-end
sqlite() { "$HELPERS/hermes_calls" "$T/home/state.db"; }
check "the last is told" has_for 15 1 'select(.event == "tool.completed" and .session == "killed-end")'
sqlite | sort >"$T/calls"
told 'select((.session // "") | startswith("killed")) | select(.event == "tool.completed") | "\(.session) \(.call)"' | tr -d '"' | sort >"$T/told"
[ "$(wc -l <"$T/calls")" -gt 100 ]
is "hundreds of calls were made" $? 0
check "each of them is told once, whoever was killed" cmp "$T/calls" "$T/told"
is "and no number is missing" "$(jq -s 'map(.seq) | unique | (max - min + 1) - length' "$T/heard")" 0

# The broker is away, and who follows is killed meanwhile. It goes on when those who listen are there again.
"$UW" cluster stop broker --dir "$T/c" >"$T/out" 2>&1
write 17 10 1 away
sleep 0.5
kill -9 $tail
follow
sleep 0.5
kill -STOP $tail
: >"$T/beats"
"$UW" cluster start broker --dir "$T/c" >"$T/out" 2>&1
check "those who listen are there again" wait_for 20 [ -s "$T/beats" ]
kill -CONT $tail
check "what happened while the broker was away is told then" has_for 20 10 'select(.event == "tool.completed" and .session == "away")'

# Webhooks, and the same call from several sides
hook() { curl -s -X POST "http://127.0.0.1:$port/double/hook" -d "{\"url\":\"http://$listen/hermes\",\"secret\":\"${secret-hook-secret-value}\",$1}" | jq -r .status; }
call='"hook_event_name":"post_tool_call","tool_name":"terminal","session_id":"hooked","tool_input":{"command":"ls SECRET-ARGUMENT"},"extra":{"result":"SECRET-TEXT","tool_call_id":"call_0","duration_ms":137,"status":"ok"}'
is "a webhook is taken" "$(hook "$call")" 204
check "and told" has_for 5 1 'select(.session == "hooked" and .ms == 137 and .ok)'
is "one of another key is refused" "$(secret=other hook "$call")" 401
is "so is one of yesterday" "$(hook "\"timestamp\":\"2026-01-01T00:00:00Z\",$call")" 401
is "one delivery that comes twice is taken" "$(hook "\"delivery_id\":\"d1\",${call%call_0*}call_d\"}"; hook "\"delivery_id\":\"d1\",${call%call_0*}call_e\"}")" "204
204"
check "and told once" has_for 5 1 'select(.session == "hooked" and (.call == "call_d" or .call == "call_e"))'
write 17 1 1 hooked
check "what the database says of the same session follows" has_for 5 1 'select(.session == "hooked" and .event == "session.ended")'
# The number of the call that the writer makes is the last row before it.
n=$(($(cat "$T/last") - 4))
hook "${call%call_0*}call_$n\"}" >"$T/out"
hook "${call%call_0*}call_end\"}" >"$T/out"
check "webhooks go on" has_for 5 1 'select(.session == "hooked" and .call == "call_end")'
is "a call that both tell of is one" "$(told "select(.session == \"hooked\" and .call == \"call_$n\" and .event == \"tool.completed\") | .via")" '"database"'

run followed "tool terminal ls
wait 30
say done" session=followed
check "a run of ours is told from its stream" has_for 5 1 'select(.session == "followed" and .via == "run" and .event == "tool.completed" and .ok)'
check "with the task that it is for" has_for 5 1 "select(.event == \"run.completed\" and .task == \"$(of followed .id)\")"
write 17 1 1 followed
check "its session in the database, too" has_for 5 1 'select(.session == "followed" and .event == "session.ended")'
is "but not the same call again" "$(told 'select(.session == "followed" and .event == "tool.completed") | .via')" '"run"'
is "still nothing has left the host that should not" "$(grep -c SECRET "$T/heard")" 0

kill $tail
wait $tail
is "it ends when it is told to" $? 0
sed 's/^  home: /  share: texts\n  home: /' "$T/c/houses.yaml" >"$T/.yaml" && cat "$T/.yaml" >"$T/c/houses.yaml"
follow --all
write 17 1 1 shared
check "what may leave is configured" has_for 10 1 'select(.session == "shared" and .text == "SECRET-TEXT" and .status == "stop")'

# The agent learns: hermes/terminal is in what it knows.
learned() { "$UW" predict --tool hermes/terminal --house bezalel --json | jq -e '.of_tool > 100' >/dev/null; }
check "the agent has learned from it" wait_for 40 learned

# ---- away ----
kill $tail 2>/dev/null
kill "$(cat "$T/port.pid")"
for i in 1 2; do
	run "away.$i" "say x"
	is "nobody answers, which is a failure without effect, $i" "$(of "away.$i" '[.state, .error.code] | tostring')" '["failed","network"]'
done
state() { "$UW" task show "$id" --json | jq -r .state; }
id=$("$UW" submit hermes_run "prompt=say I waited" --house bezalel --json | jq -rs '.[0].id')
is "what comes then is kept back" "$(state)" scheduled
like "until this agent's Hermes is there again" "$("$UW" breaker list)" 'bezalel +hermes_run +hermes +bezalel-1 +(open|half_open)'
export HERMES_PORT="$port"
double port
unset HERMES_PORT
check "it is done then" wait_for 40 succeeded

# ---- an older Hermes, and none that serves ----
reconfigure() {
	sed "$1" "$T/c/houses.yaml" >"$T/.yaml" && cat "$T/.yaml" >"$T/c/houses.yaml"
	restart_all
}
reconfigure "s|^  url: .*|  url: http://127.0.0.1:$(cat "$T/old")|"
run old-ok "say x"
is "an old Hermes without status, approval and stop does a run" "$(of old-ok .state)" succeeded
run old-asks "ask rm -rf build
say done"
is "what it asks for it does not get" "$(of old-asks '[.state, .error.code] | tostring')" '["failed","approval"]'
like "and that it could not be stopped is said" "$("$UW" logs "$(of old-asks .id)")" 'could not be stopped: .*404'

cat >"$W/hermes" <<'END'
#!/bin/sh
for prompt; do :; done
trap 'echo stopped >stopped; exit 143' TERM
[ "$prompt" != wait ] || { echo begun >begun; while :; do sleep 0.1; done; }
[ "$prompt" != fail ] || { echo 'Error: no credits' >&2; exit 1; }
echo "$prompt, at $HERMES_HOME"
printf '\nsession_id: 20261123_104200_ab12cd\n' >&2
END
chmod 755 "$W/hermes"
reconfigure "s|^  url: .*|  program: $W/hermes|"
run cli "by hand"
is "where there is no server it runs by its command line" "$(of cli '[.result.output, .result.session] | tostring')" \
    "[\"by hand, at $T/home\\n\",\"20261123_104200_ab12cd\"]"
run cli-fails fail
like "what fails there has failed" "$(of cli-fails '"\(.state) \(.error.message)"')" '^uncertain .*exit code 1: Error: no credits'
"$UW" submit hermes_run prompt=wait "path=$W" --house bezalel --json >"$T/waits" 2>&1
check "one is at work" wait_for 10 [ -s "$W/begun" ]
"$UW" task cancel "$(jq -rs '.[0].id' "$T/waits")" >"$T/cancel" 2>&1
check "and is stopped when its task is cancelled" wait_for 10 [ -s "$W/stopped" ]
