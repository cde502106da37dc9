#!/bin/sh
# Commands that need no cluster.
. "$(dirname "$0")/lib.sh"

out() { "$UW" "$@" 2>&1; }

# The program
like "the version is printed" "$(out --version)" '^uni-wizard [0-9]+\.[0-9]+\.[0-9]+$'
like "and of what agents say and keep" "$(out --version --json | jq -c '[.version, .protocol, .stores.agent, (.stores | keys)]')" \
    '^\["[0-9.]+",[0-9]+,[0-9]+,\["agent","bridge","hermes","outbox"\]\]$'
check "--help succeeds" "$UW" --help
refuse "no command is wrong usage" 2 "$UW"
refuse "an unknown command is wrong usage" 2 "$UW" nonsense
like "a slip in a command is answered with the nearest" "$(out tool lst)" 'did you mean tool list\?'
like "a slip in an option is answered with the nearest" "$(out tool list --jsn)" 'did you mean --json\?'
like "half a command shows what it could be" "$(out tool)" 'tool show'
refuse "an argument too many is wrong usage" 2 "$UW" config keys x
refuse "an option without its value is wrong usage" 2 "$UW" tool list --config
for c in $("$UW" complete -- '' | cut -f1); do
	check "uni-wizard $c has help" "$UW" "$c" --help
done
if [ -w /dev/full ]; then
	refuse "output that cannot be written is a failure" 1 sh -c '"$1" config keys >/dev/full' - "$UW"
fi

# config
cat >"$T/founding.yaml" <<'END'
# /etc/uni-wizard/houses.yaml
houses:
  timmy:
    endpoint: http://192.168.1.100:8643  # Local Mac
    auth_token: ${TIMMY_TOKEN}
    priority: critical
  allegro:
    endpoint: http://localhost:8643
    role: tempo-and-dispatch
  ezra:
    endpoint: http://143.198.27.163:8643
    role: archivist
  bezalel:
    endpoint: http://67.205.155.108:8643
    role: artificer
END
unset TIMMY_TOKEN
check "the founding file is valid without its token" "$UW" config check "$T/founding.yaml"
like "the missing token is a warning" "$(out config check "$T/founding.yaml")" \
    'founding.yaml:5: houses.timmy.auth_token: environment variable TIMMY_TOKEN is not set'
is "a token is never printed" "$(TIMMY_TOKEN=s3cret "$UW" config check "$T/founding.yaml" --json 2>&1 | grep s3cret)" ""
is "the houses are read in order" \
    "$("$UW" config check --json "$T/founding.yaml" | jq -r '[.houses[].name] | join(" ")')" "timmy allegro ezra bezalel"
is "others stand in for a house, and who they are is shown" \
    "$("$UW" config check --json "$T/founding.yaml" | jq -c '.houses[2] | [.copies, .candidates]')" \
    '["all",["ezra-1","timmy-1","allegro-1"]]'
like "also to people" "$(out config check "$T/founding.yaml")" 'ezra-1; candidates: ezra-1, timmy-1, allegro-1; copies: all'
printf 'houses:\n  ezra: {copies: 1}\n  bezalel:\nbrokers: [a, b]\n' >"$T/two.yaml"
refuse "two brokers want three voters" 1 "$UW" config check "$T/two.yaml"
echo 'witnesses: [third]' >>"$T/two.yaml"
is "of whom one may be a witness" "$("$UW" config check --json "$T/two.yaml" | jq -c '[.witnesses, .houses[0].copies, .warnings]')" \
    '[["third"],"1",[]]'
like "which people see too" "$(out config check "$T/two.yaml")" 'witnesses *third'
is "allegro's agent is the router" "$("$UW" config check --json "$T/founding.yaml" | jq -r '.router[0]')" "allegro-1"

printf 'houses:\n  ezra:\n    agents: 7\n' >"$T/bad.yaml"
refuse "a wrong file is exit code 1" 1 "$UW" config check "$T/bad.yaml"
like "the message names file, line, key, expected and got" "$(out config check "$T/bad.yaml")" \
    'bad.yaml:3: houses.ezra.agents: expected a list of names \(\[a-z0-9-\], at most 32\), got 7$'
is "--json names the key" "$("$UW" config check --json "$T/bad.yaml" | jq -r .error.field)" houses.ezra.agents
like "a missing file is named" "$(out config check "$T/none.yaml")" 'none.yaml: No such file'
refuse "every command refuses a wrong file" 2 "$UW" tool list --config "$T/bad.yaml"
like "the keys are a Markdown table" "$(out config keys)" '^\| `houses\.<name>\.agents` \|'

printf 'hush\n' >"$T/secret"
printf 'houses: {ezra: }\nsecrets: {TOKEN: {file: secret}}\n' >"$T/secret.yaml"
chmod 644 "$T/secret"
like "a secret that others can read is refused" "$(out config check "$T/secret.yaml")" 'others can read it'
chmod 600 "$T/secret"
check "a secret of one's own is taken, relative to the file" "$UW" config check "$T/secret.yaml"

