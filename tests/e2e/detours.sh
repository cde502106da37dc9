#!/bin/sh
# Production is marked by name, and there are many ways to one place: each of them waits for the sovereign, and until he
# has spoken nothing there is changed. Own tools are under the same policy.
. "$(dirname "$0")/lib.sh"

cluster_up
W=$T/c/work
export HOME="$T" GIT_CONFIG_NOSYSTEM=1
git config --global user.name Test && git config --global user.email test@example.org

state() { "$UW" task show "$1" --json | jq -r .state; }
is_in() { [ "$(state "$1")" = "$2" ]; }
in_state() { wait_for 15 is_in "$@"; }
# task TOOL [params and options]: its id
task() { "$UW" submit "$@" --house bezalel --json | jq -rs '.[0].id'; }
asked() { "$UW" approvals --json | jq -e --arg id "$1" 'any(.task == $id and .valid)' >/dev/null; }
waits() { in_state "$1" waiting_approval && wait_for 15 asked "$1"; }

# A place for files, a repository, and the one it is pushed to.
mkdir "$W/www" "$W/deep"
echo old >"$W/www/f"
git init -q -b main "$W/site" && echo one >"$W/site/a" && git -C "$W/site" add a && git -C "$W/site" commit -qm one
git clone -q --bare "$W/site" "$W/hub.git"
git clone -q "$W/hub.git" "$W/dev"
echo two >"$W/dev/a"
git -C "$W/dev" commit -qam two
git -C "$W/site" worktree add -q "$W/side" -b side
echo two >"$W/side/a"
git clone -q "$W/site" "$W/linked" && rm -r "$W/linked/.git/refs" && ln -s ../../site/.git/refs "$W/linked/.git/refs"
echo two >"$W/linked/a"
ln -s www "$W/link"
ln -s deep/../link "$W/chain"
ln -s .. "$W/deep/up"

own_tool silent exclusive <<'TOOL'
#!/bin/sh
echo changed >"$(jq -r .at)"; echo true
TOOL
# shellcheck disable=SC2016
own_tool open exclusive '"touches":[{"kind":"path","name":"${at}"}],"proof":[{"check":"file_exists","path":"${at}"}]' <<'TOOL'
#!/bin/sh
echo changed >"$UW_PARAM_at"; echo true
TOOL
jq '.parameters = {type: "object", required: ["at"], properties: {at: {type: "string"}}} | .paths = {at: "write"}' \
    "$T/c/tools.d/open.json" >"$T/open.json" && cat "$T/open.json" >"$T/c/tools.d/open.json"
restart_all

cat >"$T/policy.yaml" <<YAML
houses: { bezalel: { profile: none } }
production: ["path:$W/www", "repo:$W/site", "path:$W/hub.git", "url:https://127.0.0.1:9/api"]
YAML
check "a policy names what is production" "$UW" policy sign "$T/policy.yaml" --yes

before() { find "$W/www" "$W/site" "$W/hub.git" -type f ! -path '*/objects/*' ! -name index -exec sha256sum {} + | sort; }
before >"$T/before"

ways=0
way() {
	_what=$1
	shift
	id=$(task "$@")
	check "$_what waits" waits "$id"
	ways=$((ways + 1))
	echo "$id" >>"$T/ids"
}
for path in www/f "$W/www/f" link/f chain/f www/../www/f deep/up/www/f ./www//new; do
	way "a write to ${path#"$W/"}" file_write "path=$path" content=new
done
way "a commit" git_commit repo_path=site message=m allow_empty=true
way "a commit in a linked working tree" git_commit repo_path=side message=m all=true
way "a commit by way of linked refs" git_commit repo_path=linked message=m all=true
way "a checkout" git_checkout repo_path=site ref=b create=true
way "a push" git_push repo_path=dev
way "a post with another spelling" http_post 'url=https://127.0.0.1:9/x/%2e%2e/api/v1'
way "a post that may be redirected" http_post url=http://127.0.0.1:9/ max_redirects=1
way "an own tool that says what it touches" open "at=link/f"
way "an own tool that does not" silent "at=$W/deep/f"
is "and nothing is changed there, by $ways ways" "$(before | diff "$T/before" - 2>&1)" ""
is "all of them are asked for" "$("$UW" approvals --json | jq length)" "$ways"

# What lies elsewhere needs nobody.
id=$(task file_write path=other content=new)
check "a write elsewhere runs" in_state "$id" succeeded
id=$(task open at=other)
check "an own tool elsewhere, too" in_state "$id" succeeded

# Once allowed, it is what was shown, and only that.
push=$(sed -n 12p "$T/ids")
like "the push shows its commits" "$("$UW" approvals "$push")" ' two$'
check "it is approved" "$UW" approve "$push"
check "and pushed" in_state "$push" succeeded
is "there" "$(git -C "$W/hub.git" rev-parse main)" "$(git -C "$W/dev" rev-parse main)"
open=$(sed -n 15p "$T/ids")
echo elsewhere >"$W/decoy" && rm "$W/link" && mkdir "$W/away" && ln -s away "$W/link" && echo old >"$W/away/f"
check "an own tool is approved whose link has been switched since" "$UW" approve "$open"
check "it is denied" in_state "$open" denied
like "because of that" "$("$UW" task show "$open" --json | jq -r .error.message)" 'changed since it was approved'
is "and changed neither" "$(cat "$W/www/f" "$W/away/f")" "old
old"
silent=$(sed -n 16p "$T/ids")
printf '#!/bin/sh\necho evil >%s; echo true\n' "$W/www/f" >"$T/c/tools.d/silent"
check "an own tool is approved whose program has been exchanged since" "$UW" approve "$silent"
check "it is denied" in_state "$silent" denied
like "because of that" "$("$UW" task show "$silent" --json | jq -r .error.message)" 'was changed since this agent'
is "and did nothing" "$(cat "$W/www/f")" old
