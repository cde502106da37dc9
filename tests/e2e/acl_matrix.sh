#!/bin/sh
# once
# Every identity tries to publish on every kind of topic, under every name there is, while every identity reads in every
# way there is; on the real broker, over TLS. What is right stands here once more, as a table, and not as the program
# has it. The kinds are the program's own, so that none is forgotten.
. "$(dirname "$0")/lib.sh"

M=${HELPERS:?run this through make e2e}/acl_matrix

# What may be done. Writers and readers by what they are: Sovereign, Operator, Watcher, Agent, witness (X), Candidate of
# the house that the topic names. own: the level that must be the writer's, house: the level that is the house.
# Readers "own": whom the name names.
cat >"$T/rules" <<'RULES'
scope      kind       writers  own   house  readers
house      task       SOAX     id    -      SOWAX
house      cancel     SOAX     id    -      SOAX
house      query      SOAX     id    -      SOAX
house      event      A        id    -      SOWAX
house      log        A        id    -      SOWAX
house      claim      C        id    name   SOWAX
agent      health     AX       name  -      SOWAX
agent      echo       AX       name  -      own
agent      have       C        name  id     SOAX
agent      work       A        id    -      own
agent      telemetry  AX       name  -      SOWAX
agent      alert      AX       name  -      SOWAX
agent      sovereign  AX       name  -      SOWAX
sovereign  decision   S        name  -      SOWAX
sovereign  policy     S        name  -      SOWAX
sovereign  halt       S        name  -      SOWAX
sovereign  grant      S        name  -      SOWAX
approval   request    C        -     name   SOWAX
client     mute       SO       name  -      SOWAX
client     reply      A        -     -      own
RULES
# Who is what, and a candidate of which houses: bezalel says none, and has its own agent and two more, first come first.
cat >"$T/people" <<'PEOPLE'
timmy      S
operator   O
watcher    W
timmy-1    A  timmy bezalel
ezra-1     A  ezra bezalel allegro
bezalel-1  A  ezra bezalel _
allegro-1  A  allegro _
third      X
unlisted   -
PEOPLE
mkdir "$T/d" && cd "$T/d" || exit 2
cat >houses.yaml <<'YAML'
houses:
  timmy:
    candidates: [timmy-1]
  ezra:
    candidates: [ezra-1, bezalel-1]
  bezalel:
  allegro:
    candidates: [allegro-1, ezra-1]
router: [allegro-1, bezalel-1]
witnesses: [third]
YAML
export UNI_WIZARD_CONFIG="$T/d/houses.yaml"
PEOPLE=$(awk '{ print $1 }' ../people)
NAMES="$PEOPLE ezra bezalel allegro _ x"

# Every kind has its rule, and every rule its kind.
is "the rules here are about the topics that there are" "$(awk 'NR > 1 { print $1, $2 }' ../rules)" "$("$M" topics)"

# Those who belong here, and those who do not.
quiet() { "$@" >>quiet.log 2>&1 || { cat quiet.log; exit 2; }; }
quiet "$UW" pki init
quiet "$UW" pki issue broker --san localhost,127.0.0.1
for who in $PEOPLE; do
	quiet "$UW" pki issue "$who"
done
mkdir outside
cp pki/timmy.crt outside/revoked.crt && cp pki/timmy.key outside/revoked.key
quiet "$UW" pki revoke timmy
quiet "$UW" pki issue timmy
quiet "$UW" pki init --dir other
quiet "$UW" pki issue timmy --dir other
cp other/timmy.crt outside/other-ca.crt && cp other/timmy.key outside/other-ca.key
cp pki/broker.crt outside/broker.crt && cp pki/broker.key outside/broker.key
quiet openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /O=Uni-Wizard/CN=timmy \
    -keyout outside/self-signed.key -out outside/self-signed.crt
cat >ca.cnf <<CNF
[ca]
default_ca = d
[d]
database = $T/d/index
new_certs_dir = $T/d
rand_serial = yes
unique_subject = no
certificate = $T/d/pki/ca.crt
private_key = $T/d/pki/ca.key
default_md = sha256
policy = p
x509_extensions = e
[p]
organizationName = supplied
commonName = supplied
[e]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
CNF
: >index
quiet openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /O=Uni-Wizard/CN=timmy \
    -keyout outside/expired.key -out expired.csr
