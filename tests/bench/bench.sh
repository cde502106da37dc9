#!/bin/sh
# bench.sh - `make bench`: what the cluster does beside what the broker and the disk can do, in one run.
#
# Repetitions are interleaved, so that whatever else the machine does meets all of them alike, and compared with
# their own neighbours. Ends with status 1 if a limit is missed. docs/performance.md explains the figures.
set -u
. "$(dirname "$0")/common.sh"

if [ -n "$quick" ]; then
	rounds=3 tasks=20000 slices=2 slice_s=4 lag_s=10 idle_s=8 depths=1 starts=3 approvals=40
else
	rounds=5 tasks=40000 slices=3 slice_s=10 lag_s=30 idle_s=30 depths=3 starts=5 approvals=200
fi
raw_tasks=10000 window=2000 behind=20000 queued=100000 finished=1000000

# First of all, and fresh: what an agent costs that has nothing to do.
idle() {
	say "idle for $idle_s s"
	load usage -s $idle_s
}

# Three houses with an agent each: the candidates of all of them are all of them.
start_followers() {
	start_cluster three bench,second,third
	wait_until in_step 8
	warm_up
}

# The same agent without a pinned key: nothing is judged there.
start_unsigned() {
	start_cluster unsigned bench
	stop_cluster unsigned
	sed -i.bak '/^sovereign_keys:/d' "$dir/unsigned/houses.yaml"
	start_cluster unsigned bench
	warm_up
}

throughput() {
	warm_up
	start_followers
	start_unsigned
	for i in $(seq $rounds); do
		say "throughput, $i of $rounds"
		use_cluster one
		measure raw hop $raw_tasks 100 $bytes
		measure raw trip $raw_tasks 100 $bytes
		load window -n $tasks -w $window
		prefix=intelligent_
		load window -I -n $tasks -w $window
		prefix=
		measure audit 200000 100
		use_cluster unsigned unsigned_
		load window -n $tasks -w $window
		use_cluster three copies_
		load window -n $tasks -w $window
	done
	stop_cluster three
	stop_cluster unsigned
	use_cluster one
}

approvals() {
	say "$approvals approvals, one after the other"
	measure approve approval_ms $approvals bench
}

latency() {
	for i in $(seq $slices); do
		say "latency at 100/s, $i of $slices"
		measure disk "$dir" 1000 0 "$dir/disk.hist"
		measure disk "$dir" $((slice_s * 20)) 100 "$dir/disk_paced.hist"
		measure raw pace $((slice_s * 30)) 100 $bytes "$dir/raw.hist"
		load pace -n $((slice_s * 100)) -r 100 -H "$dir/task.hist"
	done
	echo "slices $slices" >>"$figures"
	for name in disk disk_paced raw task; do
		measure quantiles ${name}_us "$dir/$name.hist"
	done
}

# The other half, an outage, is in lag.sh.
lags() {
	say "lag at 1,000 events/s for $lag_s s"
	start_lag
	lag ezra lag -r 1000 -s "$lag_s" -p 4
	quantiles_of_lag lag
	stop_cluster lag
	use_cluster one
}

depth() {
	for i in $(seq $depths); do
		say "dispatch with nothing and with $queued tasks queued behind, $i of $depths"
		load behind -n $behind -q 0
		load behind -n $behind -q $queued
	done
	sleep 5
	load memory
}

stop_agent() {
	kill "$agent"
	for i in $(seq 200); do
		kill -0 "$agent" 2>/dev/null || return 0
		sleep 0.1
	done
	say "bench: the agent does not stop"
	exit 1
}

# The store of all that ran until here is filled up; then it is taken away.
readiness() {
	say "ready with $finished finished tasks and with none"
	store=$(find "$dir/one" -name bench-1.db | head -n 1)
	stop_agent
	measure fill "$store" $finished
	measure ready ready_million_ms $starts bench-1 - \
	    "$wizard" agent --config "$UNI_WIZARD_CONFIG" --agent bench-1 2>>"$dir/ready.log"
	measure ready ready_empty_ms $starts bench-1 "$store" \
	    "$wizard" agent --config "$UNI_WIZARD_CONFIG" --agent bench-1 2>>"$dir/ready.log"
}

start_cluster one bench
machine
idle
throughput
latency
lags
approvals
depth
readiness
judged=1
awk -v json="$json" -v about="$(machine)" -v bytes=$bytes -f "$here/report.awk" "$figures"
