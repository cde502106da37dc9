# cluster.sh - what drill.sh and load.sh share: options, hosts, and a real cluster of three agents and two brokers.
#
# As root on Linux every host is a network namespace of its own, on a bridge in the namespace of the script, which
# begins itself anew in one. Namespaces and processes live as long as the script, whatever ends it: nothing is left.
# Otherwise all of it is on loopback, and hosts cannot be cut off.
#
#   host_make NAME ADDRESS               a host; on NAME command... runs there
#   host_unplug NAME, host_plug NAME     its cable
#   cluster_start apart|together         together: the first broker is on the host of the first agent
#   cluster_end
#   agent_start A, broker_start N        again, after it ended
#   signal NAME SIG                      to an agent or broker<N>
#   look                                 owner, its term, broker in use, "settled" when all agents are in step
#   wait_until SECONDS command...        polls
#
# House, agents, hosts: drill, drill-1.., h1.. and b1..; $dir/health has every heartbeat with its time.
# shellcheck shell=sh

house=drill agents=${AGENTS:-"drill-1 drill-2 drill-3"}
wizard=$1 programs=$2 brokers=${BROKERS:-2}
shift 2

absolute() {
	case $1 in
	/*) echo "$1" ;;
	*) echo "$PWD/$1" ;;
	esac
}
wizard=$(absolute "$wizard") programs=$(absolute "$programs")
here=$(cd "$(dirname "$0")" && pwd)
trickle=$programs/trickle loopback='' hosts=''

say() {
	printf '%s\n' "$*" >&2
}

may_unshare() {
	[ -z "$loopback" ] && [ "$(uname -s)" = Linux ] && [ "$(id -u)" -eq 0 ] &&
		command -v ip nsenter setpriv >/dev/null && unshare -n true 2>/dev/null
}

# Begins the script anew within a namespace, with the same arguments.
enter_namespace() {
	case " $* " in *" --loopback "*) loopback=1 ;; esac
	[ -z "${DRILL_INSIDE:-}" ] || return 0
	may_unshare || { loopback=1; return 0; }
	DRILL_INSIDE=1 exec unshare -n "$0" "$wizard" "$programs" "$@"
}

make_place() {
	# On a real disk: /tmp may be memory, where an fsync costs nothing.
	dir=$(mktemp -d "${DRILL_DIR:-/var/tmp}/uw-drill.XXXXXX") || exit 2
	mkdir "$dir/run" "$dir/log" "$dir/work" "$dir/tools.d" "$dir/state"
	trap leave EXIT
	trap 'exit 130' INT TERM
	[ -n "$loopback" ] || {
		ip link set lo up
		ip link add br0 type bridge
		ip addr add 10.77.0.254/24 dev br0
		ip link set br0 up
	}
}

leave() {
	status=$?
	trap - EXIT INT TERM
	for _file in "$dir"/run/*.pid; do
		process_end "$(basename "$_file" .pid)"
	done
	if [ -n "${judged:-}" ] || [ "$status" -eq 130 ]; then
		[ -d "$dir/bad" ] || rm -rf "$dir"
	else
		say "drill: stopped early"
	fi
	[ ! -d "$dir" ] || say "drill: what is left is in $dir"
	exit "$status"
}

# ---- processes ----

# Put in front of a command: it ends with whoever started it, even with one that is killed.
with_script=$(! command -v setpriv >/dev/null || echo "setpriv --pdeathsig KILL")

process_start() {
	_name=$1
	shift
	$with_script "$@" >>"$dir/log/$_name.log" 2>&1 </dev/null &
	echo $! >"$dir/run/$_name.pid"
}

pid_of() {
	cat "$dir/run/$1.pid" 2>/dev/null
}

# One that was not waited for yet is gone too.
is_gone() {
	_state=$(ps -o stat= -p "$(pid_of "$1")" 2>/dev/null)
	[ "${_state#Z}" != "$_state" ] || [ -z "$_state" ]
}

signal() {
	kill "-$2" "$(pid_of "$1")"
}

process_end() {
	[ -s "$dir/run/$1.pid" ] || return 0
	signal "$1" KILL 2>/dev/null
	wait "$(pid_of "$1")" 2>/dev/null
	rm -f "$dir/run/$1.pid"
}

wait_until() {
	_end=$(($(date +%s) + $1 + 1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$_end" ] || return 1
		sleep 0.1
	done
}

# ---- hosts ----

host_make() {
	case " $hosts " in *" $1 "*) return ;; esac
	hosts="$hosts $1"
	[ -z "$loopback" ] || return 0
	process_start "holder-$1" unshare -n sleep infinity
	wait_until 5 is_apart "$1" || { say "drill: no namespace for $1"; exit 2; }
	ip link add "p-$1" type veth peer name eth0 netns "$(pid_of "holder-$1")"
	ip link set "p-$1" master br0 up
	on "$1" ip link set lo up
	on "$1" ip addr add "$2/24" dev eth0
	on "$1" ip link set eth0 up
}

is_apart() {
	[ "$(readlink "/proc/$(pid_of "holder-$1")/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

# Puts "nsenter ..." in front of a command; used unquoted, for it is words.
on_host() {
	[ -n "$loopback" ] || echo "nsenter -n -t $(pid_of "holder-$1")"
}

on() {
	_host=$1
	shift
	# shellcheck disable=SC2046
	$(on_host "$_host") "$@"
}

# Silent: no packet comes through any more, and nobody is told.
host_unplug() {
	ip link set "p-$1" down
}

host_plug() {
	ip link set "p-$1" up
}

# ---- the cluster ----

number_of() {
	echo "${1##*[!0-9]}"
}

broker_host() {
	[ "$layout" = together ] && echo "h$1" || echo "b$1"
}

broker_address() {
	if [ -n "$loopback" ]; then
		echo "127.0.0.1"
	elif [ "$layout" = together ]; then
		echo "10.77.0.$1"
	else
		echo "10.77.0.$((100 + $1))"
	fi
}

broker_port() {
	if [ -n "$loopback" ]; then
		sed -n "$1p" "$dir/ports"
	else
		echo 8883
	fi
}

agent_start() {
	process_end "$1"
	# shellcheck disable=SC2046
	process_start "$1" $(on_host "h$(number_of "$1")") "$wizard" agent --config "$dir/houses.yaml" --agent "$1"
}

broker_start() {
	process_end "broker$1"
	# shellcheck disable=SC2046
	process_start "broker$1" $(on_host "$(broker_host "$1")") "$mosquitto" -c "$dir/broker$1/mosquitto.conf"
}

own_tool() {
	cat >"$dir/tools.d/$1"
	chmod 755 "$dir/tools.d/$1"
	printf '{"name":"%s","summary":"Writes down that it ran","exec":"%s","effect":"%s","parameters":{"type":"object"}}' \
	    "$1" "$1" "$2" >"$dir/tools.d/$1.json"
}

write_tools() {
	own_tool journal exclusive <<-'END'
		#!/bin/sh
		echo "$UW_TASK_ID" >>"$UW_ROOTS/journal" && sleep 0.1 && echo "{\"process\":$$}"
	END
	own_tool journal_again idempotent <<-'END'
		#!/bin/sh
		echo "{\"process\":$$}"
	END
}

write_config() {
	_list='' _sep=''
	for _n in $(seq "$brokers"); do
		_list="$_list$_sep\"$(broker_address "$_n"):$(broker_port "$_n")\"" _sep=", "
	done
	cat >"$dir/houses.yaml" <<-END
		brokers: [$_list]
		pki: pki
		state: state
		run: run
		workers:
		  count: 2
		tools:
		  roots: [work]
		  dirs: [tools.d]
		houses:
		  $house:
		    agents: [$(echo "$agents" | sed 's/ /, /g')]
	END
}

quietly() {
	"$@" >"$dir/log/setup.log" 2>&1 && return
	say "drill: failed: $*"
	cat "$dir/log/setup.log" >&2
	exit 2
}

write_certs() {
	_sans=localhost
	for _n in $(seq "$brokers"); do
		_sans="$_sans,$(broker_address "$_n")"
	done
	quietly "$wizard" pki init --dir "$dir/pki"
	quietly "$wizard" pki issue broker --san "$_sans" --dir "$dir/pki"
	for _who in $agents operator watcher; do
		quietly "$wizard" pki issue "$_who" --dir "$dir/pki"
	done
}

# subscribe BROKER options...: the words of a command.
subscribe() {
	_n=$1
	shift
	echo mosquitto_sub -V 5 -k 5 -h "$(broker_address "$_n")" -p "$(broker_port "$_n")" --cafile "$dir/pki/ca.crt" \
	    --cert "$dir/pki/watcher.crt" --key "$dir/pki/watcher.key" -t "uw/home/agent/+/health/state" "$@"
}

# Every heartbeat with its time; retained ones are of the past. The client ends with its connection.
listen() {
	# shellcheck disable=SC2016,SC2046,SC2086
	process_start "listen$1" sh -c 'while :; do "$@"; sleep 0.1; done' - $with_script $(subscribe "$1" -R -F) '%U %p'
}

broker_listens() {
	# shellcheck disable=SC2091
	$(subscribe "$1" -E) 2>/dev/null
}

write_brokers() {
	for _n in $(seq "$brokers"); do
		mkdir -p "$dir/broker$_n"
		quietly "$wizard" broker config --config "$dir/houses.yaml" --dir "$dir/broker$_n" --bind "$(broker_address "$_n")" \
		    --port "$(broker_port "$_n")" --ws-port 0 --log "$dir/log/broker$_n.log" --user "$(id -un)"
	done
}

cluster_start() {
	layout=$1
	rm -rf "$dir/pki" "$dir"/state/* "$dir"/broker[0-9] "$dir"/log/listen* "$dir"/work/*
	for _n in $(seq "$brokers"); do
		host_make "$(broker_host "$_n")" "$(broker_address "$_n")"
	done
	for _a in $agents; do
		host_make "h$(number_of "$_a")" "10.77.0.$(number_of "$_a")"
	done
	[ -z "$loopback" ] || "$trickle" ports "$brokers" >"$dir/ports"
	write_tools
	write_config
	write_certs
	write_brokers
	for _n in $(seq "$brokers"); do
		broker_start "$_n"
		wait_until 10 broker_listens "$_n" || { tail "$dir/log/broker$_n.log" >&2; exit 2; }
		listen "$_n"
	done
	for _a in $agents; do
		agent_start "$_a"
	done
	UNI_WIZARD_CONFIG=$dir/houses.yaml
	export UNI_WIZARD_CONFIG
}

cluster_end() {
	for _n in $(seq "$brokers"); do
		process_end "listen$_n"
	done
	for _a in $agents; do
		process_end "$_a"
	done
	for _n in $(seq "$brokers"); do
		process_end "broker$_n"
	done
	rm -f "$dir"/run/*.sock
}

# ---- what heartbeats say ----

look() {
	for _n in $(seq "$brokers"); do
		tail -n 30 "$dir/log/listen$_n.log"
	done | jq -nRr --arg house $house --argjson agents "$(echo "$agents" | wc -w)" \
	    -f "$here/look.jq"
}

is_settled() {
	look | grep -q ' settled$'
}

wait_settled() {
	wait_until "$1" is_settled && return
	say "drill: the cluster is not in step after $1 s: $(look)"
	tail -n 5 "$dir"/log/drill-*.log >&2
	return 1
}

now_ms() {
	"$trickle" now
}

find_mosquitto() {
	mosquitto=$(PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin command -v mosquitto) ||
		{ say "drill: no mosquitto in PATH"; exit 2; }
	for _program in mosquitto_sub jq; do
		command -v $_program >/dev/null || { say "drill: no $_program in PATH"; exit 2; }
	done
}
