#!/bin/sh
# limit: 120
# Limits of what runs at once and begins in a time, turns between senders, and a house that is busy.
. "$(dirname "$0")/lib.sh"

# Says how many of its key run at the same time. One whose agent was killed leaves its file behind.
own_tool push exclusive <<'EOF'
#!/bin/sh
repo=$(jq -r .name)
echo $$ >"$UW_ROOTS/at/$repo.$UW_TASK_ID"
alive() {
	n=0
	for f in "$UW_ROOTS/at/$1"*; do kill -0 "$(cat "$f" 2>/dev/null)" 2>/dev/null && n=$((n + 1)); done
	echo $n
}
alive "$repo." >>"$UW_ROOTS/most.$repo"
alive "" >>"$UW_ROOTS/most"
sleep 0.1
rm "$UW_ROOTS/at/$repo.$UW_TASK_ID"
echo '{}'
EOF
own_tool hold read <<'EOF'
#!/bin/sh
for i in $(seq 600); do [ ! -e "$UW_ROOTS/go" ] || break; sleep 0.05; done
echo '{}'
EOF
own_tool mark idempotent <<'EOF'
#!/bin/sh
jq -r .name >>"$UW_ROOTS/marks" && echo '{}'
EOF
own_tool stamp idempotent <<'EOF'
#!/bin/sh
jq -n 'now * 1000 | floor' >>"$UW_ROOTS/stamps" && echo '{}'
EOF
cluster_up --houses ezra,timmy,bezalel
mkdir "$T/c/work/at"
cp "$T/c/houses.yaml" "$T/houses.yaml"
with() {
	cat "$T/houses.yaml" - >"$T/c/houses.yaml"
}

# What is wrong is named.
for line in 'house: nowhere' 'running: 0' 'running: some' 'kay: repo' 'rate: 10' 'rate: 1/d' 'burst: 2'; do
	printf 'flow:\n  bad: {%s}\n' "$line" | with
	refuse "a limit is refused with $line" 1 "$UW" config check
	like "naming the key" "$(cat "$T/.check")" "flow\.bad\.${line%%:*}"
done

with <<'EOF'
flow:
  pushes: {tool: push, key: name}
  few: {house: ezra, tool: push, running: 2}
  one: {house: timmy, running: 1}
  stamps: {tool: stamp, rate: 1/s, burst: 4}
workers: {count: 4}
EOF
check "the configuration is good" "$UW" config check
restart_all

most() { sort -n "$T/c/work/most$1" | tail -1; }
for i in 1 2 3 4 5; do
	for repo in a b c; do
		"$UW" submit push name=$repo --house ezra --json
	done
done >"$T/sent"
is "all are accepted" "$(jq -r .state "$T/sent" | sort -u)" queued
all_done() { [ "$(wc -l <"$T/c/work/most")" -eq 15 ] && [ -z "$(ls "$T/c/work/at")" ]; }
check "all run" wait_for 60 all_done
is "one of each repository at once" "$(most .a) $(most .b) $(most .c)" "1 1 1"
is "and two of them altogether" "$(most "")" 2

# One a second and four at once, whoever owns the house; what begins may be late, by half a second here.
in_rate() {
	sort -n "$T/c/work/stamps" | awk -v late="$((500 * SLOW))" '{ t[NR] = $1 } END {
		for (i = 1; i <= NR; i++) for (j = i; j <= NR; j++) if (j - i + 1 > 4 + (t[j] - t[i] + late) / 1000) exit 1 }'
}
burst_ms() { sort -n "$T/c/work/stamps" | awk 'NR == 1 { t = $1 } NR == 4 { print $1 - t }'; }
stamped() { [ "$(wc -l <"$T/c/work/stamps")" -ge "$1" ]; }
for _ in 1 2 3 4 5 6 7 8 9 10; do echo '{"tool":"stamp"}'; done >"$T/stamp"
# As long as it takes to save up four.
sleep 4
as operator mosquitto_pub -V 5 -q 1 -t uw/home/house/ezra/task/operator -s <"$T/stamp"
check "a burst begins" wait_for 20 stamped 4
check "and at once" test "$(burst_ms)" -lt "$((2000 * SLOW))"

