#!/bin/sh
# Maintenance beside agents that run: databases are looked through, others tidied up, and files shared.
. "$(dirname "$0")/lib.sh"

cluster_up --houses ezra,timmy
"$UW" submit noop --house ezra --wait >"$T/out"
"$UW" cluster stop broker >"$T/out"
refuse "a task waits in the outbox" 4 "$UW" submit noop --house ezra --within 1 --as operator
"$UW" cluster start broker >"$T/out"
all() { "$UW" maintenance --json | jq -r 'map(.step + " " + .about + " " + .outcome) | join(", ")'; }
check "maintenance succeeds while agents run" "$UW" maintenance
is "it looks through their databases, and tidies up others" "$(all)" \
    "store ezra-1 done, database outbox-operator.db done, database outbox-timmy.db done, store timmy-1 done"
like "in words, too" "$("$UW" maintenance)" 'store +ezra-1 +done: .*is whole'
check "an agent goes on" "$UW" submit noop --house ezra --wait
mkdir "$T/c/state/doctor.killed" "$T/c/state/doctor.living"
: >"$T/c/state/doctor.killed/copy.db"
touch -d '2 minutes ago' "$T/c/state/doctor.killed" 2>"$T/out" || touch -A -000200 "$T/c/state/doctor.killed"
check "it looks through copies once more" "$UW" maintenance
is "and takes away what one left that was killed, and no other" "$(cd "$T/c/state" && echo doctor.*)" "doctor.living"
rmdir "$T/c/state/doctor.living"
is "no copy is left" "$(find "$T/c/state" -newer "$T/c/env" -name '*copy*')" ""

# Where files are shared
mkdir -p "$T/shared"
echo here >"$T/shared/self"
cat >>"$T/c/houses.yaml" <<EOF
syncthing:
  dir: $T/shared
  devices:
    here: {id: AAAAAAA-BBBBBBB-CCCCCCC-DDDDDDD-EEEEEEE-FFFFFFF-GGGGGGG-HHHHHHH, address: "tcp://127.0.0.1:22000"}
EOF
check "with files to share it does that, too" "$UW" maintenance
like "prunes and publishes" "$(all)" 'prune artifact done, publish sync done'
check "an audit chain is there then" [ -s "$T/shared/here/audit/ezra-1.ndjson" ]

# Damaged
"$UW" cluster stop timmy-1 >"$T/out"
dd if=/dev/urandom of="$T/c/state/timmy-1.db" bs=4096 seek=2 count=8 conv=notrunc 2>"$T/out"
refuse "a damaged database is a failure" 1 "$UW" maintenance
like "and named" "$("$UW" maintenance --json 2>"$T/out" | jq -r '.[] | select(.outcome == "failed") | .about + " " + .text')" '^timmy-1 .*timmy-1\.db: '
refuse "so is a state directory that is not there" 1 sh -c 'printf "houses: {ezra: }\nstate: none\n" >"$2/none.yaml"; "$1" maintenance --config "$2/none.yaml"' - "$UW" "$T"
