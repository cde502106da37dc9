#!/bin/sh
# Builds the Debian packages of this work tree into a directory: deploy/deb.sh VERSION DIRECTORY
#
# The same files of the same commit give the same packages, byte for byte, wherever and whenever: what has a time has that of the commit.
set -eu
cd "$(dirname "$0")/.."

version=$1 out=$2
stage=$out/deb
tree=$stage/uni-wizard-$version
arch=$(dpkg --print-architecture)
export LC_ALL=C TZ=UTC
unset MAKEFLAGS MFLAGS MAKELEVEL CFLAGS CPPFLAGS LDFLAGS

in_git() {
	[ -e .git ] && git rev-parse HEAD >/dev/null 2>&1
}

# What is ignored is no part of it; nor is what was built, where there is no git.
files() {
	if in_git; then
		git ls-files -z -co --exclude-standard
	else
		find . -path './build*' -prune -o \( -type f -o -type l \) -printf '%P\0'
	fi | sort -z
}

# Without git, that of the newest file.
date_of_source() {
	if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
		echo "$SOURCE_DATE_EPOCH"
	elif in_git; then
		git log -1 --format=%ct
	else
		find . -path './build*' -prune -o -type f -printf '%T@\n' | sort -n | tail -n 1 | cut -d. -f1
	fi
}

changelog() {
	printf 'uni-wizard (%s-1) stable; urgency=medium\n\n  * Built from the sources of version %s.\n\n' "$version" "$version"
	printf ' -- %s  %s\n' "$(sed -n 's/^Maintainer: //p' deploy/debian/control)" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

command -v dpkg-buildpackage dh >/dev/null || {
	echo "deb: no dpkg-buildpackage or dh here (Debian: apt install dpkg-dev debhelper)" >&2
	exit 1
}
SOURCE_DATE_EPOCH=$(date_of_source)
export SOURCE_DATE_EPOCH

# Nothing to do when nothing has changed.
mark=$(files | { echo "$version $SOURCE_DATE_EPOCH"; xargs -0 sha256sum; } | sha256sum)
made=$out/uni-wizard_$version-1_$arch.deb
[ ! -e "$made" ] || [ "$(cat "$stage/mark-$version" 2>/dev/null)" != "$mark" ] || exit 0

rm -rf "$tree"
mkdir -p "$tree"
files | tar --null -T - -cf - | tar -C "$tree" -xf -
cp -R "$tree/deploy/debian" "$tree/debian"
changelog >"$tree/debian/changelog"
if ! (cd "$tree" && DEB_BUILD_OPTIONS="noautodbgsym parallel=$(getconf _NPROCESSORS_ONLN) ${DEB_BUILD_OPTIONS:-}" dpkg-buildpackage -b -us -uc) >"$stage/log" 2>&1; then
	tail -n 40 "$stage/log" >&2
	echo "deb: failed; all of it is in $stage/log" >&2
	exit 1
fi
mv "$stage"/*.deb "$out"
rm -rf "$tree"
echo "$mark" >"$stage/mark-$version"
for p in "$out"/*_"$version-1_$arch.deb"; do
	echo "deb $p"
done
