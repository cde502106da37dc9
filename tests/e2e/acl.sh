#!/bin/sh
# What the broker lets whom do: every identity tries to publish on every kind of topic, under its own name and
# others', while everybody reads whatever the broker lets them. The rules stand here once more, as
# docs/protocol.md has them, and not as the program has them.
. "$(dirname "$0")/lib.sh"

IDS="timmy operator watcher ezra-1 ezra-2 bezalel-1 third stranger"

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

# Topics to try as $1.
topics() {
	for kind in task cancel query event log claim; do
		for id in "$1" timmy watcher ezra-2 bezalel-1; do
			echo "uw/home/house/ezra/$kind/$id"
		done
		echo "uw/home/house/_/$kind/$1"
		echo "uw/home/house/bezalel/$kind/$1"
	done | sort -u
	for name in "$1" operator ezra-2; do
		for kind in health echo telemetry alert sovereign; do
			echo "uw/home/agent/$name/$kind/x"
		done
		for house in ezra bezalel _ x; do
			echo "uw/home/agent/$name/have/$house"
		done
	done | sort -u
	for id in "$1" ezra-1 operator; do
		echo "uw/home/agent/ezra-2/work/$id"
	done | sort -u
	for kind in decision policy halt grant; do
		for name in "$1" timmy; do
			echo "uw/home/sovereign/$name/$kind/x"
		done
	done | sort -u
	for house in ezra bezalel _; do
		echo "uw/home/approval/$house/request/x"
	done
	for name in operator watcher ezra-1; do
		echo "uw/home/client/$name/reply/x"
	done
	# What is no topic of ours
	echo "uw/home/house/ezra/task"
	echo "uw/home/house/ezra/task/$1/more"
	echo "uw/home/house/ezra/other/$1"
	echo "uw/away/house/ezra/task/$1"
	echo "home/$1"
}

publish_all() {
	topics "$1" | while read -r topic; do
		rc=$(client "$1" mosquitto_pub -d -q 1 -t "$topic" -m "$1" 2>/dev/null | sed -n 's/.*PUBACK.*RC:\([0-9]*\).*/\1/p')
		echo "$1 $topic ${rc:-none}"
	done >"tried.$1"
}

for id in $IDS; do
	run="exec" client "$id" mosquitto_sub -q 1 -t '#' -F 'M %t %p' >"seen.$id" 2>&1 &
	subscribers="${subscribers:-} $!"
done
on_exit 'kill $subscribers 2>/dev/null'

# All seven but the stranger have seen the message with this text, which is sent until they have.
everybody_has() {
	client timmy mosquitto_pub -q 1 -t uw/home/sovereign/timmy/policy/mark -m "$1"
	[ "$(grep -l "^M .*/mark $1\$" seen.* | wc -l)" -eq 7 ]
}
check "everybody reads" wait_for 10 everybody_has first
check "the stranger is connected" wait_for 5 grep -q "New client connected.*u'stranger'" log

for id in $IDS; do
	publish_all "$id" &
	publishers="${publishers:-} $!"
done
# shellcheck disable=SC2086
wait $publishers

check "everybody has read to the end" wait_for 10 everybody_has last
# shellcheck disable=SC2086
{ kill $subscribers; wait $subscribers 2>/dev/null; }

cat >judge.awk <<'AWK'
function is_agent(who) { return who ~ /-[0-9]$/ }
function is_witness(who) { return who == "third" }
# Of ezra those that the file lists, of the router too; of bezalel all three agents that there are.
function is_candidate(who, house) {
	if (house == "bezalel")
		return is_agent(who)
	return who == "bezalel-1" && (house == "ezra" || house == "_") || who == "ezra-1" && house == "ezra"
}
function is_known(who) { return who != "stranger" }

