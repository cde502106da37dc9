#!/bin/sh
# limit: 150
# A house of three agents is brought from the program of before (OLD, else what `make e2e` has built of the commit in
# tests/previous.commit) to this one, agent by agent, under a stream of tasks; houses go from old to new and back, owners die on both
# sides; and one is brought back, with the database that was kept.
. "$(dirname "$0")/lib.sh"

drills=$(dirname "$0")/../drill
trickle=$HELPERS/../drill/trickle
OLD=${OLD:-$(dirname "$UW")/previous/uni-wizard}
HOUSE=ezra

if [ ! -x "$OLD" ]; then
	skip "agents of the version before and of this one in one cluster" "no program of before: no history; OLD names one"
	exit
fi
NEW=$UW
mkdir -p "$T/c/tools.d"
own_tool journal exclusive <<'END'
#!/bin/sh
echo "$UW_TASK_ID" >>"$UW_ROOTS/journal" && echo "{\"process\":$$}"
END
own_tool journal_again idempotent <<'END'
#!/bin/sh
echo "{\"process\":$$}"
END
UW=$OLD
cluster_up --houses $HOUSE --agents-per-house 3
UW=$NEW

as_exec watcher mosquitto_sub -V 5 -R -t 'uw/home/agent/+/health/state' -F '%U %p' >"$T/beats" &
on_exit "kill $! 2>/dev/null"
look() {
	tail -n 30 "$T/beats" | jq -nRr --arg house $HOUSE --argjson agents 3 -f "$drills/look.jq"
}
is_settled() {
	look | grep -q ' settled$'
}
owner() {
	look | cut -d ' ' -f 1
}
owns() {
	[ "$(owner)" = "$1" ]
}
# The latest heartbeat of an agent.
beat() {
	tail -n 30 "$T/beats" | cut -d ' ' -f 2- | jq -c 'select(.agent == "'"$1"'")' | tail -n 1
}
done_by() {
	grep -c "^[0-9]* event [0-9]* succeeded [^ ]* $1 " "$T/trickle"
}
flows_to() {
	before=$(done_by "$1")
	wait_for 10 more_by "$1"
}
more_by() {
	[ "$(done_by "$1")" -gt $((before + 20)) ]
}
check "three agents of the version before are in step" wait_for 20 is_settled
is "they do not say what they speak" "$(beat $HOUSE-1 | jq .protocol)" null

"$trickle" pace $HOUSE 20 "$T/outbox.db" >"$T/trickle" 2>"$T/trickle.err" &
trickling=$!
on_exit "kill -9 $trickling 2>/dev/null"
check "their owner does the work" flows_to $HOUSE-1

# The last candidate first: it follows an old owner, and owns with old followers.
check "the third is stopped and started as this version" "$NEW" cluster restart $HOUSE-3
check "it is in step with the others" wait_for 20 is_settled
is "it says what it speaks" "$(beat $HOUSE-3 | jq .protocol)" 1
is "and understands them" "$(beat $HOUSE-3 | jq .not_understood)" null
check "its database of before is kept" test -s "$T/c/state/$HOUSE-3.db.before"
check "the house moves to it" "$NEW" house move $HOUSE --to $HOUSE-3
check "it does the work" flows_to $HOUSE-3
check "all are in step" wait_for 20 is_settled
check "the house moves back to an old one, as the old program asks" "$OLD" house move $HOUSE --to $HOUSE-1
check "that does the work" flows_to $HOUSE-1
check "all are in step again" wait_for 20 is_settled

"$NEW" house move $HOUSE --to $HOUSE-3 >"$T/out" 2>&1
check "the new owner has it" wait_for 10 owns $HOUSE-3
check "all follow it" wait_for 20 is_settled
"$NEW" cluster kill $HOUSE-3 >"$T/out"
check "killed: an old one goes on" wait_for 10 owns $HOUSE-1
check "and does the work" flows_to $HOUSE-1
"$NEW" cluster restart $HOUSE-3 >"$T/out"
check "the second becomes new, and the third is back" "$NEW" cluster restart $HOUSE-2
check "all are in step with an old owner" wait_for 20 is_settled
"$NEW" cluster kill $HOUSE-1 >"$T/out"
owned_by_new() {
	owns $HOUSE-2 || owns $HOUSE-3
}
check "the old owner is killed: a new one goes on" wait_for 10 owned_by_new

# One is brought back: the old program does not take what the new one has written.
"$NEW" cluster stop $HOUSE-3 >"$T/out"
db=$T/c/state/$HOUSE-3.db
cksum "$db" >"$T/newer"
refuse "the old program refuses the newer database" 1 timeout 10 "$OLD" agent --agent $HOUSE-3
is "and leaves it as it is" "$(cksum "$db")" "$(cat "$T/newer")"
rm -f "$db-wal" "$db-shm"
mv "$db.before" "$db"
"$OLD" cluster start $HOUSE-3 >"$T/out"
"$OLD" cluster start $HOUSE-1 >"$T/out"
check "with what was kept it comes back as it was, and gets in step" wait_for 30 is_settled
is "it is the old one" "$(beat $HOUSE-3 | jq .protocol)" null
check "and may own the house" "$NEW" house move $HOUSE --to $HOUSE-3
check "it does the work" flows_to $HOUSE-3
check "all follow it in the end" wait_for 20 is_settled

for n in 3 1; do
	check "agent $n becomes new" "$NEW" cluster restart $HOUSE-$n
	check "and is in step" wait_for 20 is_settled
done
is "all speak the same" "$(for n in 1 2 3; do beat $HOUSE-$n; done | jq -s -c 'map(.protocol)')" '[1,1,1]'

kill $trickling
wait $trickling
figures=$(awk -v at=0 -v old=none -f "$drills/analyse.awk" "$T/trickle")
is "every task ended" "$(echo "$figures" | cut -d ' ' -f 4)" 0
is "none has two outcomes" "$(echo "$figures" | cut -d ' ' -f 5)" 0
is "none was refused" "$(echo "$figures" | cut -d ' ' -f 7)" 0
is "no exclusive task was started twice" "$(sort "$T/c/work/journal" | uniq -d | wc -l | tr -d ' ')" 0
