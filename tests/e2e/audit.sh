#!/bin/sh
# once
# The audit chains of a real cluster: through restarts, kills and forgetting, and what is done to them by others.
. "$(dirname "$0")/lib.sh"

cluster_up --houses ezra,bezalel --agents-per-house 2
pid_of() { cat "$T/c/run/$1.pid"; }
head_of() { "$UW" audit verify --json | jq -r --arg a "$1" '.chains[] | select(.agent == $a) | "\(.last) \(.good)"'; }
good() { "$UW" audit verify --json | jq -e '(.problems | length) == 0 and (.chains | length) == 4' >/dev/null; }
submit() { "$UW" submit "$@" --wait >/dev/null 2>&1; }

# ---- what is recorded ----

id=$("$UW" submit file_write path="$T/c/work/a" content=hello --house ezra --key a-1 --json --wait 2>/dev/null | jq -r 'select(.id) | .id' | head -n 1)
[ -n "$id" ] || id=$("$UW" task list --json | jq -r '.[0].id')
check "a task that ended is found by its id" "$UW" audit show "$id"
"$UW" audit show "$id" --json >"$T/show"
is "it is an in-toto statement" "$(jq -r '.[0].statement._type' "$T/show")" https://in-toto.io/Statement/v1
is "it says who asked, for which house, by which tool, and how it ended" \
    "$(jq -r '.[0].statement.predicate | "\(.sender) \(.house) \(.tool) \(.state)"' "$T/show")" \
    "operator ezra file_write succeeded"
is "its subject is the task" "$(jq -r '.[0].statement.subject[0].name' "$T/show")" "task:$id"
noop=$("$UW" submit noop payload=hello --house ezra --wait 2>&1 >/dev/null | cut -d ' ' -f 1)
is "the digest of parameters is that of their canonical text" \
    "$("$UW" audit show "$noop" --json | jq -r '.[0].statement.predicate.params')" \
    "$(printf '{"payload":"hello"}' | openssl dgst -sha256 -r | cut -c 1-64)"
is "the seal is a signed statement about the page" \
    "$(jq -r '.[0].seal.payload' "$T/show" | base64 -d | jq -r .predicateType)" https://uni-wizard.dev/audit-page/v1
refuse "one that nobody knows is said to be unknown" 1 "$UW" audit show 01ARZ3NDEKTSV4RRFFQ69G5FAV
refuse "an id that is none is a usage error" 2 "$UW" audit show nonsense
check "the key is its owner's alone" [ "$(stat -c %a "$T/c/state/ezra-1.audit.key" 2>/dev/null || stat -f %Lp "$T/c/state/ezra-1.audit.key")" = 600 ]

# ---- the sovereign's word ----

"$UW" submit file_write path="$T/c/work/b" content=grave --house ezra --mode sovereign --key b-1 >/dev/null 2>&1
waiting() { "$UW" task list --json | jq -r '[.[] | select(.mode == "sovereign") | .id] | .[0] // empty'; }
id=$(waiting)
approve() { "$UW" approve "$id" >/dev/null 2>&1; }
check "a sovereign task is approved" wait_for 10 approve
shown() { "$UW" audit show "$id" >/dev/null 2>&1; }
check "and recorded" wait_for 10 shown
"$UW" audit show "$id" --json >"$T/show"
is "with an envelope of its own, over its statement" "$(jq -c '.[0].envelope.payload' "$T/show" | jq -r . | base64 -d)" \
    "$(jq -c '.[0].statement' "$T/show")"
is "and the decision that it ran by" "$(jq -r '.[0].statement.predicate.approval.decision | fromjson | .payloadType' "$T/show")" \
    application/vnd.uni-wizard.decision+json
is "whose signature is checked again" "$("$UW" audit verify --json | jq '[.chains[].decisions] | add')" 1

# ---- load, kills and restarts ----

i=0
while [ $i -lt 400 ]; do echo '{"tool":"noop"}'; i=$((i + 1)); done >"$T/tasks"
for _ in 1 2 3; do
	for house in ezra bezalel; do
		as operator mosquitto_pub -q 1 -t "uw/home/house/$house/task/operator" -s <"$T/tasks"
	done
	kill -9 "$(pid_of ezra-1)"
	sleep 0.3
	"$UW" cluster restart --dir "$T/c" ezra-1 >/dev/null 2>&1 || "$UW" cluster start --dir "$T/c" ezra-1 >/dev/null 2>&1
	kill -9 "$(pid_of bezalel-2)"
	"$UW" cluster start --dir "$T/c" bezalel-2 >/dev/null 2>&1
done
none_open() {
	"$UW" house list --json | jq -e '[.[] | .open // 0] | add == 0' >/dev/null 2>&1
}
check "all that was asked for ends" wait_for 60 none_open
check "after kill -9 of agents in the middle of it, every chain is good" good
"$UW" audit verify >"$T/verify"
like "chains are held against each other" "$(cat "$T/verify")" 'held against each other: [1-9][0-9]* tasks'
outcomes=$("$UW" audit export --agent ezra-1 --statements | jq -r 'select(.predicate.role == "outcome") | .predicate.task' | sort | uniq -d | wc -l)
is "no task has two outcomes in a chain" "$((outcomes))" 0

