#!/bin/sh
# What make demo shows, twice.
. "$(dirname "$0")/lib.sh"

demo() { deploy/demo.sh "$UW" "$T/a demo"; }
on_exit '"$UW" cluster down --dir "$T/a demo" >/dev/null'

check "the demo works, in a directory with a space" demo
out=$(demo 2>&1)
is "and a second time, with the cluster still running" "$?" 0
for house in timmy bezalel allegro ezra; do
	like "a task for $house succeeds" "$out" "$house +outcome .* succeeded"
done
like "the router passes a task on" "$out" '_ +forwarded .* to '
like "the result is shown" "$out" 'Made by bezalel'
like "it says how to stop" "$out" 'uni-wizard cluster down'
check "the cluster stops" "$UW" cluster down --dir "$T/a demo"
