#!/bin/sh
# limit: 150
# Many issues, while webhooks are dropped and come twice, the bridge and its agent are killed, its agent is frozen, and Gitea is
# away: each is triaged once, and told in one comment. Longer, with figures: make drill-bridge.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../gitea/bridge.sh"

bridge_gitea
# Each run is a line, so that none is made twice.
own_tool examine idempotent <<'END'
#!/bin/sh
jq -r .title >>"$UW_ROOTS/examined"
echo '{}'
END
bridge_cluster 'poll_s: 1s, yield_s: 0' <<'END'
  crash: {words: [crash], add: [bug, house/ezra], house: ezra, task: '{"tool":"examine","params":{"title":"{title}"}}'}
END
bridge_hook >"$T/out"
gitea_do POST /webhooks '{"drop":0.3,"twice":0.2}' >"$T/out"
check "a bridge runs" wait_for 30 bridge_of allegro-1

opened=0
while [ $opened -lt 60 ]; do
	issue "Crash number $opened" >"$T/out"
	opened=$((opened + 1))
	case $opened in
	10 | 25) kill -9 "$(bridge_of allegro-1)" ;;
	15) gitea_do POST /away '{"ms":1500}' >"$T/out" && sleep 1.6 ;;
	35) "$UW" cluster kill allegro-1 >"$T/out" ;;
	esac
	sleep 0.05
done
is "60 issues were opened" "$(gitea_do GET /state | jq '.repos["timmy/work"].issues | length')" 60
done_all() {
	[ "$(gitea_do GET /state | jq '[.repos["timmy/work"].issues[] | select(any(.comments[]; .body | contains("**succeeded**")))] | length')" = 60 ]
}
check "another candidate has the house, and a bridge" wait_for 30 bridge_of ezra-1
check "all are triaged, and their tasks succeeded" wait_for 60 done_all
count() { gitea_do GET /state | jq -c "[.repos[\"timmy/work\"].issues[] | $1] | group_by(.) | map([.[0], length])"; }
is "each has one comment" "$(count '.comments | length')" '[[1,60]]'
is "and its labels once" "$(count '.labels | length')" '[[2,60]]'
is "each task ran" "$(sort -u "$T/c/work/examined" | wc -l | tr -d ' ')" 60
is "and there is one for each" "$("$UW" task list --house ezra --limit 200 --json | jq '[.. | objects | select(.tool? == "examine") | .id] | unique | length')" 60

"$UW" cluster start allegro-1 >"$T/out"
check "the bridge comes back with the house" wait_for 40 bridge_of allegro-1
gone() { ! bridge_of ezra-1; }
check "and the other one ends" wait_for 10 gone
AGENT=$(cat "$T/c/run/allegro-1.pid")
kill -STOP "$AGENT"
on_exit "kill -CONT $AGENT 2>/dev/null"
N=$(issue "Crash under a frozen agent")
check "while its agent is frozen the other's bridge works" wait_for 40 says "$N" '\*\*succeeded\*\*'
kill -CONT "$AGENT"
is "and one comment is made" "$(comments "$N")" 1

gitea_kept "$T/record" 100
