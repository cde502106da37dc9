#!/bin/sh
# once
# limit: 60
# Two of everything: agents of one name, the same task at once, clusters side by side.
. "$(dirname "$0")/lib.sh"

own_tool count exclusive <<'END'
#!/bin/sh
echo "$UW_TASK_ID" >>"$UW_ROOTS/count" && echo '{}'
END
cluster_up --houses ezra,timmy
: >"$T/c/work/count"
pid=$(cat "$T/c/run/ezra-1.pid")

# Two agents of one name
refuse "a second agent on the same database does not start" 1 "$UW" agent --config "$T/c/houses.yaml" --agent ezra-1
like "and says why" "$(cat "$T/.check")" 'ezra-1.db is in use by another process'
sed "s|^state:.*|state: $T/state2|; s|^run:.*|run: $T/run2|; s|^pki:.*|pki: $T/c/pki|; s|\[work\]|[$T/c/work]|" \
    "$T/c/houses.yaml" >"$T/other-host.yaml"
refuse "one with its own database does not stay" 1 "$UW" agent --config "$T/other-host.yaml" --agent ezra-1
like "and says why" "$(cat "$T/.check")" 'another agent of this name is connected'
check "the first one goes on" kill -0 "$pid"
check "and works" "$UW" submit noop --house ezra --wait
check "through its own socket too" "$UW" test --house ezra --tool noop --where agent
# The other one's farewell was in its name, so the house may have another owner for a while.
is "and its house is held" "$("$UW" house list --json | jq -r '.[] | select(.house == "ezra") | .state')" online

# together N command...: N times at once, output and exit code of the n-th in $T/n.out, $T/n.rc
together() {
	n=$1
	shift
	for i in $(seq "$n"); do
		(
			"$@" >"$T/$i.out" 2>&1
			echo $? >"$T/$i.rc"
		) &
	done
	wait
	seq "$n" | sed "s|.*|$T/&.rc|" | xargs cat | sort | uniq -c | tr -s ' '
}
ids() {
	cat "$T"/[0-9]*.out | jq -r .id | sort -u | wc -l | tr -d ' '
}
id=01$(awk 'BEGIN { srand(); for (i = 0; i < 24; i++) printf "%d", int(rand() * 10) }')
is "eight submits with one id all succeed" \
    "$(together 8 "$UW" submit count --house ezra --id "$id" --wait --within 20 --json)" " 8 0"
is "and are one task" "$(ids)" 1
is "which ran once" "$(wc -l <"$T/c/work/count" | tr -d ' ')" 1
is "eight submits with one key all succeed" \
    "$(together 8 "$UW" submit count --house ezra --key k --wait --within 20 --json)" " 8 0"
is "and are one task" "$(ids)" 1
is "which ran once" "$(wc -l <"$T/c/work/count" | tr -d ' ')" 2
is "eight submits with one key through the router all succeed" \
    "$(together 8 "$UW" submit noop --key routed --wait --within 20 --json)" " 8 0"
is "and are one task" "$(ids)" 1
is "eight different ones are eight" "$(together 8 "$UW" submit count --house ezra --wait --within 20 --json)$(ids)" " 8 08"
is "no task was started twice" "$(sort "$T/c/work/count" | uniq -d)" ""
is "the outbox they shared is empty" "$("$UW" outbox list --json)" "[]"

# A key is each sender's own.
first=$("$UW" submit noop --house ezra --key own --wait --json | jq -r .id)
second=$("$UW" submit noop --house ezra --key own --wait --json --as timmy | jq -r .id)
check "two senders may use one key" [ "$first" != "$second" ]
refuse "nobody else may use a task's id" 3 "$UW" submit noop --house ezra --id "$first" --as timmy

# Two clusters side by side
on_exit '"$UW" cluster down --dir "$T/d" >/dev/null'
check "a second cluster comes up beside the first" "$UW" cluster up --dir "$T/d" --houses ezra
id=$("$UW" submit noop payload=first --house ezra --wait --json | jq -r .id)
(
	# shellcheck disable=SC1091
	. "$T/d/env"
	"$UW" submit noop payload=second --house ezra --wait --json | jq -r .result.payload >"$T/second"
	"$UW" task show "$id" >"$T/out" 2>&1 && echo known >"$T/known"
)
is "each has its own tasks" "$(cat "$T/second") $("$UW" task show "$id" --json | jq -r .result.payload)" "second first"
refuse "and knows none of the other's" 1 test -e "$T/known"
as_d() {
	mosquitto_pub -h "$UW_HOST" -p "$UW_PORT" --cafile "$UW_CAFILE" --cert "$T/d/pki/operator.crt" \
	    --key "$T/d/pki/operator.key" -q 1 -t uw/home/house/ezra/task/operator -m '{"tool":"noop"}'
}
if as_d >"$T/out" 2>&1; then
	not_ok "the other's client is not let in"
else
	ok "the other's client is not let in"
fi

# The same cluster, twice at once
check "the second cluster goes down" "$UW" cluster down --dir "$T/d"
check "and the first goes on" "$UW" submit noop --house ezra --wait
is "two cluster up at once are one cluster" "$(together 2 "$UW" cluster up --dir "$T/d")" " 2 0"
running() {
	if [ -d /proc/self ]; then
		for p in /proc/[0-9]*/cmdline; do cat "$p" 2>/dev/null | tr '\0' ' ' | grep " agent --config $T/d/"; done | wc -l
	else
		ps -Ao command= | grep -c "[ ]agent --config $T/d/"
	fi
}
is "with one agent" "$(running | tr -d ' ')" 1
