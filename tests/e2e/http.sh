#!/bin/sh
# limit: 120
# HTTP: metrics and tasks, with the token of the house; every path and status of docs/openapi.yaml is asked for, and what comes is
# as described there.
. "$(dirname "$0")/lib.sh"

if ! command -v curl >/dev/null; then
	skip "HTTP" "needs curl"
	exit
fi
API=$(cd "$(dirname "$0")/../.." && pwd)/docs/openapi.yaml
TOKEN=open-sesame-open-sesame
own_tool once exclusive <<'END'
#!/bin/sh
echo '{}'
END
cluster_up --houses ezra,timmy
alone ezra
token_of ezra "\"\${HTTP_TOKEN}\""
sed -i.orig '/^  timmy:/,/auth_token:/{/auth_token:/d;}' "$T/c/houses.yaml"
HTTP_TOKEN=$TOKEN
export HTTP_TOKEN
# Every certificate ends within this time.
echo 'alerts: {certificate-expiring: {limit: 10000}}' >>"$T/c/houses.yaml"
restart_all
: >"$T/asked"

# ask METHOD PATH-IN-THE-API PATH [curl options]: the status is in $status, the answer in $T/answer, and it is as described.
ask() {
	_method=$1 _api=$2 _path=$3
	shift 3
	curl -s -m 20 -X "$_method" -D "$T/head" -o "$T/answer" -H "${AUTH:-Authorization: Bearer $TOKEN}" "$@" "$(cat "$T/c/state/ezra-1.http")$_path" \
	    2>"$T/out" || :
	status=$(sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p' "$T/head")
	_type=$(tr -d '\r' <"$T/head" | sed -n 's/^[Cc]ontent-[Tt]ype: //p')
	echo "$_method $_api $status" >>"$T/asked"
	"$HELPERS/contract" "$API" "$_method" "$_api" "$status" "$_type" <"$T/answer" >"$T/contract" ||
	    not_ok "what $_method $_path answers with $status is as described" "$(cat "$T/contract" "$T/answer")"
}

# gets STATUS SENTENCE METHOD PATH-IN-THE-API PATH [curl options]
gets() {
	_want=$1 _sentence=$2
	shift 2
	ask "$@"
	if [ "$status" = "$_want" ]; then
		ok "$_sentence"
	else
		not_ok "$_sentence" "$status, not $_want: $(cat "$T/answer")"
	fi
}

field() {
	jq -r "$1" "$T/answer"
}

is_well() {
	ask GET /health /health
	[ "$status" = 200 ]
}

owns() {
	ask POST /v1/tasks /v1/tasks -d '{"tool":"noop","house":"ezra"}'
	[ "$(field .state)" != forwarded ] && [ "$status" = 201 ]
}

check "the agent is well" wait_for 10 is_well
check "and owns its house" wait_for 15 owns

# Tokens
AUTH=Authorization:
gets 401 "without a token no tasks are told" GET /v1/tasks /v1/tasks
gets 401 "nor taken" POST /v1/tasks /v1/tasks -d '{"tool":"noop"}'
gets 401 "nor one shown" GET '/v1/tasks/{id}' /v1/tasks/01M8P0QFCM0BH6EAE75WWKJ2YD
gets 401 "nor one cancelled" POST '/v1/tasks/{id}/cancel' /v1/tasks/01M8P0QFCM0BH6EAE75WWKJ2YD/cancel
gets 401 "nor the cluster" GET /v1/cluster /v1/cluster
gets 401 "nor what waits for approval" GET /v1/approvals /v1/approvals
gets 401 "nor what is raised" GET /v1/alerts /v1/alerts
gets 401 "and nothing is predicted" POST /v1/predict /v1/predict -d '{"tool":"noop","house":"ezra"}'
gets 200 "the dashboard's files need none" GET / /
like "what they may load is said" "$(tr -d '\r' <"$T/head")" "^Content-Security-Policy: default-src 'none'; script-src 'self'"
like "and whom they may ask: this agent, and a signer where they are shown" "$(tr -d '\r' <"$T/head")" "connect-src 'self' http://127\.0\.0\.1:\*; base-uri"
gets 200 "nor does a module" GET '/web/{id}' /web/app.js
gets 404 "what is none of them is not there" GET '/web/{id}' /web/.. --path-as-is
gets 404 "nor by another way" GET '/web/{id}' '/web/%2e%2e%2fhttp.c'
gets 200 "health needs none" GET /health /health
gets 200 "nor does ready" GET /ready /ready
AUTH="Authorization: Bearer ${TOKEN}x"
gets 401 "with another token there are no metrics" GET /metrics /metrics
like "it is said how to ask" "$(tr -d '\r' <"$T/head")" '^WWW-Authenticate: Bearer'
AUTH=
is "where no token is configured nobody is let in" "$(curl -s -o "$T/answer" -w '%{http_code}' -H "Authorization: Bearer " \
    "$(cat "$T/c/state/timmy-1.http")/v1/tasks")" 403

# Tasks
gets 201 "a task is taken" POST /v1/tasks /v1/tasks -d '{"tool":"noop","house":"ezra","params":{"payload":[1,"zwei"]}}'
id=$(field .id)
is "it is told where it is" "$(tr -d '\r' <"$T/head" | sed -n 's/^Location: //p')" "/v1/tasks/$id"
has_ended() {
	ask GET '/v1/tasks/{id}' "/v1/tasks/$id"
	[ "$status" = 200 ] && [ "$(field .state)" = succeeded ]
}
check "it succeeds" wait_for 5 has_ended
is "with its result" "$(field '.result.payload[1]')" zwei
is "the sender is the agent, as on its local socket" "$(field .sender)" ezra-1
is "the command line shows the same task" "$("$UW" task show "$id" --json | jq -r .state)" succeeded
gets 201 "one with a key is taken" POST /v1/tasks /v1/tasks -H 'Idempotency-Key: once' -d '{"tool":"once","house":"ezra"}'
id=$(field .id)
gets 200 "given again it is the same" POST /v1/tasks /v1/tasks -d '{"tool":"once","house":"ezra","key":"once"}'
is "by its id" "$(field .id)" "$id"
gets 409 "the same key for another is a conflict" POST /v1/tasks /v1/tasks -H 'Idempotency-Key: once' -d '{"tool":"noop","house":"ezra"}'
is "which is named" "$(field .error.code)" conflict
gets 422 "an exclusive one without id or key is refused" POST /v1/tasks /v1/tasks -d '{"tool":"once","house":"ezra"}'
gets 422 "so is an unknown tool" POST /v1/tasks /v1/tasks -d '{"tool":"nope","house":"ezra"}'
gets 422 "and an unknown house" POST /v1/tasks /v1/tasks -d '{"tool":"noop","house":"nope"}'
gets 400 "what is no JSON is refused" POST /v1/tasks /v1/tasks -d '{"tool":'
gets 400 "so is more than one task" POST /v1/tasks /v1/tasks -d '{"tool":"noop"}{"tool":"noop"}'
gets 400 "and a wrong parameter, with its name" POST /v1/tasks /v1/tasks -d '{"tool":"wait","house":"ezra","params":{"seconds":1}}'
is "(params.seconds)" "$(field .error.field)" params.seconds
head -c 300000 /dev/zero | tr '\0' ' ' >"$T/large"
gets 413 "and what is too large" POST /v1/tasks /v1/tasks --data-binary "@$T/large"
gets 400 "a task without an id is not shown" GET '/v1/tasks/{id}' /v1/tasks/x
gets 404 "nor one that nobody knows" GET '/v1/tasks/{id}' /v1/tasks/01ARZ3NDEKTSV4RRFFQ69G5FAV
gets 201 "a long one is taken" POST /v1/tasks /v1/tasks -d '{"tool":"wait","house":"ezra","params":{"ms":60000}}'
id=$(field .id)
gets 202 "and cancelled" POST '/v1/tasks/{id}/cancel' "/v1/tasks/$id/cancel"
is_cancelled() {
	ask GET '/v1/tasks/{id}' "/v1/tasks/$id"
	[ "$(field .state)" = cancelled ]
}
check "it ends" wait_for 10 is_cancelled
gets 409 "only once" POST '/v1/tasks/{id}/cancel' "/v1/tasks/$id/cancel"
gets 404 "what is not there is not cancelled" POST '/v1/tasks/{id}/cancel' /v1/tasks/01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel
gets 400 "nor what is no id" POST '/v1/tasks/{id}/cancel' /v1/tasks/x/cancel

# Lists
for n in 1 2 3 4 5 6 7; do
	ask POST /v1/tasks /v1/tasks -d "{\"tool\":\"noop\",\"house\":\"ezra\",\"params\":{\"payload\":$n}}"
done
gets 200 "a page is listed" GET /v1/tasks '/v1/tasks?tool=noop&limit=3'
seen=$(field '.tasks[].id')
gets 200 "and the next one" GET /v1/tasks "/v1/tasks?tool=noop&limit=3&before=$(field .next)"
is "of other tasks" "$(printf '%s\n' "$seen" "$(field '.tasks[].id')" | sort -u | wc -l | tr -d ' ')" 6
gets 200 "the cancelled are listed" GET /v1/tasks '/v1/tasks?state=cancelled&house=ezra&sender=ezra-1'
is "alone" "$(field '.tasks[].id')" "$id"
gets 400 "an unknown filter is refused" GET /v1/tasks '/v1/tasks?stat=failed'
gets 400 "and an unknown state" GET /v1/tasks '/v1/tasks?state=nope'
gets 400 "and a limit that is none" GET /v1/tasks '/v1/tasks?limit=1000'

# The cluster
gets 200 "houses and agents are told" GET /v1/cluster /v1/cluster
is "with each house's owner" "$(field '.houses[] | select(.house == "ezra") | .owners[-1].agent')" ezra-1
is "and who had it before" "$(field '.houses[] | select(.house == "ezra") | (.terms | length > 1) and .terms[-1] == .owners[-1].term')" true
is "and each agent's heartbeat" "$(field '[.agents[] | select(.heard_ms < 5000) | .health.agent] | sort | join(" ")')" "ezra-1 timmy-1"
"$UW" submit file_write --house ezra "path=$T/c/work/a" content=one --mode sovereign >"$T/out" 2>&1
is_asked() {
	ask GET /v1/approvals /v1/approvals
	[ "$(field '.approvals[0].asked')" = true ]
}
check "what waits for the sovereign is told" wait_for 10 is_asked
is "with the hash that would be signed" "$(field '.approvals[0] | [.valid, .approval.hash] | join(" ")')" \
    "true $("$UW" approvals --json | jq -r '.[0].hash')"
is_raised() {
	ask GET /v1/alerts /v1/alerts
	[ "$(field '[.alerts[].name] | sort | join(" ")')" = "certificate-expiring.ezra-1 certificate-expiring.timmy-1" ]
}
check "what is raised is told, of all agents" wait_for 10 is_raised
is "with every rule, as it is configured" "$(field '(.rules | length > 10) and any(.rules[]; .alert == "certificate-expiring" and .limit == 10000)')" true
is_seen() {
	ask GET /v1/alerts /v1/alerts
	[ "$(field '.alerts[] | select(.agent == "ezra-1") | .acknowledged_by')" = operator ]
}
check "an alert is seen" "$UW" alerts ack certificate-expiring.ezra-1
check "and by whom is told" wait_for 5 is_seen
gets 200 "what is to be expected is told" POST /v1/predict /v1/predict -d '{"tool":"noop","house":"ezra","params":{"payload":1}}'
is "by what was seen" "$(field '.success > 0.5 and .of_tool > 5')" true
gets 422 "of an unknown house nothing is" POST /v1/predict /v1/predict -d '{"tool":"noop","house":"nope"}'
gets 400 "nor without a tool" POST /v1/predict /v1/predict -d '{"house":"ezra"}'

# Events
AUTH=Authorization:
gets 401 "without a token no events are told" GET /v1/events /v1/events
AUTH=
gets 400 "an unknown filter is refused" GET /v1/events '/v1/events?what=x'
gets 422 "and an unknown house" GET /v1/events '/v1/events?house=nope'
stream() {
	exec curl -sN -m $((100 * SLOW)) -H "Authorization: Bearer $TOKEN" "$(cat "$T/c/state/ezra-1.http")/v1/events$1"
}
has_begun() {
	grep -q '^: live' "$1"
}
(stream '?house=ezra&type=outcome') >"$T/outcomes" 2>"$T/out" &
reading=$!
(stream '') >"$T/events" 2>"$T/out" &
reading="$reading $!"
check "a stream begins at once" wait_for 5 has_begun "$T/events"
check "and another" wait_for 5 has_begun "$T/outcomes"
ask POST /v1/tasks /v1/tasks -d '{"tool":"noop","house":"ezra","params":{"payload":"streamed"}}'
id=$(field .id)
told() {
	sed -n 's/^data: //p' "$T/$1" | jq -r --arg id "$id" 'select(.event.id == $id) | .event.type' | tr '\n' ' '
}
tells() {
	[ "$(told "$1")" = "$2" ]
}
check "it tells what becomes of a task, once and in order" wait_for 5 tells events "accepted outcome "
check "or only what was asked for" wait_for 5 tells outcomes "outcome "
is "with house, agent and the line itself" "$(sed -n 's/^data: //p' "$T/outcomes" | jq -r 'select(.event.result.payload == "streamed") | .house + " " + .agent')" "ezra ezra-1"
check "an alert is silenced" "$UW" alerts silence certificate-expiring.timmy-1
tells_alert() {
	sed -n 's/^data: //p' "$T/events" | jq -e 'select(.event.name == "certificate-expiring.timmy-1" and .event.silenced_by == "operator" and .agent == "timmy-1")'
}
check "that is told, too" wait_for 5 tells_alert
check "health comes each second" wait_for 5 grep -q '^event: health' "$T/events"
pids=
for n in 3 4 5 6 7 8; do
	(stream '') >"$T/stream$n" 2>"$T/out" &
	pids="$pids $!"
done
all_have_begun() {
	for _n in 3 4 5 6 7 8; do
		has_begun "$T/stream$_n" || return 1
	done
}
check "eight may listen" wait_for 5 all_have_begun
gets 503 "a ninth is refused" GET /v1/events /v1/events -m 2
# Those who do not read
# shellcheck disable=SC2086
kill -STOP $pids
head -c 200000 /dev/zero | tr '\0' x | awk '{ printf "{\"tool\":\"noop\",\"house\":\"ezra\",\"params\":{\"payload\":\"%s\"}}", $0 }' >"$T/large"
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	ask POST /v1/tasks /v1/tasks --data-binary "@$T/large"
done
listens() {
	ask GET /v1/events /v1/events -m 2
	[ "$status" = 200 ]
}
check "who does not read is dropped, and others have room" wait_for 30 listens
check "tasks went on meanwhile" wait_for 5 owns
# shellcheck disable=SC2086
kill -KILL $pids $reading

# Metrics
gets 200 "metrics are told" GET /metrics /metrics
cp "$T/answer" "$T/metrics"
like "what was taken is counted" "$(cat "$T/metrics")" '^uw_tasks_accepted_total [1-9]'
like "what ended, by house and state" "$(cat "$T/metrics")" '^uw_house_tasks_ended_total\{house="ezra",state="cancelled"\} 1$'
like "times are measured" "$(cat "$T/metrics")" '^uw_task_seconds_count [1-9]'
is "a histogram's last bucket is its count" "$(sed -n 's/^uw_task_seconds_bucket{le="+Inf"} //p' "$T/metrics")" \
    "$(sed -n 's/^uw_task_seconds_count //p' "$T/metrics")"
is "each has type and help" "$(grep -c '^# TYPE' "$T/metrics")" "$(grep -c '^# HELP' "$T/metrics")"
if command -v promtool >/dev/null; then
	is "promtool has nothing to say" "$(promtool check metrics <"$T/metrics" 2>&1)" ""
else
	skip "promtool" "is not here"
fi
curl -s -H "Authorization: Bearer $TOKEN" -H 'Accept: application/openmetrics-text' "$(cat "$T/c/state/ezra-1.http")/metrics" >"$T/open"
is "OpenMetrics ends as it should" "$(tail -n 1 "$T/open")" "# EOF"
like "and has units" "$(cat "$T/open")" '^# UNIT uw_commit_seconds seconds$'
if command -v promtool >/dev/null; then
	# Its reader wants times.
	awk '/^#/ { print; next } { print $0, 1700000000 }' "$T/open" >"$T/open.timed"
	check "Prometheus reads it" promtool tsdb create-blocks-from openmetrics "$T/open.timed" "$T/tsdb"
fi

# The rest of what is described
gets 400 "a query where there is none is refused" GET /health '/health?x=1'
is "another method too" "$(curl -s -o "$T/answer" -w '%{http_code}' -X DELETE "$(cat "$T/c/state/ezra-1.http")/v1/tasks")" 405
# The link that opens the dashboard
link=$("$UW" dashboard --agent ezra-1)
is "dashboard prints a link with address and token" "$link" "$(cat "$T/c/state/ezra-1.http")/#token=$TOKEN"
is "and is its parts as JSON" "$("$UW" dashboard --agent ezra-1 --json | jq -r '[.agent, .address, .link] | join(" ")')" \
    "ezra-1 $(cat "$T/c/state/ezra-1.http") $link"
is "the page behind it is there" "$(curl -s -o "$T/answer" -w '%{http_code}' "$link")" 200
refuse "where there is no token there is no link" 1 "$UW" dashboard --agent timmy-1
refuse "an agent that is not here has none" 1 "$UW" dashboard --agent nobody-1
# A house that is full.
cp "$T/c/houses.yaml" "$T/houses.yaml"
echo 'limits: {queued: 1}' >>"$T/c/houses.yaml"
is_ready() {
	ask GET /ready /ready
	[ "$status" = 200 ]
}
"$UW" cluster restart ezra-1 >"$T/out" 2>&1
check "with room for one it is ready" wait_for 10 is_ready
ask POST /v1/tasks /v1/tasks -d '{"tool":"noop","house":"ezra","not_before":"2099-01-01T00:00:00Z"}'
gets 503 "when it is there others are refused" POST /v1/tasks /v1/tasks -d '{"tool":"noop","house":"ezra"}'
is "and told when to come again" "$(field .error.code) $(field .error.retry_after_s) $(tr -d '\r' <"$T/head" | sed -n 's/^Retry-After: //p')" "busy 5 5"
cp "$T/houses.yaml" "$T/c/houses.yaml"
"$UW" cluster restart ezra-1 >"$T/out" 2>&1
check "it is ready again" wait_for 10 is_ready

"$UW" cluster kill broker >"$T/out" 2>&1
sleep 1.5
gets 503 "without a broker it is not well" GET /health /health
gets 503 "nor ready" GET /ready /ready
check "the broker is started again" "$UW" cluster restart broker
is "every path and status of the description was asked for, and no other came" "$(sort -u "$T/asked")" "$("$HELPERS/contract" "$API" | sort -u)"

# For others too: with TLS alone
"$UW" pki issue http --san localhost,127.0.0.1 >"$T/out" 2>&1
port=$(sed 's/.*://' "$T/c/state/ezra-1.http")
sed -i.orig "s/^http: .*/http: {listen: \"0.0.0.0:$port\"}/" "$T/c/houses.yaml"
"$UW" cluster restart ezra-1 >"$T/out" 2>&1
tls() {
	curl -s -m 10 --cacert "$UW_CAFILE" -o "$T/answer" -w '%{http_code}' -H "Authorization: Bearer $TOKEN" "https://localhost:$port$1"
}
has_tls() {
	[ "$(tls /v1/tasks)" = 200 ]
}
check "on all addresses it answers with TLS" wait_for 10 has_tls
check "and not without" not curl -s -m 5 "http://127.0.0.1:$port/health"
rm "$T/c/pki/http.key"
"$UW" cluster restart ezra-1 >"$T/out" 2>&1
check "without its key it does not listen" wait_for 5 grep -q 'needs a certificate' "$T/c/log/ezra-1.log"
check "at all" not curl -s -m 5 -k "https://127.0.0.1:$port/health"
is "and works all the same" "$("$UW" submit noop --house ezra --wait --json 2>"$T/out" | jq -r 'select(.state == "succeeded") | .state')" succeeded
