#!/bin/sh
# once
# limit: 300
# What the sovereign's commands sign and publish, and what they make of what agents say: key, policy, halt, grants,
# approvals. The agents are played, so that each can hold whatever it should; OpenSSL looks at what was signed.
. "$(dirname "$0")/lib.sh"

mkdir "$T/d" && cd "$T/d" || exit 2
export UNI_WIZARD_CONFIG="$T/d/houses.yaml"
mosquitto=$(PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin command -v mosquitto)
user=$(id -un)

write_config() {
	cat >houses.yaml <<YAML
brokers: ["127.0.0.1:$port"]
state: state
run: run
sovereign_keys: [$pinned]
houses:
  ezra: { role: archivist }
  timmy: {}
YAML
}

client() {
	_who=$1 _what=$2
	shift 2
	${run:-} "$_what" -V 5 -h 127.0.0.1 -p "$port" --cafile pki/ca.crt --cert "pki/$_who.crt" --key "pki/$_who.key" "$@"
}

start_broker() {
	port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
	write_config
	"$UW" broker config --dir broker --bind 127.0.0.1 --port "$port" --ws-port 0 --user "$user" >/dev/null || exit 2
	"$mosquitto" -c broker/mosquitto.conf >log 2>&1 &
	broker=$!
	wait_for 5 client operator mosquitto_pub -q 1 -t uw/home/house/ezra/task/operator -m x >/dev/null 2>&1
}

port=1883 pinned='' && write_config
"$UW" pki init >/dev/null && "$UW" pki issue broker --san localhost,127.0.0.1 >/dev/null || exit 2
for id in timmy operator watcher ezra-1 timmy-1; do
	"$UW" pki issue "$id" >/dev/null || exit 2
done

# The key
umask 022
echo 'open sesame' >pass
refuse "a passphrase that others can read is refused" 2 "$UW" key init --passphrase-file pass
chmod 600 pass
echo 'wrong sesame' >wrong && chmod 600 wrong
echo 'short' >short && chmod 600 short
refuse "a short one too" 2 "$UW" key init --passphrase-file short
refuse "without a terminal nobody can be asked for one" 2 setsid "$UW" key init </dev/null
check "a key is made" "$UW" key init --passphrase-file pass
is "only its owner can read it" "$(find pki/sovereign.key -perm 600)" pki/sovereign.key
like "it is locked" "$(cat pki/sovereign.key)" 'BEGIN ENCRYPTED PRIVATE KEY'
refuse "it is never overwritten" 1 "$UW" key init --passphrase-file pass
public=$("$UW" key show --json | jq -r .public)
is "OpenSSL reads the same public key" \
    "ed25519:$(openssl pkey -in pki/sovereign.key -passin file:pass -pubout -outform DER | tail -c 32 | base64)" "$public"
is "it is not pinned yet" "$("$UW" key show --json | jq -c '[.passphrase, .pinned]')" '[true,false]'
refuse "without a pinned key nothing can be signed" 2 "$UW" halt --why x --passphrase-file pass
like "and it is said what to do" "$(cat "$T/.check")" 'key init'

pinned="\"$public\""
start_broker || start_broker || start_broker || { cat log; exit 2; }
on_exit 'kill "$broker" 2>/dev/null; wait "$broker" 2>/dev/null'
is "pinned it is shown so" "$("$UW" key show --json | jq -c '[.passphrase, .pinned]')" '[true,true]'

# payload_of ENVELOPE
payload_of() { printf '%s' "$1" | jq -r .payload | base64 -d; }

# Both agents hold what was published, and say so, unless they are deaf.
echo 0 | tee held.policy held.halt held.grant >deaf
beats() {
	n=1
	while printf '{"agent":"%s","state":"online","boot":"b","seq":%s,"houses":[],"sovereign":{"policy":%s,"halt":%s,"grants":%s}}\n' \
	    "$1" $n "$(cat held.policy)" "$(cat held.halt)" "$(cat held.grant)"; do
		n=$((n + 1))
		sleep 0.2
	done >"beats.$1" 2>/dev/null
}
holder() {
	while read -r line; do
		[ ! -e deaf ] || continue
		payload_of "$line" >held
		jq -r '.n // 0' <held >held.new && mv held.new "held.$(jq -r .kind <held)"
	done
}
# Clients write to pipes and read from them, so that what is at the other end stops with them.
for id in ezra-1 timmy-1; do
	mkfifo beats.$id
	run="exec" client $id mosquitto_pub -q 1 -l -t "uw/home/agent/$id/health/state" <beats.$id &
	on_exit "kill $! 2>/dev/null"
	beats $id &
