#!/bin/sh
# once
# Ways around the access list, which acl_matrix.sh tries as such: a last will, another's user name, another's session, a
# right that has been taken away.
. "$(dirname "$0")/lib.sh"

IDS="timmy operator watcher ezra-1 ezra-2 bezalel-1 third"

mkdir "$T/d" && cd "$T/d" || exit 2
cat >houses.yaml <<'YAML'
houses:
  ezra:
    agents: [ezra-1, ezra-2]
    candidates: [ezra-1, bezalel-1]
  bezalel:
router: [bezalel-1]
witnesses: [third]
YAML
export UNI_WIZARD_CONFIG="$T/d/houses.yaml"

"$UW" pki init >/dev/null && "$UW" pki issue broker --san localhost,127.0.0.1 >/dev/null || exit 2
for id in $IDS; do
	"$UW" pki issue "$id" >/dev/null || exit 2
done

mosquitto=$(PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin command -v mosquitto)
user=$(id -un)

write_config() { "$UW" broker config --dir broker --bind 127.0.0.1 --port "$port" --ws-port 0 --user "$user" >/dev/null; }

start_broker() {
	port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
	write_config || exit 2
	"$mosquitto" -c broker/mosquitto.conf >log 2>&1 &
	broker=$!
	wait_for 5 client operator mosquitto_pub -q 1 -t uw/home/house/ezra/task/operator -m x >/dev/null 2>&1
}

# run=exec: to be run in the background and killed.
client() {
	_who=$1 _what=$2
	shift 2
	${run:-} "$_what" -V 5 -h 127.0.0.1 -p "$port" --cafile pki/ca.crt --cert "pki/$_who.crt" --key "pki/$_who.key" "$@"
}

# A port may be taken by somebody else.
start_broker || start_broker || start_broker || { cat log; exit 2; }
on_exit 'kill "$broker" 2>/dev/null; wait "$broker" 2>/dev/null'

# A last will is a publish.
run="exec" client timmy mosquitto_sub -q 1 -t 'uw/home/agent/+/health/+' -F '%t' >wills 2>/dev/null &
subscribers=$!
on_exit 'kill $subscribers 2>/dev/null'
listens() {
	client ezra-1 mosquitto_pub -q 1 -t uw/home/agent/ezra-1/health/mark -m x
	grep -q '/mark$' wills
}
check "somebody listens to wills" wait_for 5 listens
for id in ezra-1 operator; do
	run="exec" client $id mosquitto_sub -t x --will-topic "uw/home/agent/ezra-1/health/will" --will-payload "$id" -i "will-$id" >/dev/null 2>&1 &
	pid=$!
	wait_for 5 grep -q "New client connected.*as will-$id " log
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
done
gone() { grep -q "Client will-operator .*closed" log && grep -q "Client will-ezra-1 .*closed" log && grep -q '/will$' wills; }
check "an agent's will is delivered" wait_for 5 gone
is "a will on another's topic is not" "$(grep -c '/will$' wills)" 1

# The name is the certificate's, whatever the client says.
for id in operator watcher ezra-1 ezra-2 bezalel-1 third; do
	client $id mosquitto_pub -d -u timmy -P x -q 1 -t uw/home/sovereign/timmy/halt/current -m x
done >as-timmy 2>&1
is "a user name that the client gives counts for nothing" "$(grep -c RC:135 as-timmy)" 6
is "the sovereign is connected once, as himself" "$(grep -c "New client connected.*u'timmy'" log)" 1

# Nor is whoever takes over another's session whom it was for.
replies() { client "$1" mosquitto_sub -i "$2" -x 60 -q 1 -t 'uw/home/client/operator/reply/+' -W 2 "$3"; }
for session in own known; do
	replies operator $session -E >waiting 2>&1
done
client ezra-1 mosquitto_pub -q 1 -t uw/home/client/operator/reply/x -m secret
replies operator own -c >kept 2>&1
replies watcher known -c >stolen 2>&1
is "a reply waits in a session" "$(grep -c secret kept)" 1
is "whoever takes over a session does not get what waited there" "$(grep -c secret stolen)" 0
check "though it was that session" grep -q "as known .*u'watcher'" log

"$UW" pki init --dir other >/dev/null || exit 2
if mosquitto_pub -h 127.0.0.1 -p "$port" --cafile other/ca.crt --cert pki/timmy.crt --key pki/timmy.key -t x -m x >out 2>&1; then
	not_ok "a broker of another authority is not trusted"
else
	like "a broker of another authority is not trusted" "$(cat out)" 'certificate verify failed|TLS error'
fi

# An identity that is struck from houses.yaml may do nothing from the next SIGHUP on, even while connected.
run="exec" client ezra-2 mosquitto_sub -q 1 -t 'uw/home/house/+/event/+' >struck 2>&1 &
subscribers="$subscribers $!"
reads_event() { client ezra-1 mosquitto_pub -q 1 -t uw/home/house/ezra/event/ezra-1 -m before; [ -s struck ]; }
check "an agent reads" wait_for 5 reads_event
sed 's/, ezra-2//' houses.yaml >fewer.yaml && mv fewer.yaml houses.yaml
write_config
kill -HUP "$broker"
is_struck() { client ezra-2 mosquitto_pub -d -q 1 -t uw/home/house/ezra/task/ezra-2 -m x 2>&1 | grep -q RC:135; }
check "an agent that was struck from the configuration may not publish" wait_for 5 is_struck
run="exec" client watcher mosquitto_sub -q 1 -t 'uw/home/house/+/event/+' >control 2>&1 &
subscribers="$subscribers $!"
others_read() { client ezra-1 mosquitto_pub -q 1 -t uw/home/house/ezra/event/ezra-1 -m after; grep -q after control; }
check "what others then read" wait_for 5 others_read
is "does not reach it" "$(grep -c after struck)" 0
