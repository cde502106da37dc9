#!/bin/sh
# limit: 180
# What tools write while they run: followed, kept, asked for again; and how far they say they are.
. "$(dirname "$0")/lib.sh"

# 40 numbered lines in four seconds.
own_tool counter read '"progress":"@at"' <<'END'
#!/bin/sh
i=0
while [ $i -lt 40 ]; do
	i=$((i + 1))
	echo "line $i äöü" >&2
	[ $((i % 4)) -ne 0 ] || echo "@at $((i * 100 / 40)) step $i" >&2
	sleep 0.1
done
echo '{"lines":40}'
END
own_tool failer read <<'END'
#!/bin/sh
echo "before the end" >&2
exit 3
END
# More than is kept, at once; its last word counts.
own_tool flooder read <<'END'
#!/bin/sh
i=0
while [ $i -lt 40 ]; do
	i=$((i + 1))
	head -c 65536 /dev/zero | tr '\0' x >&2
	echo >&2
done
echo "the last word" >&2
echo '{}'
END
cluster_up --houses ezra,timmy,bezalel
seq -f 'line %.0f äöü' 1 40 >"$T/all"

start() {
	"$UW" submit "$@" --json | jq -r .id
}
says() { grep -qF -- "$2" "$1"; }

# Followed from the middle.
id=$(start counter --house ezra)
sleep 1.5
"$UW" logs -f "$id" >"$T/out" 2>"$T/err"
is "logs -f ends with the task's exit code" "$?" 0
check "all of it came, without gap or repeat" cmp "$T/out" "$T/all"
check "and how it ended" says "$T/err" succeeded
"$UW" logs "$id" >"$T/out" 2>&1
check "it is kept when the task is over" cmp "$T/out" "$T/all"
is "as JSON too" "$("$UW" logs "$id" --json | jq -rj 'select(.type == "output") | .text' | cksum)" "$(cksum <"$T/all")"
is "offsets follow each other" "$("$UW" logs "$id" --json |
    jq -s 'reduce (.[] | select(.type == "output")) as $p (0; if $p.offset == . then . + ($p.text | utf8bytelength) else -1 end)')" \
    "$(wc -c <"$T/all" | tr -d ' ')"

# What is told on the topic itself, and how far it is.
as watcher mosquitto_sub -t 'uw/+/house/ezra/log/+' -W 6 >"$T/live" 2>/dev/null &
live=$!
"$UW" watch --house ezra --json --within 6 >"$T/watched" 2>/dev/null &
watched=$!
sleep 0.5
id=$(start counter --house ezra)
wait "$live" "$watched"
is "the topic tells id, attempt, offset and text" \
    "$(jq -rj --arg id "$id" 'select(.type == "output" and .id == $id and .attempt == 1) | .text' "$T/live" | cksum)" "$(cksum <"$T/all")"
check "a few messages a second, not one a line" [ "$(grep -c '"output"' "$T/live")" -lt 30 ]
like "progress is told with percent and note" "$(jq -c --arg id "$id" 'select(.type == "progress" and .id == $id) | [.percent, .note]' "$T/live" |
    tr '\n' ' ')" '\[50,"step 20"\]'
is "watch shows it" "$(jq -r 'select(.type == "progress") | .house' "$T/watched" | sort -u)" ezra

# Through another agent's interface, while somebody listens there.
token=$(sed -n '/^  timmy:/,/auth_token:/s/.*auth_token: "\(.*\)"/\1/p' "$T/c/houses.yaml")
curl -sN -m 60 -H "Authorization: Bearer $token" "$(cat "$T/c/state/timmy-1.http")/v1/events?house=ezra" >"$T/stream" &
stream=$!
streamed() {
	sed -n 's/^data: //p' "$T/stream" | jq -rj 'select(.event.type == "output" and .agent == "ezra-1") | .event.text' >"$T/out"
	[ -s "$T/out" ]
}
output_is_streamed() {
	id=$(start counter --house ezra)
	"$UW" logs -f "$id" >/dev/null 2>&1
	streamed
}
check "another agent's page hears what a tool writes" wait_for 20 output_is_streamed
check "word for word" says "$T/all" "$(tail -n 1 "$T/out")"
kill $stream

# Small tasks say nothing.
as watcher mosquitto_sub -t 'uw/+/house/ezra/log/+' -W 4 >"$T/live" 2>/dev/null &
live=$!
sleep 0.5
"$UW" submit wait ms=100 --house ezra --wait >"$T/.check" 2>&1
"$UW" submit failer --house ezra --wait >"$T/.check" 2>&1
is "a task that fails at once" "$?" 1
id=$("$UW" task list --house ezra --tool failer --json | jq -r '.[0].id')
is "has its output kept" "$("$UW" logs "$id" 2>&1)" "before the end"
refuse "and logs -f has its exit code" 1 "$UW" logs -f "$id"
wait "$live"
is "what is over at once tells nothing on the topic" "$(wc -l <"$T/live" | tr -d ' ')" 0
refuse "a task that nobody knows" 1 "$UW" logs 01ARZ3NDEKTSV4RRFFQ69G5FAV

# A flood is thinned; its end is there.
id=$(start flooder --house ezra)
"$UW" logs -f "$id" >"$T/out" 2>"$T/err"
is "a flood does not hold up its tool" "$?" 0
is "the last word of a flood is there" "$(tail -n 1 "$T/out")" "the last word"
check "and what was left out is said" grep -q 'bytes of output left out\|bytes are not kept' "$T/out" "$T/err"
check "of what is kept there is a bound" [ "$("$UW" logs "$id" 2>/dev/null | wc -c)" -le 330000 ]

# The broker dies and comes back while a task is followed.
id=$(start counter --house ezra)
"$UW" logs -f "$id" >"$T/out" 2>"$T/err" &
follower=$!
check "a follower sees the beginning" wait_for 5 says "$T/out" "line 8 "
kill -9 "$(cat "$T/c/run/broker.pid")"
sleep 1
check "the broker is started again" "$UW" cluster start broker --dir "$T/c"
wait "$follower"
is "logs -f goes on after the broker was killed" "$?" 0
check "with all of it, without gap or repeat" cmp "$T/out" "$T/all"

# The agent dies: its part is lost, and that is said. Another one does the task.
id=$(start counter --house ezra)
"$UW" logs -f "$id" >"$T/out" 2>"$T/err" &
follower=$!
check "it runs" wait_for 5 says "$T/out" "line 8 "
kill -9 "$(cat "$T/c/run/$(owner_of ezra).pid")"
wait "$follower"
is "logs -f goes on with the next attempt" "$?" 0
like "and says what is lost" "$(cat "$T/err")" 'attempt 1: ezra-1 is not there, so nothing is known after byte [0-9]+'
check "all of the second attempt came" sh -c 'tail -n 40 "$1" | cmp - "$2"' - "$T/out" "$T/all"
