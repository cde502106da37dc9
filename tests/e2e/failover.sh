#!/bin/sh
# limit: 100
# A house of three agents loses its owner again and again while tasks flow: killed, frozen, stopped, moved. Nothing is
# lost, nothing has two outcomes, and it goes on in time. Longer, with two brokers and cut cables: make drill.
. "$(dirname "$0")/lib.sh"

drills=$(dirname "$0")/../drill
trickle=$HELPERS/../drill/trickle
HOUSE=ezra

mkdir -p "$T/c/tools.d"
own_tool journal exclusive <<'END'
#!/bin/sh
echo "$UW_TASK_ID" >>"$UW_ROOTS/journal" && echo "{\"process\":$$}"
END
own_tool journal_again idempotent <<'END'
#!/bin/sh
echo "{\"process\":$$}"
END
# Two that tell which agent runs them: the worker's parent.
for effect in idempotent exclusive; do
	own_tool slow_$effect $effect <<-'END'
		#!/bin/sh
		ps -o ppid= -p $PPID >>"$UW_ROOTS/$UW_TOOL"
		sleep 4
		echo '{}'
	END
done
cluster_up --houses $HOUSE --agents-per-house 3

# Who is there, and what each says; look.jq explains the line.
as_exec watcher mosquitto_sub -V 5 -R -t 'uw/home/agent/+/health/state' -F '%U %p' >"$T/beats" &
on_exit "kill $! 2>/dev/null"
as_exec watcher mosquitto_sub -V 5 -q 1 -t "uw/home/house/$HOUSE/event/+" >"$T/events" &
on_exit "kill $! 2>/dev/null"
look() {
	tail -n 30 "$T/beats" | jq -nRr --arg house $HOUSE --argjson agents 3 -f "$drills/look.jq"
}
is_settled() {
	look | grep -q ' settled$'
}
pid_of() {
	cat "$T/c/run/$1.pid"
}
check "three agents are in step" wait_for 20 is_settled

"$trickle" pace $HOUSE 20 "$T/outbox.db" >"$T/trickle" 2>"$T/trickle.err" &
trickling=$!
on_exit "kill -9 $trickling 2>/dev/null"
flows() {
	[ "$(grep -c ' outcome ' "$T/trickle")" -ge 20 ]
}
check "tasks flow" wait_for 10 flows

# analyse N: a figure of analyse.awk, of what happened since the fault
analyse() {
	awk -v at="$at" -v since="$((at - 500))" -v old="$owner" -v live=1 -f "$drills/analyse.awk" "$T/trickle" | cut -d ' ' -f "$1"
}
recovered() {
	[ "$(analyse 1)" -ge 0 ]
}
within() {
	echo "$2 ms"
	[ "$2" -ge 0 ] && [ "$2" -le $(($1 * SLOW)) ]
}
# The fault is at hand: who owns the house now?
at_hand() {
	owner=$(look | cut -d ' ' -f 1)
	at=$("$trickle" now)
}

at_hand
kill -9 "$(pid_of "$owner")"
check "killed: another owner completes tasks" wait_for 10 recovered
check "within 2 s" within 2000 "$(analyse 1)"
check "the one that was killed is started again" "$UW" cluster restart "$owner"
check "and gets in step" wait_for 20 is_settled

at_hand
kill -STOP "$(pid_of "$owner")"
check "frozen: another owner completes tasks" wait_for 20 recovered
check "within 12 s" within 12000 "$(analyse 1)"
kill -CONT "$(pid_of "$owner")"
check "the one that was frozen gets in step" wait_for 20 is_settled

at_hand
check "stopped and started again" "$UW" cluster restart "$owner"
check "another owner completes tasks" wait_for 10 recovered
check "no task waits longer than 1 s" within 1000 "$(analyse 2)"
check "all are in step again" wait_for 20 is_settled

at_hand
for to in $HOUSE-1 $HOUSE-2 $HOUSE-3; do
	[ "$to" = "$owner" ] || break
done
check "house move hands it over" "$UW" house move $HOUSE --to "$to"
check "and the other completes tasks" wait_for 10 recovered
owns() {
	[ "$(look | cut -d ' ' -f 1)" = "$1" ]
}
check "it is the owner now" wait_for 5 owns "$to"
check "no task waits longer than 1 s for it" within 1000 "$(analyse 2)"
drill() {
	"$UW" drill --house $HOUSE --json >"$T/drill"
}
check "a drill moves it there and back" drill
check "and it is where it was" wait_for 5 owns "$to"
like "it tells how long tasks had to wait" "$(jq -c '[.house, .from, .failed, .recovery_ms]' "$T/drill")" \
    '^\["'$HOUSE'","'"$to"'",0,[0-9]+\]$'