quiet openssl ca -config ca.cnf -batch -notext -startdate 20200101000000Z -enddate 20200201000000Z -in expired.csr \
    -out outside/expired.crt
# The same but for its dates: what keeps the other out is its age.
quiet openssl ca -config ca.cnf -batch -notext -days 1 -in expired.csr -out fresh.crt
OUTSIDE="other-ca self-signed expired revoked broker nobody"

mosquitto=$(PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin command -v mosquitto)
start_broker() {
	port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
	"$UW" broker config --dir broker --bind 127.0.0.1 --port "$port" --ws-port 0 --user "$(id -un)" >/dev/null || exit 2
	"$mosquitto" -c broker/mosquitto.conf >log 2>&1 &
	broker=$!
	wait_for 5 answers
}
# tries MODE WHO ...
tries() {
	_mode=$1 _who=$2
	shift 2
	"$M" "$_mode" "$port" pki/ca.crt "pki/$_who.crt" "pki/$_who.key" "$@"
}
answers() { echo publish x | tries knock operator 2>&1 | grep -q ' in$'; }
# A port may be taken by somebody else.
start_broker || start_broker || start_broker || { cat log; exit 2; }
on_exit 'kill "$broker" 2>/dev/null; wait "$broker" 2>/dev/null'

# Every kind with every name at both levels; and what is no topic of ours, $1's own names in it.
"$M" topics | while read -r scope kind; do
	for name in $NAMES; do
		for id in $NAMES; do
			echo "uw/home/$scope/$name/$kind/$id"
		done
	done
done >topics
odd_topics() {
	"$M" topics | while read -r scope kind; do
		echo "uw/away/$scope/$1/$kind/$1"
		echo "uw/home/$scope/$1/$kind"
		echo "uw/home/$scope/$1/$kind/$1/more"
		echo "/uw/home/$scope/$1/$kind/$1"
		echo "uw/home/$scope/$1/other/$1"
		echo "uw/home/other/$1/$kind/$1"
	done
	echo "home/$1"
	echo "uw"
	echo "\$SYS/broker/$1"
}

# Four ways to read: each kind with wildcards, each topic by itself, everything, and everything as one of a group.
for who in $PEOPLE; do
	"$M" topics | sed 's|\(.*\) \(.*\)|uw/home/\1/+/\2/+|' >"filters.wild.$who"
	{ cat topics && echo uw/home/sovereign/timmy/policy/end; } >"filters.exact.$who"
	{ echo '#' && echo '$SYS/#'; } >"filters.all.$who"
	echo "\$share/$who/#" >"filters.shared.$who"
done
WAYS="wild exact all shared"
readers=''
on_exit 'kill $readers 2>/dev/null'
# listen TO WAYS...: in the background until they have subscribed
listen() {
	_to=$1
	shift
	readers=''
	for way in "$@"; do
		for who in $PEOPLE; do
			"$M" read "$port" pki/ca.crt "pki/$who.crt" "pki/$who.key" <"filters.$way.$who" >"$_to.$way.$who" 2>&1 &
			readers="$readers $!"
		done
	done
}
have_subscribed() { [ "$(grep -lx R "$1".* | wc -l)" -eq "$2" ]; }
# All that was accepted has been passed on when the last of it has come: from the sovereign, after everybody else's.
stop_listening() {
	echo uw/home/sovereign/timmy/policy/end | tries write timmy 5 1 - "$1" >/dev/null
	check "$1: everybody has read to the end" wait_for 20 has_ended "$1"
	# shellcheck disable=SC2086
	kill $readers
	for pid in $readers; do
		wait "$pid" || not_ok "a reader lost its connection"
	done
	readers=''
}
has_ended() { [ "$(grep -l "policy/end $1\$" "$1".* | wc -l)" -eq "$expected_ends" ]; }

# everybody_writes PASS VERSION QOS RETAIN
everybody_writes() {
	_pids=''
	for who in $PEOPLE; do
		{ cat topics && odd_topics "$who"; } | tries write "$who" "$2" "$3" "$4" "$1:$who" >"tried.$1.$who" 2>&1 &
		_pids="$_pids $!"
	done
	for pid in $_pids; do
		wait "$pid" || not_ok "a writer lost its connection" "$(tail -n 3 "tried.$1".*)"
	done
}