done
# hears TOPIC FORMAT COMMAND: as ezra-1, what comes is given to the command, a line each
hears() {
	mkfifo "heard.$3"
	run="exec" client ezra-1 mosquitto_sub -q 1 -t "$1" -F "$2" >"heard.$3" &
	on_exit "kill $! 2>/dev/null"
	"$3" <"heard.$3" &
}

uw() {
	_verb=$1
	shift
	# shellcheck disable=SC2086
	"$UW" $_verb "$@" --passphrase-file pass
}
kept() { client timmy mosquitto_sub -C 1 -W 3 -t "uw/home/sovereign/timmy/$1"; }

# Whether the signature over type and payload is the key's, as OpenSSL sees it.
is_signed() {
	payload_of "$1" >payload
	type=$(printf '%s' "$1" | jq -r .payloadType)
	printf 'DSSEv1 %s %s %s ' "${#type}" "$type" "$(wc -c <payload | tr -d ' ')" | cat - payload >encoded
	printf '%s' "$1" | jq -r '.signatures[0].sig' | base64 -d >sig
	openssl pkey -in pki/sovereign.key -passin file:pass -pubout -out pub.pem
	openssl pkeyutl -verify -pubin -inkey pub.pem -rawin -in encoded -sigfile sig
}

# Policy
cat >policy.yaml <<'YAML'
# what needs approval
houses:
  ezra: { profile: archivist }
  timmy: { profile: judge }
production:
  - path:/srv/www
rules:
  - { tool: "git_*", effect: exclusive, then: approve, why: pushes are seen by all }
approval_s: 3600
YAML
check "a policy is checked" "$UW" policy check policy.yaml
like "all of it is new" "$("$UW" policy check policy.yaml)" '^\+ +- "path:/srv/www"$'
refuse "without a terminal nobody can be asked" 1 setsid "$UW" policy sign policy.yaml --passphrase-file pass </dev/null
refuse "a wrong passphrase is refused" 1 "$UW" policy sign policy.yaml --yes --passphrase-file wrong
like "and plainly so" "$(cat "$T/.check")" 'wrong passphrase'
refuse "an agent that is there and does not take it is exit code 5" 5 uw "policy sign" policy.yaml --yes --within 1
like "it is named" "$(cat "$T/.check")" 'not yet taken by: timmy-1, ezra-1|not yet taken by: ezra-1, timmy-1'
envelope=$(kept policy/current)
check "the signature is good for OpenSSL" is_signed "$envelope"
is "the payload is canonical" "$(payload_of "$envelope")" "$(payload_of "$envelope" | jq -cjS .)"
is "it says what the file says" "$(payload_of "$envelope" | jq -c '[.kind, .cluster, .n, .rules[0].then, .production[0]]')" \
    '["policy","home",1,"approve","path:/srv/www"]'

rm deaf
hears 'uw/home/sovereign/timmy/+/+' '%p' holder
held() { [ "$(cat "held.$1")" = "$2" ]; }
check "the agents hold it" wait_for 5 held policy 1
is "no difference is said so" "$("$UW" policy check policy.yaml)" 'the same as policy 1, which is in force'
sed 's/3600/7200/; s/archivist/none/' policy.yaml >policy2.yaml
is "a difference is shown by its lines" "$("$UW" policy check policy2.yaml | tail -n +2)" \
    '  houses:
-   ezra: {"profile":"archivist"}
+   ezra: {"profile":"none"}
- approval_s: 3600
+ approval_s: 7200'
echo 2 >held.policy
is "the agents may hold one that the broker lost: the next one has the next number" \
    "$(uw "policy sign" policy2.yaml --yes --json | jq -c '[.n, .agents["ezra-1"]]')" '[3,"holds"]'
"$UW" policy show >shown.yaml
check "what policy show prints can be signed" "$UW" policy check shown.yaml
is "and is the same" "$("$UW" policy check shown.yaml)" 'the same as policy 3, which is in force'
i=0
while read -r line; do
	i=$((i + 1))
	printf '%s\n' "$line" >bad.yaml
	refuse "policy $i that is wrong is refused" 2 "$UW" policy check bad.yaml
done <<'YAML'
rules: [{ then: maybe }]
rules: [{ then: deny, sendr: x }]
production: [/srv/www]
houses: { ezra: { profile: archive } }
n: 5
approval_s: "3600"
rules: [{ then: deny, production: yes }]
[]
{"rules":[],"rules":[]}
YAML
refuse "nobody but the sovereign may publish" 3 uw "policy sign" policy.yaml --yes --as operator

