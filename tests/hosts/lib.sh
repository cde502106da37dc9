# lib.sh - what every test of real hosts begins with: . "$(dirname "$0")/lib.sh"
#
# It brings what the end-to-end tests have (check, is, like, wait_for ...), runs the test where hosts can be (hosts.sh), and
#
#   hosts WORD...          hosts.sh
#   on HOST COMMAND...     as root of that host
#   mac COMMAND...         as the person whose machine `mac` is: debian, who may use sudo, in the home directory
#   guide SECTION          every sh block of that section (##) of docs/INSTALL.md on the mac, as one script; a line for each ###
#   now                    milliseconds
#
# DEBS is the directory of the packages that `make deb` makes, of VERSION and of NEXT.
# shellcheck shell=sh

: "${UW:?run this through make hosts, or set UW to the program}"
here=$(cd "$(dirname "$0")" && pwd)
[ -n "${CG:-}" ] || exec "$here/hosts.sh" run "$0"
# shellcheck disable=SC1091
. "$here/../e2e/lib.sh"

hosts() {
	"$here/hosts.sh" "$@"
}

on() {
	hosts exec "$@"
}

mac() {
	# shellcheck disable=SC2016
	on mac setpriv --reuid=debian --regid=debian --init-groups env HOME=/home/debian USER=debian \
	    sh -c 'cd && exec "$@"' sh "$@"
}

now() {
	date +%s%3N
}

# A machine as one has it at home: its owner can log in to all others.
mac_up() {
	hosts up mac
	on mac install -d -m 700 -o debian -g debian /home/debian/.ssh
	hosts push mac /run/hosts/key /home/debian/.ssh/id_ed25519
	on mac chown debian:debian /home/debian/.ssh/id_ed25519
}

# Blocks of another language (console) are for people alone.
guide() {
	awk -v section="## $1" '
		/^```/ { run = !code && $0 == "```sh" && inside; code = !code }
		/^```/ && run && step { print "echo \"@ " step "\""; step = "" }
		/^```/ { next }
		code && run { print; next }
		!code && /^## / { inside = $0 == section }
		!code && /^### / { step = substr($0, 5); gsub(/[^A-Za-z0-9 ,.-]/, "", step) }
		END { print "echo @" }' "$here/../../docs/INSTALL.md" >"$T/guide"
	mac sh -ex <"$T/guide" >"$T/guide.out" 2>&1
	grep '^@ ' "$T/guide.out" | while read -r _ step; do
		echo "$step"
	done >"$T/guide.steps"
	if [ "$(grep -c '^@$' "$T/guide.out")" -eq 1 ]; then
		bad=
	else
		bad=$(tail -n 1 "$T/guide.steps")
	fi
	while read -r step; do
		if [ "$step" = "$bad" ]; then
			not_ok "the guide, word for word: $step" "$(tail -n 40 "$T/guide.out")"
		else
			ok "the guide, word for word: $step"
		fi
	done <"$T/guide.steps"
	[ -s "$T/guide.steps" ] || not_ok "the guide has a section $1 with steps"
	[ -z "$bad" ]
}
