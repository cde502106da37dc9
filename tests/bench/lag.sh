#!/bin/sh
# lag.sh - `make bench-lag`: how late Timmy's agent and a page that is open there know what happens at a worker, and what
# an outage of five minutes does to that.
#
# In an outage one agent is cut off while 100,000 events are made: the one that makes them, then the one that wants them.
# tests/bench/lag.c says what is measured. Ends with status 1 if a limit is missed.
set -u
. "$(dirname "$0")/common.sh"

seconds=30 outage_s=300 events=100000
[ -z "$quick" ] || seconds=10 outage_s=20 events=20000
cut='' relayed=''

stop_peers() {
	# shellcheck disable=SC2086
	[ -z "$cut$relayed" ] || kill $cut $relayed 2>/dev/null
}

# relay AGENT: from now on it reaches the broker through a relay, which can be cut.
relay() {
	"$programs/cut" "$UW_PORT" >"$dir/port" &
	cut=$!
	for i in $(seq 50); do
		[ ! -s "$dir/port" ] || break
		sleep 0.1
	done
	sed "s/^brokers: .*/brokers: [\"127.0.0.1:$(cat "$dir/port")\"]/" "$UNI_WIZARD_CONFIG" >"$dir/lag/relay.yaml"
	chmod 600 "$dir/lag/relay.yaml"
	"$wizard" cluster stop "$1" --dir "$dir/lag" >"$dir/up.log" 2>&1
	"$wizard" agent --config "$dir/lag/relay.yaml" --agent "$1" 2>"$dir/lag/log/$1.relay.log" &
	relayed=$!
	wait_until at_home
}

unrelay() {
	kill "$relayed"
	wait "$relayed"
	kill "$cut"
	cut='' relayed=''
	"$wizard" cluster start "$1" --dir "$dir/lag" >"$dir/up.log" 2>&1
	wait_until at_home
}

# outage PREFIX OPTION...: bezalel's events are the live ones.
outage() {
	prefix=$1
	shift
	lag bezalel "${prefix%_}" -r 200 -s "$seconds" -c "$cut" -n "$events" -o "$outage_s" -b ezra "$@"
	for name in store page back_store back_page; do
		measure quantiles "${name}_us" "$dir/${prefix%_}.$name"
	done
	prefix=
}

start_lag
machine
say "1,000 events/s for $seconds s"
measure raw pace $((seconds * 100)) 100 $bytes "$dir/raw.hist"
measure quantiles raw_us "$dir/raw.hist"
lag ezra lag -r 1000 -s "$seconds" -p 4
quantiles_of_lag lag
say "ezra-1 cut off for $outage_s s, in which it makes $events events"
relay ezra-1
outage maker_ -q 6 -S "$dir/lag/run/ezra-1.sock"
unrelay ezra-1
say "timmy-1 cut off for $outage_s s, in which $events events are made"
relay timmy-1
outage reader_
unrelay timmy-1
judged=1
awk -v json="$json" -v about="$(machine)" -v bytes=$bytes -v lag=1 -v events=$events -v outage_s=$outage_s -f "$here/report.awk" "$figures"
