#!/bin/sh
# once
# limit: 170
# A stream of tasks from Mosquitto's own client, from submit and from the client library, while the agent that owns
# their house is killed again and again, whoever it is by then, and the broker too, once with all it had stored. Then
# everything is counted.
# TASKS sets how many there are, AGENT_KILLS and BROKER_KILLS how often.
. "$(dirname "$0")/lib.sh"

TASKS=${TASKS:-5000} AGENT_KILLS=${AGENT_KILLS:-20} BROKER_KILLS=${BROKER_KILLS:-5}
BY_SUBMIT=$((TASKS / 20)) BY_PUB=$((TASKS * 3 / 10))
BY_CLIENT=$((TASKS - BY_SUBMIT - BY_PUB))
LASTS=$(((AGENT_KILLS + BROKER_KILLS) * 2 * SLOW))
RATE=$((BY_CLIENT / LASTS + 1))
CHUNK=50
HOUSE=bezalel

# Two tools that say themselves that they were started: one line each time, in one write.
for effect in idempotent exclusive; do
	own_tool count_$effect $effect <<-'END'
		#!/bin/sh
		echo "$UW_TASK_ID" >>"$UW_ROOTS/$UW_TOOL" && echo '{"done":true}'
	END
done
cluster_up

# tasks FIRST COUNT KEYED: half read, half with effects. Without an id an exclusive task needs a key.
tasks() {
	awk -v first="$1" -v n="$2" -v keyed="$3" 'BEGIN {
		split("noop noop noop wait wait noop count_idempotent count_idempotent count_exclusive count_exclusive", tool)
		for (i = first; i < first + n; i++) {
			t = tool[i % 10 + 1]
			printf "{\"tool\":\"%s\"%s%s,\"labels\":{\"n\":%d}}\n", t, t == "wait" ? ",\"params\":{\"ms\":10}" : "",
			    keyed && t == "count_exclusive" ? ",\"key\":\"n" i "\"" : "", i
		}
	}'
}

# Ends with its connection, so it is started again.
listen() {
	until [ -e "$T/quiet" ]; do
		as_exec watcher mosquitto_sub -V 5 -c -x 3600 -i watch -q 1 -t "uw/home/house/$HOUSE/event/+" >>"$T/events" &
		echo $! >"$T/sub.pid"
		wait $!
		sleep 0.05
	done 2>"$T/sub.err"
}
stop_listening() {
	touch "$T/quiet"
	kill "$(cat "$T/sub.pid")"
}
listen &
on_exit 'stop_listening 2>/dev/null'

# A plain client sends again what it could not deliver; so would a person.
publish() {
	n=0
	while [ $n -lt $BY_PUB ]; do
		tasks $n $CHUNK 1 >"$T/chunk"
		until as operator mosquitto_pub -V 5 -q 1 -l -t "uw/home/house/$HOUSE/task/operator" <"$T/chunk"; do
			echo again >>"$T/again"
			sleep 0.1
		done
		n=$((n + CHUNK))
		sleep "$(awk "BEGIN { print $LASTS * $CHUNK / $BY_PUB }")"
	done 2>"$T/pub.err"
}

# shellcheck disable=SC2016
submit_some() {
	seq $BY_SUBMIT | xargs -P 2 -n 1 sh -c '
		case $(($1 % 3)) in
		0) "$0" submit noop --wait --within 60 --json --house '$HOUSE' ;;
		1) "$0" submit count_exclusive --json --house '$HOUSE' ;;
		2) "$0" submit count_idempotent --json --house '$HOUSE' ;;
		esac
		rc=$?
		[ $rc = 0 ] || [ $rc = 4 ] || [ $rc = 7 ] || echo "exit code $rc" >&2
		sleep 0.05' "$UW" >"$T/submit.out" 2>"$T/submit.err"
}

pause() {
	sleep "$(awk -v r="$(od -An -N2 -tu2 /dev/urandom)" "BEGIN { print $SLOW * (0.1 + r % 5000 / 10000) }")"
}

kill_one() {
	kill -9 "$(cat "$T/c/run/$1.pid")"
}

# Who is killed is asked for; if nobody owns the house at the moment, it is the one who did. Every other time others
# are given the time to be in step and to take over; else it is killed as it is, and comes back at once.
find_owner() {
	"$UW" house list --json 2>"$T/out" | jq -r '.[] | select(.house == "'$HOUSE'" and .owner) |
	    "\(.owner) \([.candidates[] | select(.state == "in step")] | length)"' >"$T/owner"
	read -r owner followers <"$T/owner"
	[ "${followers:-0}" -gt 0 ] || [ $((k % 2)) -eq 0 ]
}
kill_owner() {
	was=$owner
	wait_for 6 find_owner
	owner=${owner:-$was}
	echo "$owner" >>"$T/killed"
	kill_one "$owner"
	[ $((k % 2)) -eq 0 ] || { pause && pause; }
	"$UW" cluster restart "$owner"
}

