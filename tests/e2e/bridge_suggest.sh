#!/bin/sh
# limit: 120
# What the bridge learns from people, and suggests where no rule speaks: in its comment, and as labels where it may.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../gitea/bridge.sh"

MAIN=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa TEXT=cccccccccccccccccccccccccccccccccccccccc
bridge_gitea "\"branches\":{\"main\":\"$MAIN\",\"text\":\"$TEXT\"},\"files\":{\"text\":[\"docs/a.md\"]}"
label() { gitea POST "$R/labels" "{\"name\":\"$1\",\"color\":\"#00aabb\"}" >/dev/null; }
give() { gitea POST "$R/issues/$1/labels" "{\"labels\":[\"$2\"]}" >/dev/null; }
close() { gitea PATCH "$R/issues/$1" '{"state":"closed"}' >/dev/null; }
labels() { gitea GET "$R/issues/$1" | jq -r '[.labels[].name] | join(" ")'; }
past() {
	N=$(issue "$1" "$2")
	give "$N" "$3"
	[ -z "$4" ] || gitea PATCH "$R/issues/$N" "{\"assignees\":[\"$4\"]}" >/dev/null
	close "$N"
}
for l in bug wish robot; do
	label "$l"
done
# What was there before the bridge.
for i in 1 2 3 4 5 6 7 8 9 10; do
	past "Crash number $i when saving" "It dies with a segfault" bug ezra
	past "Please add colour $i" "It would be nice" wish ''
done
for i in 1 2 3 4 5 6; do
	past "Automate step $i for me" "robots can do it" robot ''
done
bridge_cluster 'poll_s: 1s' <<'END'
  robots: {labels: [robot], category: work for robots}
END
status() { "$UW" allegro --status --json | jq -r ".suggestions$1"; }
learned() { [ "$(status .learned_from)" -ge "$1" ]; }
check "it learns from what was there before" wait_for 30 learned 26

FIRST=$(issue "Another crash" "while saving, with a segfault")
check "a suggestion is told where no rule speaks" wait_for 20 says "$FIRST" 'no rule speaks for this; a person looks at it'
check "with its probability, and how many are like it" wait_for 5 says "$FIRST" '^Probably `bug` ([0-9]* %, from [0-9]* like it)'
check "and who has such things" says "$FIRST" 'assignee `ezra` ([0-9]* %, from'
is "nothing is done by itself" "$(labels "$FIRST")" ""
ODD=$(issue "Entirely unknown matters" "of another kind")
check "of what is like nothing" wait_for 20 says "$ODD" 'no rule speaks'
check "nothing is said" not says "$ODD" Probably

judged() { [ "$(status ".label | \"\\(.judged) \\(.right)\"")" = "$1" ]; }
give "$FIRST" bug
check "what a person does then counts: it was right" wait_for 10 judged "1 1"
SECOND=$(issue "A crash" "segfault while saving")
check "another one" wait_for 20 says "$SECOND" 'Probably `bug`'
give "$SECOND" wish
check "that a person sees otherwise: it was wrong" wait_for 10 judged "2 1"
like "the state tells" "$("$UW" allegro --status)" '^suggestions +say, learned from [0-9]+; right: label 1 of 2 \(Brier [0-9.]+\)'

"$UW" allegro suggest timmy/work "$FIRST" --json >"$T/why"
is "it is explained" "$(jq -r '.suggestions[] | select(.name == "bug") | .said' "$T/why")" true
check "by words" jq -e '[.suggestions[] | select(.name == "bug") | .why[] | select(.of >= 10 and .with >= 10) | .word] | index("\"crash\"")' "$T/why"
"$UW" allegro suggest --title "Please add a crash" >"$T/why"
like "also of what is not there yet" "$(cat "$T/why")" 'more, by "crash": of [0-9]+ with that, [0-9]+ have it'
like "with all that is thought of" "$(cat "$T/why")" '^label     wish: [0-9]+ %'
refuse "what is no repository is refused" 2 "$UW" allegro suggest nothing 1
refuse "and so is asking nothing" 2 "$UW" allegro suggest

# A successor has nothing but Gitea.
BEFORE=$(status .learned_from)
"$UW" cluster kill allegro-1 >"$T/out"
succeeded() { [ "$("$UW" allegro --status --json | jq -r .agent)" = ezra-1 ] && learned "$BEFORE"; }
check "a successor learns the same from Gitea" wait_for 40 succeeded
check "and finds what it had said in its comments" wait_for 40 judged "2 1"
is "which stay one" "$(comments "$FIRST")" 1

close "$ODD"
check "what is closed teaches" wait_for 15 learned $((BEFORE + 1))
for pid in $(bridge_of '.*'); do
	kill -9 "$pid"
done
gitea PATCH "$R/issues/$ODD" '{"state":"open"}' >"$T/out"
check "opened again while no bridge runs it is seen by the next" wait_for 20 says "$ODD" 'as it was opened again: no rule'
is "in the same comment" "$(comments "$ODD")" 1
reopened() { [ "$("$UW" allegro --status --json | jq .sums.reopened)" = 1 ]; }
check "once" wait_for 10 reopened

sed -i.bak 's/poll_s: 1s/poll_s: 1s, suggest: apply, suggest_at: 60/' "$T/c/houses.yaml"
restart_all
applies() { [ "$(status .mode)" = apply ] && learned "$BEFORE"; }
check "it may be allowed to give labels" wait_for 30 applies
THIRD=$(issue "Crash once more" "a segfault when saving")
has() { [ "$(labels "$1")" = "$2" ]; }
check "then it gives what is probable enough" wait_for 20 has "$THIRD" bug
check "and says so" says "$THIRD" 'Probably `bug` (.*; set)'
ROBOT=$(issue "Automate this step for me" "robots can do it")
check "what a rule waits for" wait_for 20 says "$ROBOT" 'Probably `robot` ([0-9]* %, from [0-9]* like it)'
is "is for people to give" "$(labels "$ROBOT")" ""
