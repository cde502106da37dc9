#!/bin/sh
# limit: 120
# The watcher of a host: how its agents are, alerts past broker and agents, and the end of one that is stuck.
. "$(dirname "$0")/lib.sh"

cluster_up --houses ezra,timmy
cat >"$T/told.sh" <<EOF
#!/bin/sh
cat >>"$T/told"
EOF
chmod 755 "$T/told.sh"
: >"$T/told"

pid_of() { cat "$T/c/run/$1.pid"; }
state_of() { "$UW" health --within 1 --json 2>"$T/out" | jq -r --arg a "$1" '.[] | select(.agent == $a) | .state'; }
found() { [ "$(state_of "$1")" = "$2" ]; }
told() { jq -e --arg name "$1" --arg state "$2" 'select(.name == $name and .state == $state)' "$T/told" >"$T/out"; }

# Once
check "agents that work are well" wait_for 10 "$UW" health
is "both of them" "$("$UW" health --json | jq -r 'map(.agent + " " + .state + " " + (.pid | tostring)) | join(", ")')" \
    "ezra-1 well $(pid_of ezra-1), timmy-1 well $(pid_of timmy-1)"
like "which people see too" "$("$UW" health)" 'ezra-1 +well'
check "one is frozen" "$UW" cluster freeze timmy-1
refuse "then not all are well" 1 "$UW" health --within 1
is "it is hung" "$(state_of timmy-1)" hung
is "of what process is known" "$("$UW" health --within 1 --json | jq '.[1].pid')" "$(pid_of timmy-1)"
check "it thaws" "$UW" cluster thaw timmy-1
check "and is well" wait_for 5 found timmy-1 well
"$UW" cluster stop timmy-1 >"$T/out"
is "one that was stopped is down" "$(state_of timmy-1)" down
"$UW" cluster stop broker >"$T/out"
check "without a broker an agent says what it lacks" wait_for 10 found ezra-1 failing
like "in words" "$("$UW" health --json | jq -r '.[0].why')" 'link: not connected'
"$UW" cluster start broker >"$T/out"
check "with it all is well again" wait_for 15 found ezra-1 well
printf 'houses: {ezra: }\nrun: run\nstate: state\n' >"$T/other.yaml"
refuse "a host without an agent says so" 1 "$UW" health --config "$T/other.yaml"
like "and where it looked" "$(cat "$T/.check")" 'no agent of .* lives here'
refuse "a directory that is none is wrong usage" 2 "$UW" health --config "$T/nosuch.yaml"

# The watcher, and what keeps an agent as systemd would
printf 'sinks:\n  program: {kind: command, command: %s}\n' "$T/told.sh" >"$T/more"
cat "$T/more" >>"$T/c/houses.yaml"
"$UW" cluster stop ezra-1 >"$T/out"
cat >"$T/keep.sh" <<EOF
while [ ! -e "$T/enough" ]; do
	"$UW" agent --config "$T/c/houses.yaml" --agent ezra-1 2>>"$T/ezra.log" &
	echo \$! >"$T/pid"
	wait \$!
	echo "ended \$?" >>"$T/ends"
done
EOF
: >"$T/ends"
sh "$T/keep.sh" >"$T/keep.log" 2>&1 &
keep=$!
on_exit "touch '$T/enough'; kill -KILL \"\$(cat '$T/pid')\" 2>/dev/null; wait $keep 2>/dev/null"
check "an agent is kept by somebody" wait_for 10 found ezra-1 well
"$UW" health --watch --every 1 --within 1 --hung 3 >"$T/watch.log" 2>&1 &
watcher=$!
on_exit "kill $watcher 2>/dev/null"
sees() { grep -q "$1" "$T/watch.log"; }
check "the watcher sees who is well" wait_for 5 sees 'agent ezra-1: well'
check "and who is down" sees 'agent timmy-1: down'
ended() { [ "$(wc -l <"$T/ends")" -ge "$1" ]; }
for n in 1 2 3; do
	stuck=$(cat "$T/pid")
	kill -STOP "$stuck"
	check "an agent that is stuck is ended ($n)" wait_for 15 ended $n
	check "and started again" wait_for 15 found ezra-1 well
done
is "by SIGKILL, for it did not take the other" "$(sort -u "$T/ends")" "ended 137"
check "which was told" wait_for 20 told agent-hung.ezra-1 raised
check "and its end" wait_for 20 told agent-hung.ezra-1 cleared
like "with what to do" "$(jq -r 'select(.name == "agent-hung.ezra-1") | [.severity, .agent, .runbook] | join(" ")' "$T/told" | head -n 1)" \
    'critical ezra-1 docs/TROUBLESHOOTING.md#agent-hung'
check "others are let alone" "$UW" submit noop --house ezra --wait
kill -STOP "$(cat "$T/pid")"
check "a fourth time within an hour it is left as it is" wait_for 15 sees 'was ended 3 times within an hour'
is "that is so" "$(wc -l <"$T/ends" | tr -d ' ')" 3
kill -CONT "$(cat "$T/pid")"
check "it is well again" wait_for 5 found ezra-1 well
check "one that does not run is told, too" wait_for 40 told agent-down.timmy-1 raised
"$UW" cluster start timmy-1 >"$T/out"
check "and that it does again" wait_for 10 told agent-down.timmy-1 cleared
kill "$watcher"
wait "$watcher"
is "the watcher ends when it is told to" $? 0
