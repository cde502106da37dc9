#!/bin/sh
# limit: 150
# Two brokers: when the one in use dies or falls silent, agents and senders go on at the other one.
. "$(dirname "$0")/lib.sh"

refuse "two brokers need three agents" 2 "$UW" cluster up --dir "$T/few" --houses ezra,timmy --brokers 2
like "and that is said" "$("$UW" cluster up --dir "$T/few" --houses ezra,timmy --brokers 2 2>&1)" \
    'at least three agents.* there are 2'
is "nothing is left behind" "$(find "$T/few" -name 'houses.yaml*')" ""

cluster_up --brokers 2
cluster() {
	_verb=$1
	shift
	"$UW" cluster "$_verb" --dir "$T/c" "$@"
}
own_tool note exclusive <<'END'
#!/bin/sh
echo "$(sed 's/.*"n":"\([^"]*\)".*/\1/')" >>"$UW_ROOTS/notes"
echo '{}'
END
for agent in timmy-1 ezra-1 bezalel-1 allegro-1; do
	cluster restart $agent >"$T/out" || not_ok "$agent restarts" "$(cat "$T/out")"
done

state_of() { cluster status --json | jq -r ".members[] | select(.name == \"$1\") | \"\\(.kind) \\(.state) \\(.ready)\""; }
is "both brokers run" "$(state_of broker), $(state_of broker-2)" "broker running true, broker running true"
is "houses.yaml has them in order" "$("$UW" config check --json | jq -c '[.brokers[].port]')" "[$UW_PORT,$UW_PORT_2]"
is "a witness makes the votes odd" "$(state_of witness)" "witness running true"
refuse "another number of brokers is refused" 2 cluster up --brokers 3
check "the same number is not" cluster up --brokers 2

# Everybody's heartbeats, as they come, on each broker; until the broker ends.
listen() {
	(UW_PORT=$2 && as_exec watcher mosquitto_sub -R -t 'uw/home/agent/+/health/state' >>"$T/beats.$1" 2>"$T/err.$1") &
	on_exit "kill $! 2>/dev/null"
}
listen 1 "$UW_PORT"
listen 2 "$UW_PORT_2"
forget() { : >"$T/beats.1" && : >"$T/beats.2"; }
all_on() { [ "$(jq -r '.agent + " " + .state' "$T/beats.$1" 2>"$T/err" | grep online | sort -u | wc -l)" -eq 5 ]; }
none_on() { [ ! -s "$T/beats.$1" ]; }
works() { "$UW" submit noop --house "$1" --wait; }

check "agents are on the first" wait_for 10 all_on 1
is "and not on the second" "$(none_on 2 && echo none)" none

# Certificates are read again without leaving the broker.
connections() { grep -c "connected to $UW_HOST:$1" "$T/c/log/bezalel-1.log"; }
before=$(connections "$UW_PORT")
kill -HUP "$(cat "$T/c/run/bezalel-1.pid")"
again() { [ "$(connections "$UW_PORT")" -gt "$before" ]; }
check "an agent that connects anew" wait_for 5 again
is "stays at the same broker" "$(connections "$UW_PORT_2")" 0

# A sender and an outcome are under way when the first dies.
"$UW" submit wait ms=3000 --house timmy --wait --json >"$T/long" &
long=$!
sent() { [ "$("$UW" task list --house timmy --state running --json | jq length)" -gt 0 ]; }
check "a task runs" wait_for 10 sent
(for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	"$UW" submit note "n=$i" --house ezra || echo "task $i: exit code $?"
done >"$T/notes.out" 2>&1) &
notes=$!
wait_for 10 test -s "$T/c/work/notes"
forget
check "the first is killed" cluster kill broker
is "which shows" "$(state_of broker)" "broker died false"
check "within ten seconds all agents are on the second" wait_for 9 all_on 2
check "a task is done there" works ezra
wait "$long"
is "the sender that waited hears the outcome" "$(jq -r .state "$T/long")" succeeded
wait "$notes"
noted() { [ "$(sort -nu "$T/c/work/notes" | tr '\n' ' ')" = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 " ]; }
check "what others sent meanwhile is done" wait_for 15 noted
is "none of it was done twice" "$(sort "$T/c/work/notes" | uniq -d)" ""

# The other way, without a word.
check "the first is started again" cluster start broker
listen 1 "$UW_PORT"
is "and is ready" "$(state_of broker)" "broker running true"

# Nobody is there, and the client finds out by itself.
check "a task is done though its sender asks there first" works timmy
is "task list finds the agents too" "$("$UW" task list --house timmy --tool noop --json | jq length)" 1
all_owned() { "$UW" house list --json | jq -e 'all(.[]; .state == "online")'; }
check "so does house list" wait_for 30 all_owned
"$UW" watch --house bezalel --count 1 --json >"$T/watch" 2>"$T/err" &
watch=$!
on_exit "kill $watch 2>/dev/null"
heard() { [ -s "$T/watch" ] || { works bezalel && [ -s "$T/watch" ]; }; }
check "so does watch" wait_for 15 heard
forget
check "the second freezes" cluster freeze broker-2
is "which shows too" "$(state_of broker-2)" "broker frozen false"
begun=$(date +%s)
"$UW" submit noop payload=silence --house bezalel --wait --json >"$T/silence" 2>"$T/err" &
silence=$!
check "silence is noticed: within ten seconds all agents are on the first" wait_for 9 all_on 1
wait "$silence"
is "a task given meanwhile is done" "$(jq -r .state "$T/silence")" succeeded
took=$(($(date +%s) - begun))
check "in less than fifteen seconds" [ "$took" -lt $((15 * SLOW)) ]
echo "# $took s from silence to a task done"
forget
check "an agent that starts does not ask the silent one first" cluster restart allegro-1
check "the second thaws" cluster thaw broker-2
is "and is ready" "$(state_of broker-2)" "broker running true"

# Who starts while the first is silent, or who sends.
check "the first freezes" cluster freeze broker
begun=$(date +%s)
check "all go to the second" wait_for 9 all_on 2
check "an agent that starts now finds the second" cluster restart ezra-1
begun=$(date +%s)
check "a sender too" works ezra
check "which takes a few seconds" [ $(($(date +%s) - begun)) -le $((4 * SLOW)) ]
check "the first thaws" cluster thaw broker

# No broker at all
check "an agent that stops gracefully stops" cluster stop timmy-1
is "and is known to have" "$(state_of timmy-1)" "agent stopped false"
check "it starts again" cluster start timmy-1
cluster kill broker >"$T/out" && cluster kill broker-2 >"$T/out"
begun=$(date +%s)
check "without a broker it can stop as well" cluster stop timmy-1
check "at once, for there is nobody to hand anything to" [ $(($(date +%s) - begun)) -le $((3 * SLOW)) ]
check "without a broker it also starts" cluster start timmy-1
refuse "4: a task stays in the outbox" 4 "$UW" submit note n=21 --house ezra --within 1
like "with the reason of each broker" "$("$UW" submit note n=22 --house ezra --within 1)" \
    "$UW_PORT: .*; $UW_HOST:$UW_PORT_2: "
forget
check "the first comes back alone" cluster start broker-1
listen 1 "$UW_PORT"
check "all go there" wait_for 15 all_on 1
went_out() { [ "$(grep -c '^2[12]$' "$T/c/work/notes")" -eq 2 ]; }
check "what was in the outbox goes out there" wait_for 15 went_out
empty() { [ "$("$UW" outbox list --json)" = '[]' ]; }
check "and leaves the outbox" wait_for 10 empty
check "up starts the rest" cluster up
is "everything is ready" "$(cluster status --json | jq .ready)" true
is "nothing ran twice" "$(sort "$T/c/work/notes" | uniq -d)" ""
