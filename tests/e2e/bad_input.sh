#!/bin/sh
# once
# limit: 100
# No payload, topic or certificate ends the agent or stops the next good task, and each is answered with an error
# that names the field.
. "$(dirname "$0")/lib.sh"

HOUSE=ezra AGENT=ezra-1
TASKS=uw/home/house/$HOUSE/task/operator
cluster_up
root="$T/c/work"
pid=$(cat "$T/c/run/$AGENT.pid")

still_good() {
	check "after $1 a good task succeeds" "$UW" submit noop --house $HOUSE --wait
	check "after $1 it is the same agent" kill -0 "$pid"
}

# request FILE [options]: one message from a file, and what comes back. mosquitto_rr takes no file, so a text.
request() {
	as operator mosquitto_rr -q 1 -t "$TASKS" -e uw/home/client/operator/reply/x -W 10 -m "$1"
}

# Each line of $T/cases: the field at fault, the error's code, the task. All are sent as one message; the n-th line
# is answered by the n-th reply.
check_cases() {
	cut -f 3- "$T/cases" >"$T/lines"
	request "$(cat "$T/lines")" >"$T/answers"
	is "$1: every line is answered" "$(wc -l <"$T/answers")" "$(wc -l <"$T/cases")"
	cut -f 1,2 "$T/cases" | tr '\t' ' ' >"$T/expected"
	jq -r 'if .type == "accepted" then "accepted" else "\(.error.field // "-") \(.error.code)" end' "$T/answers" >"$T/got"
	is "$1: every answer names the field" \
	    "$(paste -d '|' "$T/expected" "$T/got" "$T/lines" | awk -F '|' '$1 != $2' | cut -c 1-200)" ""
	is "$1: every answer has its line's number" "$(jq -r .line "$T/answers" | tr '\n' ' ')" \
	    "$(seq "$(wc -l <"$T/cases")" | tr '\n' ' ')"
	is "$1: every refusal says what was expected or why" \
	    "$(jq -r 'select(.type == "rejected" and (.error.message | length) < 10)' "$T/answers")" ""
}

# JSON that is none
printf '%s\n' \
    'payload	parse	{' \
    'payload	parse	{"tool":"noop"' \
    'payload	parse	{"tool":"noop"}}' \
    'payload	parse	{"tool":"noop"} {"tool":"noop"}' \
    'payload	parse	{"tool":"noop",}' \
    "payload	parse	{'tool':'noop'}" \
    'payload	parse	{tool:"noop"}' \
    'payload	parse	{"tool":"no' \
    'tool	parse	{"tool":"\x"}' \
    'tool	parse	{"tool":"\ud800"}' \
    'tool	parse	{"tool":"\u0000"}' \
    'payload	parse	{"tool":noop}' \
    'payload	parse	nonsense' \
    'payload	parse	{"tool":"noop","params":{"payload":01}}' \
    'payload	parse	{"tool":"noop","params":{"payload":1.}}' \
    'payload	parse	{"tool":"noop","params":{"payload":NaN}}' \
    'payload	parse	{"tool":"noop","params":{"payload":Infinity}}' \
    'payload	parse	{"tool":"noop","params":{"payload":1e999}}' \
    'payload	parse	{"tool":"noop","params":{"payload":123456789012345678901234567890}}' \
    'payload	parse	<task><tool>noop</tool></task>' \
    'payload	parse	tool: noop' \
    'payload	parse	[]' \
    'payload	parse	[{"tool":"noop"}]' \
    'payload	parse	"noop"' \
    'payload	parse	1' \
    'payload	parse	null' \
    'payload	parse	true' \
    'tool	parse	{"tool":"noop","tool":"noop"}' \
    'a	parse	{"tool":"noop","params":{"payload":{"a":1,"a":2}}}' >"$T/cases"
