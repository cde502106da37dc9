#!/bin/sh
# once
# limit: 120
# The signer for the dashboard's buttons, against those who are not its page: whatever is refused is refused before anything is
# signed. And what the page asks for is done once, exactly as it was shown.
. "$(dirname "$0")/lib.sh"

for need in curl python3; do
	command -v "$need" >/dev/null || { skip "THE SIGNER" "needs $need"; exit; }
done
cluster_up --houses ezra,timmy

state() { "$UW" task show "$1" --json | jq -r .state; }
is_in() { [ "$(state "$1")" = "$2" ]; }
asked() { "$UW" approvals "$1" --json 2>"$T/out" | jq -e .valid >/dev/null; }
# writes NAME: $id and $hash of a task that waits
writes() {
	id=$("$UW" submit file_write --house ezra "path=$T/c/work/$1" content=one --mode sovereign --json | jq -rs '.[0].id')
	wait_for 10 asked "$id" || not_ok "$1 waits"
	hash=$("$UW" approvals "$id" --json | jq -r .hash)
}

refuse "its options are for it alone" 2 "$UW" dashboard --port 4444
refuse "a session has an end" 2 "$UW" dashboard --approve --session 25h
refuse "a page that anybody could change is refused" 2 "$UW" dashboard --approve --url http://ezra.example.org:8643
like "and said why" "$(cat "$T/.check")" 'expected https'

