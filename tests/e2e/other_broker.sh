#!/bin/sh
# limit: 300
# The same tests against a broker that is not Mosquitto, speaks only MQTT 3.1.1 and has no access list of ours:
# OTHER_BROKER, nats unless set. What is left out, docs/testing.md says.
. "$(dirname "$0")/lib.sh"

kind=${OTHER_BROKER:-nats}
here=$(cd "$(dirname "$0")" && pwd)
case $kind in
nats) program=nats-server broker_kills=3 ;;
rabbitmq) program=rabbitmq-server broker_kills=0 ;; # a killed one holds its port for a while
*) echo "not ok - OTHER_BROKER is nats or rabbitmq" && exit 2 ;;
esac
if ! (PATH=$PATH:/usr/sbin:/usr/local/sbin command -v "$program" >/dev/null); then
	skip "the agents run with another broker" "$program is not installed"
	exit
fi

# run NAME [VAR=value]...
run() {
	_name=$1
	shift
	env "$@" BROKER_KIND="$kind" UW_TMP="$T" "$here/$_name.sh" >"$T/$_name.out" 2>&1
	echo $? >"$T/$_name.rc"
}

# Its lines, with its name before them.
told() {
	sed -n "s/^\(not ok\|ok\) - /\1 - $kind, $1: /p; /^#/p" "$T/$1.out" >"$T/lines"
	CASES=$((CASES + $(grep -c '^ok' "$T/lines"))) FAILED=$((FAILED + $(grep -c '^not ok' "$T/lines")))
	cat "$T/lines"
	is "$kind, $1 ends well" "$(cat "$T/$1.rc")" 0
}

run main &
run nothing_lost TASKS=2000 AGENT_KILLS=10 BROKER_KILLS="$broker_kills"
run twice
run library
wait
for name in main nothing_lost twice library; do
	told $name
done
