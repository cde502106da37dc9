#!/bin/sh
# limit: 240
# Every request that the tests of the client and the tools make, faults and all, against Gitea's published contract: they are
# recorded by the double and sent once more to a mock that knows it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../gitea/lib.sh"

gitea_needs "THE CONTRACT OF GITEA"
if ! gitea_prism mock; then
	skip "THE CONTRACT OF GITEA" "npm could not bring Prism: $(tail -n 1 "$T/prism.why" 2>/dev/null)"
	exit
fi
cd "$GITEA_DIR/../.." || exit
check "the tests of the client are recorded" env GITEA_RECORD="$T/record" "$HELPERS/../unit/t_gitea"
check "and made again" sh -c 'node "$1/replay.mjs" "$2" "$3" >"$4"' sh "$GITEA_DIR" "$T/record" "$GITEA_MOCK" "$T/sent"
check "all different ones" [ "$(cat "$T/sent")" -gt 60 ]
is "each is as the contract has it" "$(gitea_violations)" ""
printf '%s\n' '{"method":"GET","path":"/api/v1/repos/a/b/issues?state=bogus","body":"","status":200}' \
    '{"method":"GET","path":"/api/v1/repos/a/b/nonsense","body":"","status":200}' >"$T/record"
node "$GITEA_DIR/replay.mjs" "$T/record" "$GITEA_MOCK" >"$T/sent"
is "what is not would be found" "$(gitea_violations | grep -c .)" 2
