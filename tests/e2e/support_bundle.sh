#!/bin/sh
# A support bundle: a tar with what a helper needs to see, and no secret, key, parameter or result in it.
. "$(dirname "$0")/lib.sh"

TOKEN='tok-9f8e7d6c5b' FROM_FILE='file "secret" \ 4711' FROM_ENV='env-secret-55'
export A_TOKEN="$TOKEN" AN_ENV="$FROM_ENV"
"$UW" cluster up --dir "$T/c" >"$T/.up" 2>&1 || not_ok "a cluster comes up" "$(cat "$T/.up")"
on_exit cluster_down
printf '%s\n' "$FROM_FILE" >"$T/c/secret" && chmod 600 "$T/c/secret"
# shellcheck disable=SC2016
token_of timmy '${A_TOKEN}'
cat >>"$T/c/houses.yaml" <<'END'
secrets:
  FROM_FILE: {file: secret}
  FROM_ENV: {env: AN_ENV}
END
restart_all
no_checks

check "a task with something private" "$UW" submit file_write path=note.txt content=my-private-words --house bezalel --wait
for secret in "$TOKEN" "$FROM_FILE" "$FROM_ENV"; do
	echo "2026-01-01T00:00:00.000Z info: a careless line with $secret in it" >>"$T/c/log/ezra-1.log"
done
printf '2026-01-01T00:00:00.000Z info: %s\n' "$(jq -cn --arg s "$FROM_FILE" '{token: $s}')" >>"$T/c/log/ezra-1.log"
cat "$T/c/pki/ezra-1.key" >>"$T/c/log/ezra-1.log"
echo "2026-01-01T00:00:00.000Z info: and a last one" >>"$T/c/log/ezra-1.log"

check "a bundle is made" "$UW" support-bundle --out "$T/b.tar"
is "only its owner may read it" "$(find "$T/b.tar" -perm 600)" "$T/b.tar"
refuse "it is not written over" 2 "$UW" support-bundle --out "$T/b.tar"
mkdir "$T/x"
check "tar reads it" tar -xf "$T/b.tar" -C "$T/x"
D=$(echo "$T"/x/uni-wizard-support-*)
is "what is in it" "$(cd "$D" && echo *)" \
    "ABOUT.txt certificates.json config.json doctor.json health-allegro-1.json health-bezalel-1.json health-ezra-1.json \
health-timmy-1.json houses.json log-allegro-1.log log-bezalel-1.log log-broker.log log-ezra-1.log log-timmy-1.log mosquitto.txt \
store-allegro-1.txt store-bezalel-1.txt store-ezra-1.txt store-timmy-1.txt tools.json versions.txt"

is "the doctor's findings" "$(jq -r '[.results[].check] | length > 20' "$D/doctor.json")" true
is "the configuration, with that there is a token" "$(jq -r '.houses[0].auth_token' "$D/config.json")" true
is "an agent's health" "$(jq -r .agent "$D/health-ezra-1.json")" ezra-1
like "the layout of a database" "$(cat "$D/store-bezalel-1.txt")" 'CREATE TABLE tasks'
like "and how many rows it has" "$(cat "$D/store-bezalel-1.txt")" '^tasks [1-9]'
like "versions" "$(cat "$D/versions.txt")" '^uni-wizard [0-9]'
like "the last lines of a log" "$(tail -n 1 "$D/log-ezra-1.log")" 'and a last one$'

holds() { grep -rqF -e "$1" "$D"; }
check "no token is in it" not holds "$TOKEN"
check "no secret of a file" not holds "$FROM_FILE"
check "nor as JSON has it" not holds 'file \"secret\" \\ 4711'
check "no secret of the environment" not holds "$FROM_ENV"
check "no parameter or result of a task" not holds my-private-words
for key in "$T"/c/pki/*.key "$T"/c/state/*.key; do
	for line in $(grep -v -e ----- "$key"); do
		not holds "$line" || not_ok "no line of $key is in it" "$line"
	done
done
ok "no line of any key is in it"
is "what was taken out of a log is marked" "$(grep -c 'careless line with \[redacted\] in it' "$D/log-ezra-1.log")" 3

mkdir "$T/one"
check "with fewer lines" "$UW" support-bundle -n 1 --out "$T/one.tar"
tar -xf "$T/one.tar" -C "$T/one"
is "if told" "$(cat "$T"/one/*/log-ezra-1.log | wc -l | tr -d ' ')" 1
printf 'not: [valid\n' >"$T/bad.yaml"
check "without a configuration it is made all the same" "$UW" support-bundle --config "$T/bad.yaml" --out "$T/bad.tar"
like "with what is wrong with it" "$(tar -xOf "$T/bad.tar")" 'config.invalid'
refuse "where nothing can be written it fails" 1 "$UW" support-bundle --out "$T/nowhere/b.tar"
