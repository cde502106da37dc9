#!/bin/sh
# peers.sh - `make bench-peers`: the same no-op task with its result back, here and in what people use instead.
#
# Peers are measured when they are installed, with durable settings (fsync before the acknowledgement):
#   beanstalkd   apt-get install beanstalkd             brew install beanstalkd
#   BullMQ       apt-get install redis-server nodejs npm   brew install redis node
#                npm install --prefix build/peers bullmq@6.7.0 ioredis@6.0.0   (elsewhere: set BULLMQ_DIR)
# They speak plain TCP on the loopback; tasks here go over mutual TLS. Rounds are interleaved.
set -u
. "$(dirname "$0")/common.sh"

if [ -n "$quick" ]; then
	rounds=2 tasks=20000 jobs=3000 paced=300
else
	rounds=5 tasks=40000 jobs=8000 paced=1000
fi
BULLMQ_DIR=$(absolute "${BULLMQ_DIR:-build/peers}")
export BULLMQ_DIR
beanstalkd='' redis=''

stop_peers() {
	[ -z "$beanstalkd" ] || { kill "$beanstalkd" && wait "$beanstalkd"; } 2>/dev/null
	[ -z "$redis" ] || { kill "$redis" && wait "$redis"; } 2>/dev/null
}

free_port() {
	awk -v seed=$$$1 'BEGIN { srand(seed); print int(20000 + rand() * 12000) }'
}

# answers PORT: somebody listens there.
answers() {
	for i in $(seq 50); do
		"$programs/beanstalk" knock -p "$1" 2>/dev/null && return 0
		sleep 0.1
	done
	return 1
}

start_beanstalkd() {
	command -v beanstalkd >/dev/null || { say "beanstalkd: not installed, skipped"; return; }
	mkdir "$dir/beanstalkd"
	beanstalkd_port=$(free_port 1)
	beanstalkd -l 127.0.0.1 -p "$beanstalkd_port" -b "$dir/beanstalkd" -f 0 >"$dir/beanstalkd.log" 2>&1 &
	beanstalkd=$!
	answers "$beanstalkd_port" || { say "beanstalkd: does not start, skipped: $(tail -n 1 "$dir/beanstalkd.log")"; beanstalkd=; }
}

start_redis() {
	command -v redis-server >/dev/null || { say "BullMQ: redis-server is not installed, skipped"; return; }
	command -v node >/dev/null || { say "BullMQ: node is not installed, skipped"; return; }
	[ -d "$BULLMQ_DIR/node_modules/bullmq" ] || { say "BullMQ: not in $BULLMQ_DIR, skipped"; return; }
	mkdir "$dir/redis"
	redis_port=$(free_port 2)
	redis-server --bind 127.0.0.1 --port "$redis_port" --dir "$dir/redis" --appendonly yes --appendfsync always --save '' \
	    >"$dir/redis.log" 2>&1 &
	redis=$!
	answers "$redis_port" || { say "redis-server: does not start, skipped: $(tail -n 1 "$dir/redis.log")"; redis=; }
}

# round NAME SERVER-PID COUNT COMMAND...: keeps NAME_per_s and NAME_cpu, seconds of all processes for 10,000.
round() {
	name=$1 pid=$2 count=$3
	shift 3
	before=$("$programs/cpu" "$pid")
	"$@" >"$dir/round" || { say "bench: $* failed"; exit 1; }
	after=$("$programs/cpu" "$pid")
	awk -v name="$name" -v server=$((after - before)) -v count="$count" '
		$1 == "per_s" { print name "_per_s", $2 }
		$1 == "clients_us" { print name "_cpu", (server + $2) / count / 100 }' "$dir/round" >>"$figures"
}

ours() {
	"$programs/load" window -h bench -d "$dir/outbox.db" -b $bytes -B "$broker" -A "$agent" -n $tasks >"$dir/round" || exit 1
	awk '$1 == "tasks_per_s" { print "ours_per_s", $2 } $1 == "cpu_s_per_10k" { print "ours_cpu", $2 }' "$dir/round" >>"$figures"
	"$programs/load" pace -h bench -d "$dir/outbox.db" -b $bytes -n $paced -r 100 -H "$dir/ours.hist" || exit 1
}

beanstalkd_round() {
	round beanstalkd "$beanstalkd" $jobs "$programs/beanstalk" window -n $jobs -p "$beanstalkd_port" -b $bytes
	"$programs/beanstalk" pace -n $paced -p "$beanstalkd_port" -b $bytes -r 100 -H "$dir/beanstalkd.hist" >/dev/null || exit 1
}

bullmq_round() {
	round bullmq "$redis" $jobs node "$here/bullmq.mjs" window $jobs "$redis_port" $bytes
	node "$here/bullmq.mjs" pace $paced "$redis_port" $bytes 100 "$dir/bullmq.hist" >/dev/null || exit 1
}

start_cluster one bench
start_beanstalkd
start_redis
machine
warm_up
for i in $(seq $rounds); do
	say "round $i of $rounds"
	measure raw trip 10000 100 $bytes
	ours
	[ -z "$beanstalkd" ] || beanstalkd_round
	[ -z "$redis" ] || bullmq_round
done
echo "slices $rounds" >>"$figures"
for name in ours beanstalkd bullmq; do
	[ ! -f "$dir/$name.hist" ] || measure quantiles ${name}_us "$dir/$name.hist"
done
judged=1
awk -v json="$json" -v about="$(machine)" -v bytes=$bytes -v peers=1 -f "$here/report.awk" "$figures"
