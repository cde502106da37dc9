#!/bin/sh
# limit: 900
# Debian's packages: what is in them, what lintian says, and whether another build elsewhere gives the same bytes.
. "$(dirname "$0")/../e2e/lib.sh"

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root" || exit 2
B=${B:-build}
for tool in dpkg-deb dpkg-buildpackage dh; do
	command -v "$tool" >/dev/null && continue
	skip "DEBIAN'S PACKAGES" "need $tool (apt-get install dpkg-dev debhelper fakeroot)"
	exit
done
if ! dpkg-checkbuilddeps deploy/debian/control 2>"$T/lacks"; then
	skip "DEBIAN'S PACKAGES" "$(cat "$T/lacks")"
	exit
fi

version=$("$UW" --version | cut -d' ' -f2)
arch=$(dpkg --print-architecture)
program=uni-wizard_$version-1_$arch.deb
library=libuniwizard-dev_$version-1_$arch.deb

check "make deb makes packages" make -s deb B="$B"
field() { dpkg-deb -f "$B/$program" "$1"; }
is "of this version" "$(field Version)" "$version-1"
for lib in libmosquitto1 libsqlite3-0 libssl3 libuv1 libyaml-0-2 libcjson1 libcurl4 libmicrohttpd12; do
	like "it brings $lib" "$(field Depends)" "(^| )$lib( |,|\$)"
done
dpkg-deb -c "$B/$program" | awk '{ print $1, $2, $6 }' >"$T/files"
holds() { grep -qxF -- "$1" "$T/files"; }
check "the program is in it" holds "-rwxr-xr-x root/root ./usr/bin/uni-wizard"
check "with its manual pages" holds "-rw-r--r-- root/root ./usr/share/man/man1/uni-wizard.1.gz"
check "the user" holds "-rw-r--r-- root/root ./usr/lib/sysusers.d/uni-wizard.conf"
check "and services" grep -q ' \./\(usr/\)\?lib/systemd/system/uni-wizard\.service$' "$T/files"
is "nothing in it but root may change" "$(grep -v '^l' "$T/files" | grep -v '^[-d]rw[x-]r-[x-]r-[x-] root/root ')" ""
is "nothing of it is in /etc: what stands there is not overwritten by an upgrade" "$(grep '\./etc/' "$T/files")" ""
check "what compiling wants is in the other" sh -c 'dpkg-deb -c "$1" | grep -q "/usr/include/uni_wizard.h$"' - "$B/$library"

# By hand what debhelper makes: nothing is started or enabled by itself.
dpkg-deb -e "$B/$program" "$T/control"
is "nothing starts when it is installed" "$(grep -E 'deb-systemd-invoke (re)?start|helper enable' "$T/control/postinst" |
    grep -v "helper enable '[a-z.-]*' >/dev/null")" ""
for unit in $(sed -n 's|.* \./\(usr/\)\?lib/systemd/system/\(.*\.\(service\|timer\)\)$|\2|p' "$T/files" | grep -v -e @ -e 'maintenance\.service'); do
	like "an upgrade starts $unit again, if it runs" "$(cat "$T/control/postinst")" "try-restart .*'$unit'"
	like "and its removal stops it" "$(cat "$T/control/prerm")" "stop .*$unit|[ (]$unit"
done

if command -v lintian >/dev/null; then
	lintian --allow-root --fail-on error,warning "$B/$program" "$B/$library" >"$T/lintian" 2>&1
	is "lintian finds nothing wrong" "$? $(cat "$T/lintian")" "0 "
else
	skip "LINTIAN" "needs lintian (apt-get install lintian)"
fi

# Elsewhere, by somebody with other habits, from the same files
copy=$T/another/place
mkdir -p "$copy"
{ git ls-files -z -co --exclude-standard 2>/dev/null || find . -path './build*' -prune -o -type f -print0; } |
    tar --null -T - -cf - | tar -C "$copy" -xf -
again() {
	SOURCE_DATE_EPOCH=$(dpkg-deb --ctrl-tarfile "$B/$program" | tar -tv --full-time -f - ./control | awk '{ print $4 "T" $5 "Z" }' |
	    xargs date -u +%s -d) || return 1
	export SOURCE_DATE_EPOCH
	(umask 077 && TZ=Asia/Kathmandu LC_ALL=C.UTF-8 HOME=$T "$copy/deploy/deb.sh" "$version" "$T/packages")
}
mkdir "$T/packages"
check "they are made again, elsewhere" again
for p in "$program" "$library"; do
	check "$p is the same, byte for byte" cmp "$B/$p" "$T/packages/$p"
done
