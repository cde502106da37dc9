#!/bin/sh
# limit: 180
# Tries: what is worth one, how long is waited for it, what becomes of a task that has used them up; and how running work
# is stopped.
. "$(dirname "$0")/lib.sh"

# Ends with the code that it is told, and counts.
own_tool ends idempotent '"retry":{"on":[75]}' <<'EOF2'
#!/bin/sh
params=$(cat) code=$(cat "$UW_ROOTS/code")
echo x >>"$UW_ROOTS/$(echo "$params" | jq -r .name)"
[ "$code" -ne 0 ] || echo "$params"
exit "$code"
EOF2
# Has a child and a grandchild, of which none does what SIGTERM says.
own_tool stays idempotent <<'EOF2'
#!/bin/sh
trap '' TERM
sh -c 'trap "" TERM; (trap "" TERM; sleep 300) & sleep 300' &
ps -o pgid= -p $$ | tr -d ' ' >"$UW_ROOTS/group"
sleep 300
EOF2
cluster_up --houses ezra,timmy,bezalel
awk '{ print } /agents: \[timmy-1\]/ { print "    timeout_cap_s: 60s" }' "$T/c/houses.yaml" >"$T/houses" && cat "$T/houses" >"$T/c/houses.yaml"
restart_all
"$HELPERS/echo" "$T/requests" >"$T/echo" &
on_exit "kill $! 2>/dev/null"
check "a server runs" wait_for 5 [ -s "$T/echo" ]
origin=http://127.0.0.1:$(cat "$T/echo")
requests() { grep -c " $1\$" "$T/requests" 2>/dev/null; }

task() { "$UW" task show "$1" --json; }
state_is() { [ "$(task "$1" | jq -r .state)" = "$2" ]; }
# given ID JSON: with tries of its own
given() {
	id=$1
	printf '{"id":"%s",%s}\n' "$1" "$2" | as operator mosquitto_pub -q 1 -l -t uw/home/house/ezra/task/operator
}

# A server that is busy says when to come again.
like "it goes well after a 503" "$("$UW" submit http_get url="$origin/503/3/1" --retries 3 --house ezra --wait --json)" '"state":"succeeded","attempt":2'
is "it was asked twice" "$(requests /503/3/1)" 2
# shellcheck disable=SC2046
set -- $(grep ' /503/3/1$' "$T/requests" | cut -d ' ' -f 1)
check "and not before it wanted to be" [ $(($2 - $1)) -ge 3000 ]
check "but soon after" [ $(($2 - $1)) -le $((3000 + 5000 * SLOW)) ]

# What will not go well later is not asked again.
refuse "a 404 is the end" 1 "$UW" submit http_get url="$origin/404/0/99" --retries 5 --house ezra --wait --json
is "and it was asked once" "$(requests /404/0/99)" 1
is "it is dead" "$(jq -r .state "$T/.check")" dead
like "which says why" "$(jq -r .error.message "$T/.check")" '^another try would not help: .*404'
refuse "without tries it has only failed" 1 "$UW" submit http_get url="$origin/503/60/99" --house ezra --wait --json
is "so says its state" "$(jq -r .state "$T/.check")" failed

# Own tools say it by exit codes.
echo 2 >"$T/c/work/code"
refuse "an exit code that is not worth a try" 1 "$UW" submit ends name=two --retries 5 --house ezra --wait
is "is tried once" "$(wc -l <"$T/c/work/two" | tr -d ' ')" 1

# Waits double, with full jitter: after failure n at most base x 2^(n-1).
echo 75 >"$T/c/work/code"
given 01M87000000000000000000001 '"tool":"ends","params":{"name":"again"},"retry":{"max":4,"base_s":1}'
check "one that is, is tried until the tries are used up" wait_for 15 state_is 01M87000000000000000000001 dead
is "four times" "$(wc -l <"$T/c/work/again" | tr -d ' ')" 4
task 01M87000000000000000000001 >"$T/dead"
is "what became of each is kept" "$(jq -c '[.history[] | [.attempt, .how, .code]]' "$T/dead")" \
    '[[1,"failed","tool"],[2,"failed","tool"],[3,"failed","tool"],[4,"failed","tool"]]'
waited() {
	jq "def ms: (.[0:19] + \"Z\" | fromdate) * 1000 + (.[20:23] | tonumber);
	    (.history[$1 + 1].began | ms) - (.history[$1].ended | ms)" "$T/dead"
}
for n in 0 1 2; do
	check "wait $((n + 1)) is not too long" [ "$(waited $n)" -le $((1000 * (1 << n) + 1500 * SLOW)) ]
done
given 01M87000000000000000000002 '"tool":"ends","params":{"name":"later"},"retry":{}'
check "without numbers it has five tries" wait_for 10 state_is 01M87000000000000000000002 retrying
is "the task says how many went badly" "$(task 01M87000000000000000000002 | jq '.failures >= 1 and .failures < 5')" true
check "it can be cancelled while it waits" "$UW" task cancel 01M87000000000000000000002 --house ezra
check "and is" wait_for 5 state_is 01M87000000000000000000002 cancelled

