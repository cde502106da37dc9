#!/bin/sh
# limit: 90
# What an agent tells the service manager: that it is ready, reloads and stops; and its watchdog is fed only while the agent does its
# work.
. "$(dirname "$0")/lib.sh"

if ! command -v python3 >"$T/out"; then
	skip "what an agent tells" "needs python3"
	exit
fi

# "milliseconds since the start, message", a line each.
cat >"$T/manager.py" <<'EOF'
import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
begun = time.monotonic()
while True:
    print(int(1000 * (time.monotonic() - begun)), s.recv(4096).decode().replace("\n", " "), flush=True)
EOF
python3 "$T/manager.py" "$T/notify" >"$T/told" 2>"$T/out" &
on_exit "kill $! 2>/dev/null"
check "a manager listens" wait_for 5 [ -S "$T/notify" ]

cluster_up --houses ezra,timmy
check "an agent is stopped" "$UW" cluster stop ezra-1
NOTIFY_SOCKET="$T/notify" WATCHDOG_USEC=3000000 UNI_WIZARD_AGENT=ezra-1 "$UW" agent --config "$T/c/houses.yaml" >"$T/log" 2>&1 &
pid=$!
on_exit "kill -CONT $pid 2>/dev/null; kill $pid 2>/dev/null; wait $pid 2>/dev/null"
told() { [ "$(grep -c "$1" "$T/told")" -ge "$2" ]; }
check "\$UNI_WIZARD_AGENT says which agent it is, and it is ready" wait_for 10 told ' READY=1' 1
check "it tells where it is connected" told 'STATUS=connected to ' 1
check "its watchdog is fed" wait_for 10 told ' WATCHDOG=1' 3
longest() { awk -v from="$1" '/WATCHDOG=1/ { if (last && $1 >= from && $1 - last > gap) gap = $1 - last; last = $1 } END { print gap + 0 }' "$T/told"; }
check "often enough" [ "$(longest 0)" -lt $((2400 * SLOW)) ]

# Workers that do not answer: what is fed then is not the loop's mere life.
from=$(tail -n 1 "$T/told" | cut -d ' ' -f 1)
workers=$(pgrep -P "$pid")
# shellcheck disable=SC2086
kill -STOP $workers
starved() { [ "$(longest "$from")" -ge 2400 ]; }
check "while workers do not answer it is not" wait_for 12 starved
n=$(grep -c WATCHDOG "$T/told")
check "but it is once they were replaced" wait_for 12 told WATCHDOG $((n + 3))
check "and the agent works" "$UW" submit noop --house ezra --wait
# shellcheck disable=SC2086
kill -CONT $workers 2>"$T/out"

# SIGHUP
n=$(grep -c ' READY=1' "$T/told")
kill -HUP "$pid"
check "SIGHUP is told" wait_for 5 told 'RELOADING=1 MONOTONIC_USEC=[0-9]' 1
check "and its end" wait_for 5 told ' READY=1' $((n + 1))
echo 'limits: {queued: 500000}' >>"$T/c/houses.yaml"
kill -HUP "$pid"
check "so it is when the agent begins anew" wait_for 5 told 'RELOADING=1' 2
check "which it tells when it is connected again" wait_for 15 told ' READY=1' $((n + 2))
is "and never that it stops" "$(grep -c STOPPING "$T/told")" 0
n=$(grep -c WATCHDOG "$T/told")
check "the watchdog is fed by the new one, too" wait_for 10 told WATCHDOG $((n + 2))
kill "$pid"
wait "$pid"
is "it ends" $? 0
check "and says so before" told STOPPING=1 1

# No broker: there is work of one's own.
"$UW" cluster stop broker >"$T/out"
n=$(grep -c ' READY=1' "$T/told")
NOTIFY_SOCKET="$T/notify" "$UW" agent --config "$T/c/houses.yaml" --agent ezra-1 >"$T/log" 2>&1 &
pid=$!
check "an agent without a broker is ready, too" wait_for 20 told ' READY=1' $((n + 1))
check "though not at once" grep -q 'trying again' "$T/log"
kill "$pid"
wait "$pid"

# The watcher of a host, which has longer to wait than its watchdog.
n=$(grep -c ' READY=1' "$T/told")
m=$(grep -c WATCHDOG "$T/told")
NOTIFY_SOCKET="$T/notify" "$UW" health --watch --every 600 --config "$T/c/houses.yaml" >"$T/log" 2>&1 &
pid=$!
check "a watcher is ready" wait_for 5 told ' READY=1' $((n + 1))
check "its watchdog is fed while it waits" wait_for 10 told WATCHDOG $((m + 5))
kill "$pid"
wait "$pid"
is "and it ends at once" $? 0