expected_ends=32
listen seen $WAYS
check "everybody has subscribed" wait_for 30 have_subscribed seen 36
everybody_writes v5-kept 5 1 retain
everybody_writes v5-qos0 5 0 -
everybody_writes v311 311 1 -
stop_listening seen

# What was kept, for those who come later.
expected_ends=16
listen late wild all
check "everybody has subscribed later" wait_for 30 have_subscribed late 18
stop_listening late

cat >judge.awk <<'AWK'
FILENAME == "../rules" {
	if (FNR > 1) {
		kind[++nkinds] = $1 "/" $2
		writers[$1, $2] = $3
		own[$1, $2] = $4
		house[$1, $2] = $5
		readers[$1, $2] = $6
	}
	next
}
FILENAME == "../people" {
	person[++npeople] = $1
	role[$1] = $2
	for (i = 3; i <= NF; i++)
		candidate[$1, $i] = 1
	next
}

function wrong(what) {
	if (faults++ < 20)
		print "wrong: " what
}
function may_write(who, scope, name, k, id,    w, o, h) {
	w = writers[scope, k]
	o = own[scope, k]
	h = house[scope, k]
	if ((o == "id" && id != who) || (o == "name" && name != who))
		return 0
	if (w == "C")
		return (who, h == "id" ? id : name) in candidate
	return index(w, role[who]) > 0
}
function may_read(who, scope, name, k) {
	if (readers[scope, k] == "own")
		return role[who] != "-" && name == who
	return index(readers[scope, k], role[who]) > 0
}
function column(topic,    part, n) {
	n = split(topic, part, "/")
	if (n == 6 && part[1] == "uw" && part[2] == "home" && (part[3], part[5]) in writers)
		return part[3] "/" part[5]
	return "other"
}

# What came: seen.WAY.WHO
FILENAME ~ /^(seen|late)\./ {
	split(FILENAME, f, ".")
	if ($1 != "M" || $2 ~ /policy\/end$/ || ($2 ~ /^\$SYS/ && role[f[3]] ~ /[SOW]/))
		next
	if (f[1] == "late") {
		kept[f[2], f[3], $2]++
		nlate[f[2], f[3]]++
	} else {
		came[f[2], f[3], $2, $3]++
		ncame[f[2], f[3]]++
	}
	next
}

# What was tried: tried.PASS.WHO
FILENAME ~ /^tried\./ {
	split(FILENAME, f, ".")
	pass = f[2]
	who = f[3]
	k = column($1)
	split($1, part, "/")
	may = k != "other" && may_write(who, part[3], part[4], part[5], part[6])
	tried[who, k]++
	allowed[who, k] += may
	total++
	total_allowed += may
	if (pass == "v5-kept" && (may ? $2 != 0 && $2 != 16 : $2 != 135))
		wrong(who (may ? " may" : " may not") " publish " $1 " and is told " $2)
	# MQTT 3.1.1 has no word for no.
	if (pass == "v311" && $2 != 0)
		wrong(who " is told " $2 " about " $1 " in MQTT 3.1.1")
	if (pass == "v5-kept" && may)
		retained[$1] = 1
	if (!may)
		next
	for (i = 1; i <= npeople; i++) {
		r = person[i]
		should = may_read(r, part[3], part[4], part[5])
		for (w = 1; w <= nways; w++) {
			judged[r, k]++
			deliveries++
			n = came[way[w], r, $1, pass ":" who] + 0
			got[r, k] += n
			ncame[way[w], r] -= n
			if (n != should)
				wrong(r " got " $1 " from " who " (" pass ") " n " times by way of " way[w])
		}
	}
}

BEGIN { nways = split("wild exact all shared", way, " ") }

function table(first, what,    i, j) {
	printf "# %-21s", first
	for (i = 1; i <= npeople; i++)
		printf " %11s", person[i]
	print ""
	kind[nkinds + 1] = "other"
	for (j = 1; j <= nkinds + 1; j++) {
		printf "# %-21s", kind[j]
		for (i = 1; i <= npeople; i++)
			printf " %11s", what == "write" ? (allowed[person[i], kind[j]] + 0) "/" (tried[person[i], kind[j]] + 0) \
			    : (got[person[i], kind[j]] + 0) "/" (judged[person[i], kind[j]] + 0)
		print ""
	}
}

