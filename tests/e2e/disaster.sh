#!/bin/sh
# once
# limit: 150
# Disasters as docs/disaster.md has them, one after the other: a lost host, broker, Mac and authority.
. "$(dirname "$0")/lib.sh"

own_tool count exclusive <<'END'
#!/bin/sh
echo "$UW_TASK_ID" >>"$UW_ROOTS/count" && echo '{}'
END
POLICY=roles
cluster_up --houses ezra,bezalel,timmy
no_checks
# Timmy's house has no stand-in.
alone timmy
restart_all
: >"$T/c/work/count"
P=$T/c/pki
K=$("$UW" backup key "$T/key")

say() { "$UW" "$@" 2>&1; }
# run HOUSE N: so many tasks that may run only once, to their end
run() {
	awk -v n="$2" 'BEGIN { for (i = 0; i < n; i++) print "{\"tool\":\"count\",\"params\":{}}" }' >"$T/tasks"
	OUTBOX="$T/storm.db" "$HELPERS/storm" timmy "$1" 0 30 <"$T/tasks" >>"$T/replies"
}
works() {
	"$UW" submit noop --house "$1" --wait --timeout 5 >"$T/out" 2>&1
}
settled() {
	if "$UW" house list --json >"$T/houses" && jq -e '[.[] | select(.house == "ezra") | .candidates[] |
	    select(.state == "owner" or .state == "in step")] | length == 3' "$T/houses" >"$T/out"; then
		return 0
	fi
	sleep 0.5
	return 1
}
twice() {
	sort "$T/c/work/count" | uniq -d
}
lose_disk() {
	"$UW" cluster kill "$1" >"$T/out"
	rm -f "$T/c/state/$1".*
}
check "all are in step" wait_for 15 settled

# A lost host, with a backup of the day before
run ezra 20
check "the owner is backed up" "$UW" backup --out "$T/old.tar" --agent ezra-1
run ezra 20
lose_disk ezra-1
is_ezras() { [ "$(owner_of ezra)" != ezra-1 ] && works ezra; }
check "another one owns its house" wait_for 20 is_ezras
run ezra 20
term=$("$UW" house list --json | jq '.[] | select(.house == "ezra") | .term')
check "the backup is put back" "$UW" restore --agent ezra-1 --only state "$T/old.tar"
"$UW" cluster start ezra-1 >"$T/out"
check "it is in step before it owns anything" wait_for 15 settled
is "which it had not claimed meanwhile" "$("$UW" house list --json | jq '.[] | select(.house == "ezra") | .term')" "$term"
has_it_back() { [ "$(owner_of ezra)" = ezra-1 ] && works ezra; }
check "then it gets its house back" wait_for 30 has_it_back
is "nothing is lost" "$("$UW" task list --house ezra --limit 200 --json | jq '[.[] | select(.tool == "count" and .state == "succeeded")] | length')" 60
is "nothing ran twice" "$(twice)" ""
is "and nothing is doubted" "$("$UW" task list --state uncertain --json | jq length)" 0
check "all chains verify, held against each other" "$UW" audit verify
check "and the one until the backup" "$UW" audit verify "$T"/c/state/ezra-1.audit-*.jsonl
is "each is of another life" "$("$UW" audit verify --json "$T"/c/state/ezra-1.audit-*.jsonl | jq -r '.. | .store? // empty' | head -n 1)" \
    "$("$UW" backup list "$T/old.tar" --json | jq -r '.agents[0].store')"

# A lost host, without a backup
lose_disk bezalel-1
run ezra 10
"$UW" cluster start bezalel-1 >"$T/out"
check "with a blank disk it gets all from the others" wait_for 20 settled
check "its own house, too" wait_for 30 works bezalel
is "nothing ran twice" "$(twice)" ""

# A lost host whose house has nobody else: what ran after the backup asks
id=$("$UW" submit count --house timmy --not-before "$(date -u -d '+4 seconds' +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v+4S +%Y-%m-%dT%H:%M:%SZ)" --json |
    jq -r .id)
check "it is backed up while a task waits for its time" "$UW" backup --out "$T/alone.tar" --agent timmy-1
ran() { grep -q "$id" "$T/c/work/count"; }
check "which comes" wait_for 10 ran
lose_disk timmy-1
"$UW" restore --agent timmy-1 --only state "$T/alone.tar" >"$T/out" 2>&1 || not_ok "it is put back" "$(cat "$T/out")"
"$UW" cluster start timmy-1 >"$T/out"
is_uncertain() { "$UW" task show "$id" --json | jq -e '.state == "uncertain"' >"$T/out"; }
check "what may have run is uncertain" wait_for 15 is_uncertain
check "the house works" wait_for 15 works timmy
is "it did not run twice" "$(twice)" ""
check "Timmy says that it ran" "$UW" task cancel "$id"

# A lost broker: from houses.yaml and certificates
"$UW" cluster kill broker >"$T/out"
rm -rf "$T/c/broker/acl" "$T/c/broker/data" "$T/c/broker/mosquitto.conf" "$P/broker.key" "$P/broker.crt"
check "its certificate is issued again" "$UW" pki issue broker --san localhost,127.0.0.1
check "its configuration is written again" "$UW" broker config --dir "$T/c/broker" --bind 127.0.0.1 --port "$UW_PORT" --ws-port "$UW_WS_PORT" \
    --user "$(id -un)"
"$UW" cluster start broker >"$T/out" 2>&1 || not_ok "it starts" "$(cat "$T/out")"
check "everybody is back" wait_for 20 settled
check "and it works" wait_for 20 works ezra

