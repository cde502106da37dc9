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
# shellcheck disable=SC2046,SC2086
compile() {
	out=$1 std=$2
	shift 2
	"${CC:-cc}" $std -Wall -Wextra -Wpedantic -Werror ${san:-} docs/example/harness.c -o "$out" "$@"
}

check "make install puts everything under DESTDIR" make -s install DESTDIR="$root" PREFIX="$prefix"
for f in bin/uni-wizard include/uni_wizard.h lib/libuniwizard.a lib/libuniwizard.so.4 lib/libuniwizard.so \
    lib/pkgconfig/uniwizard.pc share/uni-wizard/tools.d/deploy share/uni-wizard/tools.d/deploy.json; do
	check "$f is installed" test -s "$root$prefix/$f"
done
is "pkg-config knows the version" "$(pkg-config --modversion uniwizard)" "$("$UW" --version | sed 's/.* //')"

# shellcheck disable=SC2046
check "the example compiles with what pkg-config says" \
    compile "$T/example" -std=c11 -D_GNU_SOURCE $(pkg-config --cflags --libs uniwizard)
# shellcheck disable=SC2046
check "the static library has all it needs" compile "$T/static" -std=c11 -D_GNU_SOURCE \
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

mkdir "$T/alone"
printf 'houses:\n  ezra: {}\nstate: %s/alone\nrun: %s/alone\n' "$T" "$T" >"$T/alone/houses.yaml"
chmod 600 "$T/alone/houses.yaml"
export UNI_WIZARD_CONFIG="$T/alone/houses.yaml"
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

cluster_up --houses ezra,timmy
out=$("$T/example" ezra noop '{"payload":"hello"}' agent 2>&1)
like "an agent runs it" "$out" '^task [0-9A-Z]{26}, run agent: \{"payload":"hello"\}$'
like "an agent runs several" "$out" '^5 of 5 succeeded$'
id=$(printf '%s\n' "$out" | sed -n 's/^task \([0-9A-Z]*\),.*/\1/p')
like "the agent remembers the task" "$("$UW" task show "$id" --json 2>&1)" '"state": ?"succeeded"'
like "left to choose, it takes the agent" "$("$T/example" ezra noop '{}' 2>&1)" 'run agent'
like "the agent's reasons arrive" "$("$T/example" ezra nosuch '{}' agent 2>&1)" '^unknown_tool: '
