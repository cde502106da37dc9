#!/bin/sh
# The library as a stranger uses it: installed, found by pkg-config alone, in a program of his own.
# limit: 180
. "$(dirname "$0")/lib.sh"

root="$T/root" prefix=/usr/local
lib=$root$prefix/lib
if [ -n "${SAN:-}" ]; then
	san="-fsanitize=$SAN"
fi
export PKG_CONFIG_PATH="$lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
export LD_LIBRARY_PATH="$lib" DYLD_LIBRARY_PATH="$lib"
export UNI_WIZARD_EXE="$root$prefix/bin/uni-wizard"

# The compiler's flags are words.
# compile EXAMPLE OUT STANDARD [options]
# shellcheck disable=SC2046,SC2086
compile() {
	source=docs/example/$1.c out=$2 std=$3
	shift 3
	"${CC:-cc}" $std -Wall -Wextra -Wpedantic -Werror ${san:-} "$source" -o "$out" "$@"
}

check "make install puts everything under DESTDIR" make -s install DESTDIR="$root" PREFIX="$prefix"
for f in bin/uni-wizard include/uni_wizard.h lib/libuniwizard.a lib/libuniwizard.so.4 lib/libuniwizard.so \
    lib/pkgconfig/uniwizard.pc share/uni-wizard/tools.d/deploy share/uni-wizard/tools.d/deploy.json; do
	check "$f is installed" test -s "$root$prefix/$f"
done
is "pkg-config knows the version" "$(pkg-config --modversion uniwizard)" "$("$UW" --version | sed 's/.* //')"

# shellcheck disable=SC2046
check "the example compiles with what pkg-config says" \
    compile harness "$T/example" -std=c11 -D_GNU_SOURCE $(pkg-config --cflags --libs uniwizard)
# shellcheck disable=SC2046
check "and so does the one of Allegro's calls" \
    compile allegro "$T/allegro" -std=c11 -D_GNU_SOURCE $(pkg-config --cflags --libs uniwizard)
# shellcheck disable=SC2046
check "the static library has all it needs" compile harness "$T/static" -std=c11 -D_GNU_SOURCE \
    $(pkg-config --cflags uniwizard) "$lib/libuniwizard.a" \
    $(PKG_CONFIG_SYSROOT_DIR='' pkg-config --static --libs uniwizard | sed 's/-luniwizard//')
if command -v c++ >/dev/null; then
	printf '#include <uni_wizard.h>\nint main() { return uw_version() ? 0 : 1; }\n' >"$T/x.cc"
	# shellcheck disable=SC2046,SC2086
	check "the header is good for C++" c++ -Wall -Wextra -Wpedantic -Werror ${san:-} "$T/x.cc" -o "$T/xx" \
	    $(pkg-config --cflags --libs uniwizard)
fi
if [ "$(uname)" = Linux ]; then
	is "nothing but uw_ names is exported" \
	    "$(nm -D --defined-only "$lib/libuniwizard.so" | awk '$2 != "A" && $3 !~ /^uw_/ { print $3 }' |
	    grep -v -e '^__asan' -e '^__odr_asan' -e '^__ubsan')" ""
fi

mkdir "$T/none"
printf 'houses:\n  ezra: {}\nstate: %s/none\nrun: %s/none\n' "$T" "$T" >"$T/none/houses.yaml"
chmod 600 "$T/none/houses.yaml"
export UNI_WIZARD_CONFIG="$T/none/houses.yaml"
for program in example static; do
	out=$("$T/$program" ezra noop '{"payload":"hello"}' 2>&1)
	like "$program runs a tool with no agent and no broker" "$out" '^task [0-9A-Z]{26}, run here: \{"payload":"hello"\}$'
	like "$program runs several at once" "$out" '^5 of 5 succeeded$'
done
refuse "a tool that does not exist is refused" 1 "$T/example" ezra nosuch '{}'
refuse "a house that does not exist is refused" 2 "$T/example" nobody noop '{}'
refuse "an agent that is not there is missed" 2 "$T/example" ezra noop '{}' agent
refuse "bad parameters are refused" 1 "$T/example" ezra wait '{"ms":"soon"}'
like "with the field" "$("$T/example" ezra wait '{"ms":"soon"}' 2>&1)" '^invalid: params\.ms: expected'