# Halt
check "a halt is held by all that are there" uw halt --why "a fire"
is "it is signed and kept" "$(payload_of "$(kept halt/current)" | jq -c '[.n, .halts, .why]')" '[1,[{"scope":"cluster"}],"a fire"]'
check "another stands beside it" uw halt --house ezra --why "ezra too"
check "one of them is lifted" uw resume
is "the other stands" "$(payload_of "$(kept halt/current)" | jq -c '[.halts, .why]')" '[[{"name":"ezra","scope":"house"}],"ezra too"]'
refuse "what is not halted cannot be resumed" 1 uw resume --tool git_push
like "a tool that nobody knows is said so" "$(uw halt --tool git_psuh --why x 2>&1)" 'no tool that is known here is called git_psuh'
check "and lifted again" uw resume --tool git_psuh
refuse "no house of that name" 2 uw halt --house nobody --why x
refuse "a halt has a reason" 2 uw halt
check "all are lifted" uw resume --all
is "then nothing is" "$(payload_of "$(kept halt/current)" | jq -c .halts)" '[]'

# Grants
check "a grant is given" uw "grant add" nightly 'repo_path=/srv/site/*' 'depth:=3' --house ezra --tool 'git_*' --count 5 --for 12h --sender operator
is "it is signed and kept" "$(payload_of "$(kept grant/nightly)" | jq -c '[.house, .tool, .params, .count, .senders, .expires - .not_before]')" \
    '["ezra","git_*",{"depth":3,"repo_path":"/srv/site/*"},5,["operator"],43200000]'
check "and another" uw "grant add" weekly --house ezra --tool noop
is "the newest lists both" "$(payload_of "$(kept grant/weekly)" | jq -r '[.live[].id] | sort | join(" ")')" 'nightly weekly'
is "so does grant list" "$("$UW" grant list --json | jq -r '[.[].grant.id] | sort | join(" ")')" 'nightly weekly'
check "one is revoked" uw "grant revoke" nightly
is "the newest lists the other only" "$(payload_of "$(kept grant/nightly)" | jq -c '[.revoked, [.live[].id]]')" '[true,["weekly"]]'
is "it is not listed any more" "$("$UW" grant list --json | jq -r '[.[].grant.id] | join(" ")')" weekly
is "but with --all" "$("$UW" grant list --all --json | jq -r '[.[] | .grant.id + " " + .state] | sort | join(", ")')" \
    'nightly revoked, weekly in force'
refuse "a grant that is not there" 1 uw "grant revoke" nothing
refuse "a grant names a house and a tool" 2 uw "grant add" x --tool noop

# Approvals. The request is an agent's; its hash is made with other programs.
request() {
	subject=$(jq -cn --arg id "$1" --arg sender "$2" '{cluster: "home", house: "ezra", task: $id, tool: "file_write",
	    tool_digest: "00", params: {path: "/srv/www/a", content: "x\u001b[2J\u202e"}, effect: "idempotent", mode: "simple", sender: $sender,
	    touches: [{kind: "path", name: "/srv/www/a", access: "write", sha256: null}]}')
	hash=$(printf '%s' "$subject" | jq -cjS . | openssl dgst -sha256 -r | cut -d' ' -f1)
	jq -cn --argjson s "$subject" --arg id "$1" --arg hash "${3:-$hash}" '{task: $id, hash: $hash, subject: $s, by: "ezra-1",
	    time: "2026-01-01T00:00:00Z", expires: (now + 3600 | floor * 1000), why: "changes production: path:/srv/www",
	    target: "/srv/www/a", dry_run: "+ one\n\u001b]0;x\u0007- two\n", predicted: {success: 0.95, of: 20}}'
}
ask() { request "$@" | client ezra-1 mosquitto_pub -q 1 -r -s -t "uw/home/approval/ezra/request/$1"; }
one=01KAW6Y0000000000000000000 two=01KAW6Y0000000000000000001 own=01KAW6Y0000000000000000002 forged=01KAW6Y0000000000000000003
ask $one operator && ask $two operator && ask $own timmy && ask $forged operator 1111111111111111111111111111111111111111111111111111111111111111
is "what waits is listed" "$("$UW" approvals --json | jq -c '[.[] | .valid]')" '[true,true,true,false]'
like "also for people" "$("$UW" approvals)" "$one +ezra +file_write +operator +/srv/www/a +changes production: path:/srv/www"
"$UW" approvals $one >shown
like "one is shown in full" "$(tr '\n' ' ' <shown)" 'asked by +operator.*mode simple.*95 of 100 like it succeed, by 20 that were seen.*write path /srv/www/a +\(not there yet\).*\+ one'
is "nothing in it drives the terminal" "$(tr -d '\n\t[:print:]' <shown | wc -c | tr -d ' ')" 0
refuse "one that was changed cannot be approved" 3 uw approve $forged
like "and it is said why" "$(cat "$T/.check")" 'somebody changed it'
refuse "nor what the sovereign submitted himself" 3 uw approve $own
refuse "nor what is not there" 1 uw approve 01KAW6Y0000000000000000009
refuse "nor one that is not the one that was looked at" 3 uw approve $one --hash 0123

