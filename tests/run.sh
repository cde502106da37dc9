#!/bin/sh
# Runs test programs one after the other: a line for what passes, everything for what fails.
#
#   tests/run.sh PROGRAM...
#
# A program prints TAP ("ok - sentence", "not ok - sentence"); cmocka does too, when asked. It has LIMIT
# seconds (120), or what it asks for in a line "# limit: N", times SLOW (1). UW is the program under test.
# LANES=3 runs three at a time, each with three times as many seconds. With RETRY=1 what fails is run once more, and what it said is shown:
# such tests wait for real processes, and the machine may have others to do. Not so one with a line "# once": what it finds is never
# the machine's, however rare.
# A program that is run alone may show more, in lines that begin with "# ".
# Counts are added to the file COUNTS, if given; otherwise the last line is "N passed, N failed".
# Exit code 1 if anything failed.
set -u
cd "$(dirname "$0")/.." || exit 2

limit=${LIMIT:-120} slow=${SLOW:-1} lanes=${LANES:-1}
export SLOW="$slow" CMOCKA_MESSAGE_OUTPUT=TAP
timeout=$(command -v timeout || command -v gtimeout) || timeout=
passed=0 failed=0 programs=$#

# Short, because paths of sockets may have no more than about 100 bytes.
tmp=$(mktemp -d /tmp/uwt.XXXXXX) || exit 2
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

limit_of() {
	_limit=$(sed -n 's/^# limit: \([0-9][0-9]*\)$/\1/p;5q' "$1" 2>/dev/null)
	echo "${_limit:-$limit}"
}

longest_first() {
	for program; do
		echo "$(limit_of "$program") $program"
	done | sort -rns -k 1,1 | cut -d' ' -f2-
}

# Each lane takes what no other has taken. What the others print comes after what the first does.
run_lanes() {
	all=${COUNTS:-}
	export COUNTS="$tmp/counts" LANES=1 LIMIT_TIMES="$lanes" TAKEN="$tmp/taken"
	mkdir "$TAKEN"
	i=0
	while [ "$i" -lt "$lanes" ]; do
		i=$((i + 1))
		# shellcheck disable=SC2046
		if [ "$i" -lt "$lanes" ]; then
			tests/run.sh $(longest_first "$@") >"$tmp/lane.$i" 2>&1 &
		else
			tests/run.sh $(longest_first "$@")
		fi
	done
	wait
	for lane in "$tmp"/lane.*; do
		cat "$lane"
	done
	if [ -n "$all" ]; then
		cat "$COUNTS" >>"$all"
	else
		awk '{ p += $1; f += $2 } END { printf "%d passed, %d failed\n", p, f }' "$COUNTS"
	fi
	awk '{ f += $2 } END { exit f > 0 }' "$COUNTS"
}

# Processes whose command line or environment names the directory of a test that has ended.
processes_of() {
	if [ -d /proc/self ]; then
		# The name must not stand in grep's own command line.
		# shellcheck disable=SC2062
		echo "$1" | grep -lsF -f - /proc/[0-9]*/cmdline /proc/[0-9]*/environ | cut -d/ -f3 | sort -u
	else
		ps -Ao pid=,command= | awk -v dir="$1" 'index($0, dir) && !/awk/ { print $1 }'
	fi
}

# What still ends by itself within a second is not left behind.
left_behind() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ -n "$(processes_of "$1")" ] || return
		sleep 0.1
	done
	processes_of "$1"
}

run_limited() {
	if [ -n "$timeout" ]; then
		"$timeout" -k 10 "$1" "$2" </dev/null
	else
		"$2" </dev/null
	fi
}

run_fuzzer() {
	name=$(basename "$1") name=${name#fuzz_}
	found=${FUZZ_DIR:-build}/$name
	mkdir -p "$found"
	if "$1" -help=1 2>&1 | grep -q max_total_time; then
		"$1" -max_total_time="${FUZZ_S:-5}" -timeout=10 -rss_limit_mb=1024 -max_len=65536 \
		    -artifact_prefix="$found/" "$found" "tests/fuzz/corpus/$name" </dev/null
	else
		"$1" tests/fuzz/corpus/"$name"/* </dev/null
	fi && echo "ok - $1 ran without a fault"
}

run_one() {
	case $1 in
	*/fuzz_*) run_fuzzer "$1" ;;
	*) run_limited "$2" "$1" ;;
	esac
}

# What a program says about itself, and what it cannot say: a crash, a timeout, processes left.
judge() {
	name=$1 out=$2 rc=$3 own_limit=$4
	ok=$(grep -c '^ok ' "$out") skipped=$(grep -c '^ok .*# SKIP' "$out") bad=$(grep -c '^not ok ' "$out")
	planned=$(sed -n 's/^1\.\.\([0-9][0-9]*\).*/\1/p' "$out" | tail -n 1)
	why=
	if [ "$rc" -eq 124 ] || [ "$rc" -eq 137 ]; then
		why="not ok - $name took longer than $own_limit s"
	elif [ "$rc" -ne 0 ] && [ "$bad" -eq 0 ]; then
		why="not ok - $name ended with exit code $rc"
	elif [ "$((ok + bad))" -lt "${planned:-1}" ]; then
		why="not ok - $name ended after $((ok + bad)) of ${planned:-1} tests"
	fi
	for pid in $(left_behind "$tmp/t"); do
		why="not ok - $name left process $pid behind: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
		kill -9 "$pid"
	done
	[ -z "$why" ] || { echo "$why" >>"$out"; bad=$((bad + 1)); }
	ok=$((ok - skipped))
	if [ "$bad" -gt 0 ] && [ "$6" -gt 0 ]; then
		echo "again   $name ($ok passed, $bad failed)"
		grep -A 8 '^not ok' "$out" | sed 's/^/        /'
		return 1
	fi
	passed=$((passed + ok)) failed=$((failed + bad))
	if [ "$bad" -gt 0 ]; then
		echo "FAILED  $name ($ok passed, $bad failed)"
		sed 's/^/        /' "$out"
	else
		[ "$skipped" -eq 0 ] || skip_note=", $skipped skipped"
		echo "ok      $name ($ok passed${skip_note:-}, $5 s)"
		sed -n 's/^ok - \(.*\) # SKIP \(.*\)/        not tested: \1: \2/p' "$out"
		skip_note=
		[ "$programs" -gt 1 ] || sed -n 's/^# /        /p' "$out"
	fi
	return 0
}

if [ "$lanes" -gt 1 ] && [ "$programs" -gt 1 ]; then
	run_lanes "$@"
	exit
fi

for program; do
	[ -z "${TAKEN:-}" ] || mkdir "$TAKEN/$(basename "$program")" 2>/dev/null || continue
	own_limit=$(($(limit_of "$program") * slow * ${LIMIT_TIMES:-1}))
	left=${RETRY:-0}
	! sed 5q "$program" 2>/dev/null | grep -q '^# once$' || left=0
	while :; do
		mkdir "$tmp/t"
		begun=$(date +%s)
		# In a shell of its own, so that nothing else has that in its environment.
		(export UW_TMP="$tmp/t" && run_one "$program" "$own_limit") >"$tmp/out" 2>&1
		judge "$(basename "$program")" "$tmp/out" $? "$own_limit" $(($(date +%s) - begun)) "$left"
		judged=$?
		rm -rf "$tmp/t"
		[ "$judged" -ne 0 ] || break
		left=$((left - 1))
	done
done

if [ -n "${COUNTS:-}" ]; then
	echo "$passed $failed" >>"$COUNTS"
else
	echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
