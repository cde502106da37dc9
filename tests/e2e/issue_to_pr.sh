#!/bin/sh
# limit: 120
# From an issue to a pull request: it is triaged, and its house has Hermes work on it in a working tree of its own, commits that,
# pushes it once the sovereign has said so, opens the pull request, and all of it is told in one comment. Two at once do not
# meet. Git is real; Hermes and Gitea are doubles.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../gitea/bridge.sh"

export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=timmy GIT_AUTHOR_EMAIL=timmy@example.org \
    GIT_COMMITTER_NAME=timmy GIT_COMMITTER_EMAIL=timmy@example.org
HUB=$T/c/work/hub.git SITE=$T/c/work/site TREES=$T/c/work/trees
bridge_gitea "\"git\":\"$HUB\""
HERMES_KEY=an-api-key node "$GITEA_DIR/../hermes/double.mjs" "$T/hermes" "$T/hermes.log" >"$T/hermes.out" 2>&1 &
on_exit "kill $! 2>/dev/null"
check "a double of Hermes runs" wait_for 10 [ -s "$T/hermes" ]

bridge_cluster 'poll_s: 1s' <<END
  change: {kind: issue, words: [please], add: [bug, house/ezra], category: work for Hermes, house: ezra, tasks: [
    '{"tool":"git_worktree","params":{"repo_path":"$SITE","path":"$TREES/issue-{number}","ref":"uw/issue-{number}","start":"main"}}',
    '{"tool":"hermes_run","params":{"path":"$TREES/issue-{number}","prompt":"write notes.md {title}\nwrite new.md By Hermes\nwait 300\nsay It is written."}}',
    '{"tool":"git_commit","params":{"repo_path":"$TREES/issue-{number}","message":"{title}\n\nCloses #{number}","paths":["."]}}',
    '{"tool":"git_push","params":{"repo_path":"$TREES/issue-{number}","branch":"uw/issue-{number}"}}',
    '{"tool":"gitea_create_pr","params":{"repository":"{repo}","title":"{title}","head":"uw/issue-{number}","body":"Closes #{number}"}}',
    '{"tool":"git_worktree","params":{"repo_path":"$SITE","path":"$TREES/issue-{number}","remove":true}}']}
END
printf 'an-api-key\n' >"$T/hermes.key"
chmod 600 "$T/hermes.key"
sed "s|^gitea: {|gitea: {repositories: [timmy/work], |; s|^secrets:|&\n  HERMES: {file: $T/hermes.key}|" "$T/c/houses.yaml" >"$T/.yaml" &&
    cat "$T/.yaml" >"$T/c/houses.yaml"
printf 'hermes: {url: "http://127.0.0.1:%s", secret: HERMES}\n' "$(cat "$T/hermes")" >>"$T/c/houses.yaml"
check "the configuration is right, Hermes too" "$UW" config check
git init -q --bare -b main "$HUB"
git clone -q "$HUB" "$SITE" 2>"$T/out"
git -C "$SITE" checkout -q -b main
echo notes >"$SITE/notes.md"
git -C "$SITE" add notes.md
git -C "$SITE" commit -q -m begin
git -C "$SITE" push -q origin main
mkdir "$TREES"
restart_all

# Only what everybody sees is production. Hermes does not say beforehand what it touches: that it may work is the sovereign's word.
cat >"$T/policy.yaml" <<END
houses: { ezra: { profile: none }, allegro: { profile: none } }
production: ["path:$HUB"]
rules: [{ tool: hermes_run, house: ezra, sender: gitea, production: true, then: allow }]
END
check "the sovereign signs what is production" "$UW" policy sign "$T/policy.yaml" --yes
check "the owner of allegro runs a bridge" wait_for 30 bridge_of allegro-1

said() { gitea GET "$R/issues/$1/comments" | jq -r '.[].body'; }
# task_of N STEP: its id, as the comment has it
task_of() { said "$1" | sed -n "s/^$2\. \`[a-z_]*\` \`\([0-9A-Z]*\)\`.*/\1/p"; }
asked() { "$UW" approvals --json | jq -e --arg id "$1" 'any(.task == $id and .valid)' >/dev/null; }
on_hub() { git -C "$HUB" rev-parse -q --verify "refs/heads/$1"; }
pulls() { gitea GET "$R/pulls?state=all" | jq length; }

N=$(issue "A note, please")
O=$(issue "Another page, please")
check "an issue is triaged, and its chain begins" wait_for 20 says "$N" '^1\. `git_worktree` '
check "it waits for an approval before the push" wait_for 40 says "$N" '^4\. `git_push` .*waits for an approval'
check "so does another that was opened with it" wait_for 40 says "$O" '^4\. `git_push` .*waits for an approval'
[ "$FAILED" -eq 0 ] || exit
PUSH=$(task_of "$N" 4) OTHER=$(task_of "$O" 4)
check "which is asked for" wait_for 10 asked "$PUSH"
runs() { jq -r 'select(.url == "/v1/runs") | .body | fromjson | .instructions + " " + .input' "$T/hermes.log" | grep '^Work' | sort; }
is "Hermes was given the words of each, and a place for each" "$(runs)" \
    "Work in the directory $TREES/issue-$N and nowhere else. write notes.md A note, please