chaos() {
	broker=0 owner=$HOUSE-1
	for k in $(seq $((AGENT_KILLS + BROKER_KILLS))); do
		pause
		if [ $((k * BROKER_KILLS / (AGENT_KILLS + BROKER_KILLS))) -gt $broker ]; then
			broker=$((broker + 1))
			kill_one broker
			[ $broker -ne 3 ] || rm -rf "$T"/c/broker/data/*
			"$UW" cluster restart broker
		else
			kill_owner
		fi || echo "restart failed" >>"$T/chaos.err"
	done
}

tasks 0 $BY_CLIENT 0 | "$HELPERS/storm" timmy $HOUSE $RATE $((130 * SLOW)) >"$T/replies" 2>"$T/storm.err" &
storm=$!
publish &
pub=$!
submit_some &
submits=$!
chaos >"$T/chaos.out" 2>>"$T/chaos.err"

is "all that was killed came back" "$(cat "$T/chaos.err")" ""
wait $pub
wait $submits
is "submit says accepted, or that it keeps the task" "$(cat "$T/submit.err")" ""
wait $storm
is "the client heard the end of every task" "$(cat "$T/storm.err")" ""

# Queries on standard input, one a line, by the plain client: one message out, one back.
ask() {
	as operator mosquitto_rr -q 1 -t "uw/home/house/$HOUSE/query/operator" -e uw/home/client/operator/reply/q -W 10 \
	    -m "$(cat)"
}

is_quiet() {
	[ "$("$UW" house list --json | jq -r '.[] | select(.house == "'$HOUSE'") | .queued + .running')" = 0 ]
}

# The ids of all that the house knows.
list() {
	before=9007199254740991
	while [ -n "$before" ]; do
		echo '{"list":{"house":"'$HOUSE'","limit":200,"before":'$before'}}' | ask >"$T/page" || return
		jq -r 'select(.type == "task") | .id' "$T/page"
		before=$(jq -r 'select(.type == "end") | .next // empty' "$T/page")
	done
}

# All of it: tasks, states, outcomes.
store() {
	sed 's/.*/{"id":"&"}/' "$T/ids" >"$T/queries"
	n=1
	while [ $n -le "$(wc -l <"$T/queries")" ]; do
		sed -n "$n,$((n + 199))p" "$T/queries" | ask || return
		n=$((n + 200))
	done
}

spooled_are_there() {
	list >"$T/ids" || return
	jq -r 'select(.type == "spooled") | .id' "$T/submit.out" | sort >"$T/spooled"
	[ -z "$(sort "$T/ids" | comm -13 - "$T/spooled")" ]
}

check "the house comes to rest" wait_for 30 is_quiet
check "what submit had to keep is delivered later" wait_for 20 spooled_are_there
check "and the house comes to rest" wait_for 30 is_quiet
check "all of it can be asked for" store
mv "$T/.check" "$T/store"
sleep 0.5       # the watcher's last events
stop_listening

jq -c 'select(.type == "accepted" or .type == "outcome")' "$T/replies" "$T/submit.out" >"$T/told"

# Events are numbered by house. An owner that dies may have told what its successor never had: then the successor's
# term begins before that, with the same numbers, and what is beyond its beginning is void. The first event of a term
# has the type owner.
jq -cn '
	def parts: split(".") | [(.[0] | tonumber)] + .[1:];
	[inputs | select(.seq and .term)] as $all |
	($all | group_by(.term) | map({ term: .[0].term, base: (map(.seq) | min - 1) }) | sort_by(.term | parts)) as $terms |
	(reduce ($terms | reverse | .[]) as $t ({ least: 9007199254740991 };
	    .until[$t.term] = .least | .least = ([.least, $t.base] | min)) | .until) as $until |
	$all[] | . + { void: (.seq > $until[.term]) }' "$T/events" >"$T/numbered"
jq -c 'select(.void | not)' "$T/numbered" >"$T/valid"
jq -c 'select(.type == "accepted" or .type == "outcome")' "$T/valid" >"$T/seen"

