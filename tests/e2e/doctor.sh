#!/bin/sh
# limit: 300
# What the doctor finds: misconfigurations are planted one by one in a cluster that is well, and each time exactly that one
# is named.
. "$(dirname "$0")/lib.sh"

cluster_up
P=$T/c/pki
PATH_WAS=$PATH

# What is found, each name once; and its remedy.
found() { jq -r '[.results[].finding // empty] | unique | join(" ")' "$T/found"; }
doctor() { "$UW" doctor --json "$@" >"$T/found" 2>"$T/err"; }

# finds "what was planted" "findings" [options]
finds() {
	_what=$1 _names=$2
	shift 2
	rc=0
	doctor "$@" || rc=$?
	is "$_what: $_names" "$rc $(found)" "1 $_names"
	[ "$(found)" = "$_names" ] || jq -r '.results[] | select(.finding) | "#   \(.finding): \(.text)"' "$T/found"
	[ "$(jq '[.results[] | select(.finding) | .mend | select(length < 10 or contains("{}"))] | length' "$T/found")" = 0 ] ||
		not_ok "with what to do" "$(cat "$T/found")"
}

well() {
	_sentence=$1
	shift
	if doctor "$@"; then ok "$_sentence"; else
		not_ok "$_sentence" "$(jq -r '.results[] | select(.finding) | "\(.finding): \(.text)"' "$T/found"; cat "$T/err")"
	fi
}

# Keeps what is planted over.
keep() { rm -rf "$T/kept" && mkdir "$T/kept" && cp -a "$@" "$T/kept/"; }
back() { cp -a "$T/kept/." "$1/"; }

# ---- well ----

wait_for 10 "$UW" house list >/dev/null 2>&1
well "a cluster that is well gives no complaint"
is "exit code and JSON agree" "$(jq .ok "$T/found")" true
is "everybody who lives here was looked at" "$(jq -r '[.results[].subject // empty] | unique | join(" ")' "$T/found")" \
    "allegro-1 bezalel-1 ezra-1 operator timmy-1"
is "every check was made" "$(jq -r '[.results[].check] | unique | length' "$T/found")" 18
like "the access list was tried" "$(jq -r '.results[] | select(.check == "access" and .subject == "ezra-1") | .text' "$T/found")" \
    '^[0-9]+ lines to write and [0-9]+ of [0-9]+ to read hold.* [0-9]+ other topics are refused$'
is "and nobody noticed" "$("$UW" task list --json | jq length) $(grep -hc 'warn' "$T"/c/log/*-1.log | paste -sd+ | bc 2>/dev/null || echo 0)" "0 0"
like "people read lines" "$("$UW" doctor --as operator)" '^well +broker +operator +127.0.0.1:[0-9]+ lets operator in'
is "without colours in a pipe" "$("$UW" doctor --as operator | grep -c "$(printf '\033')")" 0
well "an agent can be looked at alone" --agent ezra-1
is "and nobody else is" "$(jq -r '[.results[].subject // empty] | unique | join(" ")' "$T/found")" ezra-1
refuse "a name that is none is wrong usage" 2 "$UW" doctor --agent 'a b'
like "what can be found is a table" "$("$UW" doctor --findings)" '^\| `cert.expired` \|'
mkdir "$T/none"
"$UW" doctor --as operator >"$T/text" 2>&1
is "reading does not leave anything behind" "$(find "$T/c/state" -name 'doctor.*')" ""

# ---- houses.yaml ----

# A second configuration, of which the parts may lie elsewhere: variant [sed script]
variant() {
	mkdir -p "$T/v"
	sed -e "s|^pki: pki|pki: $T/c/pki|; s|^state: state|state: $T/c/state|; s|^run: run|run: $T/c/run|" \
	    -e "s|\[work\]|[$T/c/work]|; s|\[tools.d\]|[$T/c/tools.d]|" -e "${1:-}" "$T/c/houses.yaml" >"$T/v/houses.yaml" &&
	    chmod 600 "$T/v/houses.yaml"
}
V=$T/v/houses.yaml

