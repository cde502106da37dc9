#!/bin/sh
# What an agent logs: how much can be changed while it runs, as text or JSON, and with priorities for the journal.
. "$(dirname "$0")/lib.sh"

cluster_up --houses ezra,timmy
alone ezra
restart_all
LOG=$T/c/log/ezra-1.log
lines() { wc -l <"$LOG" | tr -d ' '; }
# since N PATTERN: how many lines after the first N have it.
since() { tail -n "+$(($1 + 1))" "$LOG" | grep -Ec -- "$2"; }
give() { "$UW" submit noop --house ezra --wait --json 2>"$T/out" | jq -r .id; }
told() { [ "$(since "$n" "task $id: house ezra: outcome")" = 1 ]; }

is "an agent says how much it logs" "$("$UW" agent log-level --agent ezra-1)" "ezra-1 logs info"
n=$(lines) id=$(give)
is "at info nothing is said of a task" "$(since "$n" "$id")" 0
is "more is asked for" "$("$UW" agent log-level debug --agent ezra-1)" "ezra-1 logs debug now, it was info"
like "the log says so" "$(tail -n 1 "$LOG")" 'info: agent ezra-1: logs debug now, it was info$'
n=$(lines) id=$(give)
check "at debug each event of a task is a line with its id" wait_for 5 told
is "its acceptance too" "$(since "$n" "debug: task $id: house ezra: accepted")" 1
is "others log as before" "$("$UW" agent log-level --agent timmy-1 --json | jq -r .level)" info
is "less is asked for" "$("$UW" agent log-level warn --agent ezra-1 --json | jq -c '[.level, .was]')" '["warn","debug"]'
n=$(lines) id=$(give)
is "and nothing is said" "$(since "$n" .)" 0
refuse "an unknown level is wrong usage" 2 "$UW" agent log-level loud
like "and said so" "$("$UW" agent log-level loud 2>&1)" 'LEVEL: expected one of warn info debug, got loud'
refuse "an agent that does not run gives no answer" 5 "$UW" agent log-level --agent ezra-9
check "the agent begins again" "$UW" cluster restart ezra-1
is "with what houses.yaml says" "$("$UW" agent log-level --agent ezra-1)" "ezra-1 logs info"

# As JSON, workers too
printf 'log_format: json\nlog_level: debug\n' >>"$T/c/houses.yaml"
n=$(lines)
check "it begins again, to log JSON" "$UW" cluster restart ezra-1
id=$(give)
in_json() { tail -n "+$((n + 2))" "$LOG" | jq -e --arg id "$id" 'select(.task == $id and .level == "debug" and (.message | test("outcome")))' >"$T/out"; }
check "a task's events are objects" wait_for 5 in_json
tail -n "+$((n + 1))" "$LOG" | grep -v '^20' | jq -c 'keys - ["ident","level","message","task","time"]' 2>"$T/err" | sort -u >"$T/keys"
is "each line is one, with no other member" "$(cat "$T/keys" "$T/err")" '[]'
check "the text form is all that was before" [ "$(sed -n "1,${n}p" "$LOG" | grep -c '^{')" -eq 0 ]

# The journal is whatever file standard error is, if systemd says so.
check "the agent stops" "$UW" cluster stop ezra-1
sed -i.orig '/^log_/d' "$T/c/houses.yaml"
: >"$T/journal"
stream=$(ls -i "$T/journal" | cut -d' ' -f1)
if stat -c %d "$T/journal" >"$T/dev" 2>"$T/err" || stat -f %d "$T/journal" >"$T/dev"; then
	JOURNAL_STREAM=$(cat "$T/dev"):$stream "$UW" agent --agent ezra-1 2>"$T/journal" &
	agent=$!
	on_exit "kill $agent 2>/dev/null; wait $agent 2>/dev/null"
	check "an agent under the journal gets ready" wait_for 15 grep -q '^<6>info: agent ezra-1: ready$' "$T/journal"
	is "all its lines begin with a priority" "$(grep -vc '^<[2467]>' "$T/journal")" 0
fi
