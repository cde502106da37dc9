#!/bin/sh
# load.sh - `make drill-load`: does a house change hands although nothing is the matter?
#
# The cluster of the drills under full load, and a busy loop that takes one processor for itself. Nothing is done to
# anybody. Prints how often an owner changed, and the longest time in which no task ended. Ends with status 1 when
# an owner changed, a task was lost or had two outcomes.
#
#   tests/drill/load.sh UNI-WIZARD PROGRAMS [--minutes N] [--json FILE] [--loopback]
#
# WINDOW tasks are out at once (2000).
set -u

usage() {
	echo "usage: $0 UNI-WIZARD PROGRAMS [--minutes N] [--json FILE] [--loopback]" >&2
	exit 2
}

[ $# -ge 2 ] || usage
# shellcheck source=tests/drill/cluster.sh
. "$(dirname "$0")/cluster.sh"
enter_namespace "$@"
minutes=10 json='' window=${WINDOW:-2000}
while [ $# -gt 0 ]; do
	case $1 in
	--loopback) ;;
	--minutes | --json)
		[ $# -ge 2 ] || usage
		[ "$1" = --minutes ] && minutes=$2 || json=$(absolute "$2")
		shift
		;;
	*) usage ;;
	esac
	shift
done

# All of a processor: no pause, no priority given away. Which one the system decides, unless it can be told.
steal_processor() {
	pin=$(command -v taskset >/dev/null && echo "taskset -c 0")
	# shellcheck disable=SC2086
	process_start thief $pin sh -c 'while :; do :; done'
}

# Terms in which the house was owned since the load began, by whoever said so.
terms() {
	for _n in $(seq "$brokers"); do
		tail -n "+$(sed -n "$_n"p "$dir/skip")" "$dir/log/listen$_n.log"
	done | jq -nRr --arg house $house 'inputs | capture("(?<json>\\{.*)$") | .json | fromjson? | .agent as $agent | .houses[]? |
	    select(.house == $house and (.role // "owner") == "owner") | "\(.term // $agent)"' | sort -u
}

mark() {
	for _n in $(seq "$brokers"); do
		echo $(($(wc -l <"$dir/log/listen$_n.log") + 1))
	done >"$dir/skip"
}

figure() {
	sed -n "s/^$1 //p" "$dir/flood.out"
}

# Every second, so that an end of the load before its time is noticed.
load() {
	"$trickle" flood $house "$window" "$dir/outbox.db" >"$dir/flood.out" 2>"$dir/log/flood.log" &
	echo $! >"$dir/run/flood.pid"
	end=$(($(date +%s) + minutes * 60))
	while [ "$(date +%s)" -lt $end ]; do
		sleep 1
		is_gone flood && { say "drill: the sender ended"; cat "$dir/log/flood.log" >&2; exit 2; }
	done
	signal flood TERM
	wait "$(pid_of flood)"
	rm -f "$dir/run/flood.pid"
}

find_mosquitto
make_place
cluster_start apart
wait_settled 60 || exit 1
mark
steal_processor
load
process_end thief
changes=$(($(terms | wc -l) - 1))
lost=$(($(figure put) - $(figure ended)))
echo "$minutes minutes, $(figure put) tasks ($(($(figure put) / (minutes * 60))) a second), one processor of $(getconf _NPROCESSORS_ONLN) stolen"
echo "owner changes $changes"
echo "longest time without an outcome $(figure longest_gap_ms) ms"
echo "lost $lost, with two outcomes $(figure twice)"
[ -z "$json" ] || printf '{"minutes":%d,"tasks":%d,"owner_changes":%d,"longest_gap_ms":%d,"lost":%d,"duplicated":%d}\n' "$minutes" \
    "$(figure put)" $changes "$(figure longest_gap_ms)" $lost "$(figure twice)" >"$json"
judged=1
[ $changes -eq 0 ] && [ $lost -eq 0 ] && [ "$(figure twice)" -eq 0 ]
