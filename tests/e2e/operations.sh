#!/bin/sh
# limit: 240
# What docs/OPERATIONS.md tells to do, done: a new agent and one taken away, an upgrade without a gap, a backup, a lost disk and a
# lost house.
. "$(dirname "$0")/lib.sh"

cluster_up --houses ezra,timmy,bezalel

# in_step HOUSE...: each has an owner, and both other candidates are in step.
in_step() {
	"$UW" house list --json >"$T/houses" 2>"$T/out" || return
	for _house; do
		jq -e --arg h "$_house" '.[] | select(.house == $h) | [.candidates[].state] | sort == ["in step", "in step", "owner"]' "$T/houses" >"$T/out" || return
	done
}
state_of() {
	"$UW" task show "$1" --json 2>"$T/out" | jq -r .state
}
owned() {
	"$UW" house list --json 2>"$T/out" | jq -e 'all(.[]; .owner != null)' >"$T/out"
}
all_in_step() {
	in_step ezra timmy bezalel
}
give() {
	"$UW" submit noop payload="$1" --house ezra --key "$1" --wait --json 2>"$T/out" | jq -r 'select(.state == "succeeded") | .id'
}
check "all are in step" wait_for 20 all_in_step
first=$(give first)
check "a task is done" [ -n "$first" ]

# A new agent
sed -i.orig 's/agents: \[ezra-1\]/agents: [ezra-1, ezra-2]/' "$T/c/houses.yaml"
check "houses.yaml with a new agent is right" "$UW" config check "$T/c/houses.yaml"
check "it is started" "$UW" cluster up --dir "$T/c"
for agent in timmy-1 bezalel-1 ezra-1; do
	check "$agent begins again, to know it" "$UW" cluster restart "$agent"
	check "each house has an owner then" wait_for 20 owned
done
check "the new one is in step, and all others" wait_for 30 all_in_step
check "the house is given to it" "$UW" house move ezra --to ezra-2
is "it knows what was done before" "$(state_of "$first")" succeeded

# An upgrade without a gap: all agents are restarted, one after the other, under work.
for n in $(seq 400); do
	echo "{\"tool\":\"wait\",\"house\":\"ezra\",\"params\":{\"ms\":50}}"
done >"$T/batch"
"$UW" submit --batch "$T/batch" --window 8 --wait >"$T/batch.out" 2>&1 &
batch=$!
for agent in ezra-2 ezra-1 bezalel-1 timmy-1; do
	check "$agent is restarted" "$UW" cluster restart "$agent"
	check "all are in step again" wait_for 30 all_in_step
done
wait $batch
is "every task that was given meanwhile succeeded" $? 0

# Taken away
check "the house leaves it" "$UW" house move ezra --to ezra-1
check "it is stopped" "$UW" cluster stop ezra-2
mv "$T/c/houses.yaml.orig" "$T/c/houses.yaml"
check "and is no longer in houses.yaml" "$UW" cluster up --dir "$T/c"
for agent in timmy-1 bezalel-1 ezra-1; do
	check "$agent begins again" "$UW" cluster restart "$agent"
	check "each house has an owner" wait_for 20 owned
done
check "all are in step without it" wait_for 30 all_in_step

# A backup of one agent, and of its audit records while it runs
check "audit records are written out" "$UW" audit export --agent ezra-1 --output "$T/ezra-1.audit"
check "and can be checked" "$UW" audit verify "$T/ezra-1.audit"
check "the house goes to another" "$UW" house move ezra --to bezalel-1
check "the agent is stopped" "$UW" cluster stop ezra-1
is "its database is one whole file" "$(cd "$T/c/state" && echo ezra-1.db*)" ezra-1.db
cp -p "$T/c/state/ezra-1.db" "$T/backup.db"

# Its disk is lost, others live
rm "$T"/c/state/ezra-1.db*
check "with an empty state it starts" "$UW" cluster start ezra-1
check "and is in step" wait_for 30 all_in_step
check "it takes its house again" "$UW" house move ezra --to ezra-1
is "it knows what was done" "$(state_of "$first")" succeeded
second=$(give second)
check "and works" [ -n "$second" ]

# All candidates lost their disks
check "all is stopped" "$UW" cluster down --dir "$T/c"
rm -f "$T"/c/state/*.db*
cp -p "$T/backup.db" "$T/c/state/ezra-1.db"
check "the cluster starts with a backup of one agent" "$UW" cluster up --dir "$T/c"
check "all are in step with it" wait_for 30 all_in_step
is "it knows what the backup knows" "$(state_of "$first")" succeeded
is "a task of before, given again, is the same and does not run again" "$(give first)" "$first"
again=$(give second)
check "what came after the backup is done when it is given again" [ -n "$again" ]
