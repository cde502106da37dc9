#!/bin/sh
# limit: 300
# Alerts: raised by who sees it, cleared when it is over, seen and silenced by people, and brought to a webhook, ntfy,
# a mail server and a program.
. "$(dirname "$0")/lib.sh"

# The state directory on a small disk of its own, if that can be had.
mkdir -p "$T/c/state"
SMALL=
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=400m small "$T/c/state" 2>"$T/out"; then
	SMALL=1
	on_exit 'umount -l "$T/c/state"'
fi
cluster_up --houses ezra,timmy,bezalel

# A receiver of all kinds: HTTP keeps "path, signature, body" a line each, and refuses what it is told to; SMTP keeps mails.
cat >"$T/receiver.py" <<'PY'
import http.server, json, os, socketserver, sys, threading
out = sys.argv[1]
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        refused = os.path.exists(out + "/refuse") and self.path == "/hook"
        with open(out + ("/refused" if refused else "/posts"), "a") as f:
            f.write(json.dumps({"path": self.path, "signature": self.headers.get("X-Uni-Wizard-Signature"),
                "title": self.headers.get("Title"), "priority": self.headers.get("Priority"),
                "auth": self.headers.get("Authorization"), "body": body}) + "\n")
        self.send_response(503 if refused else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *a): pass
class Mail(socketserver.StreamRequestHandler):
    def handle(self):
        say = lambda s: self.wfile.write((s + "\r\n").encode())
        say("220 sink")
        mail, data = [], False
        for raw in self.rfile:
            line = raw.decode().rstrip("\r\n")
            if data:
                if line == ".":
                    data = False
                    with open(out + "/mails", "a") as f: f.write("\n".join(mail) + "\n")
                    say("250 kept")
                else: mail.append(line)
            elif line.upper().startswith("DATA"): data = True; say("354 go on")
            elif line.upper().startswith("QUIT"): say("221 bye"); return
            else: mail.append("> " + line); say("250 ok")
class Server(socketserver.ThreadingMixIn, socketserver.TCPServer): daemon_threads = True; allow_reuse_address = True
hook = Server(("127.0.0.1", 0), Hook)
mail = Server(("127.0.0.1", 0), Mail)
threading.Thread(target=mail.serve_forever, daemon=True).start()
with open(out + "/ports.new", "w") as f: f.write("%d %d\n" % (hook.server_address[1], mail.server_address[1]))
os.rename(out + "/ports.new", out + "/ports")
hook.serve_forever()
PY
python3 "$T/receiver.py" "$T" &
on_exit "kill $! 2>/dev/null"
check "receivers listen" wait_for 10 [ -s "$T/ports" ]
read -r HTTP SMTP <"$T/ports"
printf 'a key of the hook\n' >"$T/hook.key"
chmod 600 "$T/hook.key"
cat >"$T/sink" <<END
#!/bin/sh
cat >>"$T/lines"
END
chmod 755 "$T/sink"
cat >>"$T/c/houses.yaml" <<END
alerts:
  agent-gone: {raise_s: 2s, clear_s: 2s}
  disk-low: {limit: 100, raise_s: 2s, clear_s: 2s}
secrets:
  HOOK: {file: $T/hook.key}
sinks:
  hook: {kind: webhook, url: "http://127.0.0.1:$HTTP/hook", secret: HOOK}
  phone: {kind: ntfy, url: "http://127.0.0.1:$HTTP/topic", secret: HOOK}
  post: {kind: mail, url: "smtp://127.0.0.1:$SMTP", from: cluster@example.org, to: me@example.org}
  program: {kind: command, command: $T/sink}
  nobody: {kind: webhook, url: "http://127.0.0.1:1/", severity: critical}
END
check "the configuration is right" "$UW" config check
restart_all

raised() { "$UW" alerts --json "$@" | jq -e --arg n "$NAME" 'any(.[]; .name == $n)'; }
gone() { ! raised --all; }
owners() { [ -n "$(owner_of ezra)" ] && [ -n "$(owner_of timmy)" ] && [ -n "$(owner_of bezalel)" ] && [ -n "$(owner_of _)" ]; }
check "houses have owners" wait_for 30 owners
check "nothing is raised where all is well" "$UW" alerts
like "and that is said" "$("$UW" alerts)" '^no alert is raised$'

"$UW" alerts deliver >"$T/deliver.log" 2>&1 &
DELIVER=$!
on_exit "kill $DELIVER 2>/dev/null"
check "the deliverer is connected" wait_for 20 grep -q connected "$T/deliver.log"
"$UW" alerts --watch --all --json >"$T/watched" 2>"$T/out" &
WATCH=$!
on_exit "kill $WATCH 2>/dev/null"