before=$(head_of bezalel-1)
restart_all
check "after a restart of all they are good" wait_for 10 good
submit noop --house bezalel
after=$(head_of bezalel-1)
check "and go on where they were: $before, then $after" [ "${after% *}" -ge "${before% *}" ]
stop_all() { "$UW" cluster stop --dir "$T/c"; }
stop_all >/dev/null 2>&1
check "they can be checked while no agent runs" good
restart_all

# ---- handed on, and held against each other ----

for a in ezra-1 ezra-2 bezalel-1 bezalel-2; do
	"$UW" audit export --agent "$a" -o "$T/$a.audit" || not_ok "the chain of $a is exported"
done
mkdir "$T/elsewhere"
sed 's|^state:.*|state: /nonexistent|; s|^run:.*|run: /nonexistent|' "$T/c/houses.yaml" >"$T/elsewhere/houses.yaml"
mkdir "$T/elsewhere/pki"
cp "$T/c/pki/ca.crt" "$T/elsewhere/pki/"
sed -i.bak "s|^pki:.*|pki: $T/elsewhere/pki|" "$T/elsewhere/houses.yaml"
elsewhere() { "$UW" audit verify --config "$T/elsewhere/houses.yaml" "$@"; }
check "files are checked with nothing but ca.crt" elsewhere "$T"/*.audit
refuse "with another authority nothing is believed" 1 sh -c "
	'$UW' pki init --dir '$T/other' >/dev/null && sed 's|^pki:.*|pki: $T/other|' '$T/elsewhere/houses.yaml' >'$T/elsewhere/other.yaml' &&
	'$UW' audit verify --config '$T/elsewhere/other.yaml' '$T/ezra-1.audit'"

lines=$(wc -l <"$T/ezra-1.audit")
middle=$((lines / 2))
tamper() {
	sentence=$1
	shift
	"$@" <"$T/ezra-1.audit" >"$T/bad"
	refuse "$sentence" 1 elsewhere "$T/bad"
}
tamper "a page that was taken out is missed" sed "${middle}d"
tamper "a page that is there twice is found" sed "${middle}p"
tamper "two pages that changed places are found" awk -v m=$middle 'NR == m { kept = $0; next } { print } NR == m + 1 { print kept }'
tamper "a record that was changed is found" awk -v m=$middle 'NR == m { sub(/"records":"...../, "\"records\":\"AAAAA") } { print }'
tamper "an end that was cut off is missed" sed '$d'
tamper "a first line that names another end is found" sed '1s/"pages":[0-9]*/"pages":1/'

# Whoever cuts the file, and makes the first line fit, is found by what others have heard.
heard() { "$UW" audit verify | grep -q 'held against each other: .* [1-9][0-9]* heads'; }
check "agents note the heads of each other's chains" wait_for 30 heard
sleep 6
for a in ezra-1 ezra-2 bezalel-1 bezalel-2; do
	"$UW" audit export --agent "$a" -o "$T/$a.audit" || not_ok "the chain of $a is exported"
done
sed -n 4p "$T/ezra-1.audit" | jq -r '.seal | fromjson | .payload' | base64 -d >"$T/seal"
{
	sed -n 1p "$T/ezra-1.audit" | jq -c --slurpfile s "$T/seal" \
	    '.pages = $s[0].predicate.page - 1 | .n = $s[0].predicate.first - 1 | .hash = $s[0].predicate.before'
	sed -n 2,3p "$T/ezra-1.audit"
} >"$T/short"
check "a file that was cut and made to fit is good by itself" elsewhere "$T/short"
refuse "but not beside those of others" 1 elsewhere "$T/short" "$T/ezra-2.audit" "$T/bezalel-1.audit" "$T/bezalel-2.audit"
elsewhere "$T/short" "$T/ezra-2.audit" "$T/bezalel-1.audit" "$T/bezalel-2.audit" >"$T/out"
like "which have heard of more" "$(cat "$T/out")" 'ends with record [0-9]+, but [a-z0-9-]+ has heard of record'
check "and the whole ones are good together" elsewhere "$T/ezra-1.audit" "$T/ezra-2.audit" "$T/bezalel-1.audit" "$T/bezalel-2.audit"

# ---- forgetting ----

cat >>"$T/c/houses.yaml" <<YAML
retention: { audit: 20 }
YAML
restart_all
# Who worked most is not the same each time.
longest=$("$UW" audit verify --json | jq -r '.chains | max_by(.records) | .agent')
submit noop --house "${longest%-*}"
forgotten() {
	"$UW" audit verify --json | jq -e --arg a "$longest" '.chains[] | select(.agent == $a) | .forgotten > 0' >/dev/null
}
check "old records are forgotten" wait_for 30 forgotten
check "what is left is good, from a signed checkpoint on" good
"$UW" audit export --agent "$longest" -o "$T/short.audit"
check "and elsewhere" elsewhere "$T/short.audit"
sed '2d' "$T/short.audit" >"$T/bad"
refuse "a beginning that was cut off is not what was forgotten" 1 elsewhere "$T/bad"

# A disk that was lost begins a new chain.
"$UW" cluster kill --dir "$T/c" ezra-2 >/dev/null 2>&1
rm -f "$T"/c/state/ezra-2.*
"$UW" cluster start --dir "$T/c" ezra-2 >/dev/null 2>&1
ezra_2_is_back() { [ "$(head_of ezra-2)" = "0 true" ]; }
check "an agent whose disk was lost begins a new chain" wait_for 20 ezra_2_is_back
