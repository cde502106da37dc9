#!/bin/sh
# beats.sh - `make bench-beats`: what heartbeats cost. A second agent is stopped, and its heartbeat is published RATE
# times a second, as if there were so many agents. Printed is the processor time that each costs who receives it, and
# the broker for each receiver. docs/scaling.md uses the figures.
set -u
. "$(dirname "$0")/common.sh"

seconds=10 receivers=40
[ -z "$quick" ] || seconds=4

as() {
	(as_exec "$@")
}

# In the background, so that $! is the client.
as_exec() {
	_who=$1 _client=$2
	shift 2
	exec "$_client" -h "$UW_HOST" -p "$UW_PORT" --cafile "$UW_CAFILE" --cert "$UW_PKI/$_who.crt" --key "$UW_PKI/$_who.key" "$@"
}

cpu_us() {
	"$programs/cpu" "$1"
}

# The stopped agent's heartbeats, a tenth of a second's worth at a time.
beat() {
	awk -v beat="$heartbeat" -v rate="$1" -v seconds="$seconds" 'BEGIN {
		at = index(beat, "\"seq\":")
		head = substr(beat, 1, at + 5)
		rest = substr(beat, at + 6)
		sub(/^[0-9]+/, "", rest)
		for (t = 0; t < seconds * 10; t++) {
			for (i = 0; i < rate / 10; i++)
				print head (100000 + ++n) rest
			fflush()
			system("sleep 0.1")
		}
	}' | as other-1 mosquitto_pub -l -q 0 -t uw/home/agent/other-1/health/state
}

# Microseconds of agent and broker while RATE heartbeats a second come.
run() {
	began_agent=$(cpu_us "$agent") began_broker=$(cpu_us "$broker")
	if [ "$1" -eq 0 ]; then sleep "$seconds"; else beat "$1"; fi
	sleep 1
	agent_us=$(($(cpu_us "$agent") - began_agent)) broker_us=$(($(cpu_us "$broker") - began_broker))
}

up() {
	"$wizard" cluster up --dir "$dir/c" "$@" >"$dir/up.log" 2>&1 || { cat "$dir/up.log" >&2; exit 1; }
	# shellcheck disable=SC1091
	. "$dir/c/env"
	UW_PKI=$dir/c/pki broker=$(cat "$dir/c/run/broker.pid")
}

# Real ones, at rest: each hears all of them.
agents() {
	up --houses "$(seq -f h%g -s , $(($1 / 5)))" --agents-per-house 5
	agent=$(cat "$dir"/c/run/h*-?.pid | paste -s -d , -)
	sleep 8
	began_agent=$(cpu_us "$agent") began_broker=$(cpu_us "$broker")
	sleep "$seconds"
	echo "$1 agents at rest, each second: $((($(cpu_us "$broker") - began_broker) / seconds / 1000)) ms of the broker," \
	    "$((($(cpu_us "$agent") - began_agent) / seconds / 1000)) ms of all agents"
	"$wizard" cluster down --dir "$dir/c" >/dev/null
	rm -rf "$dir/c"
}

up --houses bench,other
agent=$(cat "$dir/c/run/bench-1.pid")
sleep 3
heartbeat=$(as operator mosquitto_sub -C 1 -W 5 -t uw/home/agent/other-1/health/state)
kill -9 "$(cat "$dir/c/run/other-1.pid")"
sleep 12

machine
echo "a heartbeat of two houses: ${#heartbeat} bytes"
run 0
idle_agent=$agent_us idle_broker=$broker_us
for rate in 100 1000; do
	run $rate
	echo "$rate a second, received by one agent: $(((agent_us - idle_agent) / (rate * seconds))) us of the agent," \
	    "$(((broker_us - idle_broker) / (rate * seconds))) us of the broker each"
done
one=$(((broker_us - idle_broker) / (rate * seconds)))
pids=
for _ in $(seq $receivers); do
	as_exec watcher mosquitto_sub -q 0 -t uw/home/agent/+/health/state >/dev/null &
	pids="$pids $!"
done
sleep 2
run 100
# shellcheck disable=SC2086
kill $pids
echo "100 a second, $receivers more receivers: $(((broker_us - idle_broker) / (100 * seconds))) us of the broker each," \
    "$(((broker_us - idle_broker - one * 100 * seconds) / (100 * seconds * receivers))) us for each receiver"
"$wizard" cluster down --dir "$dir/c" >/dev/null
rm -rf "$dir/c"

for n in 10 20 40; do
	agents $n
done
