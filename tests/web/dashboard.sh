#!/bin/sh
# limit: 300
# The dashboard in a real browser, headless, against a real cluster. Needs node, Chromium (CHROMIUM names it), and what
# package.json names, which npm brings into MODULES; it is skipped without them. SHOTS=DIR keeps pictures of each view there.
. "$(dirname "$0")/../e2e/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
MODULES=${MODULES:-$here/../../build/web}
for name in ${CHROMIUM:-chromium chromium-browser google-chrome}; do
	CHROMIUM=$(command -v "$name") && break
done
if [ -z "${CHROMIUM:-}" ] || ! command -v node >/dev/null; then
	skip "THE DASHBOARD" "needs node and Chromium (apt-get install nodejs chromium)"
	exit
fi
if [ ! -d "$MODULES/node_modules/playwright-core" ] || [ ! -d "$MODULES/node_modules/axe-core" ]; then
	mkdir -p "$MODULES" && cp "$here/package.json" "$MODULES"
	if ! (cd "$MODULES" && npm install --no-audit --no-fund --ignore-scripts) >"$T/npm" 2>&1; then
		skip "THE DASHBOARD" "npm could not bring playwright-core and axe-core: $(tail -n 1 "$T/npm")"
		exit
	fi
fi

TOKEN=open-sesame-open-sesame
cluster_up --houses timmy,ezra,bezalel
for house in timmy ezra bezalel; do
	# shellcheck disable=SC2016
	token_of "$house" '"${HTTP_TOKEN}"'
done
HTTP_TOKEN=$TOKEN
export HTTP_TOKEN
echo 'alerts: {agent-gone: {raise_s: 2s, clear_s: 2s}}' >>"$T/c/houses.yaml"
restart_all
no_checks
# All houses are their own agents' again.
settled() {
	[ "$(owner_of timmy) $(owner_of ezra) $(owner_of bezalel)" = "timmy-1 ezra-1 bezalel-1" ]
}
check "the cluster is up" wait_for 20 settled

MODULES=$MODULES CHROMIUM=$CHROMIUM DIR=$T/c UW=$UW HOME=$T node "$here/dashboard.mjs" >"$T/tap" 2>"$T/node"
rc=$?
while IFS= read -r line; do
	case $line in
	"ok - "*) ok "${line#ok - }" ;;
	"not ok - "*) not_ok "${line#not ok - }" ;;
	*) echo "$line" ;;
	esac
done <"$T/tap"
[ "$rc" -eq 0 ] || not_ok "the browser's part comes to its end" "$(tail -n 20 "$T/node")"