# Dead letters
is "what is dead is listed" "$("$UW" task dead --json | jq -r '.[].state' | sort -u)" dead
is "all three of them" "$("$UW" task dead --json | jq length)" 3
is "by house" "$("$UW" task dead --house timmy --json | jq length)" 0
like "and why" "$("$UW" task dead --house ezra)" '01M87000000000000000000001 +ezra +ends +4 +operator +20.* tool: '
echo 0 >"$T/c/work/code"
like "it is given again as a new task" "$("$UW" task retry 01M87000000000000000000001 --wait --json)" '"state":"succeeded"'
"$UW" task list --house ezra --state succeeded --tool ends --json >"$T/new"
id=$(jq -r '.[0].id' "$T/new")
check "with an id of its own" [ "$id" != 01M87000000000000000000001 ]
is "which names the old one" "$(task "$id" | jq -r .task.retry_of)" 01M87000000000000000000001
check "that stays as it was" state_is 01M87000000000000000000001 dead
cat >"$T/editor" <<'EOF2'
#!/bin/sh
jq '.params.name = "edited"' "$2" >"$2.new" && mv "$2.new" "$2"
EOF2
chmod 755 "$T/editor"
is "it can be changed before" "$(EDITOR="$T/editor now" "$UW" task retry 01M87000000000000000000001 --edit --wait --json | jq -r .result.name)" edited
printf '#!/bin/sh\necho "{" >"$1"\n' >"$T/editor"
refuse "what is no JSON is not given" 2 env EDITOR="$T/editor" TMPDIR="$T" "$UW" task retry 01M87000000000000000000001 --edit
kept=$(sed -n 's/.*what was written is in \([^ :]*\).*/\1/p' "$T/.check")
check "but it is kept" [ -s "$kept" ]
refuse "nor if the editor fails" 2 env EDITOR=false TMPDIR="$T" "$UW" task retry 01M87000000000000000000001 --edit
like "and it says so" "$(cat "$T/.check")" 'nothing was submitted: the editor \(false\)'
is "nothing is left lying about" "$(find "$T" -maxdepth 1 -name 'uni-wizard-*' | grep -c -v -F "$kept")" 0
refuse "what succeeded is not tried again" 2 "$UW" task retry "$id"
refuse "nor what has not ended" 2 "$UW" task retry "$("$UW" submit wait ms=5000 --house ezra --json | jq -r .id)"
id=$("$UW" submit noop --house ezra --mode sovereign --json | jq -r .id)
check "a sovereign task is approved once" "$UW" approve "$id"
check "and done" wait_for 5 state_is "$id" succeeded
id=$("$UW" submit noop --house ezra --mode sovereign --json | jq -r .id)
check "another is denied" "$UW" deny "$id" --why "not twice"
check "and over" wait_for 5 state_is "$id" denied
refuse "given again it waits for another decision" 6 "$UW" task retry "$id" --wait
refuse "nor what is not known" 1 "$UW" task retry 01M87000000000000000000009

# Cancel of what runs: all of its processes are gone before it is said.
given 01M87000000000000000000003 '"tool":"stays","timeout_s":100'
check "something stubborn runs" wait_for 10 [ -s "$T/c/work/group" ]
group=$(cat "$T/c/work/group")
check "in a process group with its children" [ "$(ps -A -o pgid= | grep -c -x " *$group")" -ge 3 ]
like "a cancel says that it is being stopped" "$("$UW" task cancel 01M87000000000000000000003 --json)" '"state":"stopping"'
check "while it is so, that is known" sh -c "\"$UW\" task show 01M87000000000000000000003 --json | jq -e '.cancelling or .state == \"cancelled\"'"
refuse "none of its group is left when it is said to be cancelled" 1 sh -c \
    "until \"$UW\" task show 01M87000000000000000000003 --json | jq -e '.state == \"cancelled\"'; do sleep 0.1; done; kill -0 -$group"
like "which it says" "$(task 01M87000000000000000000003 | jq -r .error.message)" 'its processes are gone'

# Time that an attempt may take
given 01M87000000000000000000004 '"tool":"wait","params":{"ms":60000},"timeout_s":1,"retry":{"max":2,"base_s":1}'
check "what runs out of time is tried again, and is dead then" wait_for 15 state_is 01M87000000000000000000004 dead
is "which its history says" "$(task 01M87000000000000000000004 | jq -c '[.history[].how]')" '["timeout","timeout"]'
refuse "a house has a cap for it" 3 "$UW" submit noop --timeout 61 --house timmy
like "and names it" "$(cat "$T/.check")" 'timeout_s: expected at most 60 seconds in house timmy, got 61'
check "others have not" "$UW" submit noop --timeout 61 --house ezra