deep=$(printf '%20000s' '' | tr ' ' '[')
printf 'payload\tparse\t%s\n' "{\"tool\":\"noop\",\"params\":{\"payload\":$deep" >>"$T/cases"
deep=$(printf '%100s' '' | tr ' ' '[')$(printf '%100s' '' | tr ' ' ']')
printf 'payload\tparse\t%s\n' "{\"tool\":\"noop\",\"params\":{\"payload\":$deep}}" >>"$T/cases"
printf 'payload\tparse\t{"tool":"noop","params":{"payload":"\302"}}\n' >>"$T/cases"
printf 'payload\tparse\t{"tool":"noop","params":{"payload":"\300\200"}}\n' >>"$T/cases"
printf 'payload\tparse\t{"tool":"noop","params":{"payload":"\355\240\200"}}\n' >>"$T/cases"
printf 'payload\tparse\t{"tool":"noop","params":{"payload":"\377\376"}}\n' >>"$T/cases"
check_cases "what is no JSON"
still_good "what is no JSON"

# Fields of the task
id=01M87000000000000000000000
long=$(printf '%300s' '' | tr ' ' x)
big=$(printf '%5000s' '' | tr ' ' x)
printf '%s\n' \
    'tool	missing	{}' \
    'tool	missing	{"params":{}}' \
    'tool	missing	{"tool":null}' \
    'tool	invalid	{"tool":1}' \
    'tool	invalid	{"tool":["noop"]}' \
    'tool	invalid	{"tool":{"name":"noop"}}' \
    'tool	unknown_tool	{"tool":""}' \
    'tool	unknown_tool	{"tool":"nop"}' \
    'tool	unknown_tool	{"tool":"../../bin/sh"}' \
    'tool	unknown_tool	{"tool":"NOOP"}' \
    "tool	invalid	{\"tool\":\"$long\"}" \
    'params	invalid	{"tool":"noop","params":[]}' \
    'params	invalid	{"tool":"noop","params":"x"}' \
    'params	invalid	{"tool":"noop","params":7}' \
    'params.nonsense	invalid	{"tool":"noop","params":{"nonsense":1}}' \
    'id	invalid	{"tool":"noop","id":1}' \
    'id	invalid	{"tool":"noop","id":""}' \
    'id	invalid	{"tool":"noop","id":"task-1"}' \
    'id	invalid	{"tool":"noop","id":"01M8700000000000000000000"}' \
    'id	invalid	{"tool":"noop","id":"01M870000000000000000000000"}' \
    'id	invalid	{"tool":"noop","id":"91M87000000000000000000000"}' \
    'id	invalid	{"tool":"noop","id":"01M8700000000000000000000U"}' \
    'id	invalid	{"tool":"noop","id":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ"}' \
    'id	invalid	{"tool":"noop","id":{}}' \
    'mode	invalid	{"tool":"noop","mode":"quick"}' \
    'mode	invalid	{"tool":"noop","mode":1}' \
    'mode	invalid	{"tool":"noop","mode":["simple"]}' \
    'priority	invalid	{"tool":"noop","priority":-1}' \
    'priority	invalid	{"tool":"noop","priority":10}' \
    'priority	invalid	{"tool":"noop","priority":1.5}' \
    'priority	invalid	{"tool":"noop","priority":"high"}' \
    'priority	invalid	{"tool":"noop","priority":true}' \
    'priority	invalid	{"tool":"noop","priority":1e300}' \
    'timeout_s	invalid	{"tool":"noop","timeout_s":0}' \
    'timeout_s	invalid	{"tool":"noop","timeout_s":-5}' \
    'timeout_s	invalid	{"tool":"noop","timeout_s":"5"}' \
    'timeout_s	invalid	{"tool":"noop","timeout_s":100000}' \
    'timeout_s	invalid	{"tool":"noop","timeout_s":9007199254740991}' \
    'not_before	invalid	{"tool":"noop","not_before":"tomorrow"}' \
    'not_before	invalid	{"tool":"noop","not_before":"2026-13-01T00:00:00Z"}' \
    'not_before	invalid	{"tool":"noop","not_before":-1}' \
    'not_before	invalid	{"tool":"noop","not_before":[]}' \
    'deadline	invalid	{"tool":"noop","deadline":"never"}' \
    'deadline	invalid	{"tool":"noop","deadline":"2020-01-01T00:00:00Z"}' \
    'deadline	invalid	{"tool":"noop","deadline":1}' \
    'deadline	invalid	{"tool":"noop","deadline":true}' \
    'key	invalid	{"tool":"noop","key":""}' \
    'key	invalid	{"tool":"noop","key":1}' \
    "key	invalid	{\"tool\":\"noop\",\"key\":\"$long\"}" \
    'retry	invalid	{"tool":"noop","retry":3}' \
    'retry	invalid	{"tool":"noop","retry":[]}' \
    'retry.max	invalid	{"tool":"noop","retry":{"max":0}}' \
    'retry.max	invalid	{"tool":"noop","retry":{"max":101}}' \
    'retry.max	invalid	{"tool":"noop","retry":{"max":"3"}}' \
    'retry.base_s	invalid	{"tool":"noop","retry":{"base_s":0}}' \
    'retry.cap_s	invalid	{"tool":"noop","retry":{"cap_s":1e9}}' \
    'retry.forever	invalid	{"tool":"noop","retry":{"forever":true}}' \
    'labels	invalid	{"tool":"noop","labels":"x"}' \
    'labels	invalid	{"tool":"noop","labels":[]}' \
    "after	unknown_task	{\"tool\":\"noop\",\"after\":[\"$id\"]}" \
    "after	invalid	{\"tool\":\"noop\",\"id\":\"$id\",\"after\":[\"$id\"]}" \
    "after	invalid	{\"tool\":\"noop\",\"after\":[\"$id\",\"$id\"]}" \
    'after_failed	invalid	{"tool":"noop","after_failed":"hope"}' \
    'after	invalid	{"tool":"noop","after":"x"}' \
    'parent	invalid	{"tool":"noop","parent":1}' \
    'traceparent	invalid	{"tool":"noop","traceparent":{}}' \
    "traceparent	invalid	{\"tool\":\"noop\",\"traceparent\":\"$long\"}" \
    'from	denied	{"tool":"noop","from":"timmy"}' \
    'from	invalid	{"tool":"noop","from":1}' \
    'reply	invalid	{"tool":"noop","reply":"uw/home/client/timmy/reply/x"}' \
    'params.ms	invalid	{"tool":"wait","params":{"ms":"long"}}' \
    'params.ms	invalid	{"tool":"wait","params":{"ms":-1}}' \
    'params.ms	invalid	{"tool":"wait","params":{"ms":1.5}}' \
    'params.ms	invalid	{"tool":"wait","params":{"ms":3600001}}' \
    'params.ms	invalid	{"tool":"wait","params":{"ms":null}}' \
    'params.path	missing	{"tool":"file_read"}' \
    'params.path	missing	{"tool":"file_read","params":{}}' \
    'params.path	invalid	{"tool":"file_read","params":{"path":7}}' \
    'params.path	invalid	{"tool":"file_read","params":{"path":""}}' \
    "params.path	invalid	{\"tool\":\"file_read\",\"params\":{\"path\":\"$big\"}}" \
    'params.encoding	invalid	{"tool":"file_read","params":{"path":"x","encoding":"latin1"}}' \
    'params.max_bytes	invalid	{"tool":"file_read","params":{"path":"x","max_bytes":1e12}}' \
    'params.url	missing	{"tool":"http_get"}' \
    'id	id_required	{"tool":"http_post","params":{"url":"http://127.0.0.1:1/"}}' >"$T/cases"