# Somebody who is neither router nor owner of all: whoever is not the router's owner.
VICTIM=ezra-1
[ "$(owner_of _)" != ezra-1 ] || VICTIM=timmy-1
NAME=agent-gone.$VICTIM
"$UW" cluster kill "$VICTIM" >"$T/out"
check "a killed agent is told" wait_for 30 raised
refuse "alerts says so by its exit code" 1 "$UW" alerts
like "with what to do, and where to read" "$("$UW" alerts)" "docs/TROUBLESHOOTING.md#agent-gone"
is "by the router's owner alone" "$("$UW" alerts --json --all | jq -r --arg n "$NAME" '.[] | select(.name == $n) | .agent')" "$(owner_of _)"
check "that section exists" grep -q "### agent-gone" "$(dirname "$0")/../../docs/TROUBLESHOOTING.md"

posted() { jq -se --arg n "$NAME" --arg s "$1" --arg p "$2" 'any(.[]; .path == $p and ((.body | fromjson? // {}) | .name == $n and .state == $s))' "$T/posts" >/dev/null 2>&1; }
check "the webhook has it" wait_for 20 posted raised /hook
jq -r 'select(.path == "/hook") | .body' "$T/posts" | head -n 1 | tr -d '\n' >"$T/first"
is "signed with HMAC-SHA256 over the body" "$(jq -r 'select(.path == "/hook") | .signature' "$T/posts" | head -n 1)" \
    "sha256=$(openssl dgst -sha256 -hmac 'a key of the hook' -r "$T/first" | cut -d ' ' -f 1)"
told() { jq -r "select(.path == \"/topic\") | [.title, .priority, .auth] | @tsv" "$T/posts" | grep -q "$1"; }
check "ntfy has it, urgent, with the token" wait_for 10 told "critical $NAME: raised	5	Bearer a key of the hook"
mailed() { grep -q "^Subject: \[uni-wizard\] critical $NAME: $1" "$T/mails"; }
check "the mail server has it" wait_for 10 mailed raised
like "from and to whom it should" "$(cat "$T/mails")" '^> RCPT TO:<me@example\.org>'
ran() { jq -se --arg n "$NAME" --arg s "$1" 'any(.[]; .name == $n and .state == $s)' "$T/lines" >/dev/null; }
check "the program has it" wait_for 10 ran raised
check "a sink that is not there holds up none of them" grep -q 'sink nobody: .*refused\|sink nobody: .*connect' "$T/deliver.log"

check "it is seen" "$UW" alerts ack "$NAME" --note "being looked at"
check "and shown no more" not raised
check "but with --all" raised --all
like "with who has seen it" "$("$UW" alerts --all)" 'seen by operator'
refuse "what is not raised cannot be seen" 1 "$UW" alerts ack queue-age.ezra
refuse "a name must be one" 2 "$UW" alerts ack nonsense
refuse "a watcher cannot" 3 "$UW" alerts ack "$NAME" --as watcher

"$UW" cluster start "$VICTIM" >"$T/out"
check "it is cleared when the agent is back" wait_for 30 gone
check "the webhook hears that, too" wait_for 20 posted cleared /hook
check "and the program" wait_for 10 ran cleared
check "who watches saw both" grep -q "\"name\":\"$NAME\".*\"state\":\"cleared\"" "$T/watched"

# Silence: nothing is told, until it ends.
check "a kind is silenced" "$UW" alerts silence agent-gone --for 1h
: >"$T/lines"
"$UW" cluster kill "$VICTIM" >"$T/out"
check "it is raised again" wait_for 30 raised --all
refuse "and not shown" 0 "$UW" alerts
check "nor told" not ran raised
check "the silence ends" "$UW" alerts silence agent-gone --for 0s
check "and then it is" wait_for 15 ran raised
"$UW" cluster start "$VICTIM" >"$T/out"
check "and cleared" wait_for 30 gone

# A webhook that refuses for a while.
touch "$T/refuse"
: >"$T/posts"
"$UW" cluster kill "$VICTIM" >"$T/out"
check "a webhook that fails is tried" wait_for 30 [ -s "$T/refused" ]
rm "$T/refuse"
check "and again, until it has it" wait_for 20 posted raised /hook
"$UW" cluster start "$VICTIM" >"$T/out"
check "all is well again" wait_for 30 gone

if [ "$SMALL" ]; then
	NAME=disk-low.ezra-1
	fallocate -l 330m "$T/c/state/filler"
	check "a disk that fills is told" wait_for 20 raised
	all_three() { [ "$("$UW" alerts --json | jq '[.[] | select(.alert == "disk-low")] | length')" = 3 ]; }
	check "by each agent on it" wait_for 10 all_three
	rm "$T/c/state/filler"
	check "and cleared when there is room" wait_for 20 gone
else
	skip "a disk that fills" "needs root and tmpfs"
fi

kill "$DELIVER"
wait "$DELIVER"
is "the deliverer ends when it is told" $? 0
refuse "a wrong name in the configuration is named" 1 sh -c 'sed "s/agent-gone:/agent-gon:/" "$1/c/houses.yaml" >"$1/wrong.yaml"; "$2" config check --config "$1/wrong.yaml"' - "$T" "$UW"
like "with what was meant" "$(cat "$T/.check")" 'alerts: expected the name of an alert, got agent-gon; did you mean agent-gone'
