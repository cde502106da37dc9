#!/bin/sh
# The documentation that comes from tables is what the tables say; each command that a document shows is one there is, with the
# options that are shown; and files, tests and targets that are named exist.
bad=0
deploy/docs.sh --check "$UW" docs || bad=1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# help COMMAND...: the file that has its help; fails if there is no such command.
help() {
	help=$tmp/$(echo "$*" | tr ' ' _)
	[ -e "$help" ] || "$UW" "$@" --help >"$help" 2>&1 || echo none >"$help"
	! grep -qx none "$help"
}

# wrong COMMAND LINE: what is wrong with it.
# shellcheck disable=SC2086
wrong() (
	set -f
	set -- $1
	if [ $# -gt 1 ] && expr "$2" : '[a-z-]*$' >/dev/null && help "$1" "$2"; then
		:
	elif ! help "$1" || { [ $# -gt 1 ] && grep -q "^usage: uni-wizard $1 COMMAND" "$help"; }; then
		echo "no such command: $*"
		exit
	fi
	for word; do
		case $word in
		--*) grep -q -- "${word%%=*}\( \|\$\)" "$help" || echo "$*: no option $word" ;;
		-?) grep -q -- "^ *$word, " "$help" || echo "$*: no option $word" ;;
		esac
	done
)

# Commands in code: what follows the program's name in the same words.
for doc in README.md broker-config/README.md docs/*.md; do
	awk '/^```/ { code = !code; next } code || /^    / { sub(/ #.*/, ""); print; next }
	    { n = split($0, part, "`"); for (i = 2; i <= n; i += 2) print part[i] }' "$doc" |
	    grep -o '\(^\|[ ;]\)uni-wizard  *[a-z][^|;()>&]*' | sed 's/^[ ;]*uni-wizard *//' | sort -u >"$tmp/commands"
	while read -r line; do
		wrong "$line"
	done <"$tmp/commands" >"$tmp/wrong"
	if [ -s "$tmp/wrong" ]; then
		echo "not ok - $doc shows commands that there are"
		sed 's/^/# /' "$tmp/wrong"
		bad=1
	elif [ -s "$tmp/commands" ]; then
		echo "ok - the $(wc -l <"$tmp/commands" | tr -d ' ') commands that $doc shows are there"
	fi
done

# Links between the documents lead somewhere.
for doc in README.md broker-config/README.md docs/*.md; do
	grep -o '](\([^)#: ]*\)\(#[^) ]*\)\?)' "$doc" | sed 's/^](//; s/)$//' | sort -u | while IFS='#' read -r file anchor; do
		to=$doc
		[ -z "$file" ] || to=$(dirname "$doc")/$file
		[ -e "$to" ] || { echo "$doc: no $file" && continue; }
		[ -z "$anchor" ] || sed -n 's/^##* *//p' "$to" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9\n_-' | grep -qxF -- "$anchor" ||
		    echo "$doc: no section $file#$anchor"
	done
done >"$tmp/nowhere"
if [ -s "$tmp/nowhere" ]; then
	echo "not ok - links between the documents lead somewhere"
	sed 's/^/# /' "$tmp/nowhere"
	bad=1
else
	echo "ok - links between the documents lead somewhere"
fi

# Files of the sources in code, tests by their names, targets of make and what TEST chooses.
cat Makefile deploy/*.mk tests/*.mk tests/*/*.mk >"$tmp/makefiles"
for doc in README.md broker-config/README.md docs/*.md; do
	# shellcheck disable=SC2016
	grep -o '`[^`]*`' "$doc" | grep -oE '\b(agent|broker-config|deploy|docs|intelligence|shared|tests|tools)/[A-Za-z0-9_/.-]+\.[a-z]+\b' |
	    sort -u | while read -r file; do
		[ -e "$file" ] || echo "$doc: no file $file"
	done
	grep -oE '`[a-z_]+\.(c|h|sh)`' "$doc" | tr -d '`' | sort -u | while read -r file; do
		[ -n "$(find agent broker-config deploy intelligence shared tests tools -name "$file")" ] || echo "$doc: no file $file"
	done
	grep -oE '`t_[a-z_]+`' "$doc" | tr -d '`' | sort -u | while read -r test; do
		[ -e "tests/unit/$test.c" ] || echo "$doc: no test $test"
	done
	grep -oE '(`|^ *|sudo )make [a-z][a-z0-9-]*' "$doc" | sed 's/.*make //' | sort -u | while read -r target; do
		grep -qE "^([a-z-]+ )*$target( [a-z -]+)?:" "$tmp/makefiles" || echo "$doc: no target $target"
	done
	grep -oE 'make e2e TEST=[a-z_]+' "$doc" | sed 's/.*=//' | sort -u | while read -r word; do
		ls tests/e2e/*"$word"*.sh >/dev/null 2>&1 || echo "$doc: TEST=$word chooses none"
	done
done >"$tmp/missing"
if [ -s "$tmp/missing" ]; then
	echo "not ok - files, tests and targets that the documents name are there"
	sed 's/^/# /' "$tmp/missing"
	bad=1
else
	echo "ok - files, tests and targets that the documents name are there"
fi
exit "$bad"