check_cases "fields"
still_good "wrong fields"

# What is odd and yet right
printf '%s\n' \
    '{"tool":"noop","unknown":{"kept":[1,2,3]}}' \
    '  {"tool":"noop"}  ' \
    '' \
    '{"tool":"noop","params":null,"id":null,"key":null,"labels":null,"mode":null}' \
    '{"tool":"noop","params":{"payload":"\ud83d\ude00 \u00e9"}}' \
    '{"tool":"noop","timeout_s":86400,"priority":9}' >"$T/lines"
is "what is odd and yet right is accepted" \
    "$(request "$(cat "$T/lines")" | jq -r 'select(.type != "outcome") | .type' | tr '\n' ' ')" \
    "accepted accepted accepted accepted accepted "

# Whole payloads, by plain mosquitto_pub from a file; the refusal is an event.
as_exec watcher mosquitto_sub -q 1 -t "uw/home/house/$HOUSE/event/+" >"$T/events" &
on_exit "kill $! 2>/dev/null"
check "the watcher hears events" wait_for 10 sh -c '"$1" submit noop --house '$HOUSE' >"$3" && [ -s "$2" ]' - \
    "$UW" "$T/events" "$T/out"
last_rejected() {
	jq -r 'select(.type == "rejected") | "\(.error.field // "-") \(.error.code)"' "$T/events" | tail -n 1
}
rejected_is() {
	[ "$(jq -r 'select(.type == "rejected") | .seq' "$T/events" | wc -l)" -gt "$seen" ] && [ "$(last_rejected)" = "$1" ]
}
# refused SENTENCE EXPECTED FILE [options]
refused() {
	sentence=$1 expected=$2 file=$3
	shift 3
	seen=$(jq -r 'select(.type == "rejected") | .seq' "$T/events" | wc -l)
	as operator mosquitto_pub "$@" -t "$TASKS" -f "$file" >"$T/out" 2>&1
	if wait_for 10 rejected_is "$expected"; then
		ok "$sentence"
	else
		not_ok "$sentence" "got:      $(last_rejected)
expected: $expected
$(cat "$T/out")"
	fi
}
: >"$T/p"
printf '\0\0\0\0' >"$T/nul"
printf '{"tool":"noop"\0}' >"$T/nul2"
printf '  \n\n \t\n' >"$T/blank"
head -c 200000 /dev/urandom | tr -d '\n' >"$T/random"
awk 'BEGIN { for (i = 0; i < 5000; i++) print "{\"tool\":\"noop\"}" }' >"$T/5000"
awk 'BEGIN { printf "{\"tool\":\"noop\",\"params\":{\"payload\":\""; for (i = 0; i < 300000; i++) printf "x"; print "\"}}" }' >"$T/300k"
awk 'BEGIN { printf "{\"tool\":\"noop\",\"params\":{\"payload\":\""; for (i = 0; i < 1048576; i++) printf "x"; print "\"}}" }' >"$T/1m"
for i in 1 2 3; do cat "$T/1m"; done >"$T/3m"
refused "an empty payload is refused" "payload parse" "$T/p" -q 1
refused "blank lines alone are refused" "payload parse" "$T/blank" -q 1
refused "NULs are refused" "payload parse" "$T/nul" -q 1
refused "a NUL in a task is refused" "payload parse" "$T/nul2" -q 1
refused "random bytes are refused" "payload parse" "$T/random" -q 1
refused "5,000 lines are refused whole" "payload too_big" "$T/5000" -q 1
refused "a task of 300 kB is refused" "task too_big" "$T/300k" -q 1
refused "a payload over 1 MiB is refused" "payload too_big" "$T/1m" -q 1
refused "a payload of 3 MB is refused" "payload too_big" "$T/3m" -q 1
printf '{"tool":"nop"}' >"$T/p"
refused "QoS 0 is answered too" "tool unknown_tool" "$T/p" -q 0
refused "QoS 2 is answered too" "tool unknown_tool" "$T/p" -q 2
refused "MQTT 3.1.1 is answered too" "tool unknown_tool" "$T/p" -q 1 -V 311
is "none of the 5,000 was accepted" "$(jq -r 'select(.type == "accepted") | .id' "$T/events" | sort -u | wc -l)" \
    "$(jq -r 'select(.type == "accepted" and .task.tool == "noop") | .id' "$T/events" | sort -u | wc -l)"
