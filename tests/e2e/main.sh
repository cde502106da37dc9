#!/bin/sh
# limit: 100
# What people do: give tasks by plain Mosquitto clients and by the program, and see what becomes of them.
. "$(dirname "$0")/lib.sh"

own_tool family exclusive <<'END'
#!/bin/sh
# Three processes that end only when they are told to.
sleep 600 &
sh -c 'sleep 600; true' &
echo $$ >"$UW_ROOTS/family.pid"
wait
END
own_tool stubborn idempotent <<'END'
#!/bin/sh
trap '' TERM
echo $$ >"$UW_ROOTS/stubborn.pid"
while :; do sleep 1; done
END
own_tool third_time idempotent <<'END'
#!/bin/sh
echo x >>"$UW_ROOTS/tries"
[ "$(wc -l <"$UW_ROOTS/tries")" -ge 3 ] && echo '{"tries":3}'
END
own_tool fails exclusive '"no_effect":[3]' <<'END'
#!/bin/sh
echo "it went wrong" >&2
exit "$(sed 's/.*"code":\([0-9]*\).*/\1/')"
END
own_tool kills_worker idempotent <<'END'
#!/bin/sh
kill -9 $PPID
END
own_tool note exclusive <<'END'
#!/bin/sh
echo "$(sed 's/.*"n":"\([^"]*\)".*/\1/')" >>"$UW_ROOTS/notes"
sleep 0.3
echo '{}'
END
cluster_up

as_exec watcher mosquitto_sub -q 1 -t 'uw/home/house/+/event/+' >"$T/events" &
on_exit "kill $! 2>/dev/null"
hears() {
	"$UW" submit noop --house ezra --wait >"$T/out" && [ -s "$T/events" ]
}
check "a watcher hears events by mosquitto_sub" wait_for 10 hears

# event FILTER: a jq condition on an event seen so far
event() {
	[ "$(jq -r "select($1) | .type" "$T/events" | wc -l)" -gt 0 ]
}

# The main job
for house in timmy ezra bezalel allegro; do
	check "mosquitto_pub gives $house a task" as operator mosquitto_pub -q 1 -t "uw/home/house/$house/task/operator" \
	    -m '{"tool":"system_info","labels":{"to":"'$house'"}}'
	check "$house accepts it" wait_for 10 event '.type == "accepted" and .task.labels.to == "'$house'"'
	check "$house says how it ended" wait_for 10 event \
	    '.type == "outcome" and .house == "'$house'" and .tool == "system_info" and .state == "succeeded" and .result.host'
done
like "mosquitto_rr is answered" "$(as operator mosquitto_rr -V 5 -q 1 -t uw/home/house/ezra/task/operator \
    -e uw/home/client/operator/reply/x -m '{"tool":"wait","params":{"ms":200}}' -W 10 | jq -c '[.type, .house, .copies]')" \
    '^\["accepted","ezra",[123]\]$'
check "as MQTT 3.1.1 mosquitto_pub works too" as operator mosquitto_pub -V 311 -q 1 -t uw/home/house/ezra/task/operator \
    -m '{"tool":"noop","labels":{"old":true}}'
check "and is accepted" wait_for 10 event '.type == "accepted" and .task.labels.old'

# Several tasks at once
awk 'BEGIN { for (i = 1; i <= 20; i++) print "{\"tool\":\"noop\",\"labels\":{\"file\":" i "}}" }' >"$T/tasks"
sed -i.orig '7s/.*/{"tool":"nop"}/' "$T/tasks"
count_events() {
	[ "$(jq -c "select($1) | .id" "$T/events" | sort -u | wc -l)" -eq "$2" ]
}
as operator mosquitto_pub -q 1 -t uw/home/house/ezra/task/operator -f "$T/tasks"
check "a file of tasks is one message (-f)" wait_for 10 count_events '.type == "accepted" and .task.labels.file' 19
check "a bad line is refused alone, by its number" wait_for 10 event \
    '.type == "rejected" and .line == 7 and .error.field == "tool"'
as operator mosquitto_pub -q 1 -t uw/home/house/ezra/task/operator -l <"$T/tasks"
check "a file of tasks is one message a line (-l)" wait_for 10 count_events \
    '.type == "accepted" and .task.labels.file' 38
printf '{\n  "tool": "noop",\n  "params": {\n    "payload": "pretty"\n  }\n}\n' >"$T/pretty.json"
as operator mosquitto_pub -q 1 -t uw/home/house/ezra/task/operator -f "$T/pretty.json"
check "a task spread over lines is one task" wait_for 10 event '.type == "outcome" and .result.payload? == "pretty"'

# submit
is "submit --wait prints the result" "$("$UW" submit noop payload=hello --house ezra --wait 2>"$T/err" | jq -r .payload)" hello
like "and says so beside it" "$(cat "$T/err")" 'succeeded$'
is "--json is one line of JSON" "$("$UW" submit noop --house ezra --wait --json | jq -r .state)" succeeded
like "without --wait it is accepted" "$("$UW" submit noop --house ezra)" '^[0-9A-Z]{26} accepted by house ezra$'
is "the router finds the archivist for a file" \
    "$(printf 'x\n' >"$T/c/work/f"; "$UW" submit file_read "path=$T/c/work/f" --wait --json | jq -r '.house + " " + .state')" \
    "ezra succeeded"
is "the router finds the artificer for writing" \
    "$("$UW" submit file_write "path=$T/c/work/g" content=new --wait --json | jq -r '.house + " " + .state')" \
    "bezalel succeeded"
is "and it is written" "$(cat "$T/c/work/g")" new
is "a house asks in the name of nobody: the sender stays" \
    "$("$UW" task list --json --tool file_write | jq -r '.[0].sender')" operator

# Exit codes
check "0: succeeded" "$UW" submit noop --house ezra --wait
refuse "1: failed" 1 "$UW" submit file_read "path=$T/c/work/none" --house ezra --wait
refuse "2: wrong usage" 2 "$UW" submit --house ezra
refuse "2: no such house" 2 "$UW" submit noop --house nobody
refuse "3: rejected" 3 "$UW" submit nonsense --house ezra
refuse "3: rejected, through the router too" 3 "$UW" submit nonsense
refuse "5: no answer in time" 5 "$UW" submit wait ms=20000 --house timmy --wait --within 1
refuse "6: waiting for approval" 6 "$UW" submit noop --house ezra --mode sovereign --wait
refuse "7: uncertain" 7 "$UW" submit fails code:=1 --house bezalel --wait
refuse "1: failed, when the tool says it changed nothing" 1 "$UW" submit fails code:=3 --house bezalel --wait
like "the tool's own words are the reason" "$("$UW" submit fails code:=3 --house bezalel --wait 2>&1)" 'it went wrong'

# task list, show, cancel
id=$("$UW" submit noop payload=shown --house ezra --wait --json | jq -r .id)
is "task show has the result" "$("$UW" task show "$id" --json | jq -r '.state + " " + .result.payload')" "succeeded shown"
like "task show is readable" "$("$UW" task show "$id")" '"state":.*succeeded'
refuse "task show of an unknown one fails" 1 "$UW" task show 01M87000000000000000000000
refuse "task show of no id is wrong usage" 2 "$UW" task show x
is "task list has it first" "$("$UW" task list --house ezra --json -n 1 | jq -r '.[0].id')" "$id"
like "task list is a table" "$("$UW" task list --house ezra)" '^ID +HOUSE +TOOL'
is "task list filters by state" "$("$UW" task list --state uncertain --json | jq -r '[.[].state] | unique | join(" ")')" uncertain
is "task list filters by tool" "$("$UW" task list --tool fails --json | jq -r '[.[].tool] | unique | join(" ")')" fails
refuse "a state that there is not is wrong usage" 2 "$UW" task list --state happy

alive() {
	kill -0 "$(cat "$T/c/work/$1.pid")" 2>/dev/null
}
group() {
	ps -A -o pgid= -o pid= | awk -v g="$(ps -o pgid= -p "$1" | tr -d ' ')" '$1 == g { print $2 }'
}
id=$("$UW" submit family --house bezalel --json | jq -r .id)
check "a tool with children runs" wait_for 10 alive family
members=$(group "$(cat "$T/c/work/family.pid")")
like "its children are with it" "$(echo "$members" | wc -l | tr -d ' ')" '^[4-9]'
like "task list shows it running" "$("$UW" task list --house bezalel --state running)" "$id"
check "it is cancelled" "$UW" task cancel "$id"
state_is() {
	[ "$("$UW" task show "$1" --json | jq -r .state)" = "$2" ]
}
check "and becomes cancelled" wait_for 10 state_is "$id" cancelled
still=
for p in $members; do
	! kill -0 "$p" 2>/dev/null || still="$still $p"
done
is "by then every process of its group is gone" "$still" ""
refuse "what has ended cannot be cancelled" 1 "$UW" task cancel "$id"
refuse "an unknown task cannot be cancelled" 1 "$UW" task cancel 01M87000000000000000000000
id=$("$UW" submit noop --house ezra --not-before 2099-01-01T00:00:00Z --json | jq -r .id)
check "a task for later is scheduled" state_is "$id" scheduled
check "it can be cancelled" "$UW" task cancel "$id"
check "and never runs" state_is "$id" cancelled
id=$("$UW" submit noop --house ezra --mode sovereign --json | jq -r .id)
check "so can one that waits for approval" "$UW" task cancel "$id"
id=$(as timmy mosquitto_rr -q 1 -t uw/home/house/ezra/task/timmy -e uw/home/client/timmy/reply/x -W 10 \
    -m '{"tool":"noop","not_before":"2099-01-01T00:00:00Z"}' | jq -r .id)
is "a task of somebody else is the operator's to cancel" \
    "$("$UW" task cancel "$id" --json | jq -r .state)" cancelled

# Timeouts
is "a task is stopped at its timeout" \
    "$("$UW" submit wait ms=60000 --house ezra --timeout 1 --wait --json | jq -r '.state + " " + .error.code')" "failed timeout"
is "one that ignores SIGTERM too" \
    "$("$UW" submit stubborn --house bezalel --timeout 1 --wait --json | jq -r '.state + " " + .error.code')" "failed timeout"
refuse "and its process is gone" 1 alive stubborn

# Retries
is "a task is tried again as often as it may be" \
    "$("$UW" submit third_time --house bezalel --retries 5 --wait --json | jq -r '"\(.state) \(.attempt)"')" "succeeded 3"
is "and no more" "$(rm "$T/c/work/tries"
    as operator mosquitto_pub -q 1 -t uw/home/house/bezalel/task/operator \
        -m '{"tool":"third_time","retry":{"max":2,"base_s":1},"labels":{"max":2}}'
    wait_for 15 event '.type == "outcome" and .tool == "third_time" and .state == "dead"' && echo dead)" dead
is "what kills its workers is given up" \
    "$("$UW" submit kills_worker --house bezalel --wait --json | jq -r '.state + " " + .error.code')" "dead crash"

: >"$T/c/work/notes"
# Order: both workers are busy, then the most urgent comes first.
for i in 1 2 3 4 5 6 7 8; do
	"$UW" submit wait ms=1500 --house bezalel >"$T/out" &
done
wait_for 10 sh -c '[ "$("$1" task list --house bezalel --state running --json | jq length)" -ge 2 ]' - "$UW"
for p in 1 9 4; do
	"$UW" submit note "n=$p" --house bezalel --priority $p >"$T/out"
done
noted() {
	[ "$(wc -l <"$T/c/work/notes")" -eq 3 ]
}
check "all of them run" wait_for 20 noted
# Two workers become free at once, so the first two start together.
like "the most urgent first" "$(tr '\n' ' ' <"$T/c/work/notes")" '^(9 4|4 9) 1 $'

# The same task twice
id=01$(awk 'BEGIN { srand(); for (i = 0; i < 24; i++) printf "%d", int(rand() * 10) }')
is "an id of one's own is kept" "$("$UW" submit noop --house ezra --id "$id" --wait --json | jq -r .id)" "$id"
like "submitting it again is answered with the same task" "$("$UW" submit noop --house ezra --id "$id")" 'had it already'
is "and its outcome" "$("$UW" submit noop --house ezra --id "$id" --wait --json | jq -r '.id + " \(.attempt)"')" "$id 1"
refuse "another task under its id is refused" 3 "$UW" submit noop payload=x --house ezra --id "$id"
: >"$T/c/work/notes"
first=$("$UW" submit note n=key --house bezalel --key once --wait --json | jq -r .id)
is "a key stands for its task" "$("$UW" submit note n=key --house bezalel --key once --wait --json | jq -r .id)" "$first"
is "which ran once" "$(cat "$T/c/work/notes")" key
refuse "another task under its key is refused" 3 "$UW" submit note n=other --house bezalel --key once

# Time
is "a task waits for its time" "$(
    "$UW" submit noop --house ezra --not-before "$(date -u -d '+2 seconds' +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v+2S +%Y-%m-%dT%H:%M:%SZ)" \
        --wait --json | jq -r '.state')" succeeded