shows_drill() {
	[ "$(tail -n 30 "$T/beats" | cut -d ' ' -f 2- | jq -r 'select(.agent == "'"$to"'") | .houses[] |
	    select(.house == "'$HOUSE'") | .drill.recovery_ms' | tail -n 1)" = "$(jq .recovery_ms "$T/drill")" ]
}
check "and health shows it" wait_for 5 shows_drill
refuse "there is no drill of a house that is not there" 2 "$UW" drill --house nobody
refuse "nor by somebody who may not move houses" 3 "$UW" drill --house $HOUSE --as watcher
sed 's/^    agents:.*/&\n    candidates: ['"$to"']/' "$UNI_WIZARD_CONFIG" >"$T/c/alone.yaml"
refuse "nor of one that nobody else may own" 1 "$UW" drill --house $HOUSE --config "$T/c/alone.yaml"
like "which is said" "$("$UW" drill --house $HOUSE --config "$T/c/alone.yaml" 2>&1)" 'only one candidate'

kill $trickling
wait $trickling
at=0 owner=none
figures=$(awk -v at=0 -v old=none -f "$drills/analyse.awk" "$T/trickle")
is "every task ended" "$(echo "$figures" | cut -d ' ' -f 4)" 0
is "none has two outcomes" "$(echo "$figures" | cut -d ' ' -f 5)" 0
is "none was refused" "$(echo "$figures" | cut -d ' ' -f 7)" 0
is "no exclusive task was started twice" "$(sort "$T/c/work/journal" | uniq -d | wc -l | tr -d ' ')" 0
is "all three agents did some of the work" \
    "$(jq -r 'select(.type == "started") | .agent // empty' "$T/events" | sort -u | wc -l | tr -d ' ')" 3
# Read as docs/protocol.md says: what a lower term says at the number where a higher one begins, or after, came to nothing.
is "each number of the house's stream was used once" "$(jq -r 'select(.seq) | (.term | split(".")) as $t |
    "\($t[0]) \($t[1:] | join(".")) \(.seq) \(.type) \(.id)"' "$T/events" | sort -u | sort -k 1,1nr -k 2,2r -k 3,3n |
    awk '$1 " " $2 != term { term = $1 " " $2; if (NR > 1 && (!end || first < end)) end = first; first = $3 }
        !end || $3 < end { print $3 }' | sort | uniq -d | wc -l | tr -d ' ')" 0

# An agent dies that runs something, owner or not.
runner_of() {
	tail -n 1 "$T/c/work/$1" | tr -d ' '
}
runs() {
	[ -s "$T/c/work/$1" ]
}
runs_again() {
	[ "$(wc -l <"$T/c/work/$1")" -ge 2 ]
}
name_of() {
	for name in $HOUSE-1 $HOUSE-2 $HOUSE-3; do
		[ "$(pid_of "$name")" != "$1" ] || echo "$name"
	done
}
"$UW" submit slow_idempotent --house $HOUSE --wait --json >"$T/twice.out" 2>&1 &
running=$!
check "a task that may run twice runs" wait_for 10 runs slow_idempotent
victim=$(name_of "$(runner_of slow_idempotent)")
like "on one of them" "$victim" "^$HOUSE-[123]$"
kill -9 "$(pid_of "$victim")"
check "its agent is killed: it runs again" wait_for 15 runs_again slow_idempotent
wait $running
is "and succeeds" "$(jq -r .state "$T/twice.out")" succeeded
"$UW" cluster restart "$victim" >"$T/out"
check "all are in step" wait_for 20 is_settled

"$UW" submit slow_exclusive --house $HOUSE --wait --json >"$T/exclusive.out" 2>&1 &
acting=$!
check "an exclusive task runs" wait_for 10 runs slow_exclusive
victim=$(name_of "$(runner_of slow_exclusive)")
kill -9 "$(pid_of "$victim")"
wait $acting
is "its agent is killed: it is uncertain" "$(jq -r .state "$T/exclusive.out")" uncertain
is "and was not started again" "$(wc -l <"$T/c/work/slow_exclusive" | tr -d ' ')" 1
"$UW" cluster restart "$victim" >"$T/out"
