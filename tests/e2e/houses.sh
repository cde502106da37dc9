#!/bin/sh
# What `house list` and `house move` make of what agents say. The agents are played here, so that each can be in any
# state: their heartbeats come from files, their answers too. Only the witness is a real one.
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
houses:
  ezra:
    agents: [ezra-1, ezra-2]
    candidates: [ezra-1, bezalel-1, ezra-2]
    copies: 1
  bezalel:
    candidates: [bezalel-1]
router: [bezalel-1, ezra-1]
witnesses: [third]
YAML
	"$UW" broker config --dir broker --bind 127.0.0.1 --port "$port" --ws-port 0 --user "$user" >/dev/null
}

client() {
	_who=$1 _what=$2
	shift 2
	${run:-} "$_what" -V 5 -h 127.0.0.1 -p "$port" --cafile pki/ca.crt --cert "pki/$_who.crt" --key "pki/$_who.key" "$@"
}

start_broker() {
	port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
	write_config || exit 2
	"$mosquitto" -c broker/mosquitto.conf >log 2>&1 &
	broker=$!
	wait_for 5 client operator mosquitto_pub -q 1 -t uw/home/house/ezra/task/operator -m x >/dev/null 2>&1
}

port=1883 && write_config
"$UW" pki init >/dev/null && "$UW" pki issue broker --san localhost,127.0.0.1 >/dev/null || exit 2
for id in timmy operator watcher ezra-1 ezra-2 bezalel-1 third; do
	"$UW" pki issue "$id" >/dev/null || exit 2
done
# A port may be taken by somebody else.
start_broker || start_broker || start_broker || { cat log; exit 2; }
on_exit 'kill "$broker" 2>/dev/null; wait "$broker" 2>/dev/null'

# Each agent says what its file says, until there is none: says AGENT STATE HOUSES
says() {
	printf '{"agent":"%s","state":"%s","boot":"b","seq":SEQ,"up_s":9,"houses":[%s]}\n' "$1" "$2" "$3" >"beat.$1.new"
	mv "beat.$1.new" "beat.$1"
}

beats() {
	n=0
	while sed "s/SEQ/$n/" "beat.$1" 2>/dev/null; do
		n=$((n + 1))
		sleep 0.2
	done | client "$1" mosquitto_pub -q 1 -l -t "uw/home/agent/$1/health/state"
}

for id in ezra-1 ezra-2 bezalel-1; do
	says $id online ''
	beats $id &
done
on_exit 'rm -f beat.*'

house() { "$UW" house list --json | jq -c ".[] | select(.house == \"$1\") | $2"; }

refuse "houses without an owner are exit code 1" 1 "$UW" house list
like "and plainly so" "$("$UW" house list)" 'ezra +worker +- +no owner +- +- +- +- +- +ezra-1 \(not following\), bezalel-1'
is "also as JSON" "$(house ezra '[.owner, .state, .term, .head, .lag, .queued]')" '[null,"no owner",null,null,null,null]'

# As an agent tells that knows of no roles: what it names is its own.
says ezra-1 online '{"house":"ezra","queued":3,"running":1,"open":4,"succeeded":7,"failed":1,"dead":1}'
is "a house without role is its owner's" "$(house ezra '[.owner, .state, .queued, .running, .succeeded, .failed]')" \
    '["ezra-1","online",3,1,7,2]'

since=$(date -u -d '-3 hours' +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v-3H +%Y-%m-%dT%H:%M:%SZ)
owner='{"house":"ezra","role":"owner","term":"8.ezra-1","since":"'$since'","head":120,"told":118,"live":true,"in_step":["bezalel-1"],"queued":3,"running":1}'
router='{"house":"_","role":"owner","term":"2.ezra-1","head":5,"told":5,"live":true,"in_step":[],"queued":0,"running":0}'
says ezra-1 online "$owner,$router"
follower='{"house":"ezra","role":"follower","term":"8.ezra-1","have":119,"live":true}'
says bezalel-1 online "$follower"',{"house":"bezalel","role":"owner","term":"1.bezalel-1","head":0,"told":0,"in_step":[]}'
says ezra-2 online '{"house":"ezra","role":"follower","term":"8.ezra-1","head":20,"live":false}'
check "every house with an owner is exit code 0" "$UW" house list
like "the table has owner, term, age, candidates and the worst lag" "$("$UW" house list)" \
    'ezra +worker +ezra-1 +online +8 +3h +3 +1 +100 +ezra-1 \(owner\), bezalel-1 \(in step\), ezra-2 \(behind\)'
is "JSON has them all" "$(house ezra '[.owner, .term, .since, .head, .told, .lag, .copies]')" \
    '["ezra-1","8.ezra-1","'"$since"'",120,118,100,"1"]'
is "and each candidate" "$(house ezra '.candidates')" \
    '[{"agent":"ezra-1","state":"owner","lag":null},{"agent":"bezalel-1","state":"in step","lag":1},{"agent":"ezra-2","state":"behind","lag":100}]'
is "the router's house is owned too" "$(house _ '[.owner, .role, .candidates[0].state]')" '["ezra-1","router","not following"]'

# Who comes back says for a moment that it owns still.
says ezra-2 online '{"house":"ezra","role":"owner","term":"7.ezra-2","head":500,"told":500,"in_step":["ezra-1"]}'
is "of two owners the higher term counts" "$(house ezra '[.owner, .term]')" '["ezra-1","8.ezra-1"]'
says ezra-2 online '{"house":"ezra","role":"owner","term":"10.ezra-2","head":500,"told":500,"in_step":["ezra-1"]}'
is "by its number" "$(house ezra '[.owner, .term]')" '["ezra-2","10.ezra-2"]'
says ezra-2 offline '{"house":"ezra","role":"owner","term":"99.ezra-2"}'
is "who is offline owns nothing" "$(house ezra '[.owner, .candidates[2].state]')" '["ezra-1","away"]'

