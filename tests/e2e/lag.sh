#!/bin/sh
# Events reach the disk of another agent and a page that is open there soon, in order and once each; also those that an agent made
# while it was cut off, and others do not wait for them. The limits are wide: make bench-lag has the real ones.
. "$(dirname "$0")/lib.sh"

programs=$HELPERS/../bench
on_exit 'kill $relayed $cut 2>/dev/null; wait $relayed $cut 2>/dev/null'
relayed='' cut=''
MADE=3000
LATE=$((500000 * SLOW))

cluster_up --houses timmy,ezra,bezalel
"$UW" cluster down --dir "$T/c" >"$T/out" 2>&1
own_tool teller read '"progress":"@progress"' <"$programs/teller"
echo 'workers: {count: 4}' >>"$T/c/houses.yaml"
restart_all

# ezra-1 goes through a cable that can be cut.
"$programs/cut" "$UW_PORT" >"$T/port" &
cut=$!
check "the cable is there" wait_for 5 test -s "$T/port"
sed "s/^brokers: .*/brokers: [\"127.0.0.1:$(cat "$T/port")\"]/" "$T/c/houses.yaml" >"$T/c/cable.yaml"
chmod 600 "$T/c/cable.yaml"
"$UW" cluster stop ezra-1 >"$T/out" 2>&1
"$UW" agent --config "$T/c/cable.yaml" --agent ezra-1 2>"$T/cable.log" &
relayed=$!
in_step() {
	"$UW" house list --json | jq -e '.[] | select(.house == "bezalel") | .owner == "bezalel-1" and ([.candidates[] | select(.state == "in step")] | length) == 2' >"$T/out"
}
check "all are in step" wait_for 30 in_step

figure() { sed -n "s/^$1 //p" "$T/figures"; }
late() { "$programs/quantiles" lag "$T/h.$1" | sed -n 's/^lag_p99 //p'; }
soon() { [ "$(late "$1")" -gt 0 ] && [ "$(late "$1")" -le $LATE ]; }

export UW_PKI="$T/c/pki"
check "events come in order and once each, before, in and after an outage" \
    "$programs/lag" -l bezalel -f timmy-1 -u "$(cat "$T/c/state/timmy-1.http")" -H "$T/h" -r 200 -s 4 -p 2 \
    -t "$(sed -n '/^  timmy:/,/auth_token:/s/.*auth_token: *"\(.*\)"/\1/p' "$T/c/houses.yaml")" \
    -c $cut -q 6 -b ezra -S "$T/c/run/ezra-1.sock" -n $MADE -o 5
cp "$T/.check" "$T/figures"
check "they are on the disk of who follows soon" soon store
check "in the page" soon page
check "progress is told soon" soon progress
is "none is missing or came twice" "$(figure missing) $(figure repeated)" "0 0"
check "those of the agent that was cut off came when it was back, all" test "$(figure back_events)" -ge $MADE
is "none of them is missing or came twice" "$(figure back_missing) $(figure back_repeated)" "0 0"
check "it was cut off" grep -q 'link: .*trying again' "$T/cable.log"
check "others did not wait for them" soon back_page
check "nor on the disk" soon back_store
