#!/bin/sh
# make hosts: packages of this version and the next, and what becomes of them on booted hosts. MAKE, VERSION and B are make's own.
set -u
cd "$(dirname "$0")/../.." || exit 2

skip() {
	echo "skipped: four booted hosts ($1)"
	exit 0
}

why=$(tests/hosts/hosts.sh can 2>&1) || skip "${why#hosts.sh: }"
command -v dpkg-buildpackage dh >/dev/null || skip "needs dpkg-dev and debhelper"
why=$(tests/hosts/hosts.sh rootfs 2>&1) || skip "${why#hosts.sh: }"

NEXT=${VERSION%.*}.$((${VERSION##*.} + 1))
for v in "$VERSION" "$NEXT"; do
	"$MAKE" --no-print-directory -s deb VERSION="$v" || exit
done
export NEXT VERSION DEBS="$PWD/$B"
exec tests/run.sh tests/hosts/four.sh