# A passphrase, from a file as a terminal is not at hand; xdg-open only says what it is given.
mkdir "$T/bin"
cat >"$T/bin/xdg-open" <<'END'
#!/bin/sh
printf '%s\n' "$1" >"$OPENED"
cp "$1" "$OPENED.page"
END
chmod 755 "$T/bin/xdg-open"
OPENED=$T/opened
export OPENED
start() {
	: >"$T/signer"
	PATH=$T/bin:$PATH TMPDIR=$T XDG_RUNTIME_DIR=$T "$UW" dashboard --approve --agent ezra-1 "$@" >"$T/signer" 2>"$T/signer.err" &
	SIGNER=$!
	on_exit "kill $SIGNER 2>/dev/null"
	wait_for 15 grep -q '#.*signer=' "$T/signer" || not_ok "the signer begins" "$(cat "$T/signer" "$T/signer.err")"
	link=$(sed -n 's/.*\(http[^ "]*#[^ "]*\).*/\1/p;' "$T/signer" | head -n 1)
	TOKEN=${link##*:}
	PORT=${link##*signer=} PORT=${PORT%%:*}
	PAGE=${link%%/#*}
}
start --open
is "the link leads to the agent's page, signed in" "${link%%&*}" "$("$UW" dashboard --agent ezra-1)"
like "its token is long" "$TOKEN" '^[0-9a-f]{64}$'
[ ! -r /proc/net/tcp ] || is "it listens on loopback alone" "$(python3 - "$PORT" <<'END'
import sys
want = "%04X" % int(sys.argv[1])
print(*[l.split()[1] for f in ("/proc/net/tcp", "/proc/net/tcp6") for l in open(f) if l.split()[1].endswith(":" + want) and l.split()[3] == "0A"])
END
)" "0100007F:$(printf %04X "$PORT")"
[ ! -r "/proc/$SIGNER/status" ] || like "memory for the key is locked" "$(grep VmLck "/proc/$SIGNER/status")" '[1-9][0-9]* kB'
check "a browser is opened" wait_for 5 [ -s "$OPENED.page" ]
check "by a file, for the words of a command are seen by all" not grep -q "$TOKEN" "$OPENED"
check "that leads to the link" grep -qF "$link" "$OPENED.page"
like "and is for its owner alone" "$(ls -l "$(cat "$OPENED")")" '^-rw------- '

# say [curl options]: $status and $T/answer. Host, Origin and Authorization as the page has them, unless given.
HOST=127.0.0.1:$PORT ORIGIN=$PAGE AUTH="Bearer $TOKEN"
say() {
	status=$(curl -s -m 30 -o "$T/answer" -D "$T/head" -w '%{http_code}' -H "Host: $HOST" -H "Origin: $ORIGIN" -H "Authorization: $AUTH" \
	    -H "Content-Type: application/json" "$@")
}
body() { printf '{"task":"%s","hash":"%s","decision":"%s","reason":"%s"}' "$1" "$2" "$3" "$4"; }
decides() { say -d "$(body "$@")" "http://127.0.0.1:$PORT/v1/decisions"; }
# told STATUS SENTENCE PATTERN
told() {
	if [ "$status" = "$1" ] && jq -r .error.message "$T/answer" 2>/dev/null | grep -Eq "$3"; then
		ok "$2"
	else
		not_ok "$2" "$status: $(cat "$T/answer")"
	fi
}
signed() { as timmy mosquitto_sub -V 5 -W 1 -t 'uw/home/sovereign/timmy/decision/+' -F '%t' 2>"$T/out" | wc -l | tr -d ' '; }

writes a
say "http://127.0.0.1:$PORT/v1/signer"
is "to its page it says who it is" "$status $(jq -r '[.sovereign, .cluster] | join(" ")' "$T/answer")" "200 timmy home"
like "to that page alone" "$(tr -d '\r' <"$T/head")" "^Access-Control-Allow-Origin: $PAGE\$"
check "and keeps nothing anywhere" grep -qi '^cache-control: no-store' "$T/head"

AUTH="Bearer ${TOKEN%?}x"
decides "$id" "$hash" approve ""
told 401 "another token is refused" 'another token'
AUTH=
decides "$id" "$hash" approve ""
told 401 "so is none" Authorization
AUTH="Bearer $TOKEN"
for ORIGIN in https://evil.example "$PAGE.evil.example" null "http://localhost:${PAGE##*:}" "http://127.0.0.1:1"; do
	decides "$id" "$hash" approve ""
	told 403 "a page of $ORIGIN is refused" Origin
	check "and cannot read why" not grep -qi '^access-control' "$T/head"
	say -X OPTIONS -H 'Access-Control-Request-Method: POST' "http://127.0.0.1:$PORT/v1/decisions"
	told 403 "already when it asks whether it may" Origin
done
ORIGIN=
decides "$id" "$hash" approve ""
told 403 "so is who says no origin" Origin
ORIGIN=$PAGE
for HOST in evil.example "evil.example:$PORT" "localhost:$PORT" 127.0.0.1; do
	decides "$id" "$hash" approve ""
	told 403 "a name that points here is refused: $HOST" Host
done
HOST=127.0.0.1:$PORT
say -X OPTIONS -H "Access-Control-Request-Method: POST" "http://127.0.0.1:$PORT/v1/decisions"
is "the page may ask" "$status" 204

head -c 5000 /dev/zero | tr '\0' x >"$T/large"
decides "$id" "$hash" deny "$(cat "$T/large")"
told 413 "a body that is too large is refused" 'larger than'
head -c 20000 /dev/zero | tr '\0' x >"$T/large"
say -H "X-Large: $(cat "$T/large")" -d "$(body "$id" "$hash" approve "")" "http://127.0.0.1:$PORT/v1/decisions"
is "so is a large header" "$status" 431
say -d '{"task":' "http://127.0.0.1:$PORT/v1/decisions"
told 400 "what is no JSON is refused" body
decides "$id" "$(printf %s "$hash" | cut -c 1-16)" approve ""
told 400 "half a hash is none" hash
decides "$id" "$hash" deny ""
told 400 "nothing is denied without a reason" reason
decides "$id" "$hash" perhaps ""
told 400 "a decision is one of two" decision
say -d "$(body "$id" "$hash" approve "")" "http://127.0.0.1:$PORT/v1/other"
told 404 "there is no other door" path
decides "$id" "$(printf %s "$hash" | tr '0-9a-f' '1-9a-f0')" approve ""
told 409 "what is not what was shown is not signed" 'not the one that was shown'
decides 01ARZ3NDEKTSV4RRFFQ69G5FAV "$hash" approve ""
told 404 "nor what does not wait" 'does not wait'
is "after all this nothing is signed" "$(signed)" 0
is "and the task waits" "$(state "$id")" waiting_approval
check "refusals are told on the terminal" grep -q 'refused: Origin' "$T/signer"

# As the page does it
decides "$id" "$hash" approve "by button"
is "the page's own is signed" "$status $(jq -r .decision "$T/answer") $(jq -r .taken "$T/answer")" "200 approve true"
check "and the task runs" wait_for 10 is_in "$id" succeeded
check "the terminal says all of it" grep -q "approved $id as timmy: by button" "$T/signer"
decides "$id" "$hash" approve ""
told 409 "said again it is refused" 'already'
first=$hash
writes b
decides "$id" "$first" approve ""
told 409 "one request's hash is not another's" 'decided exactly that already|not the one that was shown'
decides "$id" "$hash" deny "not today"
is "another is denied" "$status $(jq -r .decision "$T/answer")" "200 deny"
check "and ends" wait_for 10 is_in "$id" denied
like "with the reason" "$("$UW" task show "$id" --json | jq -r .error.message)" 'not today'

# One at a time: with the broker stopped a decision takes its time. Whichever came first holds the others off.
writes c
kill -STOP "$(cat "$T/c/run/broker.pid")"
(decides "$id" "$hash" approve "") &
waiting=$!
busy() {
	status=$(curl -s -m 1 -o "$T/second" -w '%{http_code}' -H "Origin: $PAGE" -H "Authorization: Bearer $TOKEN" -d "$(body "$id" "$hash" approve "")" \
	    "http://127.0.0.1:$PORT/v1/decisions")
	[ "$status" = 503 ] && grep -q 'another decision' "$T/second"
}
check "one decision at a time" wait_for 15 busy
kill -CONT "$(cat "$T/c/run/broker.pid")"
wait "$waiting"

# Its end
kill -TERM "$SIGNER"
wait "$SIGNER"
is "told to end it does" $? 0
check "and says that the key is gone" grep -q 'key is forgotten' "$T/signer"
check "the file that led to it is gone" not [ -e "$(cat "$OPENED")" ]
check "nobody answers any more" not curl -s -m 5 "http://127.0.0.1:$PORT/v1/signer"
check "no log has the token" not grep -rqF "$TOKEN" "$T/c/log" "$T/c/state"
start --session 2s --json --port "$PORT"
is "a port may be given" "$(jq -r .link "$T/signer" | sed 's/.*signer=\([0-9]*\):.*/\1/')" "$PORT"
check "a session ends by itself" wait_for 8 not kill -0 "$SIGNER"

# A key with a passphrase: from a file, and asked for on a terminal, where Ctrl-C ends it
KEY=$T/c/pki/sovereign.key
printf 'open sesame\n' >"$T/right"
printf 'open barley\n' >"$T/wrong"
chmod 600 "$T/right" "$T/wrong"
openssl pkcs8 -topk8 -in "$KEY" -passout "file:$T/right" -out "$T/locked" 2>"$T/out" && cat "$T/locked" >"$KEY"
refuse "a wrong passphrase is refused" 1 "$UW" dashboard --approve --passphrase-file "$T/wrong"
start --session 1s --passphrase-file "$T/right"
check "with the right one it begins" grep -q 'Whoever has this link' "$T/signer"
wait "$SIGNER"
cat >"$T/terminal.py" <<'END'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""
def until(word):
    global seen
    while word not in seen:
        seen += os.read(fd, 4096)
until(b"Passphrase of the sovereign's key: ")
os.write(fd, b"open sesame\n")
until(b"Ctrl-C ends it.")
os.write(fd, b"\x03")
until(b"forgotten")
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), b"sesame" in seen)
END
is "on a terminal it asks, shows nothing of it, and ends with Ctrl-C" \
    "$(timeout $((20 * SLOW)) python3 "$T/terminal.py" "$UW" dashboard --approve --agent ezra-1 2>&1)" "0 False"

"$UW" cluster kill broker >"$T/out" 2>&1
refuse "without a broker it does not begin" 5 "$UW" dashboard --approve --agent ezra-1 --passphrase-file "$T/right"
