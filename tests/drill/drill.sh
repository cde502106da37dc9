#!/bin/sh
# drill.sh - `make drill`: faults on a real cluster, and how long it takes until the house works again.
#
# A house of three agents, with two brokers; an independent sender gives it small tasks all the time (trickle.c).
# Each run: all in step, one fault, the first task that the new owner completes, then all is mended, in step again,
# and every task is counted. Ends with status 1 when a limit is missed. docs/reliability.md has the figures.
#
#   tests/drill/drill.sh UNI-WIZARD PROGRAMS [--runs N] [--faults "NAME..."] [--json FILE] [--loopback]
#
# RATE tasks a second (20). BROKERS=1: no standby. KEEP=bad leaves the logs of runs that missed a limit, KEEP=all of all.
set -u
all_faults="kill freeze cut stop broker-kill broker-freeze both"

usage() {
	echo "usage: $0 UNI-WIZARD PROGRAMS [--runs N] [--faults \"$all_faults\"] [--json FILE] [--loopback]" >&2
	exit 2
}

[ $# -ge 2 ] || usage
# shellcheck source=tests/drill/cluster.sh
. "$(dirname "$0")/cluster.sh"
enter_namespace "$@"
runs=20 faults=$all_faults json='' rate=${RATE:-20}
while [ $# -gt 0 ]; do
	case $1 in
	--loopback) ;;
	--runs | --faults | --json)
		[ $# -ge 2 ] || usage
		case $1 in
		--runs) runs=$2 ;;
		--faults) faults=$2 ;;
		--json) json=$(absolute "$2") ;;
		esac
		shift
		;;
	*) usage ;;
	esac
	shift
done

# The longest that any takeover may last, whatever the fault; given up then.
never_ms=30000

# What a fault is called, what it may cost, what ends it: "owner" another owner's first outcome, "broker" the first
# over another connection, "wait" is the longest that any task waited for its outcome.
about() {
	layout_of=apart
	case $1 in
	kill) limit=2000 until=owner what="SIGKILL of the owner" ;;
	freeze) limit=12000 until=owner what="SIGSTOP of the owner" ;;
	cut) limit=12000 until=owner what="owner's host cut off" ;;
	stop) limit=1000 until=wait what="graceful stop of the owner, longest wait" ;;
	broker-kill) limit=12000 until=broker what="SIGKILL of the broker, with a standby" ;;
	broker-freeze) limit=12000 until=broker what="SIGSTOP of the broker, with a standby" ;;
	both) limit=20000 until=owner layout_of=together what="host of owner and broker cut off" ;;
	*) say "drill: no fault \"$1\"; there are: $all_faults"; exit 2 ;;
	esac
}

do_fault() {
	case $1 in
	kill) signal "$owner" KILL ;;
	freeze) signal "$owner" STOP ;;
	cut | both) host_unplug "h$(number_of "$owner")" ;;
	stop) signal "$owner" TERM ;;
	broker-kill) signal "broker$broker" KILL ;;
	broker-freeze) signal "broker$broker" STOP ;;
	esac
}

mend() {
	case $1 in
	kill) agent_start "$owner" ;;
	freeze) signal "$owner" CONT ;;
	cut | both) host_plug "h$(number_of "$owner")" ;;
	stop)
		wait_until 30 is_gone "$owner" || say "drill: $owner has not ended 30 s after SIGTERM"
		agent_start "$owner"
		;;
	broker-kill) broker_start "$broker" ;;
	broker-freeze) signal "broker$broker" CONT ;;
	esac
}

# Why a fault cannot be had here; nothing if it can.
why_not() {
	case $1 in
	cut | both) [ -z "$loopback" ] || echo "hosts can be cut off only as root on Linux" ;;
	esac
	case $1 in
	broker-* | both) [ "$brokers" -gt 1 ] || echo "there is no standby" ;;
	esac
}

# ---- one run ----

