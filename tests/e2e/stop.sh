#!/bin/sh
# An agent that is asked to stop: it ends its work, goes on telling so, says goodbye, and is never waited for long.
. "$(dirname "$0")/lib.sh"

cluster_up --houses ezra
as_exec watcher mosquitto_sub -q 1 -R -t uw/home/agent/ezra-1/health/state >"$T/beats" 2>"$T/err" &
on_exit "kill $! 2>/dev/null"
beats() { [ "$(grep -c "\"state\":\"$1\"" "$T/beats")" -ge "$2" ]; }
is_gone() { ! kill -0 "$1" 2>/dev/null; }
runs() { [ "$("$UW" task list --house ezra --state running --json | jq length)" -gt 0 ]; }
pid_of() { cat "$T/c/run/$1.pid"; }
quick() { [ $(($(date +%s) - begun)) -le $(($1 * SLOW)) ]; }
check "heartbeats are heard" wait_for 10 beats online 1

# With work
"$UW" submit wait ms=3200 --house ezra --wait --json >"$T/work" &
work=$!
check "a task runs" wait_for 10 runs
pid=$(pid_of ezra-1)
kill -TERM "$pid"
check "it says that it stops" wait_for 3 beats stopping 1
"$UW" submit noop --house ezra --json >"$T/late" 2>&1
check "and goes on saying so, once a second" wait_for 4 beats stopping 3
check "it ends" wait_for 8 is_gone "$pid"
check "with a goodbye" wait_for 2 beats offline 1
wait $work
is "the work that ran is done" "$(jq -r .state "$T/work")" succeeded
check "it starts again" "$UW" cluster start ezra-1
like "what came meanwhile is done then" "$(wait_for 10 not runs
    "$UW" submit noop --house ezra --id "$(jq -r .id "$T/late" 2>/dev/null)" --wait --json 2>&1)" succeeded

# With nothing to do
begun=$(date +%s)
check "without work it stops" "$UW" cluster stop ezra-1
check "at once" quick 1
check "and starts" "$UW" cluster start ezra-1

# Work that takes longer than the grace
"$UW" submit wait ms=60000 --house ezra >"$T/out"
check "a long task runs" wait_for 10 runs
begun=$(date +%s)
check "it stops all the same" "$UW" cluster stop ezra-1
check "when the grace is over" quick 12
check "and starts" "$UW" cluster start ezra-1
"$UW" task cancel "$("$UW" task list --house ezra --tool wait --json -n 1 | jq -r '.[0].id')" >"$T/out" 2>&1

# A broker that is silent
check "the broker freezes" "$UW" cluster freeze broker
begun=$(date +%s)
check "an agent stops" "$UW" cluster stop ezra-1
check "though there is no answer to its goodbye" quick 8
check "the broker thaws" "$UW" cluster thaw broker
check "and the agent starts" "$UW" cluster start ezra-1

# Frozen, it does not hear that it should stop.
check "an agent freezes" "$UW" cluster freeze ezra-1
begun=$(date +%s)
check "it can be stopped" "$UW" cluster stop ezra-1
check "without force" quick 5