id=$(as operator mosquitto_rr -q 1 -t uw/home/house/ezra/task/operator -e uw/home/client/operator/reply/x -W 10 \
    -m '{"tool":"noop","not_before":"2099-01-01T00:00:00Z","deadline":'$(($(date +%s) * 1000 + 1500))'}' | jq -r .id)
check "a task that did not start by its deadline is expired" wait_for 10 state_is "$id" expired

# watch, house list
"$UW" watch --house allegro --count 2 >"$T/watch" 2>"$T/err" &
watch=$!
check "watch connects" wait_for 10 grep -q connected "$T/err"
"$UW" submit noop payload=seen --house allegro --wait >"$T/out"
check "watch ends after as many events as asked for" wait_for 10 sh -c '! kill -0 $1 2>/dev/null' - $watch
like "watch shows the task" "$(cat "$T/watch")" 'allegro +accepted +[0-9A-Z]{26} noop .*seen'
is "watch --json is JSON, a line each" "$(
    "$UW" watch --house allegro --count 2 --json 2>/dev/null >"$T/watch" &
    p=$!
    until ! kill -0 $p 2>/dev/null; do "$UW" submit noop --house allegro >"$T/out"; done
    jq -r .type "$T/watch" | wc -l | tr -d ' ')" 2
like "house list is a table" "$("$UW" house list)" 'ezra +archivist +ezra-1 +online'
is "house list --json has all five" "$("$UW" house list --json | jq -r '[.[] | select(.state == "online")] | length')" 5