variant
well "a second configuration of the same cluster is well too" --config "$V" --as operator
variant 's/^brokers:/brookers:/'
finds "a key with a slip" config.invalid --config "$V"
finds "no configuration at all" config.invalid --config "$T/none/houses.yaml"
# shellcheck disable=SC2016
variant 's/auth_token: .*/auth_token: ${NOT_SET_ANYWHERE}/'
finds "a variable that is not set" config.odd --config "$V" --as operator
"$UW" pki issue stranger --dir "$P" >/dev/null
finds "a name that no list has" config.identity --as stranger

# ---- certificates ----

keep "$P/operator.crt" "$P/operator.key" "$P/ca.crt" "$P/ca.crl"
rm "$P/operator.crt"
finds "no certificate" cert.missing --as operator
back "$P"
echo nonsense >"$P/operator.crt"
finds "a certificate that is none" cert.unreadable --as operator
cp "$P/watcher.crt" "$P/operator.crt" && cp "$P/watcher.key" "$P/operator.key"
finds "another one's certificate" cert.name --as operator
"$UW" pki issue operator --dir "$P" --replace --san localhost >/dev/null
finds "a broker's certificate for a person" cert.use --as operator
"$UW" pki init --dir "$T/other" >/dev/null && "$UW" pki issue operator --dir "$T/other" >/dev/null
cp "$T/other/operator.crt" "$T/other/operator.key" "$P/"
finds "a certificate of another authority" cert.untrusted --as operator
back "$P"
cp "$P/watcher.key" "$P/operator.key"
finds "another certificate's key" cert.key --as operator
back "$P"
chmod 644 "$P/operator.key"
finds "a key that all may read" cert.mode --as operator
back "$P"
"$UW" pki issue operator --dir "$P" --replace --days 10 >/dev/null
finds "a certificate that ends soon" cert.soon --as operator
back "$P"

# With dates of their own.
mkdir "$T/ca" && : >"$T/ca/index" && echo 77 >"$T/ca/serial" && echo 01 >"$T/ca/number"
cat >"$T/ca/conf" <<END
[ca]
default_ca = d
[d]
new_certs_dir = $T/ca
database = $T/ca/index
serial = $T/ca/serial
crlnumber = $T/ca/number
default_md = sha256
policy = p
x509_extensions = x
unique_subject = no
[p]
organizationName = optional
commonName = supplied
[x]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
[req]
distinguished_name = n
[n]
END
dated() {
	openssl req -new -config "$T/ca/conf" -key "$P/operator.key" -subj /O=Uni-Wizard/CN=operator -out "$T/ca/csr" 2>"$T/err" &&
	    openssl ca -batch -notext -config "$T/ca/conf" -cert "$P/ca.crt" -keyfile "$P/ca.key" -in "$T/ca/csr" \
	    -startdate "$1" -enddate "$2" -out "$P/operator.crt" 2>"$T/err"
}
check "a certificate of former years" dated 20200101000000Z 20210101000000Z
finds "an expired certificate" cert.expired --as operator
check "a certificate of years to come" dated 20800101000000Z 20810101000000Z
finds "a certificate that is not valid yet" cert.future --as operator
back "$P"

# ---- what is revoked ----

mv "$P/ca.crl" "$T/ca.crl"
finds "no list of what is revoked" crl.missing --as operator
crl() { openssl ca -gencrl -config "$T/ca/conf" -cert "$P/ca.crt" -keyfile "$P/ca.key" "$@" -out "$P/ca.crl" 2>"$T/err"; }
check "a list for ten days" crl -crldays 10
finds "a list that ends soon" crl.soon --as operator
check "a list for a second" crl -crlsec 1
wait_for 3 not openssl crl -in "$P/ca.crl" -noout -checkend 0 2>/dev/null
sleep 1.2
finds "an expired list" crl.expired --as operator
mv "$T/ca.crl" "$P/ca.crl"
keep "$P/watcher.crt" "$P/watcher.key"
"$UW" pki revoke watcher --dir "$P" >/dev/null
back "$P"
finds "a certificate that was taken back" cert.revoked --as watcher

# ---- the way to the broker ----

well "all is mended" --as operator
variant "s/^brokers:.*/brokers: [\"no-such-host.invalid:$UW_PORT\"]/"
finds "a broker's name that nobody knows" broker.name --config "$V" --as operator
variant 's/^brokers:.*/brokers: ["127.0.0.1:9"]/'
finds "a port on which nobody listens" broker.port --config "$V" --as operator

