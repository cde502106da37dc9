#!/bin/sh
# A cluster on this machine: up, status, restart, down, and whatever happens to its processes in between.
. "$(dirname "$0")/lib.sh"

# As unfriendly a name as a directory may have.
D="$T/it's a \$demo"
cluster() {
	_verb=$1
	shift
	"$UW" cluster "$_verb" --dir "$D" "$@"
}
on_exit '"$UW" cluster down --dir "$D" >/dev/null 2>&1'
pid_of() { cat "$D/run/$1.pid"; }
all_pids() { (cd "$D/run" && cat ./*.pid); }
is_gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
# How many processes have this in their command line.
running() { ps -Ao args= | words=$1 awk 'index($0, ENVIRON["words"]) { n++ } END { print n + 0 }'; }
state_of() { cluster status --json | jq -r ".members[] | select(.name == \"$1\") | \"\\(.state) \\(.ready)\""; }

# Up
check "four houses come up" cluster up
is "there are four agents and a broker" "$(cluster status --json | jq -r '[.members[].name] | join(" ")')" \
    "broker timmy-1 ezra-1 bezalel-1 allegro-1"
is "all are ready" "$(cluster status --json | jq -r '[.ready, all(.members[]; .ready)] | all')" true
check "status says so by its exit code" cluster status
. "$D/env"
is "env names the configuration" "$UNI_WIZARD_CONFIG" "$D/houses.yaml"
is "env names the authority" "$UW_CAFILE" "$D/pki/ca.crt"
is "people and agents have certificates" "$(cd "$D/pki" && printf %s ./*.key)" \
    "./allegro-1.key./bezalel-1.key./broker.key./ca.key./ezra-1.key./operator.key./sovereign.key./timmy-1.key./timmy.key./watcher.key"
is "nobody else can read anything" "$(find "$D" -type f -perm /077 2>/dev/null)" ""
is "the houses have their roles" "$("$UW" config check --json | jq -r '[.houses[].role] | join(" ")')" \
    "judgement archivist artificer tempo-and-dispatch"
is "and the router is allegro's" "$("$UW" config check --json | jq -r '.router[0]')" allegro-1
check "the agents obey env" "$UW" submit noop --house ezra --wait
link=$("$UW" dashboard --agent ezra-1)
is "each house has a token, and dashboard prints a link with it" \
    "$(curl -s -o "$T/answer" -w '%{http_code}' -H "Authorization: Bearer ${link#*#token=}" "${link%%#*}v1/cluster")" 200
is "--dir may be left out then" "$("$UW" cluster status --json | jq -r .dir)" "$D"

# The lines that it prints are for copying.
cluster up >"$T/up"
sed -n '/mosquitto_sub/,/-t /p' "$T/up" >"$T/sub.sh"
sed -n '/mosquitto_pub/,/-m /p' "$T/up" | sed 's/system_info/noop/' >"$T/pub.sh"
(sed 's/mosquitto_sub/exec mosquitto_sub -W 10/' "$T/sub.sh" >"$T/sub2.sh" && exec sh "$T/sub2.sh") >"$T/events" 2>&1 &
watcher=$!
on_exit 'kill $watcher 2>/dev/null'
done_is_seen() { sh "$T/pub.sh" && grep -q '"succeeded"' "$T/events"; }
check "the printed lines send a task and show its end" wait_for 8 done_is_seen

# Again
before=$(all_pids) port=$UW_PORT serial=$(openssl x509 -in "$UW_CAFILE" -noout -serial)
check "up a second time changes nothing" cluster up
is "the processes are the same" "$(all_pids)" "$before"
. "$D/env"
is "so are port and authority" "$UW_PORT $(openssl x509 -in "$UW_CAFILE" -noout -serial)" "$port $serial"
refuse "other houses are refused" 2 cluster up --houses a,b
refuse "another number of agents too" 2 cluster up --agents-per-house 2

# Restart
dead=$(pid_of ezra-1) other=$(pid_of bezalel-1)
kill -9 "$dead"
wait_for 5 is_gone "$dead"
is "an agent that was killed has died" "$(state_of ezra-1)" "died false"
refuse "status fails then" 1 cluster status
check "restart brings it back" cluster restart ezra-1
is "it is ready" "$(state_of ezra-1)" "running true"
is "the others were left alone" "$(pid_of bezalel-1)" "$other"
check "restart also replaces one that runs" cluster restart bezalel-1
check "which has ended" wait_for 1 is_gone "$other"
refuse "nobody else can be restarted" 1 cluster restart nobody
kill -9 "$(pid_of broker)" "$(pid_of timmy-1)"
check "up starts what is missing" cluster up
. "$D/env"
is "the port is kept" "$UW_PORT" "$port"
check "and it works" "$UW" submit noop --house timmy --wait

# One member
check "an agent is stopped" cluster stop ezra-1
is "and is known as stopped" "$(state_of ezra-1)" "stopped false"
refuse "what does not run cannot be killed" 1 cluster kill ezra-1
check "it is started" cluster start ezra-1
is "and is ready" "$(state_of ezra-1)" "running true"
pid=$(pid_of ezra-1)
check "a second start" cluster start ezra-1
is "finds it running" "$(pid_of ezra-1)" "$pid"
check "it freezes" cluster freeze ezra-1
if [ -d /proc/self ]; then
	is "and is seen to" "$(state_of ezra-1)" "frozen false"
else
	skip "and is seen to" "only Linux tells"
fi
check "up thaws it" cluster up
is "it is ready again" "$(state_of ezra-1)" "running true"
check "it is killed" cluster kill ezra-1
is "which looks like an accident" "$(state_of ezra-1)" "died false"
check "and is started again" cluster start ezra-1
check "broker-1 is the broker" cluster restart broker-1
is "which is ready" "$(state_of broker)" "running true"
refuse "there is no second" 1 cluster start broker-2

# Lost records
rm "$D"/run/*.pid
check "up finds its processes without their pid files" cluster up
is "there is one of each" "$(running "agent --config $D/houses.yaml --agent ezra-1")" 1

# A pid file that now names somebody else
sleep 300 >/dev/null 2>&1 &
innocent=$!
on_exit 'kill $innocent 2>/dev/null'
kill -9 "$(pid_of ezra-1)"
echo $innocent >"$D/run/ezra-1.pid"
is "a stranger with the number of an agent is not the agent" "$(state_of ezra-1)" "died false"

# Two at once
check "another cluster beside it" "$UW" cluster up --dir "$T/two" --houses a,b --agents-per-house 2
on_exit '"$UW" cluster down --dir "$T/two" >/dev/null 2>&1'
is "has the agents it was told" "$("$UW" cluster status --dir "$T/two" --json | jq -r '[.members[].name] | join(" ")')" \
    "broker a-1 a-2 b-1 b-2"
check "its tasks are done by its own" env UNI_WIZARD_CONFIG="$T/two/houses.yaml" "$UW" submit noop --house b --wait
"$UW" cluster down --dir "$T/two" --json >"$T/down2"
is "it goes down alone" "$(jq -r .stopped "$T/down2") $(state_of timmy-1)" "5 running true"

# Down
kill -9 "$(pid_of bezalel-1)"
pids=$(all_pids | grep -v "^$innocent\$")
printf 'not: [valid\n' >>"$D/houses.yaml"
check "down works with a configuration that does not" cluster down
for pid in $pids; do
	is_gone "$pid" || not_ok "process $pid has ended"
done
check "the stranger was left alone" kill -0 $innocent
is "no process of it is left" "$(running "$D/")" 0
is "nor a pid file" "$(find "$D/run" -name "*.pid")" ""
check "down a second time is no error" cluster down
refuse "up names the mistake in houses.yaml" 2 cluster up
like "with its line" "$(cluster up 2>&1)" 'houses.yaml:[0-9]+: '
sed '$d' "$D/houses.yaml" >"$T/y" && cat "$T/y" >"$D/houses.yaml"
rm -rf "$D/state/ezra-1.db" && mkdir "$D/state/ezra-1.db"
refuse "an agent that cannot start is a failure" 1 cluster up
like "with the end of its log" "$(cluster up 2>&1)" 'ezra-1.*database|log/ezra-1.log'
rmdir "$D/state/ezra-1.db"

# At the same time, and cut short
cluster down >/dev/null
for _ in 1 2 3; do
	cluster up >/dev/null 2>&1 &
	ups="${ups:-} $!"
done
for up in $ups; do
	wait "$up" || not_ok "up beside another up succeeds"
done
is "three ups at once start one of each" "$(running "agent --config $D/houses.yaml --agent ezra-1")" 1
cluster down >/dev/null
for delay in 0.01 0.03 0.06 0.1; do
	cluster up >/dev/null 2>&1 &
	sleep $delay
	kill -9 $! 2>/dev/null
	wait $! 2>/dev/null
done
check "up finishes what was cut short" cluster up
is "with one of each" "$(running "agent --config $D/houses.yaml --agent ezra-1")" 1
cluster down >/dev/null

# Names and paths
refuse "a house with a bad name is refused" 2 "$UW" cluster up --dir "$T/bad" --houses 'a,B'
refuse "so is one whose agents would be called like brokers" 2 "$UW" cluster up --dir "$T/bad" --houses broker \
    --agents-per-house 2
is "and leaves no configuration" "$(find "$T/bad" -name "*.yaml*")" ""
refuse "no cluster, no status" 1 "$UW" cluster status --dir "$T/none"
refuse "nor an end" 1 "$UW" cluster down --dir "$T/none"
long=$T/$(printf 'long%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25)
check "a path that is too long for a socket is not too long" "$UW" cluster up --dir "$long" --houses a
sockets=$(sed -n 's/^run: //p' "$long/houses.yaml")
check "it comes down" "$UW" cluster down --dir "$long"
is "and leaves nothing in /tmp" "$(ls -d "$sockets" 2>/dev/null)" ""
check "and up again" "$UW" cluster up --dir "$long"
"$UW" cluster down --dir "$long" >/dev/null
