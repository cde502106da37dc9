#!/bin/sh
# hermes.sh - `make bench-hermes`: how long it takes from what Hermes does until a subscriber at the broker has heard of it.
# Hermes is played by tests/hermes/double.mjs (needs node) and hermes_writer. Ends with 1 if a limit is missed.
#
#   database   from the time in the row, which is before its commit; the log is cut by checkpoints, and twice another
#              database takes its place
#   webhook    from before it is sent
#   run        from the event's own time in the stream that a worker reads
set -u
. "$(dirname "$0")/common.sh"

command -v node >/dev/null || { say "bench: needs node"; exit 1; }
calls=400 hooks=500 steps=60
[ -z "$quick" ] || calls=100 hooks=150 steps=20

HERMES_KEY=k node "$here/../hermes/double.mjs" "$dir/port" >"$dir/double" 2>&1 &
double=$!
tail='' heard=''
stop_peers() { kill $double $tail $heard 2>/dev/null; }
until [ -s "$dir/port" ]; do sleep 0.05; done
port=$(cat "$dir/port") listen=127.0.0.1:$((20000 + $$ % 20000))

"$wizard" cluster up --dir "$dir/c" --houses bezalel >"$dir/up" 2>&1 || { cat "$dir/up" >&2; exit 1; }
"$wizard" cluster down --dir "$dir/c" >"$dir/up" 2>&1
mkdir "$dir/home"
echo k-k-k-k >"$dir/c/hook"
echo k >"$dir/c/key"
chmod 600 "$dir/c/hook" "$dir/c/key"
cat >>"$dir/c/houses.yaml" <<END
hermes: {url: "http://127.0.0.1:$port", secret: HERMES_KEY, home: $dir/home, listen: "$listen", webhook_secret: HERMES_HOOK}
secrets:
  HERMES_KEY: {file: key}
  HERMES_HOOK: {file: hook}
END
"$wizard" cluster up --dir "$dir/c" >"$dir/up" 2>&1 || { cat "$dir/up" >&2; exit 1; }
# shellcheck disable=SC1091
. "$dir/c/env"
echo 'houses: {}' >"$dir/policy"
"$wizard" policy sign --yes "$dir/policy" >"$dir/up" 2>&1

mosquitto_sub -q 1 -h "$UW_HOST" -p "$UW_PORT" --cafile "$UW_CAFILE" --cert "$UW_DIR/pki/operator.crt" --key "$UW_DIR/pki/operator.key" \
    -t uw/home/agent/bezalel-1/telemetry/hermes -F '#%U
%p' >"$dir/heard" 2>&1 &
heard=$!
"$wizard" hermes tail --no-learn >"$dir/tail" 2>&1 &
tail=$!
sleep 1

say "database"
for session in first second third; do
	"$programs/../e2e/hermes_writer" "$dir/home/state.db" 17 "$calls" 4 "busy-$session" truncate >"$dir/out" &
	"$programs/../e2e/hermes_writer" "$dir/home/state.db" 17 "$calls" 5 "other-$session" >"$dir/out2"
	wait $!
	sleep 0.6
	rm "$dir/home"/state.db*
done
say "webhooks"
curl -s -X POST "http://127.0.0.1:$port/double/hook" -d '{"url":"http://'"$listen"'/hermes","secret":"k-k-k-k","count":'$hooks',
    "every":10,"hook_event_name":"post_tool_call","tool_name":"terminal","session_id":"@now","extra":{"duration_ms":1,"status":"ok","tool_call_id":"@now"}}' \
    >"$dir/answers" || exit 1
say "runs"
prompt=$(i=0; while [ $i -lt $steps ]; do printf 'tool terminal ls\nwait 20\n'; i=$((i + 1)); done; echo 'say done')
"$wizard" submit hermes_run "prompt=$prompt" --house bezalel --wait --json >"$dir/run"
jq -e '.state == "succeeded"' "$dir/run" >/dev/null || { cat "$dir/run" >&2; exit 1; }
sleep 1

# milliseconds per kind, from the seconds when it was heard and the time when it was
awk '/^#/ { at = substr($0, 2); next } /^{/ { print at "\t" $0 }' "$dir/heard" | jq -rR 'split("\t") | (.[0] | tonumber) as $heard | .[1] |
    fromjson | select(.event | test("^(tool|message)")) |
    (if .via == "webhook" then .session | tonumber else (.at[:19] + "Z" | fromdate) * 1000 + (.at[20:23] | tonumber) end) as $was |
    "\(.via) \($heard * 1000 - $was)"' >"$dir/lags"
missed=0
for limit in database:30 webhook:50 run:50; do
	sed -n "s/^${limit%:*} //p" "$dir/lags" | sort -n | awk -v what="${limit%:*}" -v limit="${limit#*:}" '{ v[NR] = $1 } END {
		if (!NR) { print what ": nothing was heard"; exit 1 }
		at = int(NR * 0.99 + 0.999999)
		printf "%-9s %6d events  p50 %6.2f ms  p99 %6.2f ms  max %7.2f ms  (limit of p99: %d ms)\n", what, NR, v[int((NR + 1) / 2)], v[at], v[NR], limit
		exit v[at] >= limit
	}' || missed=1
done
jq -r '.ms | sort | "answers to webhooks: p50 \(.[length / 2 | floor]) ms, p99 \(.[length * 0.99 | floor]) ms"' "$dir/answers"
want=$((6 * calls)) got=$(awk '/^{/' "$dir/heard" | jq -r 'select(.via == "database" and .event == "tool.completed") | .session + .call' | sort | uniq | wc -l)
echo "calls of tools in three databases: $want, told: $((got))"
[ "$want" -eq $((got)) ] || missed=1
judged=1
exit $missed