Work in the directory $TREES/issue-$O and nowhere else. write notes.md Another page, please"
# branch N TITLE: it has what was written for this issue and nothing else
branch() {
	is "what it wrote is committed, $1" "$(git -C "$SITE" show "uw/issue-$1:notes.md")" "$2"
	is "a file that it made too, $1" "$(git -C "$SITE" show "uw/issue-$1:new.md")" "By Hermes"
	is "on the branch of the issue, alone, $1" "$(git -C "$SITE" log --format=%s "main..uw/issue-$1")" "$2"
}
branch "$N" "A note, please"
branch "$O" "Another page, please"
is "nobody worked in the repository's own working tree" "$(git -C "$SITE" symbolic-ref --short HEAD; git -C "$SITE" status --porcelain; cat "$SITE/notes.md")" "main
notes"
check "nothing is pushed" not on_hub "uw/issue-$N"
is "and there is no pull request" "$(pulls)" 0
is "it has the labels" "$(gitea GET "$R/issues/$N" | jq -r '[.labels[].name] | sort | join(" ")')" "bug house/ezra"
like "the next task waits" "$(said "$N")" '^5\. `gitea_create_pr` `[0-9A-Z]{26}` waits for the one before it\.$'
like "the request names what would be pushed where" "$("$UW" approvals "$PUSH")" "path:$HUB"

# Whoever goes on from here knows the tasks by the issue.
kill -9 "$(bridge_of allegro-1)"
rm -f "$T"/c/state/allegro-1.bridge.db*
check "its bridge is lost with its file, and comes again" wait_for 20 bridge_of allegro-1
check "the sovereign approves" "$UW" approve "$PUSH"
check "and the chain comes to its end" wait_for 40 says "$N" '^All of it \*\*succeeded\*\*'
is "the branch is on the remote, as it was committed" "$(on_hub "uw/issue-$N")" "$(git -C "$SITE" rev-parse "uw/issue-$N")"
is "there is one pull request" "$(pulls)" 1
gitea GET "$R/pulls?state=all" | jq '.[0]' >"$T/pull"
is "of that commit, for the issue" "$(jq -r '[.head.sha, .base.ref, (.body | split("\n")[0])] | join(" ")' "$T/pull")" \
    "$(on_hub "uw/issue-$N") main Closes #$N"
P=$(jq -r .number "$T/pull")
said "$N" >"$T/comment"
is "there is one comment" "$(comments "$N")" 1
is "which says of each task that it succeeded" \
    "$(grep -cE '^[1-6]\. `[a-z_]+` `[0-9A-Z]{26}` (\*\*succeeded\*\*|succeeded)\. Attempt [12](, [0-9]+ ms)?\.' "$T/comment")" 6
like "and has the pull request" "$(cat "$T/comment")" "^5\. .* Opened \[#$P\]\(http://[^)]*/timmy/work/pulls/$P\)\."
for i in 1 2 3 4 5 6; do
	"$UW" task show "$(task_of "$N" $i)" --json | jq -r '"\(.tool) \(.sender) \(.state)"'
done >"$T/tasks"
is "the tasks that it names are these" "$(tr '\n' ' ' <"$T/tasks")" \
    "git_worktree gitea succeeded hermes_run gitea succeeded git_commit gitea succeeded git_push gitea succeeded gitea_create_pr gitea succeeded git_worktree gitea succeeded "
is "and there are no others of the bridge" "$("$UW" task list --house ezra --json | jq '[.. | objects | select(.sender? == "gitea")] | length')" 12
is "its working tree is gone, the other's is not" "$(ls "$TREES")" "issue-$O"
like "the audit has by whom the push was approved" "$("$UW" audit show "$PUSH")" 'given by +timmy$'
like "and what was pushed" "$("$UW" audit show "$PUSH")" "hub.git#uw/issue-$N\",\"sha256\":\"$(on_hub "uw/issue-$N")\""

check "the sovereign approves the other" "$UW" approve "$OTHER"
check "which comes to its end too" wait_for 40 says "$O" '^All of it \*\*succeeded\*\*'
is "with a pull request of its own branch" "$(gitea GET "$R/pulls?state=all" | jq -r '[.[].head | .ref + " " + .sha] | sort | join("\n")')" \
    "uw/issue-$N $(on_hub "uw/issue-$N")
uw/issue-$O $(on_hub "uw/issue-$O")"
is "in which nothing is of the first" "$(git -C "$HUB" log --format=%s "main..uw/issue-$O")" "Another page, please"

gitea POST "$R/pulls/$P/merge" '{"do":"merge"}' >"$T/out"
counted() { "$UW" allegro --status --json | jq -e '.sums.pulls_opened == 2 and .pulls_merged.week == 1' >/dev/null; }
check "pull requests are counted: opened, and merged" wait_for 20 counted

# Where one fails, the others are not run.
M=$(issue "A third one, please")
check "a third issue comes as far as the push" wait_for 40 says "$M" '^4\. `git_push` .*waits for an approval'
PUSH=$(task_of "$M" 4)
check "which is asked for, too" wait_for 10 asked "$PUSH"
check "the sovereign denies it" "$UW" deny "$PUSH" --why "not now"
check "the comment says which did not go well" wait_for 20 says "$M" '^It ended with task 4 of 6, which \*\*was denied\*\*'
like "and that those after it are not run" "$(said "$M")" '^5\. `gitea_create_pr` `[0-9A-Z]{26}` is not run\.$'
is "it was cancelled" "$("$UW" task show "$(task_of "$M" 5)" --json | jq -r .state)" cancelled
check "nothing of it was pushed" not on_hub "uw/issue-$M"
is "and its working tree is there to be looked at" "$(cat "$TREES/issue-$M/notes.md")" "A third one, please"
check "the audit is whole" "$UW" audit verify

gitea_kept "$T/record" 20