# Who may write.
function writes(who, scope, name, kind, id) {
	if (!is_known(who))
		return 0
	if (scope == "house" && kind ~ /^(task|cancel|query)$/)
		return who != "watcher" && id == who
	if (scope == "house" && kind ~ /^(event|log)$/)
		return is_agent(who) && id == who
	if (scope == "house" && kind == "claim")
		return is_candidate(who, name) && id == who
	if (scope == "agent" && kind ~ /^(health|echo|telemetry|alert|sovereign)$/)
		return (is_agent(who) || is_witness(who)) && name == who
	if (scope == "agent" && kind == "have")
		return is_candidate(who, id) && name == who
	if (scope == "agent" && kind == "work")
		return is_agent(who) && id == who
	if (scope == "sovereign" && kind ~ /^(decision|policy|halt|grant)$/)
		return who == "timmy" && name == who
	if (scope == "approval" && kind == "request")
		return is_candidate(who, name)
	if (scope == "client" && kind == "reply")
		return is_agent(who)
	return 0
}

# Who may read.
function reads(who, scope, name, kind) {
	if (!is_known(who))
		return 0
	if (scope "/" kind ~ /^(house\/cancel|house\/query|agent\/have)$/)
		return who != "watcher"
	if (scope "/" kind ~ /^(agent\/echo|agent\/work|client\/reply)$/)
		return who == name
	return 1
}

function wrong(text) { print "# " text; faults++ }

FILENAME ~ /^seen\./ && $1 == "M" && $2 !~ /\/mark$/ {
	who = substr(FILENAME, 6)
	got[who, $2, $3] = 1
	next
}

FILENAME ~ /^tried\./ {
	n = split($2, part, "/")
	may = n == 6 && part[2] == "home" && writes($1, part[3], part[4], part[5], part[6])
	published++
	allowed += may
	if (may && $3 != 0 && $3 != 16)
		wrong($1 " may publish " $2 " but got " $3)
	if (!may && $3 != 135)
		wrong($1 " may not publish " $2 " but got " $3)
	for (i = 1; i <= nids; i++) {
		should = may && reads(ids[i], part[3], part[4], part[5])
		read_checks++
		if (should != ((ids[i], $2, $1) in got))
			wrong(ids[i] (should ? " did not get " : " got ") $2 " from " $1)
	}
}

BEGIN { nids = split(list, ids, " ") }
END {
	printf "%d publishes tried (%d allowed, %d refused), %d deliveries judged, %d wrong\n", \
	    published, allowed, published - allowed, read_checks, faults
	exit faults > 0 || published < 300 || allowed < 50
}
AWK
if awk -v list="$IDS" -f judge.awk seen.* tried.* >verdict; then
	ok "the access list holds: $(tail -n 1 verdict)"
else
	not_ok "the access list holds" "$(cat verdict)"
fi

# Retained messages are held back from whoever comes later, too.
client ezra-1 mosquitto_pub -q 1 -r -t uw/home/client/operator/reply/kept -m kept
client ezra-1 mosquitto_pub -q 1 -r -t uw/home/agent/ezra-1/health/state -m kept
client watcher mosquitto_sub -W 1 -q 1 -t '#' -F '%t' >later 2>/dev/null
is "a retained message is read by whom it is for" "$(cat later)" "uw/home/agent/ezra-1/health/state"

# A last will is a publish.
run="exec" client timmy mosquitto_sub -q 1 -t 'uw/home/agent/+/health/+' -F '%t' >wills 2>/dev/null &
subscribers="$subscribers $!"
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
rc=$(client watcher mosquitto_pub -d -u timmy -P x -q 1 -t uw/home/house/ezra/task/timmy -m x 2>/dev/null | grep -c RC:135)
is "a user name that the client gives counts for nothing" "$rc" 1

# Without a client certificate of this authority there is no connection at all.
turned_away() {
	_sentence=$1
	shift
	if "$@" -t x -m x >out 2>&1; then not_ok "$_sentence"; else ok "$_sentence"; fi
}
"$UW" pki init --dir other >/dev/null && "$UW" pki issue timmy --dir other >/dev/null
anyone() { mosquitto_pub -h 127.0.0.1 -p "$port" "$@"; }
turned_away "a client without a certificate gets nothing" anyone --cafile pki/ca.crt
turned_away "a broker's certificate is not a client's" client broker mosquitto_pub
turned_away "another authority's timmy is a stranger" anyone --cafile pki/ca.crt --cert other/timmy.crt --key other/timmy.key
turned_away "a broker of another authority is not trusted" anyone --cafile other/ca.crt --cert pki/timmy.crt --key pki/timmy.key
like "and it is the certificate that is not trusted" "$(cat out)" 'certificate verify failed|TLS error'

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
