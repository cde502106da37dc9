#!/bin/sh
# limit: 150
# Under stress low priority is refused, live output comes less often, and nothing that was accepted is touched; it is said, and it ends
# by itself.
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/c/state"
if [ "$(id -u)" != 0 ] || ! mount -t tmpfs -o size=64m small "$T/c/state" 2>"$T/out"; then
	skip "stress" "needs root and tmpfs"
	exit
fi
on_exit 'umount -l "$T/c/state"'
# 40 numbered lines in eight seconds.
own_tool counter read <<'END_TOOL'
#!/bin/sh
i=0
while [ $i -lt 40 ]; do
	i=$((i + 1))
	echo "line $i" >&2
	sleep 0.2
done
echo '{}'
END_TOOL
cluster_up --houses ezra,timmy
alone ezra
alone timmy
sed -i.orig '/^limits/d' "$T/c/houses.yaml"
cp "$T/c/houses.yaml" "$T/houses.yaml"
cat >>"$T/c/houses.yaml" <<'END_YAML'
limits: {min_free_bytes: 2MiB}
workers: {count: 2}
stress:
  disk: {limit: 20, clear: 30, raise_s: 1s, clear_s: 3s}
  queue-age: {limit: 2, raise_s: 1s, clear_s: 2s}
END_YAML
check "the configuration is right" "$UW" config check
restart_all
OUTBOX="$T/outbox.db"
export OUTBOX

# leave_free MIB: so much is free where the databases are.
leave_free() {
	rm -f "$T/c/state/filler"
	_free=$(df -Pk "$T/c/state" | awk 'NR == 2 { print $4 }')
	head -c $(((_free - $1 * 1024) * 1024)) /dev/zero >"$T/c/state/filler"
}
under() { "$UW" house list --json | jq -r --arg h "$1" '.[] | select(.house == $h) | .stress // "none"'; }
is_under() { [ "$(under "$1")" = "$2" ]; }
# By the plain client, which tries once.
ask() {
	as operator mosquitto_rr -q 1 -t "uw/home/house/$1/task/operator" -e uw/home/client/operator/reply/x -W 3 \
	    -m "{\"tool\":\"noop\",\"priority\":$2}" | head -n 1 >"$T/answer"
	jq -r 'if .error then .error.code else .type end' "$T/answer"
}
beat() { as watcher mosquitto_sub -C 1 -W 5 -R -t uw/home/agent/ezra-1/health/state; }

is "when all is well low priority is taken" "$(ask ezra 0)" accepted
is "and nobody is under stress" "$(beat | jq -c '[.degraded, .stress]')" '[false,null]'

# The disk
id=$("$UW" submit counter --house ezra --priority 0 --json | jq -r .id)
leave_free 10
check "with little disk there is stress" wait_for 8 is_under ezra disk
as watcher mosquitto_sub -t 'uw/+/house/ezra/log/+' -W 4 >"$T/live" 2>/dev/null &
live=$!
beat >"$T/beat"
check "the heartbeat says so, by how much and since when" jq -e '.degraded and (.disk_low | not) and (.stress | length == 1) and
    (.stress[0] | .name == "disk" and .value <= 10 and .limit == 20 and .clear == 30 and .unit == "MiB" and .since)' "$T/beat"
is "low priority is refused" "$(ask ezra 3)" busy
is "with the time to wait" "$(jq .error.retry_after_s "$T/answer")" 30
like "and the reason" "$(jq -r .error.message "$T/answer")" '^ezra-1 is under stress \(disk\), and takes nothing of a priority below 4; '
is "the usual priority is taken" "$(ask ezra 4)" accepted
check "and done" "$UW" submit noop --house ezra --wait
refuse "submit says it too, with its exit code" 3 "$UW" submit noop --house ezra --priority 3 --wait --within 3
like "house list shows it" "$("$UW" house list)" '^ezra .* online \(disk\) '
refuse "the doctor finds it" 1 "$UW" doctor --agent ezra-1
like "and names it" "$(cat "$T/.check")" 'ezra-1 is under stress since .*: disk is [0-9]+ MiB, its limit is 20'
if command -v curl >/dev/null; then
	curl -s -m 5 "$(cat "$T/c/state/ezra-1.http")/health" >"$T/health"
	is "for /health all is well, and degraded" "$(jq -c '[.status, .degraded, .stress[0].name]' "$T/health")" '["ok",true,"disk"]'
fi
wait $live
n=$(wc -l <"$T/live" | tr -d ' ')
check "live output comes every other second ($n in four)" [ "$n" -ge 1 -a "$n" -le 3 ]
"$UW" logs -f "$id" >"$T/out" 2>"$T/err"
is "what was accepted before succeeds" "$?" 0
is "and all that it wrote is there" "$(grep -c '^line' "$T/out")" 40
leave_free 25
sleep 5
is "a bit more room does not end it" "$(under ezra)" disk
rm "$T/c/state/filler"
check "enough room does, by itself" wait_for 10 is_under ezra none
is "low priority is taken again" "$(ask ezra 0)" accepted
check "that is in the log" grep -q 'stress disk: over' "$T/c/log/ezra-1.log"

# The queue, of one house
for _ in 1 2 3 4 5 6 7 8; do
	"$UW" submit wait ms=2500 --house timmy >"$T/out"
done
check "a long wait is stress of its house" wait_for 8 is_under timmy queue-age
is "which refuses low priority" "$(ask timmy 0)" busy
is "the other house does not" "$(ask ezra 0)" accepted
check "when the queue is short it is over" wait_for 20 is_under timmy none
is "and low priority is taken again" "$(ask timmy 0)" accepted

# Memory, of which there is never so much
{
	cat "$T/houses.yaml"
	echo 'stress: {disk: {use: off}, memory: {limit: 1000000000, raise_s: 1s}}'
} >"$T/c/houses.yaml"
restart_all
check "little memory is stress" wait_for 10 is_under ezra memory
check "of what there is" eval 'beat | jq -e ".stress[0].value > 100 and .stress[0].value < 100000000"'
{
	cat "$T/houses.yaml"
	echo 'stress: {disk: {use: off}, memory: {limit: 1000000000, raise_s: 1s, use: off}}'
} >"$T/c/houses.yaml"
restart_all
sleep 4
is "unless that is switched off" "$(under ezra)" none
