#!/bin/sh
# limit: 900
# Issues opened while bridges and agents are killed at random, webhooks are dropped, and Gitea is away twice: how long each took to be
# triaged, and whether each was, once. Run by make drill-bridge; ISSUES=500 SEED=1.
. "$(dirname "$0")/../e2e/lib.sh"
. "$(dirname "$0")/../gitea/bridge.sh"
ISSUES=${ISSUES:-500} SEED=${SEED:-$$} DROP=${DROP:-0.3} AWAY_MS=${AWAY_MS:-5000}
RANDOM_STATE=$SEED

bridge_gitea
own_tool examine idempotent <<'END'
#!/bin/sh
jq -r .title >>"$UW_ROOTS/examined"
echo '{}'
END
bridge_cluster 'poll_s: 5s, yield_s: 0' <<'END'
  all: {add: [seen], house: ezra, task: '{"tool":"examine","params":{"title":"{title}"}}'}
END
bridge_hook >"$T/out"
gitea_do POST /webhooks "{\"drop\":$DROP,\"twice\":0.1}" >"$T/out"

# The same numbers for the same seed: 0 to N - 1.
dice() {
	RANDOM_STATE=$(((RANDOM_STATE * 1103515245 + 12345) % 2147483648))
	DICE=$((RANDOM_STATE / 65536 % $1))
}
check "a bridge runs" wait_for 30 bridge_of '.*'
kills=0 agents=0 down=
crash() {
	dice 3
	if [ "$DICE" -gt 0 ]; then
		for pid in $(bridge_of '.*'); do
			kill -9 "$pid" && kills=$((kills + 1))
		done
	elif [ -z "$down" ]; then
		down=$(owner_of allegro)
		[ -z "$down" ] || { "$UW" cluster kill "$down" >"$T/out" && agents=$((agents + 1)); }
	fi
}
revive() {
	[ -z "$down" ] || "$UW" cluster start "$down" >"$T/out" 2>&1
	down=
}
n=0
while [ $n -lt "$ISSUES" ]; do
	gitea POST $R/issues "{\"title\":\"Issue $n\"}" >"$T/answer" 2>"$T/out" || { sleep 0.2; continue; }
	grep -q '"number"' "$T/answer" || { sleep 0.2; continue; }
	n=$((n + 1))
	dice 20
	[ "$DICE" -ne 0 ] || crash
	[ $((n % 50)) -ne 0 ] || revive
	case $n in
	$((ISSUES / 3)) | $((2 * ISSUES / 3))) 
		jq -n 'now * 1000 | floor' >>"$T/aways"
		gitea_do POST /away "{\"ms\":$AWAY_MS}" >"$T/out"
		;;
	esac
	sleep 0.1
done
revive

is "as many issues were opened" "$(gitea_do GET /state | jq '.repos["timmy/work"].issues | length')" "$ISSUES"
done_all() {
	[ "$(gitea_do GET /state | jq '[.repos["timmy/work"].issues[] | select(any(.comments[]; .body | contains("**succeeded**")))] | length')" = "$ISSUES" ]
}
check "all are triaged, none is missed, and their tasks succeeded" wait_for 300 done_all
gitea_do GET /state >"$T/state"
is "each has one comment" "$(jq -c '.repos["timmy/work"].issues | map(.comments | length) | unique' "$T/state")" '[1]'
is "each has its label once" "$(jq -c '.repos["timmy/work"].issues | map(.labels | length) | unique' "$T/state")" '[1]'
ids() { jq -r '.repos["timmy/work"].issues[].comments[].body | capture("task=(?<id>[0-9A-Z]{26})").id' "$T/state"; }
is "each has a task of its own" "$(ids | sort -u | wc -l | tr -d ' ')" "$ISSUES"
is "no task ran for another issue, nor twice under another id" "$(sort -u "$T/c/work/examined" | wc -l | tr -d ' ')" "$ISSUES"

# From the answer to who opened it to the answer to who wrote the comment, as Gitea saw them.
gitea_do GET /requests >"$T/requests"
gitea_do GET /deliveries >"$T/deliveries"
jq -rn --slurpfile aways "$T/aways" --slurpfile requests "$T/requests" --slurpfile deliveries "$T/deliveries" '
	def share($p): sort | if length == 0 then 0 else .[[(length * $p | floor), length - 1] | min] end;
	def line($name): "# \($name): \(length) issues, triaged in p50 \(share(0.5)) ms, p99 \(share(0.99)) ms, longest \(max // 0) ms";
	($requests[0] | map(select(.method == "POST" and (.path | test("/issues$")) and .status == 201)) | map(.at)) as $opened |
	(reduce ($requests[0][] | select(.method == "POST" and (.path | test("/comments$")) and .status == 201)) as $r ({};
	    ($r.path | capture("/issues/(?<n>[0-9]+)/").n) as $n | .[$n] //= $r.at)) as $told |
	($deliveries[0] | map(select(.action == "opened" and .status == 202) | .number)) as $heard |
	[range(1; ($opened | length) + 1) | {n: ., ms: ($told[. | tostring] - $opened[. - 1]), heard: (. as $n | $heard | index($n) != null),
	    caught: (. as $n | any($aways[]; . >= $opened[$n - 1] and . <= $told[$n | tostring]))}] |
	(map(select(.heard and (.caught | not)) | .ms) | line("a webhook arrived")),
	(map(select((.heard or .caught) | not) | .ms) | line("none did: found by polling each 5 s")),
	(map(select(.caught) | .ms) | line("Gitea went away in between")), (map(.ms) | line("all"))' >"$T/figures"
cat "$T/figures"
# p99_of WORDS: in milliseconds, of the line that has them
p99_of() { sed -n "s/.*$1.* p99 \([0-9]*\) ms.*/\1/p" "$T/figures"; }
check "99 % of what a webhook told were triaged within 5 s" [ "$(p99_of 'a webhook arrived')" -lt 5000 ]
check "and of what none did within 5 s of the next poll" [ "$(p99_of 'none did')" -lt 10000 ]
echo "# seed $SEED: $kills bridges and $agents agents were killed, Gitea was away twice for $AWAY_MS ms, $DROP of all webhooks were dropped"