# Only what the broker kept: nobody has heard it since.
says ezra-2 online ''
client ezra-1 mosquitto_pub -q 1 -r -t uw/home/agent/ezra-1/health/state -m \
    '{"agent":"ezra-1","state":"online","boot":"b","seq":5,"houses":['"$owner,$router"']}'
rm beat.ezra-1
silent() { [ "$(house ezra .state)" = '"silent"' ]; }
check "an owner that says no more is silent" wait_for 10 silent
refuse "which is exit code 1" 1 "$UW" house list
client ezra-1 mosquitto_pub -q 1 -r -t uw/home/agent/ezra-1/health/state -m '{"agent":"ezra-1","state":"offline"}'
is "when its will comes, nobody owns the house" "$(house ezra '[.owner, .state, .candidates[1].state]')" \
    '[null,"no owner","waiting"]'
refuse "a watcher may look, too" 1 "$UW" house list --as watcher

# house move, over the broker: somebody answers as the owner would.
run="exec" client ezra-1 mosquitto_sub -q 1 -t 'uw/home/house/+/query/+' -F '%R %t %p' >asked 2>&1 &
on_exit "kill $! 2>/dev/null"
asks() { client operator mosquitto_pub -q 1 -t uw/home/house/ezra/query/operator -m mark; grep -q mark asked; }
check "the owner hears queries" wait_for 5 asks

# answer JSON: to the next question.
answer() {
	_before=$(grep -c '"move"' asked)
	{
		_end=$(($(date +%s) + 10 * SLOW))
		until [ "$(grep -c '"move"' asked)" -gt "$_before" ]; do
			[ "$(date +%s)" -lt "$_end" ] || exit
			sleep 0.05
		done
		grep '"move"' asked | tail -n 1 | {
			read -r reply topic what
			echo "$topic $what" >question
			client ezra-1 mosquitto_pub -q 1 -t "$reply" -m "$1"
		}
	} &
}

moved='{"type":"moved","house":"ezra","term":"9.bezalel-1","owner":"bezalel-1"}'
answer "$moved"
is "house move says where the house went" "$("$UW" house move ezra --to bezalel-1 2>told)" "ezra moved to bezalel-1, term 9"
is "it asked the owner to move the house" "$(cat question)" 'uw/home/house/ezra/query/operator {"move":{"to":"bezalel-1"}}'
is "and told that it waits" "$(cat told)" "asked its owner to hand ezra over to bezalel-1"
answer "$moved"
is "--json prints the answer" "$("$UW" house move ezra --to bezalel-1 --json 2>told)" "$moved"
is "and nothing besides" "$(cat told)" ""
answer '{"type":"error","error":{"code":"state","message":"ezra-2 is not in step"}}'
refuse "who is not in step does not get it" 1 "$UW" house move ezra --to ezra-2
like "with the owner's reason" "$(cat "$T/.check")" 'ezra was not moved: state: ezra-2 is not in step'
answer '{"type":"error","error":{"code":"denied","message":"no"}}'
refuse "denied is exit code 3" 3 "$UW" house move ezra --to ezra-2
answer '{"type":"moved","house":"ezra","term":"9.ezra-2","owner":"ezra-2"}'
refuse "another owner than the one wanted is a failure" 1 "$UW" house move ezra --to bezalel-1
refuse "nobody answers: exit code 5" 5 "$UW" house move ezra --to bezalel-1 --within 1
like "and says so" "$(cat "$T/.check")" 'no answer from the owner of the house'

refuse "an agent may not ask for it over the broker" 3 "$UW" house move ezra --to bezalel-1 --as ezra-2
like "and is told who may" "$(cat "$T/.check")" 'denied: ezra-2 may not move houses, operators and timmy may'
refuse "an unknown house is a mistake" 2 "$UW" house move erza --to ezra-1
like "which is named" "$(cat "$T/.check")" 'HOUSE: expected a house of .*houses.yaml, or _ .*, got "erza"'
refuse "so is who is no candidate" 2 "$UW" house move ezra --to bezalel-2
like "with those who are" "$(cat "$T/.check")" 'ezra-1, bezalel-1, ezra-2\), got "bezalel-2"; did you mean bezalel-1\?'
refuse "and nobody" 2 "$UW" house move ezra
is "the shell offers the house's candidates" "$("$UW" complete -- house move bezalel --to '' | cut -f1 | tr '\n' ' ')" "bezalel-1 "
is "and houses before" "$("$UW" complete -- house move e | cut -f1)" ezra

# A witness.
"$UW" agent --agent third >witness.log 2>&1 &
witness=$!
on_exit 'kill $witness 2>/dev/null; wait $witness 2>/dev/null'
votes() { client watcher mosquitto_sub -C 1 -W 2 -t uw/home/agent/third/health/state 2>/dev/null | jq -e '.state == "online"'; }
check "a witness runs and is heard" wait_for 10 votes
is "and owns nothing" "$(client watcher mosquitto_sub -C 1 -W 5 -t uw/home/agent/third/health/state | jq -c '[.houses[] | select(.role != "follower")]')" '[]'
kill $witness
check "it ends when told to" wait $witness
is "nothing that it said was refused by the broker" "$(grep -c refused witness.log)" 0
refuse "who is in no list is no agent" 1 "$UW" agent --agent nobody
like "and is told where to be added" "$(cat "$T/.check")" 'no house has an agent nobody; add it to houses.<house>.agents, to router or to witnesses'