# Copies, and an agent that dies. The candidates of a house are its own agent and two others.
# holders HOUSE: how many have all that it accepts.
holders() {
	"$UW" house list --json | jq --arg house "$1" '.[] | select(.house == $house) | .candidates |
	    map(select(.state == "owner" or .state == "in step")) | length'
}
holders_are() {
	[ "$(holders "$1")" = "$2" ]
}
copies() {
	"$UW" submit noop --house "$1" --json | jq .copies
}
check "a house has an owner and two in step" wait_for 10 holders_are allegro 3
is "so what it accepts has three copies" "$(copies allegro)" 3
id=$("$UW" submit noop --house allegro --not-before 2099-01-01T00:00:00Z --json | jq -r .id)
kill -9 "$(cat "$T/c/run/allegro-1.pid")"
begun=$(date +%s)
taken_over() {
	owner=$(owner_of allegro)
	[ -n "$owner" ] && [ "$owner" != allegro-1 ]
}
check "when its agent dies another takes the house" wait_for 5 taken_over
check "and works" "$UW" submit noop --house allegro --wait --within 5
check "within five seconds altogether" [ $(($(date +%s) - begun)) -le $((5 * SLOW)) ]
like "house list names it" "$("$UW" house list)" "allegro +tempo-and-dispatch +$owner +online .*allegro-1 \\(away\\)"
check "and says that all is well" "$UW" house list
check "one copy less is made" wait_for 10 holders_are allegro 2
is "which accepted says" "$(copies allegro)" 2
is "the new owner has what the old one accepted" "$("$UW" task show "$id" --json | jq -r .state)" scheduled
like "also in the list" "$("$UW" task list --house allegro --state scheduled)" "$id"
is "and can cancel it" "$("$UW" task cancel "$id" --json | jq -r .state)" cancelled
"$UW" cluster restart allegro-1 >"$T/out"
check "back again it follows" wait_for 10 holders_are allegro 3
is "and makes a third copy" "$(copies allegro)" 3
# Of itself the house goes back in a while.
check "the house can be moved back" "$UW" house move allegro --to allegro-1
is "where it is again" "$(owner_of allegro)" allegro-1
is "with all that was there" "$("$UW" task show "$id" --json | jq -r .state)" cancelled