# What is uncertain may be settled once, when the agent that ran it is back and tells; what has settled stays.
jq -rn --slurpfile store "$T/store" --slurpfile told "$T/told" --slurpfile seen "$T/seen" --slurpfile events "$T/numbered" '
	def what: { state, attempt, result, error } | tojson;
	def settled: map(select(.state != "uncertain"));
	def ended: IN("succeeded", "failed", "dead", "cancelled", "expired", "denied", "uncertain");
	($store | map({ key: .id, value: what }) | from_entries) as $kept |
	(($told + $seen) | map(.id) | unique) as $accepted |
	(($told + $seen) | map(select(.type == "outcome")) |
	    map({ id, state, end: what }) | unique | group_by(.id)) as $ends |
	($store | map(select(.sender == "operator") | .task.labels.n // empty) | group_by(.)) as $published |
	{
		accepted: ($accepted | length),
		lost: ($accepted | map(select($kept[.] == null)) | length),
		open: ($store | map(select(.state | ended | not)) | length),
		two_outcomes: ($ends | map(select((settled | length) > 1 or length > 2)) | length),
		settled: ($ends | map(select(length > (settled | length) and (settled | length) > 0)) | length),
		again: ($seen | map(select(.type == "outcome")) | group_by(.id) | map(sort_by(.seq) | unique_by(.seq) |
		    select((settled | length) > 0 and .[-1].state == "uncertain")) | length),
		disagree: ($ends | map(($kept[.[0].id] // "{}") as $k | (if (settled | length) > 0 then settled else
		    map(select($k | fromjson | .state == "uncertain")) end) | select(length > 0 and all(.[]; .end != $k))) | length),
		numbered_twice: ($events | map({ n: [.term, .seq], what: [.type, .id] }) | unique |
		    group_by(.n) | map(select(length > 1)) | length),
		valid_twice: ($events | map(select(.void | not) | { n: .seq, what: [.type, .id] }) | unique |
		    group_by(.n) | map(select(length > 1)) | length),
		void: ($events | map(select(.void)) | length),
		terms: ($events | map(.term) | unique | length),
		owners: ($events | map(.term | split(".")[1]) | unique | length),
		stored: ($store | length),
		ids_twice: ($store | group_by(.id) | map(select(length > 1)) | length),
		states: ($store | group_by(.state) | map("\(length) \(.[0].state)") | join(", ")),
		published: ($published | length),
		arrived_again: ($published | map(length - 1) | add)
	}' >"$T/counts"
count() {
	jq -r ".$1" "$T/counts"
}

is "every task that was told accepted is there" "$(count lost)" 0
is "every task has ended" "$(count open)" 0
is "no task has two outcomes" "$(count two_outcomes)" 0
is "what has settled is not uncertain again" "$(count again)" 0
is "what was told and what is stored agree" "$(count disagree)" 0
is "no event's number was used twice in a term" "$(count numbered_twice)" 0
is "nor in all terms, but for what is void" "$(count valid_twice)" 0
check "the house changed hands" [ "$(count owners)" -gt 1 ]
is "no id was taken twice" "$(count ids_twice)" 0

journal="$T/c/work/count_exclusive"
is "no exclusive task was started twice" "$(sort "$journal" | uniq -d | wc -l)" 0
jq -r 'select(.tool == "count_exclusive" and .state == "succeeded") | .id' "$T/store" | sort >"$T/done"
is "every exclusive task that succeeded was started" "$(sort "$journal" | comm -13 - "$T/done" | wc -l)" 0
jq -r 'select(.tool == "count_idempotent" and .state == "succeeded") | .id' "$T/store" | sort >"$T/done"
is "every idempotent task that succeeded was started" \
    "$(sort -u "$T/c/work/count_idempotent" | comm -13 - "$T/done" | wc -l)" 0
is "nothing but exclusive tasks is uncertain" \
    "$(jq -r 'select(.state == "uncertain" and .tool != "count_exclusive") | .id' "$T/store" | wc -l)" 0

# Processes of tools, and workers that belong to no living agent.
orphans() {
	grep -ls "UW_ROOTS=$T" /proc/[0-9]*/environ
	for p in /proc/[0-9]*; do
		cat "$p/cmdline" 2>/dev/null | tr "\0" " " | grep -q "^$UW worker .*$T" || continue
		ppid=$(sed -n 's/^PPid:[^0-9]*//p' "$p/status" 2>/dev/null)
		grep -qx "$ppid" "$T"/c/run/*.pid || echo "$p"
	done
}
if [ -d /proc/self ]; then
	check "workers are there to be looked for" sh -c 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\0" " " | grep -q "$1 worker"' - "$UW"
	is "no process was left behind" "$(orphans)" ""
fi

echo "# $TASKS sent, $(count accepted) told accepted, $(count stored) stored ($(count states)); $AGENT_KILLS kills of the owner" \
    "($(sort "$T/killed" | uniq -c | awk '{ printf "%s%s %s", n++ ? ", " : "", $1, $2 }')), $BROKER_KILLS of the broker;" \
    "$(count terms) terms of $(count owners) owners, $(count void) events void; lost $(count lost)," \
    "two outcomes $(count two_outcomes), uncertain and settled later $(count settled)," \
    "exclusive started twice $(sort "$journal" | uniq -d | wc -l) of $(wc -l <"$journal");" \
    "of $BY_PUB by mosquitto_pub $(count published) arrived, $(count arrived_again) twice"
