#!/bin/sh
# once
# Certificates change while everything runs.
. "$(dirname "$0")/lib.sh"

cluster_up --houses ezra --agents-per-house 2
pki=$T/c/pki

serial_on_disk() { openssl x509 -in "$pki/$1.crt" -noout -serial; }
serial_served() {
	openssl s_client -connect "$UW_HOST:$1" -CAfile "$UW_CAFILE" -cert "$pki/operator.crt" -key "$pki/operator.key" \
	    </dev/null 2>/dev/null | openssl x509 -noout -serial
}
serves_new() { [ "$(serial_served "$1")" = "$(serial_on_disk broker)" ]; }
agents_ready() { "$UW" cluster status --dir "$T/c" >/dev/null; }
connections() { grep -c "New client connected.*u'ezra-1'" "$T/c/log/broker.log"; }
disconnections() { grep -Ec "Client (uw-ezra|stays).* (disconnected|closed)" "$T/c/log/broker.log"; }

is "the broker serves its certificate" "$(serial_served "$UW_PORT")" "$(serial_on_disk broker)"
is "also for WebSockets" "$(serial_served "$UW_WS_PORT")" "$(serial_on_disk broker)"
is "all are good" "$("$UW" pki show --dir "$pki" --json | jq -r 'all(.[]; .trusted and .has_key)')" true

# The broker's certificate
mosquitto_sub -h "$UW_HOST" -p "$UW_PORT" --cafile "$UW_CAFILE" --cert "$pki/watcher.crt" --key "$pki/watcher.key" \
    -i stays -t 'uw/home/house/+/event/+' >"$T/events" 2>&1 &
subscriber=$!
on_exit 'kill $subscriber 2>/dev/null'
check "a client is connected" wait_for 5 grep -q "as stays " "$T/c/log/broker.log"
before=$(serial_served "$UW_PORT")
check "the broker's certificate is renewed with a new key" "$UW" pki renew broker --new-key --dir "$pki"
is "the running broker still serves the old one" "$(serial_served "$UW_PORT")" "$before"
kill -HUP "$(cat "$T/c/run/broker.pid")"
check "after SIGHUP it serves the new one" wait_for 5 serves_new "$UW_PORT"
is "no client was disconnected by that" "$(disconnections)" 0
check "the agents are ready all along" agents_ready
is "a new client is let in" "$(as operator mosquitto_pub -V 5 -d -q 1 -t uw/home/house/ezra/query/operator -m '{}' 2>&1 |
    grep -Ec 'RC:(0|16)')" 1

# An agent's certificate
old=$(serial_on_disk ezra-1) had=$(connections)
check "an agent's certificate is renewed" "$UW" pki renew ezra-1 --dir "$pki"
is "it is another one" "$(test "$(serial_on_disk ezra-1)" != "$old" && echo new)" new
pid=$(cat "$T/c/run/ezra-1.pid")
kill -HUP "$pid"
came_back() { [ "$(connections)" -gt "$had" ] && agents_ready; }
check "the agent takes it up" wait_for 15 came_back
is "without being restarted" "$(cat "$T/c/run/ezra-1.pid")" "$pid"

# Taken back
reload() { kill -HUP "$(cat "$T/c/run/broker.pid")"; }
steal() { cp "$pki/$1.crt" "$T/$2.crt" && cp "$pki/$1.key" "$T/$2.key"; }
thief() {
	mosquitto_pub -V 5 -h "$UW_HOST" -p "$UW_PORT" --cafile "$UW_CAFILE" --cert "$T/$1.crt" --key "$T/$1.key" \
	    -q 1 -t uw/home/house/ezra/query/operator -m '{}'
}
is "nobody is revoked at first" "$("$UW" pki show --dir "$pki" --json | jq -r 'map(select(.revoked)) | length')" 0
steal operator first
check "an operator's certificate is renewed" "$UW" pki renew operator --dir "$pki"
steal operator second
check "a thief of the former one is let in" thief first
check "and of the present one" thief second
check "the operator is revoked" "$UW" pki revoke operator --dir "$pki"
check "the broker is told" reload
check "the thief is turned away" wait_for 5 not thief second
check "for that reason" grep -q 'certificate verify failed' "$T/c/log/broker.log"
check "with the certificate from before the renewal too" not thief first
check "others are let in" as watcher mosquitto_sub -W 1 -E -q 1 -t uw/home/house/ezra/event/x
refuse "nobody is revoked twice" 1 "$UW" pki revoke operator --dir "$pki"
refuse "nor a broker, since no client asks" 1 "$UW" pki revoke broker --dir "$pki"
check "the name gets a new certificate" "$UW" pki issue operator --dir "$pki"
check "which is good at once" as operator mosquitto_pub -V 5 -q 1 -t uw/home/house/ezra/query/operator -m '{}'
check "while the thief stays outside" not thief second
is "the revoked ones are shown" \
    "$("$UW" pki show --dir "$pki" --json | jq -r 'map(select(.revoked) | .name) | join(" ")')" "operator operator"