# Its owner takes a decision when it comes: here, whoever clears the request.
taker() {
	while read -r topic; do
		client ezra-1 mosquitto_pub -q 1 -r -n -t "uw/home/approval/ezra/request/${topic##*/}"
	done
}
refuse "that nobody takes it is exit code 5" 5 uw approve $two --within 1
is "it is kept for who comes" "$(payload_of "$(kept decision/$two)" | jq -c '[.decision, .task]')" '["approve","'$two'"]'
hears 'uw/home/sovereign/timmy/decision/+' '%t' taker
taken() { uw approve $one --for 10m --note "go on" --json >approved; }
check "an approval is taken" wait_for 5 taken
is "and says so" "$(jq -c '[.task, .decision, .taken]' <approved)" '["'$one'","approve",true]'
envelope=$(kept decision/$one)
check "its signature is good for OpenSSL" is_signed "$envelope"
request $one operator >request
is "it binds to the hash of what was shown" "$(payload_of "$envelope" | jq -c '[.hash, .expires - .time > 590000, .expires - .time <= 600000, .note]')" \
    "[\"$(jq -r .hash <request)\",true,true,\"go on\"]"
refuse "a denial has a reason" 2 uw deny $own
check "the sovereign may deny his own" uw deny $own --why "no need"
is "with its reason" "$(payload_of "$(kept decision/$own)" | jq -c '[.decision, .note]')" '["deny","no need"]'

# At a terminal: types WORDS as soon as the prompt is seen. Only where script(1) is util-linux's.
on_terminal() {
	rm -f typed seen && mkfifo typed
	script -qefc "$1" /dev/null <typed >seen 2>&1 &
	exec 9>typed
}
types() {
	prompts=$((prompts + 1))
	wait_for 10 prompted "$1" && printf '%s\n' "$2" >&9
}
prompted() { [ "$(grep -o "$1" seen | wc -l)" -ge "$prompts" ]; }
ends() {
	exec 9>&-
	wait_for 10 not kill -0 $! 2>/dev/null
}
if script -qefc true /dev/null </dev/null >/dev/null 2>&1; then
	three=01KAW6Y0000000000000000004 four=01KAW6Y0000000000000000005
	ask $three operator && ask $four operator
	prompts=0
	client ezra-1 mosquitto_pub -q 1 -r -n -t "uw/home/approval/ezra/request/$forged"
	client ezra-1 mosquitto_pub -q 1 -r -n -t "uw/home/approval/ezra/request/$two"
	on_terminal "'$UW' approvals -i --passphrase-file pass"
	types 'uit. .s.' d && prompts=0 && types 'Why. ' 'too late' && prompts=1 && types 'uit. .s.' a && ends
	is "each is shown and asked for: one denied" "$(payload_of "$(kept decision/$three)" | jq -c '[.decision, .note]')" \
	    '["deny","too late"]'
	is "one approved" "$(payload_of "$(kept decision/$four)" | jq -r .decision)" approve
	prompts=0
	on_terminal "'$UW' halt --why 'by hand'"
	types 'Passphrase' 'open sesame' && ends
	like "the passphrase is asked for" "$(cat seen)" 'cluster is halted'
	is "and not shown" "$(grep -c sesame seen)" 0
	check "nothing is halted any more" uw resume
fi

# Rotation
check "the next key is made" uw "key rotate"
refuse "it is not used before it is pinned" 1 uw "key rotate"
next=$(cat pki/sovereign.key.next.pub)
pinned="\"$public\", \"$next\"" && write_config
check "then everything is signed anew" uw "key rotate"
is "with the new key" "$("$UW" key show --json | jq -r .public)" "$next"
pinned="\"$next\"" && write_config
is "which is enough for what is in force" "$("$UW" policy check shown.yaml)" 'the same as policy 4, which is in force'
is "also for the grants" "$("$UW" grant list --json | jq -r '[.[].grant.id] | join(" ")')" weekly
