#!/bin/sh
# once
# limit: 90
# The disk with the databases is full: new tasks are refused or held, nothing that was accepted is lost, and it
# works again when there is room.
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/c/state"
if [ "$(id -u)" != 0 ] || ! mount -t tmpfs -o size=64m small "$T/c/state" 2>"$T/out"; then
	skip "a full disk" "needs root and tmpfs"
	exit
fi
on_exit 'umount -l "$T/c/state"'
own_tool count exclusive <<'END'
#!/bin/sh
echo "$UW_TASK_ID" >>"$UW_ROOTS/count" && echo '{}'
END
cluster_up --houses ezra,timmy
# Here it is one agent that has to get along with its disk.
alone ezra
restart_all
: >"$T/c/work/count"
OUTBOX="$T/outbox.db"
export OUTBOX

pid() {
	cat "$T/c/run/ezra-1.pid"
}

fill() {
	rm -f "$T/c/state/filler"
	head -c "$1" /dev/zero >"$T/c/state/filler" 2>"$T/out" || :
}

reserve() {
	sed -i.orig '/^limits/d' "$T/c/houses.yaml"
	echo "limits: {min_free_bytes: $1}" >>"$T/c/houses.yaml"
	"$UW" cluster restart ezra-1 >"$T/out" || not_ok "the agent restarts" "$(cat "$T/out")"
}

# By the plain client, for the outbox of submit is on that disk too.
reply_is() {
	_got=$(as operator mosquitto_rr -q 1 -t uw/home/house/ezra/task/operator -e uw/home/client/operator/reply/x -W 3 \
	    -m '{"tool":"noop"}' | jq -r 'if .error then .error.code else .type end' | head -n 1)
	echo "got $_got"
	[ "$_got" = "$1" ]
}

# Tasks of 2 kB, every tenth exclusive; what is told of them goes to $T/replies.
storm() {
	awk 'BEGIN {
		for (i = 0; i < 2000; i++)
			pad = pad "x"
		for (i = 0; i < 1200; i++)
			printf "{\"tool\":\"%s\",\"params\":{\"payload\":\"%s\"}}\n", i % 10 ? "noop" : "count", pad
	}' | "$HELPERS/storm" timmy ezra 400 $((40 * SLOW)) >"$T/replies" 2>"$T/storm.err"
}

# Below the reserve
check "with less room than the reserve tasks are refused as busy" wait_for 5 reply_is busy
reserve 4MiB
check "with room for it they are accepted" wait_for 5 reply_is accepted
fill 62m
check "when the room goes they are refused" wait_for 5 reply_is busy
check "health says so" [ "$(as watcher mosquitto_sub -C 4 -W 5 -t uw/home/agent/ezra-1/health/state | jq -s '.[-1].disk_low')" = true ]
rm "$T/c/state/filler"
check "when it is back they are accepted" wait_for 5 reply_is accepted

# Without a reserve, in the middle of work
reserve 0
p=$(pid)
storm &
sleep 1
fill 64m
is_stuck() {
	grep -q 'store: ' "$T/c/log/ezra-1.log"
}
check "a commit that fails is in the log" wait_for 20 is_stuck
check "the agent goes on" kill -0 "$p"
check "nothing is accepted meanwhile" not reply_is accepted
rm "$T/c/state/filler"
check "with room it works again" wait_for 10 grep -q 'store: works again' "$T/c/log/ezra-1.log"
wait
is "the client heard the end of every task" "$(cat "$T/storm.err")" ""
check "it is the same agent" kill -0 "$p"

# Killed while the disk is full, started while it is full
: >"$T/c/log/ezra-1.log"
storm &
sleep 1
fill 64m
check "a commit fails again" wait_for 20 is_stuck
kill -9 "$p"
check "the agent is killed" wait_for 5 not kill -0 "$p"
if "$UW" cluster restart ezra-1 >"$T/out" 2>&1; then
	ok "started on a full disk it waits"
	rm "$T/c/state/filler"
else
	like "started on a full disk it says why it cannot" "$(cat "$T/out")" 'disk is full|No space left'
	rm "$T/c/state/filler"
	check "and starts when there is room" "$UW" cluster restart ezra-1
fi
check "then it works" wait_for 10 reply_is accepted
wait
is "the client heard the end of every task, across the kill" "$(cat "$T/storm.err")" ""
is "no exclusive task was started twice" "$(sort "$T/c/work/count" | uniq -d)" ""
is "none has two ends" "$(jq -r 'select(.type == "outcome") | "\(.id) \(.state)"' "$T/replies" | sort -u | cut -d ' ' -f 1 |
    uniq -d)" ""
is "what was accepted succeeded, or is uncertain" \
    "$(jq -r 'select(.type == "outcome") | .state' "$T/replies" | sort -u | grep -v 'succeeded\|uncertain')" ""