# Timmy's lost Mac: the authority, the sovereign, the operator
check "all keys are backed up, for a key that is kept elsewhere" "$UW" backup --keys --recipient "$K" --out "$T/mac.age"
mkdir "$T/lost"
mv "$P/ca.key" "$P/issued" "$P/sovereign.key" "$P/timmy.key" "$T/lost"
check "meanwhile work goes on" works ezra
id=$("$UW" submit file_write path=a content=b --house ezra --mode sovereign --json | jq -r .id)
waits() { "$UW" task show "$id" --json | jq -e '.state == "waiting_approval"' >"$T/out"; }
check "what needs Timmy waits" wait_for 10 waits
refuse "nobody can approve" 1 "$UW" approve "$id"
refuse "nobody can issue" 1 "$UW" pki renew ezra-1
check "on a new Mac all is put back" "$UW" restore --only pki --identity "$T/key" "$T/mac.age"
is "the sovereign's key is the same" "$(cksum <"$P/sovereign.key")" "$(cksum <"$T/lost/sovereign.key")"
check "Timmy approves" "$UW" approve "$id"
done_now() { "$UW" task show "$id" --json | jq -e '.state == "succeeded"' >"$T/out"; }
check "and it runs" wait_for 10 done_now
check "certificates are issued" "$UW" pki renew ezra-1

# The authority's key is lost, and there is no backup of it
rm -rf "$P/ca.key" "$P/issued"
A=$T/authority
names='ezra-1 bezalel-1 timmy-1 operator timmy watcher'
old=$(openssl x509 -in "$P/ca.crt" -noout -fingerprint)
check "a new authority is made apart" "$UW" pki init --dir "$A"
cat "$A/ca.crt" "$P/ca.crt" >"$A/both" && mv "$A/both" "$A/ca.crt"
cat "$A/ca.crl" "$P/ca.crl" >"$A/both" && mv "$A/both" "$A/ca.crl"
cp "$P"/*-1.crt "$P"/*-1.key "$P"/operator.* "$P"/timmy.* "$P"/watcher.* "$P"/broker.* "$A"
: >"$T/replies"
awk 'BEGIN { for (i = 0; i < 1500; i++) print "{\"tool\":\"noop\",\"params\":{}}" }' |
    OUTBOX="$T/storm.db" "$HELPERS/storm" timmy ezra 100 60 >"$T/replies" 2>"$T/storm.err" &
storm=$!
# bring FILE...: as it should be done, for somebody may read it at that moment
bring() {
	for _f; do
		cp "$A/$_f" "$P/$_f.new" && mv "$P/$_f.new" "$P/$_f"
	done
}
hup() { kill -HUP "$(cat "$T/c/run/$1.pid")"; }
hup_all() { for _a in ezra-1 bezalel-1 timmy-1; do hup "$_a"; done; }
# 1: both are trusted, everywhere
bring ca.crt ca.crl
hup_all
"$UW" cluster restart broker >"$T/out" 2>&1 || not_ok "the broker restarts" "$(cat "$T/out")"
check "with both authorities all are there" wait_for 20 settled
# 2: every certificate is signed anew
for n in $names broker; do
	"$UW" pki renew "$n" --dir "$A" >"$T/out" 2>&1 || not_ok "$n is renewed" "$(cat "$T/out")"
	bring "$n.crt"
done
"$UW" cluster restart broker >"$T/out" 2>&1 || not_ok "the broker restarts" "$(cat "$T/out")"
hup_all
check "with certificates of the new one, too" wait_for 20 settled
# 3: the former one is trusted no more
check "the former one is forgotten" "$UW" pki init --forget --dir "$A"
bring ca.crt ca.crl
hup_all
"$UW" cluster restart broker >"$T/out" 2>&1 || not_ok "the broker restarts" "$(cat "$T/out")"
check "and without it" wait_for 20 settled
like "it is another one" "$(openssl x509 -in "$P/ca.crt" -noout -fingerprint | grep -v "$old")" '.'
check "the cluster did not stop meanwhile: every task of then ended" wait "$storm"
is "and its sender heard it" "$(cat "$T/storm.err")" ""
is "none was given up" "$(jq -r 'select(.type == "outcome") | .state' "$T/replies" | sort -u)" succeeded

# A stolen backup: the certificates in it are worth nothing any more, and their agent has others
mkdir "$T/thief"
check "who has it has an agent's key" "$UW" restore --to "$T/thief" --only pki "$T/old.tar"
cp "$P/ca.crt" "$P/ezra-1.crt" "$T/thief/pki"
connects() { as_thief -t uw/home/agent/ezra-1/health/state -C 1 -W 3 >"$T/out" 2>&1; }
as_thief() {
	mosquitto_sub -h "$UW_HOST" -p "$UW_PORT" --cafile "$P/ca.crt" --cert "$T/thief/pki/ezra-1.crt" --key "$T/thief/pki/ezra-1.key" "$@"
}
check "with which he connects" connects
check "a new key for the agent" "$UW" pki renew ezra-1 --new-key --dir "$A"
bring ezra-1.crt ezra-1.key
hup ezra-1
check "and what was used before is revoked" "$UW" pki revoke ezra-1 --former --dir "$A"
bring ca.crl
"$UW" cluster restart broker >"$T/out" 2>&1 || not_ok "the broker restarts" "$(cat "$T/out")"
check "the thief is locked out" wait_for 5 not connects
check "the agent is not" wait_for 20 settled
is "nothing ran twice in all this" "$(twice)" ""