END {
	# Nothing came that is not accounted for: neither what was refused, nor anything twice.
	for (i = 1; i <= npeople; i++)
		for (w = 1; w <= nways; w++)
			if (ncame[way[w], person[i]] != 0)
				wrong(person[i] " got " ncame[way[w], person[i]] " more than was right by way of " way[w])
	for (topic in retained) {
		split(topic, part, "/")
		for (i = 1; i <= npeople; i++)
			for (w = 1; w <= nways; w++) {
				if (way[w] != "wild" && way[w] != "all")
					continue
				should = may_read(person[i], part[3], part[4], part[5])
				late++
				n = kept[way[w], person[i], topic] + 0
				nlate[way[w], person[i]] -= n
				if (!may_write(person[i], part[3], part[4], part[5], part[6]) && way[w] == "all")
					print topic >("forbidden." person[i])
				if (n != should)
					wrong(person[i] " got the kept " topic " " n " times by way of " way[w])
			}
	}
	for (key in nlate)
		if (nlate[key] != 0)
			wrong("somebody got " nlate[key] " kept messages more than was right")
	table("published: may/tried", "write")
	table("read: came/judged", "read")
	printf "%d publishes tried (%d allowed, %d refused), %d deliveries and %d kept messages judged, %d wrong\n", \
	    total, total_allowed, total - total_allowed, deliveries, late, faults
	exit faults > 0 || total < 50000 || total_allowed < 1000
}
AWK
if awk -f judge.awk ../rules ../people seen.* late.* tried.* >verdict; then
	ok "everybody can do what they may, and nothing else: $(tail -n 1 verdict)"
	grep '^#' verdict
else
	not_ok "everybody can do what they may, and nothing else" "$(cat verdict)"
fi

# What is kept is cleared by an empty message: by whoever may write it, and by nobody else.
for who in $PEOPLE; do
	tries write "$who" 5 1 retain '' <"forbidden.$who" >"cleared.$who"
done
is "nobody clears what is another's ($(cat cleared.* | wc -l | tr -d ' ') tries)" "$(grep -vc ' 135$' cleared.* | grep -v ':0$')" ""
expected_ends=16
listen after wild all
check "everybody has subscribed again" wait_for 30 have_subscribed after 18
stop_listening after
kept() { grep '^M uw/' "$1.$2" | grep -v '/policy/end ' | sort | cksum; }
gone=$(for who in $PEOPLE; do
	for way in wild all; do
		[ "$(kept late "$way.$who")" = "$(kept after "$way.$who")" ] || echo "$who"
	done
done)
is "all is still there, for everybody" "$gone" ""

# Who does not belong here does not even get to ask.
"$M" topics | awk '{
	topic = "uw/home/" $1 "/timmy/" $2 "/timmy"
	print "publish", topic
	print "subscribe", topic
}' >knocks
knock() { "$M" knock "$port" pki/ca.crt "$@" <knocks 2>&1; }
for who in $OUTSIDE; do
	crt=outside/$who.crt key=outside/$who.key
	[ "$who" != nobody ] || crt=- key=-
	knock "$crt" "$key" >"knocked.$who"
done
all_are() { [ "$(grep -c " $1\$" "$2")" -eq "$(wc -l <knocks)" ]; }
for who in $OUTSIDE; do
	check "$who: shut out $(grep -c ' out$' "knocked.$who") times of $(wc -l <knocks | tr -d ' ')" all_are out "knocked.$who"
done
knock fresh.crt outside/expired.key >knocked-fresh
check "the same request, signed for today, is let in" all_are in knocked-fresh
knock pki/timmy.crt pki/timmy.key >knocked-timmy
check "and so is timmy, whose former certificate is revoked" all_are in knocked-timmy
awk -v list="$OUTSIDE" 'BEGIN { n = split(list, who, " ") }
FNR == 1 { split(FILENAME, f, ".") }
{
	split($2, part, "/")
	kind = part[3] "/" part[5]
	if (!((kind, "n") in tries))
		kinds[++nkinds] = kind
	tries[kind, "n"]++
	tries[f[2], kind]++
	let_in[f[2], kind] += $3 == "in"
}
END {
	printf "# %-21s", "let in/knocked"
	for (i = 1; i <= n; i++)
		printf " %11s", who[i]
	print ""
	for (k = 1; k <= nkinds; k++) {
		printf "# %-21s", kinds[k]
		for (i = 1; i <= n; i++)
			printf " %11s", let_in[who[i], kinds[k]] "/" tries[who[i], kinds[k]]
		print ""
	}
}' knocked.*
