#!/bin/sh
# limit: 240
# Breakers: a server that dies is left alone, what needs it waits, and all of it comes back with the server.
. "$(dirname "$0")/lib.sh"

own_tool fetch idempotent '"timeout_s":5,"target":{"param":"from","down":[7]}' <<'EOT'
#!/bin/sh
[ -e "$UW_ROOTS/up" ] && echo '{}' && exit
echo tried >>"$UW_ROOTS/tries" && exit 7
EOT
sed -i.bak 's/"additionalProperties":true/"properties":{"from":{"type":"string"}}/' "$T/c/tools.d/fetch.json"
cluster_up --houses ezra,timmy
# One failure less, and a shorter time, than by default: this is about order, not patience.
printf 'breakers: { failures: 3, open_s: 4s, open_cap_s: 8s }\n' >>"$T/c/houses.yaml"
restart_all

serve() {
	"$HELPERS/echo" "$T/requests" "$1" >"$T/port" &
	SERVER=$!
	wait_for 5 [ -s "$T/port" ]
}
serve 0
PORT=$(cat "$T/port")
on_exit 'kill $SERVER 2>/dev/null'
URL=http://127.0.0.1:$PORT/
get() { "$UW" submit http_get url="$URL$1" --house ezra --json "$@"; }
state() { "$UW" task show "$1" --json | jq -r .state; }
breaker() { "$UW" breaker list --house ezra --json | jq -r --arg t "${1:-127.0.0.1:$PORT}" '.[] | select(.target == $t) | .state'; }
is_breaker() { [ "$(breaker)" = "$1" ]; }
submit() { "$UW" submit http_get url="$URL" --house ezra --json "$@" | jq -rs '.[0].id'; }

check "the server answers" "$UW" submit http_get url="$URL" --house ezra --wait
is "and there is no breaker" "$("$UW" breaker list --json)" "[]"
kill "$SERVER"
for i in 1 2 3; do
	refuse "a task fails that needs it, $i" 1 "$UW" submit http_get url="$URL$i" --house ezra --wait
done
check "its breaker opens" wait_for 5 is_breaker open
like "it is listed, with the reason" "$("$UW" breaker list)" "ezra +http_get +127\.0\.0\.1:$PORT +ezra-1 +(open|half_open) +3 .*connect"

a=$(submit) b=$(submit --priority 1) c=$(submit --priority 1)
is "what needs it waits" "$(state "$b")" scheduled
like "and says for what" "$("$UW" task show "$b" --json | jq -r .held)" "http_get at 127\.0\.0\.1:$PORT"
check "what does not is done" "$UW" submit noop --house ezra --wait
like "health tells it" "$(as operator mosquitto_sub -R -C 1 -W 20 -t uw/home/agent/ezra-1/health/state | jq -c '.houses[] | select(.house == "ezra") | .breakers[0] | [.tool, .agent]')" \
    '^\["http_get","ezra-1"\]$'
# The probes fail: one task each, and none of those that wait.
failed_probe() { [ "$(state "$a")" = failed ]; }
check "one task tries" wait_for 15 failed_probe
is "the others still wait" "$(state "$c")" scheduled

# The next owner knows.
kill -9 "$(cat "$T/c/run/ezra-1.pid")"
other_owns() { [ "$(owner_of ezra)" = timmy-1 ]; }
check "another agent takes the house" wait_for 30 other_owns
is "and what is open" "$(breaker)" open
is "what waits is with it" "$(state "$c")" scheduled
"$UW" cluster start ezra-1 --dir "$T/c" >/dev/null 2>&1

: >"$T/port"
check "the server returns" serve "$PORT"
done_all() { [ "$(state "$b")$(state "$c")" = succeededsucceeded ] || [ "$(state "$b")$(state "$c")" = failedsucceeded ]; }
check "what waited is done" wait_for 40 done_all
is "in its first attempt" "$("$UW" task show "$c" --json | jq .attempt)" 1
check "the breaker is gone" wait_for 20 not is_breaker open
check "tasks run as before" "$UW" submit http_get url="$URL" --house ezra --wait

# By hand.
refuse "who is no operator may not" 3 "$UW" --as watcher breaker open http_get "$URL" --house ezra
refuse "a tool without targets has none" 2 "$UW" breaker open noop here --house ezra
refuse "nor has none a breaker that is not open" 1 "$UW" breaker close http_get "$URL" --house ezra
check "an operator opens one" "$UW" breaker open http_get "$URL" --house ezra
a=$(submit)
is "it holds" "$(state "$a")" scheduled
like "and names him" "$("$UW" breaker list)" 'opened by operator'
is "closed, its answer is JSON" "$("$UW" breaker close http_get "127.0.0.1:$PORT" --house ezra --json | jq -r .state)" closed
succeeded() { [ "$(state "$a")" = succeeded ]; }
check "and what it held is done" wait_for 10 succeeded
refuse "the house is needed" 2 "$UW" breaker open http_get "$URL"

# An own tool says by its exit code that its target is down.
try() { "$UW" submit fetch from=db1 --house timmy --key "$1" --wait >/dev/null 2>&1; }
for i in 1 2 3; do try "$i"; done
is "an own tool has a breaker too" "$("$UW" breaker list --house timmy --json | jq -r '.[] | [.tool, .target, .state] | join(" ")')" "fetch db1 open"
