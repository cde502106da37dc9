#!/bin/sh
# limit: 240
# The MCP server, as the official clients use it (of npm: the one that begins with initialize, and the one that does not), and what they
# never send. Needs node and npm, which brings what package.json names into MODULES; that part is skipped without them.
. "$(dirname "$0")/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)/mcp
MODULES=${MODULES:-$here/../../../build/mcp}

# Says how far it is.
own_tool slow read '"progress":"@at"' <<'END'
#!/bin/sh
i=0
while [ $i -lt 10 ]; do
	i=$((i + 1))
	echo "@at $((i * 10)) step $i" >&2
	sleep 0.25
done
echo '{"steps":10}'
END
own_tool breaks read <<'END'
#!/bin/sh
echo "no such planet" >&2
exit 3
END
# Offered under no other name than that of the server's own.
own_tool task_show read <<'END'
#!/bin/sh
echo '{}'
END
POLICY=roles
cluster_up --houses timmy,ezra,bezalel
W=$T/c/work
state() { "$UW" task show "$1" --json | jq -r .state; }
is_in() { [ "$(state "$1")" = "$2" ]; }
asked() { "$UW" approvals --json | jq -e --arg id "$1" 'any(.task == $id and .valid)' >/dev/null; }

# Lines as they are

INIT='{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}'

# say FILE [options] <lines: what is answered to them
say() {
	_file=$1
	shift
	"$UW" mcp "$@" >"$_file" 2>"$T/err"
}
# call ID TOOL ARGUMENTS [META]
call() {
	printf '{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"%s","arguments":%s%s}}\n' "$1" "$2" "$3" "${4:+,\"_meta\":$4}"
}
answer() { jq -c "select(.id == $2)" "$1"; }

{
	echo "$INIT"
	echo '{"jsonrpc":"2.0","id":1,"method":"ping"}'
	echo 'nonsense'
	echo '[{"jsonrpc":"2.0","id":2,"method":"ping"}]'
	echo '{"jsonrpc":"2.0","id":null,"method":"ping"}'
	echo '{"jsonrpc":"2.0","id":"x","method":"no/such"}'
	head -c 3000000 /dev/zero | tr '\0' a
	echo
	printf '\n\r\n'
	call 3 file_list '{"path":"."}'
	call 4 no_such_tool '{}'
	call 5 file_list '{"path":7}'
	sleep 2
} | say "$T/lines" --house ezra
is "each line of standard output is a message" "$(jq -r 'select(.jsonrpc != "2.0") | .' "$T/lines")" ""
is "what is wrong is answered with its code" "$(jq -r 'select(.error) | "\(.id) \(.error.code)"' "$T/lines" | sort | tr '\n' ',')" \
    '4 -32602,null -32600,null -32600,null -32600,null -32700,x -32601,'
is "what comes after it is answered" "$(answer "$T/lines" 3 | jq -r .result.structuredContent.state)" succeeded
is "a wrong argument is told to who called" \
    "$(answer "$T/lines" 5 | jq -r '[.result.isError, .result.structuredContent.error.field] | @csv')" 'true,"params.path"'
like "what it has to say goes to standard error" "$(cat "$T/err")" 'MCP server for operator, house ezra'
like "a tool of the same name as one of the server's is left out, and said so" "$(cat "$T/err")" 'the tool task_show is not offered'
refuse "nobody speaks in the sovereign's name" 2 "$UW" mcp --as timmy
refuse "an unknown house is refused" 2 "$UW" mcp --house nowhere
refuse "an unknown mode is refused" 2 "$UW" mcp --mode royal

# A client that does not read for a while
{
	echo "$INIT"
	i=0
	while [ $i -lt 300 ]; do
		i=$((i + 1))
		echo "{\"jsonrpc\":\"2.0\",\"id\":$i,\"method\":\"tools/list\"}"
	done
} | "$UW" mcp 2>"$T/err" | { sleep 1; grep -c '"result"'; } >"$T/late"
is "who reads late gets every answer" "$(cat "$T/late")" 301

# Who may not submit
{
	echo "$INIT"
	call 1 noop '{}'
	sleep 3
} | say "$T/watcher" --as watcher
is "who may not submit is denied" \
    "$(answer "$T/watcher" 1 | jq -c '.result | [.isError, (.structuredContent | [.state, .error.code])]')" \
    '[true,["rejected","denied"]]'

# Who has no certificate
{
	echo "$INIT"
	call 1 noop '{}'
	call 2 task_list '{}'
	sleep 2
} | say "$T/nobody" --as nobody
is "who has no certificate is told so" \
    "$(answer "$T/nobody" 1 | jq -c '.result | [.isError, (.structuredContent | [.state, .error.code])]')" \
    '[true,["rejected","config"]]'
like "to each of his calls" "$(answer "$T/nobody" 2 | jq -r .result.structuredContent.error.message)" 'nobody'
is "and what was rejected is not sent later" "$("$UW" outbox list --as nobody --json)" '[]'

# The client leaves while something runs
{
	echo "$INIT"
	call 1 slow '{}'
	sleep 1.5
} | say "$T/left" --house ezra
is "the client has gone before there was an answer" "$(answer "$T/left" 1)" ""
id=$("$UW" task list --tool slow --json | jq -r '.[0].id')
check "the task comes to its end all the same" wait_for 20 is_in "$id" succeeded

# The official clients

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	skip "THE OFFICIAL MCP CLIENTS" "need node and npm (apt-get install nodejs npm)"
	exit
fi
mkdir -p "$MODULES" && cp "$here/package.json" "$MODULES"
if [ ! -d "$MODULES/node_modules/@modelcontextprotocol/sdk" ] || [ ! -d "$MODULES/node_modules/@modelcontextprotocol/client" ]; then
	if ! (cd "$MODULES" && npm install --no-audit --no-fund --ignore-scripts) >"$T/npm" 2>&1; then
		skip "THE OFFICIAL MCP CLIENTS" "npm could not bring them: $(tail -n 1 "$T/npm")"
		exit
	fi
fi
for kind in sdk client; do
	if [ $kind = client ] && [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
		skip "THE OFFICIAL MCP CLIENT WITHOUT INITIALIZE" "needs node 20"
		continue
	fi
	KIND=$kind MODULES=$MODULES WORK=$W UW=$UW SLOW=$SLOW node "$here/client.mjs" >"$T/tap" 2>"$T/node"
	rc=$?
	while IFS= read -r line; do
		case $line in
		"ok - "*) ok "$kind: ${line#ok - }" ;;
		"not ok - "*) not_ok "$kind: ${line#not ok - }" ;;
		*) echo "$line" ;;
		esac
	done <"$T/tap"
	[ "$rc" -eq 0 ] || not_ok "$kind: it comes to its end" "$(tail -n 20 "$T/node")"
done
