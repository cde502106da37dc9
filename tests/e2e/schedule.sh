#!/bin/sh
# limit: 240
# Schedules: each minute one run, whoever owns the house.
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
like "with when they are due" "$("$UW" schedule list)" 'morning +timmy +30 8 \* \* mon-fri +Europe/Berlin +once +20..-..-..T0[67]:30:00'
is "and one with its next times" "$("$UW" schedule show morning --next 3 --json | jq '.next | length')" 3
refuse "but none that is not there" 2 "$UW" schedule show evening

ticks() { "$UW" task list --house ezra --sender schedule --json | jq -s "flatten | [.[] | select(.tool == \"tick\" and .state == \"$1\")] | length"; }
has() { [ "$(ticks "$1")" -ge "$2" ]; }
check "the next run is there ahead" wait_for 20 has scheduled 1
check "a run is done in its minute" wait_for 70 has succeeded 1
before=$(wc -l <"$T/c/work/ticks" | tr -d ' ')
kill -9 "$(cat "$T/c/run/$(owner_of ezra).pid")"
more() { [ "$(wc -l <"$T/c/work/ticks" | tr -d ' ')" -gt "$before" ]; }
check "the next owner does the next" wait_for 75 more
is "no run was done twice" "$(sort "$T/c/work/ticks" | uniq -d)" ""