still_good "whole payloads"

# Retained tasks would run again at every reconnect.
printf '{"tool":"noop","labels":{"retained":true}}' >"$T/p"
as operator mosquitto_pub -q 1 -r -t "$TASKS" -f "$T/p"
ran() {
	jq -r 'select(.type == "accepted" and .task.labels.retained) | .id' "$T/events" | sort -u | wc -l
}
once_or_less() {
	[ "$(ran)" -le 1 ]
}
kill -HUP "$pid"
check "after a reconnect a good task succeeds" "$UW" submit noop --house $HOUSE --wait
kill -HUP "$pid"
check "after another one too" "$UW" submit noop --house $HOUSE --wait
check "a retained task does not run at every reconnect" once_or_less
as operator mosquitto_pub -q 1 -r -t "$TASKS" -n
still_good "retained tasks"

# Topics. What the broker forbids never arrives; what it lets through is ignored or answered.
for t in uw/home/house/nobody/task/operator uw/home/house/$HOUSE/task/operator/x uw/home/house/$HOUSE/task \
    uw/other/house/$HOUSE/task/operator uw/home/house/$HOUSE/task/timmy uw/home/house/$HOUSE/event/$AGENT \
    uw/home/agent/$AGENT/health/state uw/home/agent/$AGENT/echo/self uw/home/agent/$AGENT/work/operator \
    uw/home/client/operator/reply/x uw/home/house/$HOUSE/cancel/timmy "uw/home/house//task/operator" x; do
	as operator mosquitto_pub -V 5 -q 1 -t "$t" -m '{"tool":"noop","labels":{"topic":"wrong"}}' >"$T/out" 2>&1
