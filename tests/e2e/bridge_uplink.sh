#!/bin/sh
# limit: 120
# The bridge where Gitea cannot be reached from one host: the house goes to an agent that reaches it, and stays there. And
# what comes of answers that are late, cut, or none.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../gitea/bridge.sh"

bridge_gitea
bridge_cluster 'poll_s: 1s, yield_s: 8s' <<'END'
  any: {house: ezra, task: '{"tool":"noop"}'}
END
owned_by() { [ "$(owner_of allegro)" = "$1" ]; }

# Faults of one request each.
N=0
fault() {       # WHAT FAULT
	N=$((N + 1))
	gitea_do POST /faults "$2" >"$T/out"
	issue "Issue $N" >"$T/out"
	check "$1: it succeeds all the same" wait_for 30 says $N '\*\*succeeded\*\*'
	is "$1: and has one comment" "$(comments $N)" 1
	gitea_do DELETE /faults >"$T/out"
}
fault "a comment is written, and the answer cut" '{"method":"POST","path":"comments$","cut":"after"}'
fault "a comment is written, and the answer is half" '{"method":"POST","path":"comments$","cut":"middle"}'
fault "a comment is written, and 502 is said" '{"method":"POST","path":"comments$","status":502,"after":true}'
fault "a comment is written, and the answer comes too late" '{"method":"POST","path":"comments$","delay_ms":6000}'
fault "a comment is not taken" '{"method":"POST","path":"comments$","cut":"before"}'
fault "comments cannot be read" '{"method":"GET","path":"comments$","status":500,"times":2}'
fault "too much is asked" '{"method":"GET","path":"issues[?]","status":429,"retry_after":2}'
fault "the token is not valid for a while" '{"method":"POST","path":"comments$","status":401,"times":2}'
fault "an edit fails" '{"method":"PATCH","path":"comments","status":503,"times":2}'

gitea_do POST /away '{"ms":2500}' >"$T/out"
sleep 2.7
issue "After a while" >"$T/out"
N=$((N + 1))
check "Gitea was away: what came then is triaged" wait_for 30 says $N '\*\*succeeded\*\*'
available() { "$UW" allegro --json | jq -e '.gitea.availability < 1 and .gitea.availability > 0'; }
check "and the time is counted" wait_for 20 available

# An agent whose host has no way to Gitea.
"$UW" cluster stop allegro-1 >"$T/out"
check "the other candidate takes the house" wait_for 30 owned_by ezra-1
sed 's|^gitea: {url: "[^"]*"|gitea: {url: "http://127.0.0.1:1"|' "$T/c/houses.yaml" >"$T/c/cut-off.yaml"
(cd "$T/c" && exec "$UW" agent --agent allegro-1 --config "$T/c/cut-off.yaml") >"$T/cut-off.log" 2>&1 &
CUT=$!
on_exit "kill $CUT 2>/dev/null"
tried() { grep -q 'owns allegro, and starts its bridge' "$T/cut-off.log"; }
check "the first one has it back" wait_for 40 tried
asks() { grep -q 'house allegro is to go to ezra-1' "$T/cut-off.log"; }
check "and gives it away, for it does not reach Gitea" wait_for 30 asks
check "to the one that does" wait_for 20 owned_by ezra-1
issue "From there" >"$T/out"
N=$((N + 1))
check "who goes on" wait_for 20 says $N '\*\*succeeded\*\*'
sleep 3
check "and keeps it" owned_by ezra-1
kill $CUT

gitea_kept "$T/record" 30
