#!/bin/sh
# A task's traceparent goes with it: from who gives it to the tool that runs, on whichever agent, and into events and results.
. "$(dirname "$0")/lib.sh"

T1=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
T2=00-aaaabbbbccccdddd0000111122223333-1111222233334444-00
FORM='^00-[0-9a-f]{32}-[0-9a-f]{16}-01$'
unset TRACEPARENT
own_tool span idempotent <<'END2'
#!/bin/sh
echo "{\"span\":\"$TRACEPARENT\"}"
END2
cluster_up --houses ezra,timmy,bezalel
as_exec watcher mosquitto_sub -q 1 -t 'uw/home/house/ezra/event/+' >"$T/events" 2>"$T/err" &
on_exit "kill $! 2>/dev/null"
events() { jq -r --arg id "$1" 'select(.id == $id) | .type + " " + (.traceparent // "none")' "$T/events"; }
told() { events "$1" | grep -q '^outcome'; }
give() { "$UW" submit span --house ezra --wait --json "$@" 2>"$T/out"; }

# By submit
give --traceparent "$T1" >"$T/answer"
is "the tool has the trace of its task" "$(jq -r .result.span "$T/answer")" "$T1"
is "so has the answer" "$(jq -r .traceparent "$T/answer")" "$T1"
id=$(jq -r .id "$T/answer")
check "the outcome is told" wait_for 5 told "$id"
is "and every event of it" "$(events "$id" | grep -v " $T1\$")" ""
is "the task shows it" "$("$UW" task show "$id" --json | jq -r .traceparent)" "$T1"
is "who runs within a trace goes on with that" "$(TRACEPARENT=$T2 give | jq -r .result.span)" "$T2"
is "what is given goes before that" "$(TRACEPARENT=$T2 give --traceparent "$T1" | jq -r .result.span)" "$T1"
like "else a trace begins" "$(give | jq -r .result.span)" "$FORM"
like "also when what is around is none" "$(TRACEPARENT=nonsense give | jq -r .result.span)" "$FORM"
refuse "what is none is refused" 3 "$UW" submit span --house ezra --traceparent nonsense
like "with what was expected" "$("$UW" submit span --house ezra --traceparent nonsense 2>&1)" 'traceparent: expected one of W3C Trace Context.*got nonsense'
a=$(give --key once --traceparent "$T1" | jq -r .id)
is "the same task in another trace is the same task" "$(give --key once --traceparent "$T2" | jq -r .id)" "$a"

# By others
is "with mosquitto_rr it is a member" "$(as operator mosquitto_rr -V 5 -W 10 -q 1 -t uw/home/house/ezra/task/operator -e uw/home/client/operator/reply/t \
    -m "{\"tool\":\"span\",\"id\":\"01M8P0QFCM0BH6EAE75WWKJ2YD\",\"traceparent\":\"$T2\"}" | jq -r .type)" accepted
check "its outcome is told" wait_for 5 told 01M8P0QFCM0BH6EAE75WWKJ2YD
is "in its trace" "$("$UW" task show 01M8P0QFCM0BH6EAE75WWKJ2YD --json | jq -r .result.span)" "$T2"
as operator mosquitto_pub -V 5 -q 1 -t uw/home/house/ezra/task/operator -m '{"tool":"span","id":"01M8P0QFCM0BH6EAE75WWKJ2YE"}'
check "one without is done" wait_for 5 told 01M8P0QFCM0BH6EAE75WWKJ2YE
is "and its tool has none" "$("$UW" task show 01M8P0QFCM0BH6EAE75WWKJ2YE --json | jq -c '[.result.span, .traceparent]')" '["",null]'

# On another agent, for an owner that took it from its disk
check "the house goes to another agent, which gives its work to ezra-1" "$UW" house move ezra --to timmy-1
is "the tool there has the trace" "$(give --traceparent "$T1" | jq -r .result.span)" "$T1"
later=$("$UW" submit span --house ezra --traceparent "$T2" --json --not-before "$(date -u -d '+6 seconds' +%FT%TZ 2>"$T/err" || date -u -v+6S +%FT%TZ)" | jq -r .id)
check "with a task that waits, the owner dies" "$UW" cluster kill timmy-1
check "it is done under the next" wait_for 25 told "$later"
is "in its trace" "$("$UW" task show "$later" --json | jq -r .result.span)" "$T2"
is "by the router, too" "$("$UW" submit span --wait --json --traceparent "$T1" 2>"$T/out" | jq -r .result.span)" "$T1"
