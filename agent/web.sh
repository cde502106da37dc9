#!/bin/sh
# web.sh FILE...: the files as C on standard output.
set -eu

type_of() {
	case $1 in
	*.html) echo 'text/html; charset=utf-8' ;;
	*.css) echo 'text/css; charset=utf-8' ;;
	*.js) echo 'text/javascript; charset=utf-8' ;;
	*.svg) echo 'image/svg+xml' ;;
	*) echo "$1: of what type?" >&2 && exit 1 ;;
	esac
}

echo '#include "web.h"'
n=0
for file; do
	n=$((n + 1))
	printf '\nstatic const unsigned char file%d[] = {\n' "$n"
	od -An -v -tu1 "$file" | sed 's/  *\([0-9][0-9]*\)/\1,/g'
	echo '};'
done
printf '\nconst struct web_file web_files[] = {\n'
n=0
for file; do
	n=$((n + 1))
	printf '\t{ "%s", "%s", file%d, sizeof file%d },\n' "${file##*/}" "$(type_of "$file")" "$n" "$n"
done
printf '\t{ 0 },\n};\n'