like "this host's health is told with no agent" "$("$T/allegro" ezra health)" '"status":"(ok|warn|fail)"'
refuse "telemetry that nobody would hear of is refused" 1 "$T/allegro" ezra telemetry '[{"type":"x"}]'
like "and says so" "$("$T/allegro" ezra telemetry '[{"type":"x"}]' 2>&1)" '^denied: .*told to nobody'

cluster_up --houses ezra,timmy
out=$("$T/example" ezra noop '{"payload":"hello"}' agent 2>&1)
like "an agent runs it" "$out" '^task [0-9A-Z]{26}, run agent: \{"payload":"hello"\}$'
like "an agent runs several" "$out" '^5 of 5 succeeded$'
id=$(printf '%s\n' "$out" | sed -n 's/^task \([0-9A-Z]*\),.*/\1/p')
like "the agent remembers the task" "$("$UW" task show "$id" --json 2>&1)" '"state": ?"succeeded"'
like "left to choose, it takes the agent" "$("$T/example" ezra noop '{}' 2>&1)" 'run agent'
like "the agent's reasons arrive" "$("$T/example" ezra nosuch '{}' agent 2>&1)" '^unknown_tool: '

# Allegro's calls, to an agent. What it tells is what anybody sees who listens.
as_exec watcher mosquitto_sub -V 5 -c -i telemetry -x 300 -q 1 -t 'uw/home/house/ezra/event/+' -F '%U %p' >"$T/heard" &
on_exit "kill $! 2>/dev/null"
hears() { "$T/example" ezra noop '{"payload":"listen"}' agent && grep -q '"payload":"listen"' "$T/heard"; } >"$T/.out" 2>&1
check "somebody listens" wait_for 20 hears
# Of the events that were heard, in the order in which they came: how many ms after they were made, and their numbers. A
# message has several lines, and a task counts where it is told first.
told() {
	awk '/^[0-9]/ { heard = $1; sub(/^[^ ]* /, "") } { print "{\"heard\":" heard ",\"line\":" $0 "}" }' "$T/heard" | jq -cs '
	    map(select((.line.type == "accepted" or .line.type == "adopted") and .line.task.tool == "telemetry_report")) |
	    reduce .[] as $e ([]; if any(.[]; .line.id == $e.line.id) then . else . + [$e] end) | .[] |
	    .heard as $s | .line.task.params.events[] | [($s * 1000 - .at | round), .n]'
}
numbers() { told | jq -sr 'map(.[1]) | join(" ")'; }
numbers_are() { [ "$(numbers)" = "$1" ]; }
event() { printf '{"type":"test.event","n":%d,"at":%s}' "$1" "$(date +%s%3N)"; }
n=0
while [ "$n" -lt 20 ]; do
	n=$((n + 2))
	"$T/allegro" ezra telemetry "[$(event $((n - 1))),$(event "$n")]"
done >"$T/results" 2>&1
is "events are taken" "$(sort -u "$T/results")" '{"events":2}'
all=$(seq -s ' ' 1 20)
check "all are heard, in order and once" wait_for 10 numbers_are "$all"
late=$(told | jq -s 'map(.[0]) | sort | .[length / 2]')
check "within ${late} ms, and 100 were asked for" [ "$late" -lt $((100 * SLOW)) ]
refuse "what is no event is refused" 1 "$T/allegro" ezra telemetry '[{"type":"x"},{"n":1}]'
like "with the field" "$("$T/allegro" ezra telemetry '[{"type":"x"},{"n":1}]' 2>&1)" '^missing: params\.events\.1\.type'

"$UW" cluster stop broker --dir "$T/c" >"$T/.down" 2>&1
for n in 21 22; do
	WAIT_MS=1500 "$T/allegro" ezra telemetry "[$(event "$n")]" >>"$T/waited" 2>&1
done
is "while the broker is away it is said what becomes of them" "$(grep -c '^timeout: .* goes on at the agent' "$T/waited")" 2
kill -9 "$(cat "$T/c/run/ezra-1.pid")"
for who in broker ezra-1; do
	check "$who starts again" "$UW" cluster start "$who" --dir "$T/c"
done
check "they outlive the agent, and come when the broker is back, in order and once" wait_for 40 numbers_are "$all 21 22"

