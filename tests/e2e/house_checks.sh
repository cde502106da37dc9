#!/bin/sh
# once
# What each house asks of its tasks, as the first policy of a cluster has it; who stands in is under the same checks; and
# what waits survives the loss of its house's owner.
# limit: 200
. "$(dirname "$0")/lib.sh"

own_tool stamp idempotent '"touches":[{"kind":"path","name":"'"$T"'/c/work/stamp"}],
    "proof":[{"check":"file_exists","path":"'"$T"'/c/work/stamp"}]' <<'P'
#!/bin/sh
[ "$UW_PARAM_lie" = true ] || date >"${UW_ROOTS%%:*}/stamp"
echo '{}'
P
own_tool bare idempotent <<'P'
#!/bin/sh
echo '{}'
P
own_tool launch exclusive '"touches":[]' <<'P'
#!/bin/sh
echo x >>"${UW_ROOTS%%:*}/launched"
echo '{}'
P
POLICY=roles
cluster_up
W=$T/c/work

state() { "$UW" task show "$1" --json | jq -r .state; }
is_in() { [ "$(state "$1")" = "$2" ]; }
in_state() { wait_for 15 is_in "$@"; }
# id_of submit's arguments: gives the task, waits for its end, prints its id
id_of() { "$UW" submit "$@" --json | jq -rs '.[0].id'; }
ended() { _id=$(id_of "$@"); wait_for 15 has_ended "$_id"; echo "$_id"; }
has_ended() { state "$1" | grep -qE '^(succeeded|failed|denied|dead|cancelled|expired|uncertain)$'; }
error_of() { "$UW" task show "$1" --json | jq -r '.error.message // empty'; }
parent() { printf '{"tool":"%s","params":%s,"parent":"%s"}' "$1" "$2" "$3"; }
# follow HOUSE TOOL PARAMS PARENT: a task of the same chain, over plain MQTT
follow() {
	as operator mosquitto_rr -V 5 -q 1 -t "uw/home/house/$1/task/operator" -e uw/home/client/operator/reply/chain -W 10 \
	    -m "$(parent "$2" "$3" "$4")" | jq -r .id
}

# Ezra, the archivist
echo old >"$W/book"
id=$(ended file_write --house ezra path=book content=new)
is "the archivist does not overwrite what was not read" "$(state "$id") $(cat "$W/book")" "denied old"
like "and says what is to be done" "$(error_of "$id")" 'book.*not read'
id=$(ended file_write --house ezra path=page content=new)
is "what is new may be written" "$(state "$id")" succeeded
read=$(ended file_read --house ezra path=book)
is "it is read" "$(state "$read")" succeeded
write=$(follow ezra file_write '{"path":"book","content":"new"}' "$read")
check "in the same chain it may be written" in_state "$write" succeeded
is "it is" "$(cat "$W/book")" new
again=$(follow ezra file_write '{"path":"book","content":"newer"}' "$write")
check "and once more, for the chain knows what it wrote" in_state "$again" succeeded
echo meanwhile >"$W/book"
late=$(follow ezra file_write '{"path":"book","content":"newest"}' "$again")
check "not if somebody else has changed it since" in_state "$late" denied
is "it is as he left it" "$(cat "$W/book")" meanwhile
other=$(follow ezra file_write '{"path":"page","content":"x"}' "$read")
check "nor another file than the one that was read" in_state "$other" denied

# Bezalel, the artificer
refuse "the artificer takes no tool without a proof" 3 "$UW" submit bare --house bezalel
like "and says why" "$(cat "$T/.check")" 'unproven|proof'
id=$(ended stamp --house bezalel)
is "a proven one succeeds" "$(state "$id")" succeeded
is "its proof is part of what is told" "$("$UW" task show "$id" --json | jq -r .notes.proof.ok)" true
rm "$W/stamp"
id=$(ended stamp lie:=true --house bezalel)
not_succeeded() { [ "$(state "$1")" != succeeded ]; }
check "what only says that it is done has not succeeded" not_succeeded "$id"
is "but is unproven" "$("$UW" task show "$id" --json | jq -r .error.code)" unproven
id=$(ended file_write --house bezalel path=made content=x)
is "built-in tools bring their proof" "$("$UW" task show "$id" --json | jq -r '.state, .notes.proof.ok' | tr '\n' ' ')" \
    "succeeded true "

# Allegro dispatches, timmy judges
id=$(id_of launch --house allegro --key launch-1)
check "the dispatcher asks before what cannot be taken back" in_state "$id" waiting_approval
id2=$(id_of file_write --house timmy path=j content=x)
check "the judge before all that changes something" in_state "$id2" waiting_approval
check "but not for reading" "$UW" submit file_list path=. --house timmy --wait
check "nothing was done" not test -e "$W/launched"

# The owner dies while it waits
before=$(owner_of allegro)
asked() { "$UW" approvals --json | jq -e --arg id "$1" 'any(.task == $id)' >/dev/null; }
check "it is asked for" wait_for 10 asked "$id"
"$UW" cluster kill "$before" >/dev/null
changed() { _now=$(owner_of allegro); [ -n "$_now" ] && [ "$_now" != "$before" ]; }
check "its owner is killed: another agent has the house" wait_for 15 changed
check "it waits still" in_state "$id" waiting_approval
check "and is approved" "$UW" approve "$id"
check "it runs there" in_state "$id" succeeded
is "once" "$(cat "$W/launched")" x
"$UW" cluster start "$before" >/dev/null
sleep 2
is "and not again when the first is back" "$(cat "$W/launched")" x
check "he has heard how it ended" in_state "$id" succeeded
check "the other is denied" "$UW" deny "$id2" --why no
check "and never starts" in_state "$id2" denied
check "nothing was written" not test -e "$W/j"

# A stand-in is under the checks of the house it stands in for, and its own name stays.
"$UW" cluster stop bezalel-1 >/dev/null
stands_in() { _now=$(owner_of bezalel); [ -n "$_now" ] && [ "$_now" != bezalel-1 ]; }
check "another stands in for bezalel" wait_for 15 stands_in
refuse "he takes no tool without a proof either" 3 "$UW" submit bare --house bezalel
id=$(ended stamp --house bezalel)
is "a proven one succeeds there" "$(state "$id")" succeeded
like "under his own name" "$("$UW" audit show "$id")" "by $(owner_of bezalel)"

# Everything goes down while something waits
id=$(id_of launch --house allegro --key launch-2)
check "another waits" wait_for 10 asked "$id"
restart_all
check "it waits after the restart of everybody and the broker" wait_for 15 asked "$id"
check "it is approved" "$UW" approve "$id"
check "and runs" in_state "$id" succeeded
is "once" "$(wc -l <"$W/launched" | tr -d ' ')" 2
