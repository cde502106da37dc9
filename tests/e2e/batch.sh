#!/bin/sh
# limit: 120
# A file of tasks: all are given once, however often and wherever it is cut off.
. "$(dirname "$0")/lib.sh"

own_tool count exclusive <<'EOF'
#!/bin/sh
jq -r .n >>"$UW_ROOTS/count" && echo '{}'
EOF
own_tool fail read <<'EOF'
#!/bin/sh
exit 1
EOF
cluster_up --houses ezra,timmy
: >"$T/c/work/count"
summary() { tail -n 1 "$1" | jq -c 'del(.type)'; }

seq 1000 | sed 's/.*/{"tool":"noop","params":{"payload":&}}/' >"$T/noop"
check "a file of 1,000 tasks is given" "$UW" submit --batch "$T/noop" --house ezra
is "and told in one line" "$(cat "$T/.check")" "1000 tasks, 1000 accepted"
check "the same again, to the outcomes" "$UW" submit --batch "$T/noop" --house ezra --wait
is "these are the same tasks" "$(cat "$T/.check")" "1000 tasks, 1000 succeeded"
is "no task was given twice" "$(jq -r 'select(.line) | .id' "$T/noop.progress" | sort -u | wc -l | tr -d ' ')" 1000
check "and again: nothing is left to do" "$UW" submit --batch "$T/noop" --house ezra --wait
is "as it says" "$(cat "$T/.check")" "1000 tasks, 1000 succeeded (1000 by former runs)"

# Cut off anywhere, it goes on where it was.
seq 300 | sed 's/.*/{"tool":"count","house":"ezra","params":{"n":&}}/' >"$T/count"
for delay in 0.2 0.5 1; do
	"$UW" submit --batch "$T/count" --wait --window 20 >"$T/out" 2>&1 &
	pid=$!
	sleep "$delay"
	kill -9 "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
done
check "what was killed three times comes to its end" "$UW" submit --batch "$T/count" --wait --window 20
like "with all" "$(cat "$T/.check")" '^300 tasks, 300 succeeded'
is "each ran" "$(sort -u "$T/c/work/count" | wc -l | tr -d ' ')" 300
is "and once" "$(wc -l <"$T/c/work/count" | tr -d ' ')" 300
tail -c 20 "$T/count.progress" >"$T/tail"
truncate -s -20 "$T/count.progress"
check "a line that was cut off there does no harm" "$UW" submit --batch "$T/count" --wait
is "nor runs anything twice" "$(wc -l <"$T/c/work/count" | tr -d ' ')" 300

# More lines, and one that was changed
echo '{"tool":"count","house":"ezra","params":{"n":301}}' >>"$T/count"
sed 's/"n":7}/"n":7000}/' "$T/count" >"$T/changed" && cat "$T/changed" >"$T/count"
check "a file may grow, and change" "$UW" submit --batch "$T/count" --wait
like "only what is new is run" "$(cat "$T/.check")" '301 tasks, 301 succeeded \(299 by former runs\)'
is "two tasks" "$(wc -l <"$T/c/work/count" | tr -d ' ')" 302

# What is wrong
cat >"$T/mixed" <<'EOF'
{"tool":"noop","house":"ezra"}

{"tool":"nosuch","house":"ezra"}
not a task
{"tool":"noop","house":"nowhere"}
{"tool":"fail","house":"timmy"}
{"tool":"noop","house":"timmy"}
EOF
refuse "what failed shows in the exit code" 1 "$UW" submit --batch "$T/mixed" --wait --json
is "and in the summary" "$(summary "$T/.check" | jq -c '[.tasks, .left, .succeeded, .rejected, .failed]')" "[6,0,2,3,1]"
is "each line has its own" "$(jq -r 'select(.line) | "\(.line) \(.state)"' "$T/.check" | sort | tr '\n' ' ')" \
    "1 succeeded 3 rejected 4 rejected 5 rejected 6 failed 7 succeeded "
sed -i.bak '/fail/d' "$T/mixed" && rm "$T/mixed.progress"
refuse "so does what was refused" 3 "$UW" submit --batch "$T/mixed" --wait
like "in words" "$(cat "$T/.check")" '^line 3: .* rejected: tool: .*nosuch'
refuse "there is no such file" 2 "$UW" submit --batch "$T/nosuch"
refuse "a tool besides" 2 "$UW" submit noop --batch "$T/noop"
refuse "neither" 2 "$UW" submit
echo nonsense >"$T/noop.progress"
refuse "what is beside the file is not ours" 2 "$UW" submit --batch "$T/noop"

# Nobody answers for a while.
seq 50 | sed 's/.*/{"tool":"noop","house":"timmy"}/' >"$T/late"
kill -STOP "$(cat "$T/c/run/timmy-1.pid")" "$(cat "$T/c/run/ezra-1.pid")"
refuse "without an answer it gives up in time" 5 "$UW" submit --batch "$T/late" --within 2
like "and says how to go on" "$(cat "$T/.check")" '^50 tasks, 50 left: the same command goes on'
kill -CONT "$(cat "$T/c/run/timmy-1.pid")" "$(cat "$T/c/run/ezra-1.pid")"
check "and it does" "$UW" submit --batch "$T/late" --wait
is "to the end" "$(cat "$T/.check")" "50 tasks, 50 succeeded"
