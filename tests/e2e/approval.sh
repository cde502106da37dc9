#!/bin/sh
# once
# limit: 300
# The sovereign's word in a real cluster: what waits, what starts once he has said so, what never starts, and what holds
# over the end of everything.
. "$(dirname "$0")/lib.sh"

POLICY=roles
cluster_up
W=$T/c/work

# state ID, and ended ID STATE: waits until the task is in it
state() { "$UW" task show "$1" --json | jq -r .state; }
is_in() { [ "$(state "$1")" = "$2" ]; }
in_state() { wait_for 10 is_in "$@"; }
# writes HOUSE NAME CONTENT [options]: the id of a task that would write this
writes() {
	_house=$1 _name=$2 _content=$3
	shift 3
	"$UW" submit file_write --house "$_house" "path=$W/$_name" "content=$_content" "$@" --json | jq -rs '.[0].id'
}
asked() { "$UW" approvals --json | jq -e --arg id "$1" 'any(.task == $id and .valid)' >/dev/null; }
waits() { in_state "$1" waiting_approval && wait_for 10 asked "$1"; }

# A fresh cluster
is "a policy is in force from the beginning" "$("$UW" policy show --json | jq -r '.payload | @base64d | fromjson | .n')" 1
is "every agent holds it" "$("$UW" policy show | grep -c 'holds policy')" 0

# One task, approved
refuse "a task of mode sovereign waits" 6 "$UW" submit file_write --house ezra "path=$W/a" content=one --mode sovereign
id=$("$UW" approvals --json | jq -r '.[0].task')
check "it is asked for" waits "$id"
is "nothing has happened" "$(ls "$W")" ""
like "the request shows what it would do" "$("$UW" approvals "$id")" '\+one'
check "it is approved" "$UW" approve "$id" --note "go on"
check "and runs" in_state "$id" succeeded
is "as it was shown" "$(cat "$W/a")" one
refuse "it does not wait any more" 1 "$UW" approve "$id"
rm "$W/a"
sleep 1
is "what was approved does not start again" "$(ls "$W")" ""

# Changed between request and start
id=$(writes ezra b two --mode sovereign)
check "another waits" waits "$id"
echo other >"$W/b"
check "it is approved as it was shown" "$UW" approve "$id"
check "but what it would overwrite was not there then" in_state "$id" denied
is "so nothing was written" "$(cat "$W/b")" other

# Denied, and nobody but the sovereign decides
id=$(writes ezra c three --mode sovereign)
check "a third waits" waits "$id"
refuse "an operator's approval does not pass the broker" 3 "$UW" approve "$id" --as operator
as operator mosquitto_pub -V 5 -q 1 -r -t "uw/home/sovereign/timmy/decision/$id" -m '{}' >"$T/pub" 2>&1
check "the sovereign denies it" "$UW" deny "$id" --why "not today"
check "it ends" in_state "$id" denied
like "with his words" "$("$UW" task show "$id" --json | jq -r .error.message)" 'not today'
is "and nothing was written" "$(ls "$W")" b

# Production
cat >"$T/policy.yaml" <<YAML
houses: { ezra: { profile: none }, bezalel: { profile: none }, timmy: { profile: none }, allegro: { profile: none } }
production: ["path:$W/www"]
rules:
  - { house: bezalel, sender: operator, then: deny, why: not in this house }
approval_s: 3600
YAML
check "a policy is signed and held by all" "$UW" policy sign "$T/policy.yaml" --yes
mkdir "$W/www" && ln -s www "$W/link"
id=$(writes ezra d four)
check "what lies elsewhere needs nobody" in_state "$id" succeeded
id=$(writes ezra link/e five)
check "what lies in production waits, also through a link" waits "$id"
is "nothing is there" "$(ls "$W/www")" ""
like "the request names the place" "$("$UW" approvals "$id")" "path:$W/www"
check "approved it is written" "$UW" approve "$id"
check "there" in_state "$id" succeeded
is "with its content" "$(cat "$W/www/e")" five
refuse "a rule that denies rejects at once" 3 "$UW" submit noop --house bezalel
like "with its reason" "$(cat "$T/.check")" 'not in this house'

# Grants
check "a grant for two" "$UW" grant add www "path=$W/www/*" --house ezra --tool file_write --sender operator --count 2
for n in 1 2; do
	id=$(writes ezra "www/g$n" six)
	check "task $n of the grant needs nobody" in_state "$id" succeeded
done
id=$(writes ezra www/g3 six)
check "the third waits" waits "$id"
check "and is denied" "$UW" deny "$id" --why "enough"

# All of it goes down while something waits, and a halt is in force
id=$(writes ezra www/h seven)
check "one more waits" waits "$id"
"$UW" cluster kill ezra-1 --dir "$T/c" >/dev/null
check "a halt is signed while an agent is dead" "$UW" halt --house ezra --why "a fire"
restart_all
held() { [ "$("$UW" policy show | grep -c 'holds policy')" = 0 ]; }
check "all come back with the policy" wait_for 10 held
check "what waited waits still" waits "$id"
check "it is approved" "$UW" approve "$id"
noop=$("$UW" submit noop --house ezra --json | jq -rs '.[0].id')
sleep 2
is "and yet nothing starts, for the halt holds" "$(state "$id") $(state "$noop") $(find "$W/www" -name h | wc -l | tr -d " ")" "queued queued 0"
check "other houses go on" "$UW" submit noop --house timmy --wait
check "the halt is lifted" "$UW" resume --house ezra
check "then it runs" in_state "$id" succeeded
check "so does the rest" in_state "$noop" succeeded
is "with what was approved" "$(cat "$W/www/h")" seven

# The sovereign's own
id=$(writes ezra www/i eight --as timmy)
check "what the sovereign asks for himself is denied, for nobody else could approve it" in_state "$id" denied

# The broker is away: the agents on this machine are told over their sockets.
"$UW" cluster kill broker --dir "$T/c" >/dev/null
check "without a broker a halt reaches the agents on this machine" "$UW" halt --why "no broker"
"$UW" cluster start broker --dir "$T/c" >"$T/.up" 2>&1
lists() { "$UW" house list >/dev/null; }
check "the broker is back" wait_for 20 lists
noop=$("$UW" submit noop --house timmy --json | jq -rs '.[0].id')
sleep 2
is "and the halt holds" "$(state "$noop")" queued
check "until it is lifted" "$UW" resume
check "then it runs" in_state "$noop" succeeded

# Another key: both are pinned for a while.
pin() { sed "s|^sovereign_keys:.*|sovereign_keys: [$1]|" "$T/c/houses.yaml" >"$T/pinned" && cat "$T/pinned" >"$T/c/houses.yaml"; }
old=$("$UW" key show --json | jq -r .public)
check "the next key is made" "$UW" key rotate --no-passphrase
next=$(cat "$T/c/pki/sovereign.key.next.pub")
pin "\"$old\", \"$next\""
restart_all
n=$("$UW" policy show | sed -n 's/^# policy \([0-9]*\) .*/\1/p')
check "everything is signed anew" "$UW" key rotate
pin "\"$next\""
restart_all
is "the policy is in force without the old key" "$("$UW" policy show | sed -n 's/^# policy \([0-9]*\) .*/\1/p')" $((n + 1))
check "tasks run" "$UW" submit noop --house timmy --wait
id=$(writes ezra www/j nine)
check "production waits as before" waits "$id"
check "and is approved with the new key" "$UW" approve "$id"
check "so it runs" in_state "$id" succeeded