# Retention, and a house that nobody else may own
printf 'retention: {finished: 5}\n' >>"$T/c/houses.yaml"
alone allegro
first=$("$UW" submit noop --house allegro --wait --json | jq -r .id)
for i in 1 2 3 4 5 6 7 8 9 10; do
	"$UW" submit noop --house allegro --wait >"$T/out" 2>&1
done
restart_all
few() {
	[ "$("$UW" task list --house allegro --json | jq length)" -le 10 ]
}
check "finished tasks beyond the number kept are forgotten" wait_for 12 few
refuse "they cannot be shown any more" 1 "$UW" task show "$first"
like "and their ids are stale" "$("$UW" submit noop --house allegro --id "$first" 2>&1)" 'stale'
is "without other candidates there is one copy" "$(copies allegro)" 1
kill -9 "$(cat "$T/c/run/allegro-1.pid")"
gone() {
	[ "$("$UW" house list --json | jq -r '.[] | select(.house == "allegro") | .state')" = "no owner" ]
}
check "a house without its agent is shown so" wait_for 10 gone
refuse "by the exit code too" 1 "$UW" house list
id=$("$UW" submit noop --house allegro --within 1 --json | jq -r .id)
"$UW" cluster restart allegro-1 >"$T/out"
check "what was sent meanwhile is done when it is back" wait_for 15 state_is "$id" succeeded

# A graceful stop
id=$("$UW" submit wait ms=8000 --house timmy --json | jq -r .id)
check "a long task runs" wait_for 10 state_is "$id" running
"$UW" cluster restart timmy-1 >"$T/out" || not_ok "an agent with running work restarts" "$(cat "$T/out")"
check "after a restart it is run again" wait_for 30 state_is "$id" succeeded

# Without a broker
kill -9 "$(cat "$T/c/run/broker.pid")"
rc=0
id=$("$UW" submit noop payload=late --house ezra --json) || rc=$?
is "4: kept in the local outbox" "$rc $(echo "$id" | jq -r .type)" "4 spooled"
id=$(echo "$id" | jq -r .id)
is "outbox list has it" "$("$UW" outbox list --json | jq -r '.[].id')" "$id"
refuse "5: nobody to ask" 5 "$UW" task list
"$UW" cluster restart broker >"$T/out"
check "it goes out when the broker is back" wait_for 20 state_is "$id" succeeded
empty() {
	[ "$("$UW" outbox list --json)" = '[]' ]
}
check "and leaves the outbox" wait_for 10 empty