done
still_good "wrong topics"
is "nothing from a wrong topic was accepted" \
    "$(jq -r 'select(.type == "accepted" and .task.labels.topic == "wrong") | .id' "$T/events")" ""

# Answers go to their sender alone.
seen=$(jq -r 'select(.type == "rejected") | .seq' "$T/events" | wc -l)
for r in uw/home/client/timmy/reply/x uw/home/house/timmy/task/ezra-1 uw/home/client/operator/reply/a/b x; do
	as operator mosquitto_pub -V 5 -q 1 -t "$TASKS" -m '{"tool":"noop"}' -D publish response-topic "$r"
done
check "response topics of others are refused" wait_for 10 rejected_is "response topic denied"
still_good "response topics of others"

# Requests
ask() {
	as operator mosquitto_rr -q 1 -t "uw/home/house/$HOUSE/$1/operator" -e uw/home/client/operator/reply/x -W 10 -m "$2" |
	    jq -r '"\(.error.field // "-") \(.error.code)"'
}
is "a query that is no JSON is answered" "$(ask query '{')" "payload parse"
is "a query without an id is answered" "$(ask query '{}')" "id invalid"
is "a query with a wrong id is answered" "$(ask query '{"id":7}')" "id invalid"
is "a query for an unknown task is answered" "$(ask query "{\"id\":\"$id\"}")" "id unknown_task"
is "a list of too many is answered" "$(ask query '{"list":{"limit":100000}}')" "list.limit invalid"
is "a list of a wrong state is answered" "$(ask query '{"list":{"state":"happy"}}')" "list.state invalid"
is "a list of a wrong type is answered" "$(ask query '{"list":7}')" "list invalid"
is "a cancel that is no JSON is answered" "$(ask cancel 'x')" "payload parse"
is "a cancel of an unknown task is answered" "$(ask cancel "{\"id\":\"$id\"}")" "id unknown_task"
still_good "wrong requests"

# Paths
ln -s /etc "$root/etc"
ln -s /etc/hostname "$root/host"
ln -s ../../../../../../../etc/hostname "$root/relative"
printf 'inside\n' >"$root/inside"
# path SENTENCE PATH
escape() {
	"$UW" submit file_read "path=$2" --house $HOUSE --wait --json >"$T/out" 2>&1
	is "$1" "$(jq -r '"\(.state) \(.error.field // "-") \(.error.code)"' "$T/out")" "failed params.path path"
}
is "a file within the root is read" \
    "$("$UW" submit file_read "path=$root/inside" --house $HOUSE --wait --json | jq -r .result.content)" inside
escape "an absolute path elsewhere is refused" /etc/hostname
escape ".. does not lead out" "$root/../houses.yaml"
escape "many .. do not lead out" "$root/../../../../../../../../etc/hostname"
escape "a symbolic link does not lead out" "$root/host"
escape "a relative symbolic link does not lead out" "$root/relative"
escape "a directory's symbolic link does not lead out" "$root/etc/hostname"
escape "/proc does not lead out" "/proc/self/root/etc/hostname"
escape "a root's name is no prefix" "$root-else/x"
still_good "escapes"

# Garbage in numbers. Kept in line, since each refusal is an event.
awk 'BEGIN { srand(7); for (i = 0; i < 20000; i++) { n = int(rand() * 60); s = ""
	for (j = 0; j < n; j++) s = s sprintf("%c", 33 + int(rand() * 94)); print s "x" } }' >"$T/garbage"
check "20,000 messages of garbage are taken by the broker" \
    sh -c '. "$1"; shift; mosquitto_pub -h "$UW_HOST" -p "$UW_PORT" --cafile "$UW_CAFILE" --cert "$1.crt" --key "$1.key" \
    -q 1 -t "$2" -l <"$3"' - "$T/c/env" "$T/c/pki/operator" "$TASKS" "$T/garbage"
