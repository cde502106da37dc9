#!/bin/sh
# limit: 240
# The tools of Gitea in a real cluster, against a double of it, through a proxy that checks each request and answer against
# Gitea's published contract.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../gitea/lib.sh"

gitea_needs "GITEA"
gitea_up
gitea_user allegro
gitea_user timmy
gitea_do POST /repos '{"full_name":"timmy/work","writers":["allegro"],"branches":{"main":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","fix/upload":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}}' >"$T/out"
gitea_do POST /repos '{"full_name":"timmy/other","writers":["allegro"]}' >"$T/out"
CONTRACT=yes
gitea_prism proxy || CONTRACT=

cluster_up --houses ezra
gitea_config >>"$T/c/houses.yaml"
echo 'breakers: {failures: 3, open_s: 10s, open_cap_s: 60s}' >>"$T/c/houses.yaml"
restart_all

R=repository=timmy/work
run() { "$UW" submit "$@" --house ezra --wait --json; }
result() { jq -r "$1" "$T/.result"; }
# done_with "sentence" tool params...: it succeeds, and its result can be asked for
done_with() {
	_what=$1
	shift
	if run "$@" >"$T/.task" 2>&1; then
		ok "$_what"
	else
		not_ok "$_what" "$(cat "$T/.task")"
	fi
	jq -s '.[-1].result' "$T/.task" >"$T/.result" 2>/dev/null
}
comments() { gitea GET "/repos/timmy/work/issues/$1/comments" | jq length; }
issues() { gitea GET '/repos/timmy/work/issues?state=all&type=issues&limit=50' | jq length; }

# Issues
done_with "an issue is opened" gitea_create_issue $R title="Uploads fail" body="They do."
N=$(result .number)
is "it is there" "$(gitea GET "/repos/timmy/work/issues/$N" | jq -r .title)" "Uploads fail"
is "in the name of the token's user" "$(gitea GET "/repos/timmy/work/issues/$N" | jq -r .user.login)" allegro
done_with "it gets labels, which are made" gitea_label $R number="$N" 'add=["kind/bug","house/ezra"]' create=true
is "and has them" "$(result '.labels | sort | join(" ")')" "house/ezra kind/bug"
done_with "an exclusive label takes the place of its sibling" gitea_label $R number="$N" 'add=["house/bezalel"]' create=true
is "which is gone" "$(result '.labels | sort | join(" ")')" "house/bezalel kind/bug"
done_with "it is commented on" gitea_comment $R number="$N" body="Looking into it" key=state
done_with "and the comment brought up to date" gitea_comment $R number="$N" body="Found it" key=state
is "which is the same" "$(comments "$N")" 1
done_with "it is listed by its labels" gitea_list_issues $R 'labels=["kind/bug"]'
is "alone" "$(result '.issues | map(.number) | join(" ")')" "$N"
done_with "it is read" gitea_get_issue $R number="$N"
is "with what was said" "$(result '.thread[0].body')" "Found it"

# Pull requests
done_with "a pull request is opened" gitea_create_pr $R title="Fix uploads" head=fix/upload body="Closes #$N"
P=$(result .number)
done_with "another task finds it" gitea_create_pr $R title="Fix uploads" head=fix/upload
is "and makes no second one" "$(result '"\(.number) \(.created)"')" "$P false"
gitea POST /repos/timmy/work/statuses/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb '{"state":"success","context":"ci"}' >"$T/out"
GITEA_AS=t-timmy gitea POST "/repos/timmy/work/pulls/$P/reviews" '{"event":"APPROVED","body":"good"}' >"$T/out"
done_with "how it stands is told" gitea_pr_status $R number="$P"
is "by state, checks and reviews" "$(result '"\(.state) \(.checks) \(.approvals)"')" "open success 1"

# What is not there, and what is not for us
refuse "an issue that is not there is a failure" 1 run gitea_get_issue $R number=4711
like "which says so" "$(jq -rs '.[-1].error.code' "$T/.check")" not_found
refuse "another repository than the configured is refused" 1 run gitea_create_issue repository=timmy/other title=x
like "as denied" "$(jq -rs '.[-1].error.code' "$T/.check")" denied

