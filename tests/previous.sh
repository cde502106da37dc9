#!/bin/sh
# The program of before, for tests/e2e/mixed.sh: tests/previous.sh FILE. Built from the history, of the commit in tests/previous.commit;
# where there is no history (an archive, a shallow clone) that is said, and there is none.
set -eu
cd "$(dirname "$0")/.."

commit=$(cat tests/previous.commit) out=$1
if ! git cat-file -e "$commit^{commit}" 2>/dev/null; then
	echo "previous: the history here does not go back to $commit: nothing is built (git fetch --unshallow brings it)" >&2
	exit 0
fi
rm -rf "$out.tree"
mkdir -p "$out.tree"
git archive "$commit" | tar -x -C "$out.tree"
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES make -s -C "$out.tree" -j"$(getconf _NPROCESSORS_ONLN || echo 2)" build/uni-wizard >"$out.log"
mv "$out.tree/build/uni-wizard" "$out"
rm -rf "$out.tree"