# A new owner keeps to all of it.
: >"$T/c/work/most"
for i in 1 2 3 4; do "$UW" submit push name=a --house ezra --json; done >/dev/null
"$UW" submit push name=b --house ezra --wait --json >/dev/null
old=$(owner_of ezra)
"$UW" cluster kill "$old" >/dev/null
new_owner() { [ "$(owner_of ezra)" != "$old" ] && [ -n "$(owner_of ezra)" ]; }
check "another takes the house" wait_for 60 new_owner
"$UW" submit push name=a --house ezra --wait --json >/dev/null
is "one of each repository at once all the same" "$(most .a) $(most .b)" "1 1"

check "all of what has a rate runs" wait_for 60 stamped 10
check "and never more of it than may" in_rate
sort -n "$T/c/work/stamps" | awk '{ if (NR > 1) printf "%d ", $1 - t; t = $1 } END { print "ms between them" }' >&2

# A flood of one sender in a house where one task runs at once.
"$UW" submit hold --house timmy --json >/dev/null
for _ in $(seq 60); do echo '{"tool":"mark","params":{"name":"flood"}}'; done >"$T/flood"
as operator mosquitto_pub -V 5 -q 1 -t uw/home/house/timmy/task/operator -s <"$T/flood"
queued() { "$UW" house list --json | jq -e --argjson n "$1" '.[] | select(.house == "timmy") | .queued >= $n' >/dev/null; }
check "a flood waits" wait_for 20 queued 60
for _ in 1 2 3; do "$UW" submit mark name=timmy --house timmy --as timmy --json; done >/dev/null
"$UW" submit mark name=urgent --house timmy --priority 9 --json >/dev/null
: >"$T/c/work/go"
all_marked() { [ "$(wc -l <"$T/c/work/marks")" -eq 64 ]; }
check "all of it runs" wait_for 60 all_marked
is "what is urgent first, then each in turn" "$(head -7 "$T/c/work/marks" | tr '\n' ' ')" \
    "urgent flood timmy flood timmy flood timmy "

# A house that is full says when to come again, and who has the time does.
with <<'EOF'
limits: {queued: 3}
EOF
rm "$T/c/work/go"
restart_all
: >"$T/c/work/marks"
for _ in 1 2 3; do "$UW" submit hold --house bezalel --json; done >/dev/null
"$UW" submit mark name=now --house bezalel --json >"$T/busy"
is "a full house refuses" "$?" 3
is "and says when to come again" "$(jq -c '[.type, .error.code, .error.retry_after_s]' "$T/busy")" '["rejected","busy",5]'
like "in words, too" "$("$UW" submit mark name=now --house bezalel 2>&1)" 'busy: .*; retry after 5 s'
"$UW" submit mark name=later --house bezalel --within 60 --json >"$T/later" &
later=$!
for _ in 1 2 3 4 5 6; do echo '{"tool":"mark","house":"bezalel","params":{"name":"batch"}}'; done >"$T/tasks.jsonl"
"$UW" submit --batch "$T/tasks.jsonl" --wait --json >"$T/batch" 2>&1 &
batch=$!
refused() {
	"$UW" house list --json | jq -e '.[] | select(.house == "bezalel") | .open == 3' >/dev/null && kill -0 $later && kill -0 $batch
}
check "others wait" wait_for 10 refused
: >"$T/c/work/go"
wait $later
is "one that may wait is accepted when there is room" "$? $(jq -r .type "$T/later")" "0 accepted"
wait $batch
is "so is a batch" "$?" 0
marked() { [ "$(sort "$T/c/work/marks" | uniq -c | tr -s ' \n' ' ')" = " 6 batch 1 later " ]; }
check "what was accepted runs, and nothing else" wait_for 20 marked
is "nothing stays in the outbox" "$("$UW" outbox list --json | jq length)" 0
leave
