#!/bin/sh
# limit: 90
# Tasks that wait for others: in their order, through a failure, a router and a lost owner.
. "$(dirname "$0")/lib.sh"

own_tool mark exclusive <<'EOF'
#!/bin/sh
jq -r .name >>"$UW_ROOTS/marks" && echo '{}'
EOF
own_tool hold read <<'EOF'
#!/bin/sh
for i in $(seq 600); do [ ! -e "$UW_ROOTS/go" ] || break; sleep 0.05; done
echo '{}'
EOF
own_tool fail read <<'EOF'
#!/bin/sh
exit 1
EOF
cluster_up --houses ezra,timmy,bezalel
: >"$T/c/work/marks"

id_of() { "$UW" submit "$@" --json | jq -r .id; }
state_of() { "$UW" task show "$1" --json | jq -r .state; }
is_in() { [ "$(state_of "$1")" = "$2" ]; }

a=$(id_of hold --house ezra)
b=$(id_of mark name=b --house ezra --after "$a")
d=$(id_of mark name=d --house ezra --after "$a,$b" --after-failed run)
is "a task that waits is scheduled" "$(state_of "$d")" scheduled
is "and says for what" "$("$UW" task show "$d" --json | jq -c .waits_for)" "[\"$a\",\"$b\"]"
: >"$T/c/work/go"
check "it is done when these are" wait_for 20 is_in "$d" succeeded
is "in their order" "$(tr '\n' ' ' <"$T/c/work/marks")" "b d "
is "one that waits for what has ended runs at once" \
    "$("$UW" submit mark name=e --house ezra --after "$a" --wait --json | jq -r .state)" succeeded

# One fails.
rm "$T/c/work/go"
a=$(id_of hold --house ezra)
f=$(id_of fail --house ezra --after "$a")
b=$(id_of mark name=never --house ezra --after "$f")
d=$(id_of mark name=nor --house ezra --after "$b")
e=$(id_of mark name=yet --house ezra --after "$d" --after-failed run)
: >"$T/c/work/go"
check "what waits for a failure is cancelled" wait_for 20 is_in "$b" cancelled
like "and says for which" "$("$UW" task show "$b" --json | jq -r .error.message)" "$f, .* is failed"
check "so is what waits for that" wait_for 20 is_in "$d" cancelled
check "unless it is to run all the same" wait_for 20 is_in "$e" succeeded
is "nothing else ran" "$(tr '\n' ' ' <"$T/c/work/marks")" "b d e yet "

# What is wrong
unknown=01$(awk 'BEGIN { srand(); for (i = 0; i < 24; i++) printf "%d", int(rand() * 10) }')
refuse "a task that is not known is an error" 3 "$UW" submit noop --house ezra --after "$unknown"
like "that names it" "$(cat "$T/.check")" "unknown_task: after: expected a task of house ezra .*, got $unknown"
refuse "so is one of another house" 3 "$UW" submit noop --house timmy --after "$a"
refuse "and what is no id" 3 "$UW" submit noop --house ezra --after yesterday
refuse "and another word for what to do" 3 "$UW" submit noop --house ezra --after "$a" --after-failed hope

# Through the router they stay together.
rm "$T/c/work/go"
a=$(id_of hold)
b=$(id_of noop --after "$a")
house=$("$UW" task show "$a" --json | jq -r .house)
is "the router keeps tasks that wait for each other in one house" "$("$UW" task show "$b" --json | jq -r .house)" "$house"
: >"$T/c/work/go"
check "where they run" wait_for 20 is_in "$b" succeeded
ezra=$(id_of noop --house ezra)
timmy=$(id_of noop --house timmy)
refuse "those of two houses cannot be waited for" 3 "$UW" submit noop --after "$ezra,$timmy"

# The owner is lost while something waits.
rm "$T/c/work/go"
a=$(id_of hold --house ezra --timeout 60)
b=$(id_of mark name=heir --house ezra --after "$a")
is "it waits" "$(state_of "$b")" scheduled
kill -9 "$(cat "$T/c/run/$(owner_of ezra).pid")"
: >"$T/c/work/go"
check "the next owner carries on" wait_for 40 is_in "$b" succeeded
is "and it ran once" "$(grep -c heir "$T/c/work/marks")" 1