# serve CERTIFICATE KEY [options]: something that speaks TLS and no MQTT.
serve() {
	_crt=$1 _key=$2
	shift 2
	for _ in 1 2 3; do
		other_port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
		openssl s_server -accept "127.0.0.1:$other_port" -cert "$_crt" -key "$_key" "$@" >"$T/server" 2>&1 </dev/zero &
		server=$!
		wait_for 3 grep -q ACCEPT "$T/server" && break
		kill "$server" 2>/dev/null
	done
	variant "s/^brokers:.*/brokers: [\"127.0.0.1:$other_port\"]/"
}
served() { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; }
on_exit '[ -z "${server:-}" ] || kill "$server" 2>/dev/null'

"$UW" pki issue broker --dir "$T/other" --san 127.0.0.1 >/dev/null
serve "$T/other/broker.crt" "$T/other/broker.key"
finds "a broker of another authority" broker.tls --config "$V" --as operator
served
"$UW" pki issue elsewhere --dir "$P" --san elsewhere.example >/dev/null
serve "$P/elsewhere.crt" "$P/elsewhere.key"
finds "a broker whose certificate names another host" broker.san --config "$V" --as operator
served
serve "$P/broker.crt" "$P/broker.key" -Verify 1 -verify_return_error -CAfile "$T/other/ca.crt"
finds "a broker that trusts another authority" broker.client --config "$V" --as operator
served
serve "$P/broker.crt" "$P/broker.key"
finds "what answers there is no broker" broker.refused --config "$V" --as operator
served

# ---- the broker's files and rights ----

B=$T/c/broker
hup() { kill -HUP "$(cat "$T/c/run/broker.pid")"; sleep 0.5; }
keep "$B/acl" "$B/mosquitto.conf"
sed '/^user operator/,/^user /{/house\/+\/cancel\/operator/d;}' "$T/kept/acl" >"$B/acl"
finds "an access list of another houses.yaml" broker.acl --as operator
hup
finds "the same in use: a line is missing" acl.narrow --as operator
awk '{ print } /^user operator$/ { print "topic write uw/home/sovereign/timmy/halt/+" }' "$T/kept/acl" >"$B/acl"
hup
finds "the operator may halt, as Timmy" acl.wide --as operator
sed '/^user operator/,/^user /{/read uw\/home\/house\/+\/query/d;}' "$T/kept/acl" >"$B/acl"
hup
finds "a line to read is missing" acl.narrow --as operator
awk '{ print } /^user ezra-1$/ { print "topic read uw/home/client/+/reply/+" }' "$T/kept/acl" >"$B/acl"
hup
finds "an agent may read others' replies" acl.wide --agent ezra-1
back "$B"
hup
sed 's/^message_size_limit.*/message_size_limit 1000/' "$T/kept/mosquitto.conf" >"$B/mosquitto.conf"
finds "the broker's largest message is too small" broker.setting --as operator
sed '/^crlfile/d' "$T/kept/mosquitto.conf" >"$B/mosquitto.conf"
finds "the broker looks at no list of what is revoked" broker.setting --as operator
back "$B"

# broker_with SED: the broker runs with other settings than its file says.
mosquitto=$(PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin command -v mosquitto)
broker_with() {
	sed "$1" "$B/mosquitto.conf" >"$T/mosquitto.conf"
	"$UW" cluster stop broker --dir "$T/c" >/dev/null
	"$mosquitto" -c "$T/mosquitto.conf" >"$T/mosquitto" 2>&1 &
	broker=$!
	wait_for 5 grep -q running "$T/mosquitto" "$T/c/log/broker.log"
	wait_for "$2" "$UW" house list >/dev/null 2>&1
}
broker_end() { kill "$broker" 2>/dev/null; wait "$broker" 2>/dev/null; }
on_exit '[ -z "${broker:-}" ] || kill "$broker" 2>/dev/null'
broker_with 's/^max_inflight_messages.*/max_inflight_messages 20/' 15
finds "few messages may be under way" broker.setting --as operator
like "which is said" "$(jq -r '.results[] | select(.finding) | .about' "$T/found")" '^max_inflight_messages$'
broker_end
broker_with 's/^require_certificate.*/require_certificate false/; s/^allow_anonymous.*/allow_anonymous true/; /^use_identity/d' 0
finds "a broker that lets strangers in" broker.open --as operator
broker_end
broker_with '/^max_keepalive/d' 15
finds "a broker that keeps who vanished" broker.setting --as operator
broker_end
broker_with '/^acl_file/d' 15
finds "a broker without an access list" acl.wide --as operator
broker_end
"$UW" cluster start broker --dir "$T/c" >/dev/null
check "the cluster is as before" wait_for 20 "$UW" house list