. "$(dirname "$0")/../gitea/lib.sh"
if command -v node >/dev/null; then
	gitea_up --record "$T/record"
	gitea_user allegro
	gitea_do POST /repos '{"full_name":"timmy/work","writers":["allegro"],"branches":{"main":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","fix/a":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}}' >"$T/.out"
	for title in One Two; do
		gitea POST /repos/timmy/work/issues "{\"title\":\"$title\"}" >"$T/.out"
	done
	gitea PATCH /repos/timmy/work/issues/2 '{"assignees":["allegro"]}' >"$T/.out"
	HERMES_KEY=key node tests/hermes/double.mjs "$T/hermes.port" "$T/hermes.log" >"$T/hermes.out" 2>&1 &
	on_exit "kill $! 2>/dev/null"
	check "a double of Hermes runs" wait_for 10 [ -s "$T/hermes.port" ]
	echo key >"$T/c/key"
	chmod 600 "$T/c/key"
	{
		gitea_config
		printf '  HERMES: { file: key }\nhermes: { url: "http://127.0.0.1:%s", secret: HERMES }\n' "$(cat "$T/hermes.port")"
	} >>"$T/c/houses.yaml"
fi
alone ezra
restart_all
timmy=$(cat "$T/c/state/timmy-1.http")
sed "s|^  timmy:\$|&\n    endpoint: $timmy|" "$T/c/houses.yaml" >"$T/new" && cat "$T/new" >"$T/c/houses.yaml"
check "its agent learns where timmy answers" "$UW" cluster restart ezra-1 --dir "$T/c"
for target in timmy timmy-1 "$timmy/health" "${timmy#http://}"; do
	like "$target is well" "$("$T/allegro" ezra health "$target" 2>&1)" '^\{"status":"ok"'
done
like "an agent is known by its own answer" "$("$T/allegro" ezra health timmy 2>&1)" '"name":"house timmy".*"timmy-1 is well'
refuse "one without an endpoint cannot be asked" 1 "$T/allegro" ezra health ezra-1
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
openssl s_server -accept "127.0.0.1:$port" -cert "$T/c/pki/broker.crt" -key "$T/c/pki/broker.key" -www >"$T/tls.log" 2>&1 &
on_exit "kill $! 2>/dev/null"
cp "$T/c/pki/ca.crt" "$T/c/work/ca.crt"
well() { "$T/allegro" ezra health "https://localhost:$port/" "$@" | grep -q '^{"status":"ok"'; }
check "one with a certificate of our own is well, by that authority" wait_for 10 well ca.crt
refuse "and is not trusted without" 1 well
kill -STOP "$(cat "$T/c/run/timmy-1.pid")"
like "one that stands is not well" "$("$T/allegro" ezra health timmy 2>&1)" '^\{"status":"fail"'
kill -CONT "$(cat "$T/c/run/timmy-1.pid")"
if ! command -v node >/dev/null; then
	skip "ALLEGRO'S CALLS OF GITEA AND HERMES" "needs node (apt-get install nodejs)"
	exit
fi
is "issues are listed" "$("$T/allegro" ezra issues timmy/work | jq -c '[.issues[].title] | sort')" '["One","Two"]'
is "somebody's alone" "$("$T/allegro" ezra issues timmy/work allegro | jq -c '[.issues[].title]')" '["Two"]'
refuse "those of another repository are not" 1 "$T/allegro" ezra issues timmy/other
pr=$("$T/allegro" ezra pr timmy/work fix/a 'Fix "a"' 'Closes #1')
is "a pull request is opened" "$(gitea GET "/repos/timmy/work/pulls/$(printf '%s' "$pr" | jq .number)" | jq -c '[.title, (.body | split("\n")[0]), .head.ref, .base.ref]')" \
    '["Fix \"a\"","Closes #1","fix/a","main"]'
is "once" "$("$T/allegro" ezra pr timmy/work fix/a 'Fix "a"' | jq -c '[.number, .created]')" "[$(printf '%s' "$pr" | jq .number),false]"
is "Hermes answers" "$("$T/allegro" ezra hermes 'say Done.' opus | jq -r .output)" Done.
like "as the model that was asked for" "$(jq -r 'select(.method == "POST") | .body' "$T/hermes.log")" '"model":"opus"'
refuse "and fails" 1 "$T/allegro" ezra hermes 'fail no money'

gitea_kept "$T/record" 8
