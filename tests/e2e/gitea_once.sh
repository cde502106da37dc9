#!/bin/sh
# once
# limit: 180
# What is written to Gitea is written once: while answers are lost, connections cut, Gitea is away for a time, and workers and
# the agent itself are killed.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../gitea/lib.sh"

gitea_needs "ONCE AT GITEA"
gitea_up --record "$T/record"
gitea_user allegro
gitea_do POST /repos '{"full_name":"timmy/work","writers":["allegro"]}' >"$T/out"
gitea POST /repos/timmy/work/issues '{"title":"The first"}' >"$T/out"
cluster_up --houses ezra
{
	gitea_config
	printf 'workers: { count: 4, crashes: 100 }\nbreakers: { failures: 0 }\n'
} | sed 's/^gitea:/gitea:\n  rate: 1000\/s\n  burst: 100/' >>"$T/c/houses.yaml"
restart_all

# A third of all requests that change something goes wrong, most of them after it was done.
for fault in '"status":502,"after":true,"chance":0.1' '"cut":"after","chance":0.1' '"cut":"middle","chance":0.05' '"cut":"before","chance":0.05' \
    '"status":500,"chance":0.05' '"delay_ms":700,"chance":0.2'; do
	gitea_do POST /faults "{\"times\":0,\"method\":\"POST\",$fault}" >"$T/out"
done
gitea_do POST /faults '{"times":0,"method":"GET","status":503,"chance":0.05}' >"$T/out"

N=40
i=0
while [ "$i" -lt "$N" ]; do
	i=$((i + 1))
	printf '{"tool":"gitea_create_issue","house":"ezra","params":{"repository":"timmy/work","title":"issue %d"},"retry":{"max":50,"base_s":1,"cap_s":2}}\n' "$i"
	printf '{"tool":"gitea_comment","house":"ezra","params":{"repository":"timmy/work","number":1,"body":"comment %d"},"retry":{"max":50,"base_s":1,"cap_s":2}}\n' "$i"
done >"$T/tasks"
"$UW" submit --batch "$T/tasks" --wait >"$T/batch" 2>&1 &
BATCH=$!
on_exit 'kill $BATCH 2>/dev/null'

pid_of() { cat "$T/c/run/ezra-1.pid"; }
kill_worker() {
	victim=$(ps -o pid= --ppid "$(pid_of)" 2>/dev/null | shuf -n 1 | tr -d ' ')
	[ -z "$victim" ] || kill -9 "$victim" 2>/dev/null
}
for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
	kill_worker
	case $round in
	4) gitea_do POST /away '{"ms":1500}' >"$T/out" ;;
	8)
		kill -9 "$(pid_of)"
		restart_all
		;;
	esac
	sleep 0.4
done
ended() { ! kill -0 "$BATCH" 2>/dev/null; }
check "all tasks come to an end" wait_for 90 ended
gitea_do DELETE /faults >"$T/out"

gitea GET '/repos/timmy/work/issues?state=all&limit=50' | jq -r '.[].title' | grep '^issue' >"$T/issues"
gitea GET /repos/timmy/work/issues/1/comments | jq -r '.[].body' | grep '^comment' >"$T/comments"
is "no issue is missing" "$(sort -u "$T/issues" | wc -l | tr -d ' ')" "$N"
is "none is there twice" "$(sort "$T/issues" | uniq -d)" ""
is "no comment is missing" "$(sort -u "$T/comments" | wc -l | tr -d ' ')" "$N"
is "none is there twice" "$(sort "$T/comments" | uniq -d)" ""
check "and it was not too easy" [ "$("$UW" task list --house ezra --limit 200 --json | jq '[.[].attempt] | add')" -gt $((2 * N + 10)) ]

gitea_kept "$T/record" 60
