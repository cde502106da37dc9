#!/bin/sh
# What the broker's settings are for: queues that do not drop, sizes, sessions that survive.
. "$(dirname "$0")/lib.sh"

cluster_up --houses ezra
none=uw/home/house/none        # a house that nobody serves

# A session of somebody who is away
N=5000
session() { as watcher mosquitto_sub -V 5 -c -x 3600 -i away -q 1 -t "$none/task/+" "$@"; }
check "a session is made" session -E
seq "$N" | as operator mosquitto_pub -q 1 -l -t "$none/task/operator"
check "the broker is restarted" "$UW" cluster restart broker --dir "$T/c"
is "all that waited is delivered, $N messages" "$(session -C "$N" -W 20 | sort -n | cksum)" "$(seq "$N" | cksum)"

# Messages past the agents' limit still pass, those past the broker's do not.
head -c 2000000 /dev/zero | tr '\0' x >"$T/2MB"
head -c 5000000 /dev/zero | tr '\0' x >"$T/5MB"
check "a session again" session -E
check "2 MB are taken" as operator mosquitto_pub -V 5 -q 1 -t "$none/task/operator" -f "$T/2MB"
is "and delivered" "$(session -N -C 1 -W 20 | wc -c)" 2000000
is "5 MB are refused with a reason" \
    "$(as operator mosquitto_pub -V 5 -q 1 -t "$none/task/operator" -f "$T/5MB" 2>&1 | grep -ci 'too large')" 1

# What clients are told when they connect
told=$(as operator mosquitto_sub -V 5 -k 3600 -d -t x -E 2>&1)
like "a client is let in" "$told" 'CONNACK \(0\)'
is "TLS 1.1 is not spoken" "$(openssl s_client -connect "$UW_HOST:$UW_PORT" -tls1_1 -cipher 'ALL:@SECLEVEL=0' \
    -CAfile "$UW_CAFILE" </dev/null 2>&1 | grep -c 'Cipher is (NONE)')" 1
is "nor for WebSockets" "$(openssl s_client -connect "$UW_HOST:$UW_WS_PORT" -tls1_1 -cipher 'ALL:@SECLEVEL=0' \
    -CAfile "$UW_CAFILE" </dev/null 2>&1 | grep -c 'Cipher is (NONE)')" 1

# The dashboard's listener: the certificate's name is the user there too. An MQTT 5 CONNECT as watcher, who says to
# be timmy, then a PUBLISH on timmy's topic; frames are masked with zeros, so their bytes stand as they are.
web() {
	_who=$1 _topic=$2 _len=${#2}
	{
		printf 'GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
		printf 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n'
		wait_for 5 grep -aq Switching "$T/web"
		printf '\202\234\0\0\0\0\020\032\0\004MQTT\005\302\0\036\0\0\003web\0\005timmy\0\001x'
		printf "\\202\\$(printf %o $((0x80 + _len + 9)))\\0\\0\\0\\0\\062\\$(printf %o $((_len + 7)))\\0\\$(printf %o "$_len")"
		printf '%s\0\001\0{}' "$_topic"
		wait_for 5 web_answered
	} | openssl s_client -quiet -no_ign_eof -connect "$UW_HOST:$UW_WS_PORT" -CAfile "$UW_CAFILE" -cert "$T/c/pki/$_who.crt" \
	    -key "$T/c/pki/$_who.key" >"$T/web" 2>/dev/null
}
# The PUBACK for message 1: type, length, id, reason code if it is not success.
web_hex() { od -An -v -tx1 "$T/web" | tr -d ' \n' | grep -Eo '40020001|40030001..'; }
web_answered() { web_hex >/dev/null; }
: >"$T/web"
web operator uw/home/house/none/task/operator
is "a task over WebSockets is taken" "$(web_hex)" 40020001
: >"$T/web"
web watcher uw/home/house/none/task/timmy
is "not in another's name, whatever user name is given" "$(web_hex)" 4003000187

served() {
	openssl s_client -connect "$UW_HOST:$UW_WS_PORT" -CAfile "$UW_CAFILE" -cert "$T/c/pki/operator.crt" \
	    -key "$T/c/pki/operator.key" </dev/null 2>/dev/null | openssl x509 -noout -serial
}
"$UW" pki renew broker --dir "$T/c/pki" >/dev/null
kill -HUP "$(cat "$T/c/run/broker.pid")"
serves_new() { [ "$(served)" = "$(openssl x509 -in "$T/c/pki/broker.crt" -noout -serial)" ]; }
check "after SIGHUP that listener, once used, serves the new certificate" wait_for 5 serves_new
