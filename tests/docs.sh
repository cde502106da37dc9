#!/bin/sh
# The documentation that comes from tables is what the tables say, and each command that a document for people shows is one there
# is, with the options that are shown.
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
for doc in README.md broker-config/README.md docs/OPERATIONS.md docs/TROUBLESHOOTING.md docs/packaging.md docs/syncthing.md; do
	awk '/^```/ { code = !code; next } code || /^    / { sub(/ #.*/, ""); print; next }
	    { n = split($0, part, "`"); for (i = 2; i <= n; i += 2) print part[i] }' "$doc" |
	    grep -o '\(^\|[ ;]\)uni-wizard  *[a-z][^|;()>&]*' | sed 's/^[ ;]*uni-wizard *//' | sort -u >"$tmp/commands"
	while read -r line; do
		wrong "$line"
	done <"$tmp/commands" >"$tmp/wrong"
	if [ -s "$tmp/wrong" ] || [ ! -s "$tmp/commands" ]; then
		echo "not ok - $doc shows commands that there are"
		sed 's/^/# /' "$tmp/wrong"
		bad=1
	else
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
exit "$bad"