steal operator third
check "a key is changed without a gap" "$UW" pki renew operator --new-key --dir "$pki"
check "then the former one is revoked" "$UW" pki revoke operator --former --dir "$pki"
check "cluster up tells the broker by itself" "$UW" cluster up --dir "$T/c"
check "the thief of the former key is turned away" wait_for 5 not thief third
check "the owner of the new one is not" as operator mosquitto_pub -V 5 -q 1 -t uw/home/house/ezra/query/operator -m '{}'

# An agent, too
is_out() { grep -q 'cannot use the certificate' "$T/c/log/ezra-2.log"; }
is_back() { [ "$(grep -c "New client connected.*u'ezra-2'" "$T/c/log/broker.log")" -gt "$had" ]; }
pid2=$(cat "$T/c/run/ezra-2.pid")
steal ezra-2 fourth
check "an agent is revoked" "$UW" pki revoke ezra-2 --dir "$pki"
check "the broker forgets who is connected with a restart" "$UW" cluster restart broker --dir "$T/c"
check "the agent is shut out" wait_for 10 is_out
check "and so is its thief" not thief fourth
had=$(grep -c "New client connected.*u'ezra-2'" "$T/c/log/broker.log")
check "it gets a certificate again" "$UW" pki issue ezra-2 --dir "$pki"
check "and comes back" wait_for 20 is_back
is "without being restarted" "$(cat "$T/c/run/ezra-2.pid")" "$pid2"

# The list has an end.
cat >"$T/ca.cnf" <<CNF
[ca]
default_ca = d
[d]
database = $T/index
crlnumber = $T/number
certificate = $pki/ca.crt
private_key = $pki/ca.key
default_md = sha256
CNF
: >"$T/index" && echo 01 >"$T/number"
sign_list() { openssl ca -config "$T/ca.cnf" -gencrl "$@" -out "$pki/ca.crl" && chmod 600 "$pki/ca.crl"; }
is "a configuration is warned of nothing" "$("$UW" config check --json | jq -r '.warnings | length')" 0
check "a list has an end soon" sign_list -crldays 10
like "which is said" "$("$UW" config check 2>&1)" 'ca.crl expires in 9 days'
check "a list has expired" sign_list -crlsec 1
is_over() { "$UW" config check 2>&1 | grep -q 'ca.crl has expired'; }
check "which is said too" wait_for 5 is_over
reload
check "the broker lets nobody in" wait_for 5 not as operator mosquitto_pub -q 1 -t uw/home/house/ezra/query/operator -m '{}'
check "cluster up signs it anew" "$UW" cluster up --dir "$T/c"
check "everybody is let in" wait_for 5 as operator mosquitto_pub -q 1 -t uw/home/house/ezra/query/operator -m '{}'
is "nothing is warned of" "$("$UW" config check --json | jq -r '.warnings | length')" 0

# The authority
cp "$pki/operator.crt" "$T/old.crt" && cp "$pki/operator.key" "$T/old.key" && cp "$UW_CAFILE" "$T/old-ca.crt"
with_old() {
	mosquitto_pub -h "$UW_HOST" -p "$UW_PORT" --cafile "$UW_CAFILE" --cert "$T/old.crt" --key "$T/old.key" \
	    -q 1 -t uw/home/house/ezra/query/operator -m '{}' >/dev/null 2>&1
}
check "a second authority joins the first" "$UW" pki init --next --dir "$pki"
is "both are trusted" "$(grep -c BEGIN "$UW_CAFILE")" 2
check "the broker is restarted to trust it too" "$UW" cluster restart broker --dir "$T/c"
check "certificates of the first are still good" with_old
for name in broker operator watcher timmy ezra-1 ezra-2; do
	"$UW" pki renew "$name" --dir "$pki" >/dev/null || not_ok "$name is renewed"
done
kill -HUP "$(cat "$T/c/run/broker.pid")"
check "the broker serves one of the second" wait_for 5 serves_new "$UW_PORT"
check "clients with the bundle believe it" as operator mosquitto_pub -q 1 -t uw/home/house/ezra/query/operator -m '{}'
check "the first authority is dropped" "$UW" pki init --forget --dir "$pki"
check "the broker forgets it with a restart" "$UW" cluster restart broker --dir "$T/c"
if with_old; then
	not_ok "certificates of the first are worth nothing now"
else
	ok "certificates of the first are worth nothing now"
fi
check "the agents are back with certificates of the second" wait_for 20 agents_ready
is "not one was restarted" "$(cat "$T/c/run/ezra-1.pid")" "$pid"
like "a renewed client gets an answer from its agent" \
    "$("$UW" submit noop --house ezra --wait --json 2>&1)" 'succeeded'

# What is wrong is said
refuse "a certificate is not overwritten by accident" 1 "$UW" pki issue operator --dir "$pki"
refuse "a name that is none is refused" 1 "$UW" pki issue ../x --dir "$pki"
printf 'x' >"$pki/broken.crt"
refuse "pki show fails if one is broken" 1 "$UW" pki show --dir "$pki"
like "and names it" "$("$UW" pki show --dir "$pki" 2>&1)" 'broken.crt .*not a certificate'
