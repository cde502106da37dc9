#!/bin/sh
# How late what agents tell comes, what waits, what is missing, and how far their clocks are apart; and events by filters.
. "$(dirname "$0")/lib.sh"

cluster_up --houses ezra,timmy,bezalel
status() { "$UW" telemetry --status --json "$@" >"$T/status" 2>"$T/err"; }
row() { jq -r --arg a "$1" ".[] | select(.agent == \$a) | $2" "$T/status"; }
work() { while [ -e "$T/work" ]; do "$UW" submit noop --house ezra >"$T/out" 2>&1; done; }

: >"$T/work"
work &
worker=$!
on_exit "rm -f '$T/work'; wait $worker 2>/dev/null"
check "with all agents there it succeeds" status
is "each has a row" "$(jq -r '[.[].agent] | sort | join(" ")' "$T/status")" "bezalel-1 ezra-1 timmy-1"
is "and is heard" "$(jq -r '[.[].state] | unique | join(" ")' "$T/status")" online
is "its events are counted" "$(row ezra-1 '.events > 0 and .messages > .events')" true
is "what they tell is here in a tenth of a second" "$(jq 'all(.[]; .lag_p50_ms >= 0 and .lag_p50_ms < 100 and .lag_p50_ms <= .lag_p99_ms and .lag_p99_ms <= .lag_max_ms)' "$T/status")" true
is "their clocks are this machine's" "$(jq 'all(.[]; .clock_ahead_of_here_ms == 0 and (.clock_behind_others_ms | . > -100 and . < 100))' "$T/status")" true
is "nothing was given up, nothing is missing" "$(jq -c '[.[] | .dropped_events, .missing_events, .last_gap] | unique' "$T/status")" '[null,0]'
like "for people it is a table" "$("$UW" telemetry --status --within 2 2>"$T/err")" '^ezra-1 +online +[0-9]+ ms +[0-9]+ ms +[0-9]+ '

# watch
"$UW" watch --type outcome,accepted --house ezra --within 20 -n 6 --json >"$T/seen" 2>"$T/err"
is "watch shows the types that are asked for" "$(jq -r .type "$T/seen" | sort -u | tr '\n' ' ')" "accepted outcome "
is "and counts these alone" "$(wc -l <"$T/seen" | tr -d ' ')" 6
"$UW" watch --agent timmy-1 --within 2 --json >"$T/seen" 2>"$T/err"
is "an agent by itself is heard" "$(jq -r 'select(.house == "ezra") | .type' "$T/seen" | grep -c outcome)" 0
rm "$T/work"
wait $worker

# One is away.
"$UW" cluster stop bezalel-1 >"$T/out" 2>&1
refuse "when an agent is away the exit code says so" 1 "$UW" telemetry --status --within 3 --json
cp "$T/.check" "$T/status"
like "and which one" "$(row bezalel-1 .state)" '^(offline|not heard)$'
"$UW" cluster start bezalel-1 >"$T/out" 2>&1

# Numbers that are missing, and a clock that is wrong: an agent of whom somebody plays what it would say.
"$UW" cluster stop timmy-1 >"$T/out" 2>&1
play() {
	for n in 1 2 3 5 6 9; do
		now=$(date -u -d '-90 seconds' +%FT%T.%3NZ)
		printf '{"type":"started","seq":%d,"term":"9.timmy-1.x","time":"%s"}\n' $n "$now" >"$T/line"
		as timmy-1 mosquitto_pub -q 1 -t uw/home/house/timmy/event/timmy-1 -f "$T/line"
	done
}
if date -u -d '-90 seconds' +%FT%T.%3NZ >"$T/out" 2>&1; then
	"$UW" telemetry --status --within 5 --json >"$T/status" 2>"$T/err" &
	look=$!
	sleep 1.5
	play
	wait $look
	is "numbers that are missing are counted" "$(row timmy-1 .missing_events)" 3
	is "a clock that is behind is not taken for lag" "$(row timmy-1 '.clock_ahead_of_here_ms < -89000 and .clock_ahead_of_here_ms > -92000 and .lag_p50_ms < 2000')" true
	"$UW" cluster start timmy-1 >"$T/out" 2>&1
else
	skip "a clock that is behind" "date cannot tell another time"
fi

"$UW" cluster kill broker >"$T/out" 2>&1
refuse "without a broker there is no answer" 5 "$UW" telemetry --status --within 2
