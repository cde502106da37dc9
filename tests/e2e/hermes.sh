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
listen=127.0.0.1:$(($(od -An -N2 -tu2 /dev/urandom) % 20000 + 20000))
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
workers:
  count: 6
  grace_ms: 3000
secrets:
  HERMES_KEY: {file: key}
  HERMES_HOOK: {file: hook}
END
check "the configuration is accepted" "$UW" config check
restart_all
echo 'houses: {}' >"$T/.policy"
check "a policy without rules is signed" "$UW" policy sign --yes "$T/.policy"
unset POLICY

# run NAME STEPS [options]: a task whose prompt is that; what came of it is in $T/NAME
run() {
	_name=$1 _steps=$2
	shift 2
	"$UW" submit hermes_run "prompt=$_steps" --house bezalel --wait --json "$@" >"$T/$_name" 2>"$T/$_name.err"
}
of() { jq -r "$2" "$T/$1"; }
posted() { jq -r --arg url "$1" 'select(.method == "POST" and (.url | test($url))) | .body' "$T/port.log"; }

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

run fails "fail HTTP 401: invalid key"
is "a run that fails before it did anything has failed" "$(of fails .state)" failed
like "for its reason" "$(of fails .error.message)" 'HTTP 401: invalid key'
run halfway "tool terminal ls
fail no more money"
is "one that did something first is uncertain" "$(of halfway .state)" uncertain
run partial "say half
partial"
is "a partial one is no success" "$(of partial .state)" failed
run empty "empty"
like "nor is one without a text" "$(of empty .error.message)" 'ended without a text'
run cut "say before
cut
wait 200
say after"
is "a stream that is cut is not the end of the run" "$(of cut .result.output)" "before after"
run lost "say x
wait 20
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
