# common.sh - what bench.sh and peers.sh share: options, clusters, cleaning up.
#
# $figures gathers "name value" lines, one for each run; report.awk makes medians and verdicts of them.

usage="usage: $0 UNI-WIZARD PROGRAMS [--quick] [--json FILE]"
[ $# -ge 2 ] || { echo "$usage" >&2; exit 2; }
wizard=$1 programs=$2 quick= json=
shift 2
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=1 ;;
	--json) [ $# -ge 2 ] || { echo "$usage" >&2; exit 2; }; json=$2; shift ;;
	*) echo "$usage" >&2; exit 2 ;;
	esac
	shift
done

absolute() {
	case $1 in
	/*) echo "$1" ;;
	*) echo "$PWD/$1" ;;
	esac
}
wizard=$(absolute "$wizard") programs=$(absolute "$programs") here=$(cd "$(dirname "$0")" && pwd)
[ -z "$json" ] || json=$(absolute "$json")

# On a real disk: /tmp may be memory, where an fsync costs nothing.
dir=$(mktemp -d "${BENCH_DIR:-/var/tmp}/uw-bench.XXXXXX") || exit 1
figures=$dir/figures
bytes=200
: >"$figures"

clean_up() {
	status=$?
	trap - EXIT INT TERM
	for c in "$dir"/*/env; do
		[ ! -e "$c" ] || "$wizard" cluster down --dir "${c%/env}" >/dev/null 2>&1
	done
	stop_peers
	if [ $status -ne 0 ] && [ $status -ne 130 ] && [ -z "${judged-}" ]; then
		echo "bench: stopped early; the logs are in $dir" >&2
	else
		rm -rf "$dir"
	fi
	exit $status
}
stop_peers() { :; }
trap clean_up EXIT
trap 'exit 130' INT TERM

say() {
	printf '%s\n' "$*" >&2
}

# Runs one of the programs and keeps what it measured, by names that begin with $prefix; the bench ends if it fails.
measure() {
	program=$1
	shift
	"$programs/$program" "$@" >"$dir/measured" || { say "bench: $program $* failed"; exit 1; }
	sed "s/^/${prefix-}/" "$dir/measured" >>"$figures"
}

# load MODE OPTION...: with what all runs have in common.
load() {
	mode=$1
	shift
	measure load "$mode" -h bench -d "$dir/$cluster/outbox.db" -b $bytes -B "$broker" -A "$agent" "$@"
}

warm_up() {
	"$programs/load" window -h bench -d "$dir/$cluster/outbox.db" -b $bytes -n 5000 >/dev/null || exit 1
}

# use_cluster NAME PREFIX: what follows is measured there.
use_cluster() {
	cluster=$1 prefix=${2-}
	. "$dir/$1/env"
	UW_PKI=$dir/$1/pki
	export UNI_WIZARD_CONFIG UW_HOST UW_PORT UW_CAFILE UW_PKI
	broker=$(cat "$dir/$1/run/broker.pid")
	agent=$(cat "$dir"/$1/run/*-1.pid | paste -s -d , -)
}

# start_cluster NAME HOUSES: one agent each; the first is bench. A house has as many candidates, three at most.
start_cluster() {
	"$wizard" cluster up --dir "$dir/$1" --houses "$2" --agents-per-house 1 >"$dir/up.log" 2>&1 ||
		{ cat "$dir/up.log" >&2; exit 1; }
	use_cluster "$1"
}

stop_cluster() {
	"$wizard" cluster down --dir "$dir/$1" >/dev/null 2>&1
}

# Those who follow a house show it when they have all of it.
in_step() {
	[ "$("$wizard" house list --json | grep -o '"in step"' | wc -l)" -ge "$1" ]
}

wait_until() {
	for i in $(seq 120); do
		! "$@" || return 0
		sleep 0.5
	done
	say "bench: the houses do not come to rest"
	exit 1
}

# What lag is measured with: three houses, whose candidates are all three agents, and a tool that tells its progress.
start_lag() {
	start_cluster lag timmy,ezra,bezalel
	stop_cluster lag
	cp "$programs/teller" "$dir/lag/tools.d"
	echo '{"name":"teller","summary":"Tells its progress","exec":"teller","effect":"read","timeout_s":600,"progress":"@progress",
	    "parameters":{"type":"object","properties":{"s":{"type":"integer"}}}}' >"$dir/lag/tools.d/teller.json"
	echo 'workers: {count: 6}' >>"$dir/lag/houses.yaml"
	start_cluster lag timmy,ezra,bezalel
	wait_until at_home
}

# All are in step, and houses with their own agents.
at_home() {
	in_step 8 && [ "$("$wizard" house list --json | grep -oE '"owner": *"(ezra|bezalel)-1"' | sort -u | wc -l)" -eq 2 ]
}

# lag HOUSE HIST OPTION...: what timmy-1, and a page that is open there, have of HOUSE.
lag() {
	house=$1 hist=$2
	shift 2
	token=$(sed -n '/^  timmy:/,/auth_token:/s/.*auth_token: *"\(.*\)"/\1/p' "$dir/lag/houses.yaml")
	measure lag -l "$house" -f timmy-1 -u "$(cat "$dir/lag/state/timmy-1.http")" -t "$token" -H "$dir/$hist" "$@"
}

# quantiles_of_lag HIST
quantiles_of_lag() {
	for name in wire store page progress; do
		measure quantiles "$1_${name}_us" "$dir/$1.$name"
	done
}

version_of() {
	"$@" 2>&1 | head -n 1
}

machine() {
	echo "machine $(uname -sr), $(getconf _NPROCESSORS_ONLN) processors,$(sed -n 's/^model name[^:]*:/ /p' /proc/cpuinfo 2>/dev/null |
		head -n 1 | tr -s ' ')"
	echo "disk $(df -P "$dir" | awk 'NR == 2 { print $1 " at " $6 }')"
	echo "broker $(version_of mosquitto -h)"
}