# Once, whatever is cut off
before=$(issues)
gitea_do POST /faults '{"method":"POST","path":"/issues$","cut":"after"}' >"$T/out"
done_with "an issue whose making was not answered is opened at the second try" gitea_create_issue $R title="Only one" --retries 3
is "and is one" "$(issues)" $((before + 1))
gitea_do POST /faults '{"method":"POST","path":"comments","status":502,"after":true}' >"$T/out"
done_with "so is a comment that ended in a 502" gitea_comment $R number="$N" body=once --retries 3
is "and is one" "$(comments "$N")" 2
gitea_do POST /faults '{"method":"POST","path":"comments","delay_ms":20000}' >"$T/out"
"$UW" submit gitea_comment $R number="$N" body="twice?" --house ezra --json >"$T/.task"
id=$(jq -rs '.[0].id' "$T/.task")
three() { [ "$(comments "$N")" -eq 3 ]; }
check "a comment is there, and its writer waits for the answer" wait_for 10 three
kill -9 "$(cat "$T/c/run/ezra-1.pid")"
restart_all
ended() { [ "$("$UW" task show "$id" --json | jq -r .state)" = succeeded ]; }
check "its agent dies, and ends it when it is back" wait_for 30 ended
is "the comment was not written again" "$(comments "$N")" 3
is "but found" "$("$UW" task show "$id" --json | jq -r '.result.created')" false

# Away, and back
gitea_do POST /away '{"ms":3000}' >"$T/out"
done_with "while Gitea is away a task waits for it" gitea_comment $R number="$N" body=patience --retries 8
is "and is done once" "$(comments "$N")" 4
gitea_do POST /away '{"ms":8000}' >"$T/out"
for i in 1 2 3; do
	refuse "who would not be tried again fails, $i" 1 run gitea_get_issue $R number="$N"
done
id=$("$UW" submit gitea_get_issue $R number="$N" --house ezra --json | jq -rs '.[0].id')
is "until the breaker of the repository keeps back what comes" "$("$UW" task show "$id" --json | jq -r .state)" scheduled
like "and says so" "$("$UW" breaker list)" 'ezra +gitea_get_issue +timmy/work +ezra-1 +(open|half_open)'
check "it is done when Gitea is there again" wait_for 40 ended

# What the sovereign says
printf 'houses: {}\nproduction: ["url:%s/timmy/work/issues/%s"]\n' "$GITEA" "$N" >"$T/policy.yaml"
check "an issue is marked as production" "$UW" policy sign "$T/policy.yaml" --yes
done_with "others are not" gitea_create_issue $R title="Not production"
id=$("$UW" submit gitea_comment $R number="$N" body="May I?" --house ezra --json | jq -rs '.[0].id')
waits() { "$UW" approvals --json | jq -e --arg id "$id" 'any(.task == $id and .valid)' >/dev/null; }
check "a comment on it waits for the sovereign" wait_for 10 waits
like "with what it would say" "$("$UW" approvals "$id")" 'May I\?'
like "and where" "$("$UW" approvals "$id")" "timmy/work/issues/$N"
is "and is not written yet" "$(comments "$N")" 4
check "he approves" "$UW" approve "$id"
check "and it is written" wait_for 20 ended
is "once" "$(comments "$N")" 5

not_told() { ! grep -rq t-allegro "$T/c/log" "$T/c/state"; }
check "the token is in no log and no database" not_told

# The contract
if [ -n "$CONTRACT" ]; then
	is "every request, and every answer of the double, is as the contract has it" "$(gitea_violations)" ""
	check "and they were many" [ "$(grep -c 'Request received' "$T/prism.log")" -gt 60 ]
	# shellcheck disable=SC2034
	GITEA_DIRECT=$GITEA
	gitea POST "/repos/timmy/work/issues/$N/comments" '{"bdy":"x"}' >"$T/out"
	gitea GET "/repos/timmy/work/issues?state=bogus" >"$T/out"
	is "what is not as it has it would be found" "$(gitea_violations | grep -c 'Violation: request')" 2
else
	skip "THE CONTRACT OF GITEA" "npm could not bring Prism: $(tail -n 1 "$T/prism.why" 2>/dev/null)"
fi
