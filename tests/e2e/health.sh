#!/bin/sh
# limit: 120
# GET /health tries what an agent needs to do its work, says within 5 s what does not work, and that it works again.
. "$(dirname "$0")/lib.sh"

if ! command -v curl >/dev/null; then
	skip "health" "needs curl"
	exit
fi
if [ "$(id -u)" = 0 ] && mkdir -p "$T/c/state" && mount -t tmpfs -o size=64m small "$T/c/state" 2>"$T/out"; then
	on_exit 'umount -l "$T/c/state"'
	small=1
fi
cluster_up --houses ezra,timmy,bezalel
sed -i.orig '/^limits/d' "$T/c/houses.yaml"
echo "limits: {min_free_bytes: 4MiB}" >>"$T/c/houses.yaml"
restart_all

url() {
	cat "$T/c/state/ezra-1.http"
}

pid() {
	cat "$T/c/run/ezra-1.pid"
}

# get PATH: the status; the answer is in $T/answer.
get() {
	curl -s -m 5 -o "$T/answer" -w '%{http_code}' "$(url)$1"
}

is_well() {
	[ "$(get /health)" = 200 ]
}

fails_in() {
	[ "$(get /health)" = 503 ] && jq -e --arg check "$1" '.checks[$check].ok == false' "$T/answer" >"$T/out"
}

now_ms() {
	case $(date +%3N) in
	*N) echo "$(date +%s)000" ;;
	*) date +%s%3N ;;
	esac
}

# within 5 SENTENCE command...: and says how long it took.
within() {
	_limit=$(($1 * 1000 * SLOW)) _what=$2 _from=$(now_ms)
	shift 2
	until "$@"; do
		[ $(($(now_ms) - _from)) -lt $_limit ] || break
		sleep 0.1
	done
	_took=$(($(now_ms) - _from))
	if [ $_took -le $_limit ]; then
		ok "$_what ($_took ms)"
	else
		not_ok "$_what" "not within $_limit ms: $(cat "$T/answer")"
	fi
}

check "an agent that works is well" wait_for 10 is_well
is "it tells of each part that was tried" "$(jq -r '.checks | to_entries | map(.key + (if .value.ok then "" else "!" end)) | join(" ")' "$T/answer")" \
    "link store workers disk clock"
check "and is ready" [ "$(get /ready)" = 200 ]
is "no token is needed for that; for more it is" "$(get /v1/tasks)" 401
is "what is not there is not found" "$(get /nope)" 404
is "and said so" "$(jq -r .error.code "$T/answer")" not_found
is "another method is refused" "$(curl -s -o "$T/answer" -w '%{http_code}' -X DELETE "$(url)/health")" 405
sleep 1.1
is "many may ask at once" "$(for _ in 1 2 3 4 5 6 7 8 9 10; do curl -s -o /dev/null -w '%{http_code}\n' "$(url)/health" & done; wait)" \
    "$(yes 200 | head -n 10)"

# The link
"$UW" cluster kill broker >"$T/out" 2>&1
within 5 "with the broker killed the link fails" fails_in link
is "it is not ready then" "$(get /ready)" 503
check "the broker is started again" "$UW" cluster restart broker
within 15 "with the broker back all is well" is_well
"$UW" cluster freeze broker >"$T/out" 2>&1
within 5 "with the broker frozen the link fails" fails_in link
"$UW" cluster thaw broker >"$T/out" 2>&1
within 15 "with the broker thawed all is well" is_well

# The workers: children of the agent
workers() {
	ps -o pid= --ppid "$(pid)" 2>/dev/null || pgrep -P "$(pid)"
}
stopped=$(workers)
# shellcheck disable=SC2086
kill -STOP $stopped
within 5 "with all workers stopped they fail" fails_in workers
within 20 "they are replaced, and all is well" is_well
# shellcheck disable=SC2086
kill -CONT $stopped 2>"$T/out"

# The disk
if [ -n "${small:-}" ]; then
	head -c 64m /dev/zero >"$T/c/state/filler" 2>"$T/out"
	within 5 "with the disk full it fails" fails_in disk
	rm "$T/c/state/filler"
	within 10 "with room again all is well" is_well
else
	skip "a full disk" "needs root and tmpfs"
fi

# The store: what the disk has is not what was written. After a clean stop all of it is in one file.
"$UW" cluster restart ezra-1 >"$T/out" 2>&1
check "after a restart it is well" wait_for 10 is_well
db=$T/c/state/ezra-1.db
cp "$db" "$T/good.db"
size=$(wc -c <"$db")
head -c "$size" /dev/urandom | dd of="$db" bs=4096 conv=notrunc 2>"$T/out"
within 5 "with the database overwritten the store fails" fails_in store
dd if="$T/good.db" of="$db" bs=4096 conv=notrunc 2>"$T/out"
within 10 "with its bytes back all is well" is_well
check "the agent is the same all the time" kill -0 "$(pid)"
is "and works" "$("$UW" submit noop --house ezra --wait --json 2>"$T/out" | jq -r 'select(.state == "succeeded") | .state')" succeeded

# Bounds
took=$("$HELPERS/drip" "$(url | sed 's/.*://')" $((60 * SLOW)))
check "who takes too long for a request is cut off after half a minute ($took s)" [ "${took:-0}" -ge 29 ]
is "too large a head is refused" "$(curl -s -o "$T/answer" -w '%{http_code}' -H "X: $(head -c 20000 /dev/zero | tr '\0' x)" "$(url)/health")" 431
