#!/bin/sh
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
