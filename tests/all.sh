#!/bin/sh
# make test: everything there is, in order; the last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 2

make=${1:-make}
counts=$(mktemp) || exit 2
trap 'rm -f "$counts"' EXIT
trap 'exit 130' INT TERM
export COUNTS="$counts" MAKEFLAGS=
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

count_failure() {
	echo "FAILED  $1"
	echo "0 1" >>"$counts"
}

# phase TITLE make-arguments...: what make itself cannot do (build, link) is one failure more.
phase() {
	printf '\n%s\n' "== $1"
	shift
	before=$(wc -l <"$counts")
	"$make" --no-print-directory -s "$@" && return
	[ "$(wc -l <"$counts")" -gt "$before" ] || count_failure "$make $*"
}

build() {
	title=$1
	shift
	printf '\n%s\n' "== $title"
	if "$make" --no-print-directory -s -j"$jobs" "$@"; then
		echo "1 0" >>"$counts"
	else
		count_failure "$title"
	fi
}

build "gcc builds everything without a warning" CC=gcc WERROR=1 tests
build "clang builds everything without a warning" CC=clang WERROR=1 B=build-clang tests
phase "unit tests" CC=gcc WERROR=1 unit
phase "end-to-end tests, three at a time" CC=gcc WERROR=1 LANES=3 RETRY=1 e2e
phase "the dashboard in a browser" CC=gcc WERROR=1 RETRY=1 web
phase "simulation of a cluster, and bugs planted in it" CC=gcc WERROR=1 sim-test
phase "what is installed, and packages" CC=gcc WERROR=1 package-check
phase "four booted hosts" CC=gcc WERROR=1 RETRY=1 hosts
phase "compiled and linked for macOS" CC=gcc WERROR=1 macos-check
phase "documentation is what the tables say" CC=gcc WERROR=1 docs-check
if echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
    clang -fsanitize=fuzzer -x c - -o /dev/null 2>/dev/null; then
	phase "fuzz targets, each for ${FUZZ_S:-5} s" -j"$jobs" CC=clang FUZZ=1 fuzz
else
	phase "fuzz corpora" -j"$jobs" CC=clang SAN=address,undefined fuzz
fi
export SLOW=3
build "everything builds with sanitizers" CC=gcc WERROR=1 SAN=address,undefined tests
phase "unit tests with sanitizers" CC=gcc WERROR=1 SAN=address,undefined unit
phase "simulation with sanitizers" CC=gcc WERROR=1 SAN=address,undefined SEEDS=1-10 MUTATIONS= sim-test
phase "end-to-end tests with sanitizers" CC=gcc WERROR=1 SAN=address,undefined LANES=3 RETRY=1 e2e

printf '\n'
awk '{ p += $1; f += $2 } END { printf "%d passed, %d failed\n", p, f; exit f > 0 || p == 0 }' "$counts"
