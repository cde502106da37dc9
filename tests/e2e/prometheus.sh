#!/bin/sh
# limit: 90
# The Grafana dashboard and the Prometheus rules under deploy/ are about what /metrics really has: each name is looked for there,
# Prometheus itself reads a real cluster and evaluates every expression.
. "$(dirname "$0")/lib.sh"

D=$(cd "$(dirname "$0")/../.." && pwd)
BOARD=$D/deploy/grafana/uni-wizard.json RULES=$D/deploy/prometheus/uni-wizard.rules.yml
TOKEN=open-sesame-open-sesame
if ! command -v curl >/dev/null; then
	skip "the dashboard and the rules" "needs curl"
	exit
fi

# The files by themselves
check "the dashboard is JSON" jq -e .title "$BOARD"
jq -r '.panels[] | .targets[]? | .expr' "$BOARD" >"$T/exprs"
is "each panel but a row's title asks for something" "$(jq '[.panels[] | select(.type != "row" and (.targets | length) == 0)] | length' "$BOARD")" 0
is "each has an id of its own" "$(jq '[.panels[].id] | length == (unique | length)' "$BOARD")" true
is "none lies over another" "$(jq -c '[.panels[] | .gridPos as $p | range($p.x; $p.x + $p.w) as $x | range($p.y; $p.y + $p.h) as $y | [$x, $y]]
    | length == (unique | length)' "$BOARD")" true
is "none is wider than the page" "$(jq '[.panels[].gridPos | select(.x + .w > 24)] | length' "$BOARD")" 0
is "the data source is the reader's" "$(jq -c '[.. | .datasource? | objects | .uid] | unique' "$BOARD")" '["${datasource}"]'
sed -n 's/^ *runbook: //p' "$RULES" | sort -u >"$T/runbooks"
while IFS='#' read -r file anchor; do
	sed -n 's/^##* *//p' "$D/$file" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9\n-' | grep -qxF "$anchor" || echo "$file#$anchor"
done <"$T/runbooks" >"$T/nowhere"
is "each alert's runbook is a section there is" "$(cat "$T/nowhere")" ""
is "and each alert has one" "$(grep -c '^ *runbook: ' "$RULES")" "$(grep -c '^ *- alert: ' "$RULES")"
if command -v promtool >/dev/null; then
	check "promtool takes the rules" promtool check rules "$RULES"
	check "each alert is raised by what it is about, and none when all is well" promtool test rules "$D/tests/e2e/prometheus.yml"
else
	skip "the rules in promtool" "it is not here"
fi

# A real cluster
cluster_up --houses ezra,timmy,bezalel
sed -i.orig "s/auth_token: .*/auth_token: \"$TOKEN\"/" "$T/c/houses.yaml"
restart_all
metrics() {
	curl -s -m 5 -H "Authorization: Bearer $TOKEN" "$(cat "$T/c/state/ezra-1.http")/metrics" >"$T/metrics" && [ -s "$T/metrics" ]
}
check "metrics are told" wait_for 10 metrics
sed -n 's/^# TYPE \([^ ]*\) \(.*\)/\1 \2/p' "$T/metrics" | while read -r name type; do
	echo "$name"
	[ "$type" != histogram ] || printf '%s_%s\n' "$name" bucket "$name" sum "$name" count
done | sort -u >"$T/has"
cat "$BOARD" "$RULES" | grep -o 'uw_[a-z_]*' | sort -u >"$T/asked"
check "many metrics are asked for" [ "$(wc -l <"$T/asked")" -gt 30 ]
is "every one is there" "$(comm -23 "$T/asked" "$T/has")" ""
echo uw_house_nonsense | cat - "$T/asked" | sort -u >"$T/asked.wrong"
is "one that is not would be found" "$(comm -23 "$T/asked.wrong" "$T/has")" uw_house_nonsense

if ! command -v prometheus >/dev/null || ! command -v promtool >/dev/null; then
	skip "every expression in Prometheus" "it is not here"
	exit
fi

# Prometheus with the rules, and with the configuration of deploy/ but for what is another here: addresses and tokens.
mkdir "$T/p"
cp "$RULES" "$T/p"
printf '%s' "$TOKEN" >"$T/p/token"
{
	sed '/^ *- job_name/,$d; s/: 5s$/: 1s/' "$D/deploy/prometheus/prometheus.yml"
	for agent in ezra-1 timmy-1 bezalel-1; do
		echo "  - job_name: uni-wizard-$agent"
		echo "    authorization: {credentials_file: $T/p/token}"
		echo "    static_configs: [{targets: [\"$(sed 's|.*//||' "$T/c/state/$agent.http")\"]}]"
	done
} >"$T/p/prometheus.yml"
check "promtool takes the configuration" promtool check config "$T/p/prometheus.yml"
port=$(awk 'BEGIN { srand(); print 20000 + int(rand() * 12000) }')
prometheus --config.file="$T/p/prometheus.yml" --storage.tsdb.path="$T/p/data" --web.listen-address="127.0.0.1:$port" >"$T/p/log" 2>&1 &
prometheus=$!
on_exit "kill $prometheus 2>/dev/null; wait $prometheus 2>/dev/null"

# values EXPRESSION: how many it has now; nothing if it is wrong.
values() {
	curl -s -m 5 "http://127.0.0.1:$port/api/v1/query" --data-urlencode "query=$1" | jq -r 'select(.status == "success") | .data.result | length'
}
scraped() {
	[ "$(values 'count_over_time(uw_link_up[30s]) >= 3')" = 3 ]
}
for n in 1 2 3 4 5; do
	"$UW" submit noop payload="$n" --house ezra --wait >"$T/out" 2>&1
done
check "Prometheus reads all three agents" wait_for 20 scraped
"$UW" submit noop --house bezalel --wait >"$T/out" 2>&1
sleep 3
: >"$T/bad"
while read -r expr; do
	expr=$(echo "$expr" | sed 's/\$__rate_interval/30s/g; s/\$house/.*/g; s/\$instance/.*/g')
	n=$(values "$expr")
	[ "${n:-0}" -gt 0 ] || echo "${n:-wrong}: $expr"
done <"$T/exprs" >"$T/bad"
is "each of the dashboard's $(wc -l <"$T/exprs" | tr -d ' ') expressions has values" "$(cat "$T/bad")" ""
curl -s "http://127.0.0.1:$port/api/v1/rules" >"$T/rules.json"
is "all rules are loaded" "$(jq '[.data.groups[].rules[]] | length' "$T/rules.json")" "$(grep -c '^ *- alert: ' "$RULES")"
is "and each can be evaluated" "$(jq -c '[.data.groups[].rules[] | select(.health != "ok") | .name]' "$T/rules.json")" '[]'
is "nothing is raised in a cluster that is well" "$(jq -c '[.data.groups[].rules[] | select(.state == "firing") | .name]' "$T/rules.json")" '[]'
"$UW" cluster kill timmy-1 >"$T/out" 2>&1
is_gone() {
	curl -s "http://127.0.0.1:$port/api/v1/rules" | jq -e '[.data.groups[].rules[] | select(.state != "inactive") | .name] == ["UniWizardAgentGone"]' >"$T/out"
}
check "an agent that is killed is seen" wait_for 10 is_gone
