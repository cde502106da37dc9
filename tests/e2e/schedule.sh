#!/bin/sh
# limit: 600
# Schedules, of the configuration and by command: each minute one run, whoever owns the house.
. "$(dirname "$0")/lib.sh"

own_tool tick exclusive <<'EOF'
#!/bin/sh
echo "$UW_TASK_ID" >>"$UW_ROOTS/ticks" && echo '{}'
EOF
cluster_up --houses ezra,timmy,bezalel
: >"$T/c/work/ticks"
cp "$T/c/houses.yaml" "$T/houses.yaml"
with() {
	cat "$T/houses.yaml" - >"$T/c/houses.yaml"
}

# What is wrong is named.
for line in 'cron: "61 * * * *"' 'cron: "* * * *"' 'cron: "@never"' 'zone: Nowhere/Atall' 'house: nowhere' "task: 'x'" \
    "task: '{\"tool\":\"noop\",\"id\":\"01M87000000000000000000000\"}'" 'missed: some'; do
	key=${line%%:*}
	{
		echo 'schedules:'
		echo '  bad:'
		for other in 'cron: "* * * * *"' 'house: ezra' "task: '{\"tool\":\"noop\"}'"; do
			[ "${other%%:*}" = "$key" ] || echo "    $other"
		done
		echo "    $line"
	} | with
	refuse "a schedule is refused with $line" 1 "$UW" config check
	like "naming the key" "$(cat "$T/.check")" "schedules\.bad\.$key"
done

with <<'EOF'
schedules:
  tick:
    cron: "* * * * *"
    house: ezra
    missed: all
    task: '{"tool":"tick","priority":7}'
  morning:
    cron: "30 8 * * mon-fri"
    zone: Europe/Berlin
    house: timmy
    task: '{"tool":"noop"}'
EOF
check "schedules are right" "$UW" config check
restart_all
is "they are listed" "$("$UW" schedule list --json | jq -r '.[].name' | tr '\n' ' ')" "tick morning "
like "with when they are due" "$("$UW" schedule list)" 'morning +timmy +30 8 \* \* mon-fri +Europe/Berlin +once +configuration +20..-..-..T0[67]:30:00'
is "and one with its next times" "$("$UW" schedule show morning --next 3 --json | jq '.next | length')" 3
refuse "but none that is not there" 2 "$UW" schedule show evening

ticks() { "$UW" task list --house ezra --sender schedule --json | jq -s "flatten | [.[] | select(.tool == \"tick\" and .state == \"$1\")] | length"; }
has() { [ "$(ticks "$1")" -ge "$2" ]; }
check "the next run is there ahead" wait_for 20 has scheduled 1
check "a run is done in its minute" wait_for 70 has succeeded 1
before=$(wc -l <"$T/c/work/ticks" | tr -d ' ')
VICTIM=$(owner_of ezra)
kill -9 "$(cat "$T/c/run/$VICTIM.pid")"
more() { [ "$(wc -l <"$T/c/work/ticks" | tr -d ' ')" -gt "$before" ]; }
check "the next owner does the next" wait_for 75 more
is "no run was done twice" "$(sort "$T/c/work/ticks" | uniq -d)" ""

# ---- by command ----

"$UW" cluster start "$VICTIM" --dir "$T/c" >"$T/out"
add() { "$UW" schedule add "$@" --house ezra; }
MINUTELY='* * * * *'
refuse "a schedule needs its time" 2 add beat tick
refuse "which must be one" 2 add beat tick --cron '61 * * * *'
like "and is named" "$(cat "$T/.check")" 'cron: expected as minute 0 to 59'
refuse "in a zone that there is" 2 add beat tick --cron "$MINUTELY" --zone Nowhere/Atall
like "which is named" "$(cat "$T/.check")" 'zone: expected a time zone'
refuse "of a tool that there is" 2 add beat tack --cron "$MINUTELY"
like "which is named" "$(cat "$T/.check")" 'tool: expected'
refuse "with its parameters" 2 add beat wait ms=x --cron "$MINUTELY"
like "which are named" "$(cat "$T/.check")" 'params\.ms'
refuse "a name once" 1 add tick tick --cron "$MINUTELY"
refuse "who watches adds none" 3 "$UW" --as watcher schedule add beat tick --house ezra --cron "$MINUTELY"
check "a right one is added" add beat tick --cron "$MINUTELY" --missed all --priority 6
check "one whose task needs the sovereign is added too" add guarded file_write path=g content=g --mode sovereign --cron "$MINUTELY"
check "the same again is no second one" add beat tick --cron "$MINUTELY" --missed all --priority 6
refuse "another of that name is refused" 1 add beat tick --cron '*/2 * * * *'
is "it is listed as a command's, beside the others" \
    "$("$UW" schedule list --house ezra --json | jq -r '.[] | [.name, .from, .sender] | join(" ")' | sort)" \
    "beat command operator
guarded command operator
tick configuration schedule"
is "its next times can be foretold without a cluster" "$("$UW" schedule next --cron "$MINUTELY" --next 3 | wc -l | tr -d ' ')" 3

mine() { "$UW" task list --house ezra --sender operator --json | jq -s 'flatten | [.[] | select(.tool == "tick")] | length'; }
mine_more() { [ "$(mine)" -gt "$1" ]; }
check "it is done in its minute, by its sender's name" wait_for 75 mine_more 0
last() { "$UW" schedule show beat --json | jq -r '[.came, .state] | join(" ")'; }
is_last() { [ "$(last)" = "$1" ]; }
check "what came of it is shown" wait_for 10 is_last "made succeeded"
guarded() { [ "$("$UW" schedule show guarded --json | jq -r '[.came, .state] | join(" ")')" = "made waiting_approval" ]; }
check "what is sovereign waits for the sovereign" wait_for 20 guarded
check "nothing was written" [ ! -e "$T/c/work/g" ]
check "and its schedule is removed" "$UW" schedule remove guarded --house ezra
had=$(mine)
kill -9 "$(cat "$T/c/run/$(owner_of ezra).pid")"
check "the next owner goes on with it" wait_for 100 mine_more "$had"
is "no run was done twice" "$(sort "$T/c/work/ticks" | uniq -d)" ""
# Its runs have the same second of their minutes' beginning, one each.
is "nor made twice" "$("$UW" task list --house ezra --sender operator --json | jq -rs 'flatten | .[] | select(.tool == "tick") | .id[0:10]' | sort | uniq -d)" ""

check "it is paused" "$UW" schedule pause beat --house ezra
like "and says so" "$("$UW" schedule list)" 'beat +ezra +\* \* \* \* \* +UTC +all +operator +paused'
had=$(mine)
sleep 62
is "then it makes none" "$(mine)" "$had"
check "and is resumed" "$UW" schedule resume beat --house ezra
is "without what passed meanwhile" "$(mine)" "$had"
refuse "nobody else removes it" 3 "$UW" --as ezra-1 schedule remove beat --house ezra
check "but the sovereign" "$UW" --as timmy schedule remove beat --house ezra
refuse "then it is gone" 1 "$UW" schedule remove beat --house ezra
refuse "what the configuration says stays" 1 "$UW" schedule remove tick --house ezra
restart_all
is "after a restart, too" "$("$UW" schedule list --house ezra --json | jq -r '.[].name')" tick