# ---- the host ----

keep "$T/c/pki/sovereign.key"
chmod 755 "$T/c/state"
finds "a state directory that all may read" disk.mode --as operator
chmod 700 "$T/c/state"
variant "s|^state:.*|state: $T/v/nowhere|"
finds "no state directory" disk.write --config "$V" --as operator
variant
echo 'limits: {min_free_bytes: 1024GiB}' >>"$V"
finds "a full disk" disk.full --config "$V" --as operator
chmod 644 "$P/sovereign.key"
finds "the sovereign's key, for all to read" sovereign.key --as operator
back "$P"
openssl genpkey -algorithm ed25519 -out "$P/sovereign.key" 2>/dev/null
finds "a key that nobody pins" sovereign.key --as operator
back "$P"
variant '/^sovereign_keys/d'
finds "no key is pinned" sovereign.unpinned --config "$V" --as operator
echo '{' >"$T/c/tools.d/broken.json"
finds "a manifest with a mistake" tools.manifest --as operator
printf '{"name":"gone","summary":"x","exec":"gone","effect":"read","parameters":{"type":"object"}}' >"$T/c/tools.d/broken.json"
finds "a tool without its program" tools.manifest --as operator
rm "$T/c/tools.d/broken.json"
mv "$T/c/work" "$T/c/worked"
finds "a root that is not there" tools.root --as operator
mv "$T/c/worked" "$T/c/work"
variant
echo 'workers: {user: nobody-has-this-name}' >>"$V"
finds "workers of a user whom nobody knows" tools.sandbox --config "$V" --as operator

mkdir "$T/bin"
cat >"$T/bin/systemctl" <<'END'
#!/bin/sh
case "$1 $2" in
list-unit-files*) echo "uni-wizard@.service disabled enabled"; echo "timmy-router.service disabled enabled"
	[ ! -e "$0.disabled" ] || echo "uni-wizard@ezra-1.service disabled enabled" ;;
"list-units --failed") [ ! -e "$0.failed" ] || echo "uni-wizard@ezra-1.service loaded failed failed Uni-Wizard" ;;
list-units*) echo "uni-wizard@ezra-1.service loaded active running Uni-Wizard" ;;
esac
END
chmod 755 "$T/bin/systemctl"
PATH=$T/bin:$PATH
well "services that are well" --as operator
: >"$T/bin/systemctl.failed"
finds "a service that failed" unit.failed --as operator
rm "$T/bin/systemctl.failed" && : >"$T/bin/systemctl.disabled"
finds "a service that is not enabled" unit.disabled --as operator
PATH=$PATH_WAS

# ---- databases ----

if command -v sqlite3 >/dev/null; then
	mkdir -p "$T/v/state" && chmod 700 "$T/v/state"
	variant "s|^state:.*|state: $T/v/state|"
	sqlite3 "$T/v/state/outbox-operator.db" "CREATE TABLE outbox (id BLOB PRIMARY KEY, house TEXT NOT NULL, body TEXT NOT NULL,
	    at_ms INTEGER NOT NULL); INSERT INTO outbox VALUES (x'00', 'ezra', '{}', 1700000000000)"
	finds "a task that waits for years" outbox.stuck --config "$V" --as operator
	rm "$T/v/state/outbox-operator.db"
	sqlite3 "$T/v/state/ezra-1.db" "CREATE TABLE outbox (x); PRAGMA user_version = 99"
	finds "a database of a newer program" store.newer --config "$V" --agent ezra-1
	rm "$T/v/state/ezra-1.db"
	sqlite3 "$T/v/state/ezra-1.db" "CREATE TABLE outbox (x); CREATE TABLE t (x, y); CREATE INDEX i ON t (x);
	    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i, hex(randomblob(40)) FROM n"
	dd if=/dev/zero of="$T/v/state/ezra-1.db" bs=4096 seek=20 count=3 conv=notrunc 2>/dev/null
	finds "a damaged database" store.damaged --config "$V" --agent ezra-1
	rm -r "$T/v/state"