# tool
check "tools are listed without a configuration" "$UW" tool list
is "tools are sorted by name" "$("$UW" tool list --json | jq -r '[.[].name] == ([.[].name] | sort)')" true
is "every tool has an effect" \
    "$("$UW" tool list --json | jq -r 'all(.[]; .effect | IN("read", "idempotent", "exclusive"))')" true
is "parameters are a JSON Schema" "$("$UW" tool show file_read --json | jq -r .parameters.type)" object
like "tool show explains the parameters" "$(out tool show file_read)" 'path +string, required'
like "an unknown tool is answered with the nearest" "$(out tool show file_raed)" 'did you mean file_read\?'

# test
mkdir "$T/files"
printf 'houses: {timmy: , ezra: }\ntools: {roots: [files]}\nstate: state\nrun: run\n' >"$T/test.yaml"
export UNI_WIZARD_CONFIG="$T/test.yaml"
check "test runs a tool without agent or broker" "$UW" test --house ezra --tool file_write path=a.txt content=hello
is "and it has its effect" "$(cat "$T/files/a.txt")" hello
is "the result is JSON" "$("$UW" test --tool file_read path=a.txt --json | jq -r .result.content)" hello
is "the first house is the default" "$("$UW" test --tool noop --json | jq -r .house)" timmy
printf '{"a":[1,true]}' >"$T/payload"
is "key:=@file carries JSON" "$("$UW" test --tool noop payload:=@"$T/payload" --json | jq -c .result.payload)" '{"a":[1,true]}'
refuse "a tool that fails is exit code 1" 1 "$UW" test --tool file_read path=none.txt
refuse "wrong parameters are exit code 3" 3 "$UW" test --tool file_read
refuse "a misspelt parameter is wrong usage" 2 "$UW" test --tool file_read pth=a.txt
refuse "an unknown tool is exit code 3" 3 "$UW" test --tool no_such_tool
refuse "an unknown house is wrong usage" 2 "$UW" test --house nobody --tool noop
refuse "no agent is exit code 5" 5 "$UW" test --where agent --tool noop
is "a tool is stopped at its timeout" "$("$UW" test --tool wait ms=60000 --timeout 1 --json | jq -r .error.code)" timeout
is "parameters of --tool are completed" "$("$UW" complete -- test --tool file_read pat | cut -f1)" path=
unset UNI_WIZARD_CONFIG

# completion
export UNI_WIZARD_CONFIG="$T/founding.yaml"
is "the first word is completed" "$("$UW" complete -- conf | cut -f1)" config
is "the second word is completed" "$("$UW" complete -- config ke | cut -f1)" keys
is "options are completed" "$("$UW" complete -- tool list --js | cut -f1)" --json
is "identities of the configuration are completed" "$("$UW" complete -- tool list --as ezr | cut -f1)" ezra-1
is "the value after = is completed" "$("$UW" complete -- tool list --as=ezr | cut -f1)" --as=ezra-1
is "tools are completed" "$("$UW" complete -- tool show file_rea | cut -f1)" file_read
is "files are left to the shell" "$("$UW" complete -- config check '')" :files
is "hidden commands are not offered" "$("$UW" complete -- compl | cut -f1)" completion
unset UNI_WIZARD_CONFIG

for shell in bash zsh fish; do
	"$UW" completion $shell >"$T/completion.$shell"
	if command -v $shell >/dev/null; then
		check "the script for $shell is valid" $shell -n "$T/completion.$shell"
	fi
done
if command -v bash >/dev/null; then
	cat >"$T/complete.bash" <<'END'
. "$1"
COMP_WORDS=("$2" tool show file_rea) COMP_CWORD=3 COMPREPLY=()
_uni_wizard
echo "${COMPREPLY[@]}"
END
	is "bash completes a tool" "$(bash "$T/complete.bash" "$T/completion.bash" "$UW" 2>&1)" file_read
fi
refuse "another shell is wrong usage" 2 "$UW" completion tcsh

# man
is "there is a manual page for each command, or group of commands" \
    "$("$UW" man --list | sed -n 's/^uni-wizard-\(.*\)\.1$/\1/p' | sort)" "$("$UW" complete -- '' | cut -f1 | sort)"
for page in $("$UW" man --list); do
	SOURCE_DATE_EPOCH=86400 "$UW" man "${page%.*}" >"$T/page" && grep -q '^\.TH [A-Z.-]* [15] 1970-01-02 ' "$T/page" || echo "$page"
done >"$T/wrong"
is "each is printed, with the day of the sources" "$(cat "$T/wrong")" ""
like "with the options of its commands" "$(out man submit)" '^..B.-H.fP, .fB.-.-house.fP .fIH.fP$'
like "that of the configuration has its keys" "$(out man houses.yaml)" '^\.B limits\.outbox_bytes$'
refuse "no page is wrong usage" 2 "$UW" man nonsense
