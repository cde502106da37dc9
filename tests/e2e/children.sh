#!/bin/sh
# limit: 90
# The tasks that name another as their parent: wherever they went, counted by state.
. "$(dirname "$0")/lib.sh"

cluster_up --houses ezra,timmy
parent=$("$UW" submit noop --house ezra --json | jq -r .id)
{
	for i in $(seq 250); do
		echo '{"tool":"noop","house":"ezra","parent":"'"$parent"'"}'
	done
	echo '{"tool":"noop","parent":"'"$parent"'"}'
	echo '{"tool":"file_read","params":{"path":"nowhere"},"house":"timmy","parent":"'"$parent"'"}'
	echo '{"tool":"noop","house":"timmy"}'
} >"$T/tasks"
"$UW" submit --batch "$T/tasks" --wait >"$T/.check" 2>&1
is "children are found in all houses, each once" "$("$UW" task children "$parent" --json |
    jq -c '[.count, (.children | length), .states.succeeded, .states.failed, (.children | map(.id) | unique | length)]')" '[252,252,251,1,252]'
like "and counted by state" "$("$UW" task children "$parent" 2>&1 >"$T/rows")" '^252 children: 251 succeeded, 1 failed$'
is "one in a line" "$(wc -l <"$T/rows" | tr -d ' ')" 253
is "of one house" "$("$UW" task children "$parent" --house timmy --json | jq -c .states.failed)" 1
is "of a task that has none" "$("$UW" task children 01ARZ3NDEKTSV4RRFFQ69G5FAV --json | jq -c .count)" 0
refuse "what is no id is refused" 2 "$UW" task children nobody