else
	skip "databases" "no sqlite3"
fi

# ---- agents ----

variant
echo '  ghost: {agents: [ghost-1], candidates: [ghost-1]}' >>"$V"
finds "a house that nobody owns" house.owner --config "$V" --as operator

"$UW" cluster freeze ezra-1 --dir "$T/c" >/dev/null
check "its house is another one's" wait_for 20 "$UW" house list
finds "a process that stands still" agent.silent
"$UW" cluster thaw ezra-1 --dir "$T/c" >/dev/null
wait_for 20 "$UW" house list >/dev/null 2>&1

"$UW" cluster stop bezalel-1 --dir "$T/c" >/dev/null
wait_for 20 "$UW" house list >/dev/null 2>&1
finds "an agent that does not run" agent.down
# Kept by the broker, or doctor would take it for stopped and not wait for it.
beats() {
	while :; do
		echo "{\"agent\":\"bezalel-1\",\"state\":\"online\",\"boot\":\"x\",\"seq\":1,\"time\":\"$(date -u -d '1 hour ago' +%FT%T 2>/dev/null ||
		    date -u -v-1H +%FT%T).000Z\",\"houses\":[]}"
		sleep 0.5
	done | as_exec bezalel-1 mosquitto_pub -l -r -t uw/home/agent/bezalel-1/health/state
}
beats >/dev/null 2>&1 &
beating=$!
on_exit 'pkill -P "$beating" 2>/dev/null; kill "$beating" 2>/dev/null'
is_heard() { as operator mosquitto_sub -t uw/home/agent/bezalel-1/health/state -C 1 -W 2 2>/dev/null | grep -q '"boot":"x"'; }
check "it says an old time" wait_for 20 is_heard
finds "a host whose clock is an hour behind" clock.skew --agent timmy-1
pkill -P "$beating" 2>/dev/null
kill "$beating" 2>/dev/null
wait "$beating" 2>/dev/null
"$UW" cluster start bezalel-1 --dir "$T/c" >/dev/null

if [ -d /proc/self ]; then
	mark=$(sed -n 's/^mark //p' "$T/c/state/timmy-1.workers")
	"$UW" cluster kill timmy-1 --dir "$T/c" >/dev/null
	UW_AGENT="$mark:1" sleep 300 >/dev/null 2>&1 &
	left=$!
	on_exit 'kill "$left" 2>/dev/null'
	wait_for 20 "$UW" house list >/dev/null 2>&1
	finds "a process of an agent that died" "agent.down process.left" --agent timmy-1
	kill "$left" 2>/dev/null
	wait "$left" 2>/dev/null
else
	skip "processes that were left" "only Linux tells"
	"$UW" cluster stop timmy-1 --dir "$T/c" >/dev/null
fi

# The same agent with another way to the broker, which leads nowhere.
mkdir -p "$T/v/state" "$T/v/run" && chmod 700 "$T/v/state"
variant "s|^brokers:.*|brokers: [\"127.0.0.1:9\"]|; s|^state:.*|state: $T/v/state|; s|^run:.*|run: $T/v/run|"
cp "$V" "$T/v/lost.yaml"
"$UW" agent --config "$T/v/lost.yaml" --agent timmy-1 >"$T/lost" 2>&1 &
lost=$!
on_exit 'kill "$lost" 2>/dev/null'
wait_for 10 test -S "$T/v/run/timmy-1.sock"
variant "s|^state:.*|state: $T/v/state|; s|^run:.*|run: $T/v/run|"
finds "an agent that is not connected" agent.cut --config "$V" --agent timmy-1
kill "$lost" 2>/dev/null
wait "$lost" 2>/dev/null
"$UW" cluster start timmy-1 --dir "$T/c" >/dev/null

check "the cluster is whole again" wait_for 20 "$UW" house list
well "and in the end all is well"
