#!/bin/sh
# flood.sh - `make bench-flood`: a million tasks given to one house at once, and what another house notices of it.
#
# The latency of the other house is measured before, and again and again while the flood lasts.
set -u
. "$(dirname "$0")/common.sh"

tasks=1000000 probe_s=20
[ -z "$quick" ] || tasks=100000 probe_s=5

# probe HIST: 100 tasks a second for the other house.
probe() {
	"$programs/load" pace -h other -d "$dir/one/probe.db" -b $bytes -n $((probe_s * 100)) -r 100 -H "$1" >/dev/null || exit 1
}

start_cluster one bench,other
use_cluster one
agent=$(cat "$dir/one/run/bench-1.pid")
machine
warm_up
say "latency of the other house, without a flood"
probe "$dir/calm.hist"
say "$tasks tasks at once"
(load flood -n $tasks && touch "$dir/over") &
flood=$!
while kill -0 $flood 2>/dev/null; do
	probe "$dir/flood.hist"
done
wait $flood || { say "bench: the flood failed"; exit 1; }
for name in calm flood; do
	measure quantiles ${name}_us "$dir/$name.hist"
done
judged=1
awk -v json="$json" -v about="$(machine)" -v bytes=$bytes -v flood=1 -v tasks=$tasks -f "$here/report.awk" "$figures"
