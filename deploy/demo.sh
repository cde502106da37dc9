#!/bin/sh
# Shows the main job: four houses take tasks from the broker, run them and answer.
#
#   deploy/demo.sh PROGRAM [DIRECTORY]
#
# Leaves the cluster running, and says how to go on and how to stop it.
set -u

program=${1:-build/uni-wizard}
dir=${2:-build/demo}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/opt/homebrew/sbin
export PATH

case $program in
/*) ;;
*) program=$PWD/$program ;;
esac
bold=$(test -t 1 && test -z "${NO_COLOR:-}" && printf '\033[1m')
reset=${bold:+$(printf '\033[0m')}
events=
tmp=$(mktemp -d) || exit 1

leave() {
	[ -z "$events" ] || kill "$events" 2>/dev/null
	rm -rf "$tmp"
}
trap leave EXIT
trap 'exit 130' INT TERM

say() {
	printf '\n%s%s%s\n' "$bold" "$1" "$reset"
}

give_up() {
	echo "demo: $1" >&2
	exit 1
}

# send HOUSE TASK: what any MQTT client can do; the certificate is the sender's proof.
send() {
	printf '  mosquitto_pub ... -t uw/home/house/%s/task/operator -m '"'%s'\n" "$1" "$2"
	mosquitto_pub -V 5 -q 1 -h "$UW_HOST" -p "$UW_PORT" --cafile "$UW_CAFILE" --cert "$UW_DIR/pki/operator.crt" \
	    --key "$UW_DIR/pki/operator.key" -t "uw/home/house/$1/task/operator" -m "$2" || give_up "mosquitto_pub failed"
}

# wait_for SECONDS command...
wait_for() {
	end=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -le "$end" ] || return 1
		sleep 0.05
	done
}

# How many tasks came to an end.
ended() {
	[ "$(grep -cE ' (outcome|rejected) ' "$tmp/events")" -ge "$1" ]
}

say "A broker and four houses"
# What an earlier demo left running may be an older program; what it stored stays.
"$program" cluster down --dir "$dir" >/dev/null 2>&1
"$program" cluster up --dir "$dir" >"$tmp/up" 2>&1 || { cat "$tmp/up"; give_up "the cluster does not come up; see $dir/log"; }
head -n 2 "$tmp/up" | sed 's/^ */  /'
# shellcheck disable=SC1091
. "$dir/env"
export PATH UNI_WIZARD_CONFIG

"$program" watch >"$tmp/events" 2>&1 &
events=$!
wait_for 10 grep -qs connected "$tmp/events" || give_up "no connection: $(cat "$tmp/events")"

say "Tasks, by plain MQTT over mutual TLS"
echo "  (... is -h $UW_HOST -p $UW_PORT --cafile, --cert and --key of $dir/pki/)"
send timmy '{"tool":"system_info"}'
send bezalel '{"tool":"file_write","params":{"path":"hello.txt","content":"Made by bezalel.\n"}}'
send allegro '{"tool":"disk_usage","params":{"path":"."}}'
send ezra '{"tool":"file_list","params":{"path":"."}}'
send _ '{"tool":"file_hash","params":{"path":"hello.txt"}}'

say "What happened (uni-wizard watch; the house _ is the router, which passed its task on)"
wait_for 20 ended 5
rc=$?
sed '/^uni-wizard:/d;s/^/  /' "$tmp/events" | cut -c1-150
[ "$rc" -eq 0 ] || give_up "not every task came to an end within 20 s; see $dir/log"
[ "$(grep -c ' outcome .* succeeded' "$tmp/events")" -ge 5 ] || give_up "not every task succeeded"

say "A task from the command line, and its result"
echo "  uni-wizard submit file_read path=hello.txt --house ezra --wait"
"$program" submit file_read path=hello.txt --house ezra --wait --within 20 >"$tmp/result" 2>&1
rc=$?
sed 's/^/  /' "$tmp/result"
[ "$rc" -eq 0 ] || give_up "that task did not succeed"

say "The cluster goes on running. To go on:"
cat <<END
  export PATH='$(dirname "$program")':\$PATH
  . '$UW_DIR/env'
  uni-wizard watch
  uni-wizard submit file_write path=mine.txt content=hello --wait     (beneath $UW_DIR/work)
  uni-wizard task list
  uni-wizard tool list
  uni-wizard dashboard                                                (a link: houses, tasks, approvals in a browser)
  uni-wizard --help

To stop it:
  uni-wizard cluster down
END