analyse() {
	awk -v at="$at" -v old="$owner" -v broker="$([ "$until" = broker ] && echo 1)" "$@" -f "$here/analyse.awk" "$dir/trickle.out"
}

recovered() {
	[ "$(analyse -v live=1 | cut -d ' ' -f 1)" -ge 0 ]
}

flows() {
	[ "$(grep -c ' outcome ' "$dir/trickle.out")" -ge "$rate" ]
}

read_look() {
	read -r owner term broker _ <<-END
		$(look)
	END
}

# The host that is cut has to carry both.
is_placed() {
	read_look
	[ "$1" != both ] || { [ "$owner" = drill-1 ] && [ "$broker" -eq 1 ]; }
}

begin_trickle() {
	: >"$dir/work/journal"
	: >"$dir/trickle.out"
	rm -f "$dir"/outbox*
	"$trickle" pace $house "$rate" "$dir/outbox.db" >"$dir/trickle.out" 2>"$dir/log/trickle.log" &
	echo $! >"$dir/run/trickle.pid"
	wait_until 30 flows || { say "drill: tasks do not flow before the fault"; tail -n 3 "$dir/trickle.out" >&2; return 1; }
}

end_trickle() {
	signal trickle TERM
	wait "$(pid_of trickle)"
	rm -f "$dir/run/trickle.pid"
}

started_twice() {
	sort "$dir/work/journal" | uniq -d | wc -l
}

# The figures of this run, as report.awk wants them.
note_run() {
	read -r recovery longest tasks lost twice uncertain rejected <<-END
		$(analyse)
	END
	twice=$((twice + $(started_twice)))
	measured=$recovery
	[ "$until" != wait ] || [ "$recovery" -lt 0 ] || measured=$longest
	echo "$1 $limit $measured $tasks $lost $twice $uncertain $rejected $what" >>"$dir/figures"
	say "$what, $2 of $runs: $measured ms (longest wait $longest ms), $tasks tasks, $lost lost, $twice twice, $uncertain uncertain"
	if [ "${KEEP:-}" = all ] || [ "$measured" -lt 0 ] || [ "$measured" -gt "$limit" ] || [ "$lost" -gt 0 ] || [ "$twice" -gt 0 ] || [ "$rejected" -gt 0 ]; then
		keep_run "$1-$2"
	fi
}

# Whoever wants to know why: what was logged until now, what was told, and when it happened.
keep_run() {
	[ -n "${KEEP:-}" ] || return 0
	mkdir -p "$dir/bad/$1"
	cp "$dir"/log/*.log "$dir/trickle.out" "$dir/work/journal" "$dir/bad/$1"
	echo "fault at $at, owner $owner, term $term, broker $broker" >"$dir/bad/$1/fault"
}

run_once() {
	wait_settled 90 && begin_trickle && wait_until 90 is_placed "$1" || exit 1
	at=$(now_ms)
	do_fault "$1"
	wait_until $((2 * never_ms / 1000)) recovered
	sleep 1
	mend "$1"
	wait_settled 90 || keep_run "$1-$2-unsettled"
	sleep 1
	end_trickle
	note_run "$1" "$2"
}

run_fault() {
	about "$1"
	why=$(why_not "$1")
	[ -z "$why" ] || { say "$what: left out, $why"; return; }
	cluster_start $layout_of
	for run in $(seq "$runs"); do
		# Until broker and house are back in their places of themselves takes minutes.
		[ "$1" != both ] || [ "$run" -eq 1 ] || { cluster_end; cluster_start $layout_of; }
		run_once "$1" "$run"
	done
	cluster_end
}

find_mosquitto
make_place
: >"$dir/figures"
for fault in $faults; do
	run_fault "$fault"
done
judged=1
where="network namespaces"
[ -z "$loopback" ] || where=loopback
awk -v json="$json" -v about="$(uname -sr), $(getconf _NPROCESSORS_ONLN) processors, $where, $brokers brokers" \
    -f "$here/report.awk" "$dir/figures"
