#!/bin/sh
# once
# limit: 120
# Values that must appear nowhere: secrets of the configuration, tokens, the agent's environment. Tools are told them and
# say them on, in every way there is.
. "$(dirname "$0")/lib.sh"

own_tool teller exclusive '"secrets":["FROM_FILE","FROM_ENV"],"progress":"@at"' <<'END'
#!/bin/sh
# In live output, whole and in pieces; in the result, as value, as part and as key; in files; in an argument.
echo "the secret is $FROM_FILE" >&2
echo "@at 10 with $FROM_FILE" >&2
printf %s "and ${FROM_ENV%????????}" >&2
sleep 0.8
printf '%s, in pieces\n' "${FROM_ENV#"${FROM_ENV%????????}"}" >&2
echo "$FROM_FILE" >"$TMPDIR/file"
sh -c 'exit 0' "$FROM_FILE"
quoted=$(printf %s "$FROM_ENV" | sed 's/"/\\"/g')
printf '{"whole":"%s","part":["x%sy"],"%s":1,"long":"%s"}\n' "$FROM_FILE" "$quoted" "$quoted" "$(env | tr '\n' ' ' | sed 's/"/\\"/g')"
END
own_tool refuser exclusive '"secrets":["FROM_FILE","FROM_ENV"],"no_effect":[3]' <<'END'
#!/bin/sh
echo "no: $FROM_FILE, $FROM_ENV" >&2
exit 3
END
own_tool babbler read '"secrets":["FROM_FILE"]' <<'END'
#!/bin/sh
echo "$FROM_FILE, this is no JSON"
END
own_tool holder read '"secrets":["FROM_FILE"]' <<'END'
#!/bin/sh
sleep 8
echo '{}'
END
# What one finds who looks around: in the environment of others, and in the agent's files.
own_tool looker read <<'END'
#!/bin/sh
dir=${0%/tools.d/*}
cat /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' | grep -c '[C]ANARY' >"$TMPDIR/seen"
cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -c '[C]ANARY' >>"$TMPDIR/seen"
cat "$dir"/secret "$dir"/houses.yaml "$dir"/pki/*.key "$dir"/state/* 2>/dev/null | wc -c >>"$TMPDIR/seen"
cat /proc/[0-9]*/mem 2>/dev/null | wc -c >>"$TMPDIR/seen"
printf '{"seen":"%s"}\n' "$(tr -s '\n ' ' ' <"$TMPDIR/seen")"
END
cluster_up --houses ezra

# A secret is long enough to be found by a part of it. Given in files, so that no command line holds one.
mark=CANARY$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
"$HELPERS/echo" >"$T/echo" &
on_exit "kill $!"
check "a server that echoes runs" wait_for 5 [ -s "$T/echo" ]
origin=http://127.0.0.1:$(cat "$T/echo")
printf '%s\n' "$mark-file" >"$T/c/secret"
chmod 600 "$T/c/secret"
mkdir "$T/temp"
cat >>"$T/c/houses.yaml" <<END
workers:
  temp_dir: $T/temp
secrets:
  FROM_FILE:
    file: secret
    origin: $origin
  FROM_ENV:
    env: TOLD_ENV
    origin: $origin
END
# shellcheck disable=SC2016 # the file shall have the variable's name
token_of ezra '"${TOLD_TOKEN}"'
printf 'export TOLD_ENV="%s-\\"env" TOLD_TOKEN=%s-token UNTOLD=%s-untold UNI_WIZARD_PASSPHRASE=%s-passphrase\n' "$mark" "$mark" "$mark" \
    "$mark" >"$T/variables"
(
	# shellcheck disable=SC1091
	. "$T/variables"
	restart_all
	exit "$FAILED"
) || not_ok "the cluster starts with secrets"

for id in timmy operator; do
	as_exec $id mosquitto_sub -q 1 -t '#' -F '%t %P %p' >"$T/heard.$id" 2>&1 &
	on_exit "kill $! 2>/dev/null"
done
hears() { "$UW" submit noop --house ezra --wait >"$T/out" 2>&1 && grep -q '"outcome"' "$T/heard.timmy"; }
check "everything is listened to" wait_for 10 hears

# said NAME COMMAND...: what the program prints is kept, to be searched
said() {
	_name=$1
	shift
	"$UW" "$@" >"$T/said.$_name" 2>"$T/said.$_name.err"
}
said teller submit teller --house ezra --wait --json
like "a tool succeeds that says its secrets" "$(jq -r .state "$T/said.teller")" '^succeeded$'
is "its result shows their names instead" "$(jq -c '[.result.whole, .result.part[0], .result["[secret FROM_ENV]"]]' "$T/said.teller")" \
    '["[secret FROM_FILE]","x[secret FROM_ENV]y",1]'
like "so does its live output" "$(cat "$T/heard.timmy")" 'the secret is \[secret FROM_FILE\]'
like "and what it says of its progress" "$(cat "$T/heard.timmy")" '"note":"with \[secret FROM_FILE\]"'
like "also of one that came in pieces" "$(cat "$T/heard.timmy")" '\[secret FROM_ENV\], in pieces'
said refuser submit refuser --house ezra --wait --json
like "the reason of a failure shows names" "$(jq -r .error.message "$T/said.refuser")" 'no: \[secret FROM_FILE\], \[secret FROM_ENV\]'
said babbler submit babbler --house ezra --wait --json
said post submit http_post url="$origin/x" secret=FROM_FILE body=hello --house ezra --wait --json
like "a server gets the secret" "$(jq -r .state "$T/said.post")" '^succeeded$'
like "and what it echoes is masked" "$(jq -c .result "$T/said.post")" 'Authorization: Bearer \[secret FROM_FILE\]'
said elsewhere submit http_get url=http://127.0.0.1:9/ secret=FROM_ENV --house ezra --wait --json
like "a secret does not go elsewhere" "$(jq -r .error.code "$T/said.elsewhere")" '^denied$'
printf '%s-passphrase\n' "$mark" >"$T/pass"
chmod 600 "$T/pass"
check "Timmy's key gets a passphrase" openssl pkcs8 -topk8 -v2 aes-256-cbc -in "$T/c/pki/sovereign.key" -out "$T/locked" \
    -passout "file:$T/pass"
cat "$T/locked" >"$T/c/pki/sovereign.key"
said halt halt --tool nosuch --why "a try" --passphrase-file "$T/pass" --json
is "with which he signs" "$(jq -r '.agents["ezra-1"]' "$T/said.halt")" holds
said approvals approvals --json
said audit audit show "$(jq -r .id "$T/said.teller")"
like "an audit record shows names" "$(cat "$T/said.audit")" teller
said verify audit verify
said show task show "$(jq -r .id "$T/said.teller")"
said logs logs "$(jq -r .id "$T/said.teller")"
like "kept output shows names" "$(cat "$T/said.logs")" '\[secret FROM_ENV\], in pieces'
said list task list --json
said tools tool list --json
said tool tool show teller --json
said houses house list --json
said check config check

# While a tool that has one runs: whoever has not been given it does not have it.
"$UW" submit holder --house ezra >"$T/said.holder" 2>&1
like "an agent has its temporary directories where it was told to" "$(ls "$T/temp")" '^uni-wizard-scratch-ezra-1-'
holds() { [ -n "$(pgrep -f "$T/c/tools.d/holder")" ]; }
check "a tool holds a secret" wait_for 10 holds
printf '%s' "$mark" >"$T/mark"
is "no command line shows one" "$(grep -lsaF -f "$T/mark" /proc/[0-9]*/cmdline)" ''
given="$(cat "$T/c/run/ezra-1.pid") $(pgrep -f "$T/c/tools.d/holder" | tr '\n' ' ')"
for pid in $(pgrep -f "$T/c/tools.d/holder"); do given="$given $(pgrep -P "$pid" | tr '\n' ' ')"; done
environs() {
	# shellcheck disable=SC2013 # such names have no blanks
	for _file in $(grep -lsaF -f "$T/mark" /proc/[0-9]*/environ); do
		_pid=${_file#/proc/} _pid=${_pid%/environ}
		case " $given " in *" $_pid "*) ;; *) echo "$_pid $(tr '\0' ' ' <"/proc/$_pid/cmdline")" ;; esac
	done
}
if [ -r "/proc/$$/environ" ]; then
	is "nobody's environment, but that of the agent and of the tool that was given it" "$(environs)" ''
	agent=$(cat "$T/c/run/ezra-1.pid")
	[ "$(id -u)" -ne 0 ] || check "(and there one is)" grep -qaF -f "$T/mark" "/proc/$agent/environ"
else
	skip "nobody's environment" "no /proc here"
fi

said looker submit looker --house ezra --wait --json
if [ "$("$UW" tool show noop --json 2>/dev/null | jq .sandbox.landlock)" -ge 2 ]; then
	is "a tool that looks around finds none, and none of the agent's files" "$(jq -r .result.seen "$T/said.looker")" '0 0 0 0 '
else
	skip "a tool that looks around finds none" "no Landlock on this host"
fi

# Everything that was said or kept. The file with the secret itself is the one place; the broker's and the agents'
# files are looked at while they run, and once more after they have ended.
kept() {
	grep -rlaF -f "$T/mark" "$T/c" "$T/temp" "$T"/said.* "$T"/heard.* "$T/out" | grep -vx "$T/c/secret"
}
is "no event, log, result, reply or file has one" "$(kept)" ''
check "and there is something to search" [ "$(cat "$T"/said.* "$T"/heard.* "$T"/c/state/* "$T"/c/log/* | wc -c)" -gt 20000 ]
check "the cluster ends" "$UW" cluster down --dir "$T/c"
is "nor does anything have one that was kept at the end" "$(kept)" ''
is "no temporary directory is left" "$(ls -A "$T/temp")" ''