still_good "garbage"
rejected_all() {
	[ "$("$UW" house list --json | jq -r '.[] | select(.house == "'$HOUSE'") | .queued')" = 0 ] &&
	    [ "$(jq -r 'select(.type == "rejected") | .seq' "$T/events" | wc -l)" -ge 20000 ]
}
check "every one of them is answered with an event" wait_for 30 rejected_all

# Certificates
"$UW" pki init --dir "$T/strange" >"$T/out" 2>&1
"$UW" pki issue operator --dir "$T/strange" >"$T/out" 2>&1
pub() {
	mosquitto_pub -h "$UW_HOST" -p "$UW_PORT" -q 1 -t "$TASKS" -m '{"tool":"noop"}' "$@"
}
check "the right certificate is let in" pub --cafile "$UW_CAFILE" --cert "$T/c/pki/operator.crt" --key "$T/c/pki/operator.key"
check "another authority's certificate is not" not pub --cafile "$UW_CAFILE" --cert "$T/strange/operator.crt" \
    --key "$T/strange/operator.key"
check "no certificate is not" not pub --cafile "$UW_CAFILE"
check "no TLS is not" not pub
check "a broker's certificate is none for a client" not pub --cafile "$UW_CAFILE" --cert "$T/c/pki/broker.crt" \
    --key "$T/c/pki/broker.key"
if command -v openssl >/dev/null; then
	printf 'extendedKeyUsage=clientAuth\n' >"$T/ext"
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=operator -keyout "$T/old.key" \
	    -out "$T/old.csr" 2>"$T/out"
	openssl x509 -req -in "$T/old.csr" -CA "$UW_CAFILE" -CAkey "$T/c/pki/ca.key" -CAcreateserial -extfile "$T/ext" \
	    -days 0 -out "$T/old.crt" 2>"$T/out"
	sleep 1.1
	check "an expired certificate is not" not pub --cafile "$UW_CAFILE" --cert "$T/old.crt" --key "$T/old.key"
else
	skip "an expired certificate is not" "no openssl command"
fi
still_good "strange certificates"

# The agent's own files. It waits for a certificate, and connects when it is there.
mv "$T/c/pki/$AGENT.key" "$T/key"
kill -HUP "$pid"
check "a missing key is named in the log" wait_for 10 grep -q "$AGENT.key" "$T/c/log/$AGENT.log"
printf 'nonsense\n' >"$T/c/pki/$AGENT.key"
check "it goes on without" sh -c 'sleep 0.5; kill -0 "$1"' - "$pid"
mv "$T/key" "$T/c/pki/$AGENT.key"
check "and with the key it is back" wait_for 15 "$UW" submit noop --house $HOUSE --wait --within 2
still_good "a missing key"

# agent SENTENCE EXIT-CODE PATTERN CONFIG AGENT
agent_refuses() {
	refuse "$1" "$2" "$UW" agent --config "$4" --agent "$5"
	like "and says why" "$(cat "$T/.check")" "$3"
}
mkdir "$T/a"
printf 'pki: %s\nstate: %s\nrun: %s\nhouses: {ezra: , timmy: }\n' "$T/c/pki" "$T/a/state" "$T/a/run" >"$T/a/good.yaml"
printf 'houses: [\n' >"$T/a/broken.yaml"
agent_refuses "an agent that no house has does not start" 1 'houses.<house>.agents' "$T/a/good.yaml" nobody-1
agent_refuses "a broken configuration is refused" 2 'broken.yaml:' "$T/a/broken.yaml" ezra-1
mkdir "$T/a/state"
printf 'this is no database, but it is long enough to be taken for one: %4000s\n' . >"$T/a/state/ezra-1.db"
agent_refuses "a database that is none is refused" 1 'ezra-1.db' "$T/a/good.yaml" ezra-1
rm -r "$T/a/state"
printf 'x\n' >"$T/a/state"
agent_refuses "a state directory that is a file is refused" 1 "$T/a/state" "$T/a/good.yaml" ezra-1

check "at the end no worker died of it" \
    [ "$(as watcher mosquitto_sub -C 3 -W 5 -t uw/home/agent/$AGENT/health/state | jq -s '.[-1].pool.crashed')" = 0 ]
