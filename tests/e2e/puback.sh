#!/bin/sh
# once
# limit: 110
# What a PUBACK is worth, by broker setting: tasks that the broker took, and nobody accepted, when it is killed. The
# rest of the tests count only what was accepted; this one counts what was not, and says how many are gone.
. "$(dirname "$0")/lib.sh"

TASKS=${TASKS:-1000}
cluster_up --houses ezra
conf=$UW_DIR/broker/mosquitto.conf
cp "$conf" "$T/conf"

# Ids that count: the time of one made now, then the run and the number.
now=$("$UW" submit noop --house ezra --json | jq -r '.id[0:10]')
run=0

tasks() {
	awk -v now="$now" -v run=$run -v n="$TASKS" 'BEGIN {
		for (i = 1; i <= n; i++)
			printf "{\"id\":\"%s%04d%012d\",\"tool\":\"noop\"}\n", now, run, i
	}'
}

# Publishes until the broker dies, which is when half of it is acknowledged.
publish_and_kill() {
	tasks | as_exec operator mosquitto_pub -d -l -q 1 -t uw/home/house/ezra/task/operator >"$T/pub" 2>&1 &
	pub=$!
	wait_for 10 half_is_taken
	kill -9 "$(cat "$UW_DIR/run/broker.pid")"
	kill $pub 2>/dev/null
	wait $pub 2>/dev/null
}

taken() {
	grep -c 'received PUBACK' "$T/pub"
}

half_is_taken() {
	[ "$(taken)" -ge $((TASKS / 2)) ]
}

# The tasks with these numbers that the house does not know, 200 questions a message.
unknown() {
	tasks | head -n "$1" | jq -c '{id}' | split -l 200 - "$T/ask."
	for f in "$T"/ask.*; do
		as operator mosquitto_rr -q 1 -t uw/home/house/ezra/query/operator -e uw/home/client/operator/reply/q \
		    -W 10 -m "$(cat "$f")"
		rm "$f"
	done | grep -c unknown_task
}

# trial NAME SED-SCRIPT here|away
trial() {
	run=$((run + 1))
	sed "$2" "$T/conf" >"$conf"
	"$UW" cluster restart broker >/dev/null
	check "the broker runs: $1" wait_for 10 "$UW" submit noop --house ezra --wait
	[ "$3" = here ] || kill -9 "$(cat "$UW_DIR/run/ezra-1.pid")"
	publish_and_kill
	n=$(taken)
	"$UW" cluster restart broker >/dev/null
	[ "$3" = here ] || "$UW" cluster restart ezra-1 >/dev/null
	wait_for 20 "$UW" submit noop --house ezra --wait >/dev/null 2>&1
	lost=$(unknown "$n")
	echo "# $1, the agent is $3: $n tasks taken by the broker, $lost lost at its SIGKILL"
}

on_changes='s/^autosave_interval.*/autosave_interval 1\nautosave_on_changes true/'
for where in here away; do
	trial "as generated" '' $where
	trial "saving each change" "$on_changes" $where
	is "a broker that saves each change loses at most the last, the agent being $where" \
	    "$([ "$lost" -le 1 ] && echo yes || echo "$lost of $n")" yes
	trial "without persistence" 's/^persistence true/persistence false/' $where
done

# What the broker had sent before it died is in the agent's socket: it is read to its end, and none of it is lost.
sed '' "$T/conf" >"$conf"
"$UW" cluster restart broker >/dev/null
check "the broker runs as generated" wait_for 10 "$UW" submit noop --house ezra --wait
run=$((run + 1)) TASKS=800
agent=$(cat "$UW_DIR/run/ezra-1.pid")
kill -STOP "$agent"
tasks | as operator mosquitto_pub -l -q 1 -t uw/home/house/ezra/task/operator
kill -9 "$(cat "$UW_DIR/run/broker.pid")"
kill -CONT "$agent"
sleep 0.5
"$UW" cluster restart broker >/dev/null
check "the agent is back" wait_for 20 "$UW" submit noop --house ezra --wait
is "what was in the agent's socket when the broker was killed is not lost" "$(unknown $TASKS)" 0
