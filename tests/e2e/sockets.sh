#!/bin/sh
# limit: 120
# An agent, idle and at work, traced: it talks to the broker and to what tasks name, listens on its own Unix socket and for HTTP on loopback, and
# opens no key but its own.
. "$(dirname "$0")/lib.sh"

own_tool says read <<'END'
#!/bin/sh
echo '{"said":true}'
END
cluster_up --houses ezra
check "an agent stops" "$UW" cluster stop ezra-1

if ! command -v strace >/dev/null; then
	skip "what an agent connects to" "no strace here"
	exit
fi
if ! strace -f -o "$T/try" true 2>"$T/err"; then
	skip "what an agent connects to" "strace may not trace here: $(head -n 1 "$T/err")"
	exit
fi

"$HELPERS/echo" >"$T/echo" &
on_exit "kill $!"
check "a server runs" wait_for 5 [ -s "$T/echo" ]
echo_port=$(cat "$T/echo")
git init -q "$T/c/work/repo"

# Addresses are shown only to a tracer that may read the agent's memory, which the agent keeps from others.
strace -f -qq -yy -s 300 -o "$T/trace" -e signal=none \
    -e trace=connect,bind,listen,accept,accept4,sendto,sendmsg,sendmmsg,open,openat,openat2 \
    "$UW" agent --config "$T/c/houses.yaml" --agent ezra-1 >"$T/log" 2>&1 &
strace=$!
stop_agent() {
	pkill -TERM -P "$strace" 2>/dev/null
	wait "$strace" 2>/dev/null
}
on_exit stop_agent
works() { "$UW" submit noop --house ezra --wait >"$T/out" 2>&1; }
check "the agent works while it is traced" wait_for 20 works

# One line for each call: what it did, and to whom. A call that was interrupted by another process's is in two lines of the
# trace, of which the first says all of this.
cat >"$T/calls.awk" <<'AWK'
function find(pattern) { return match($0, pattern) ? substr($0, RSTART, RLENGTH) : "" }
function quoted(pattern,   part) { split(find(pattern), part, "\""); return part[2] }
function address(   port) {
	if (/sa_family=AF_UNIX/)
		return "unix:" quoted("sun_path=@?\"[^\"]*\"")
	port = find("sin6?_port=htons\\([0-9]+\\)")
	gsub(/.*\(|\)/, "", port)
	if (/sa_family=AF_INET,/)
		return quoted("inet_addr\\(\"[^\"]*\"") ":" port
	if (/sa_family=AF_INET6/)
		return "[" quoted("\"[^\"]*\", &sin6_addr") "]:" port
	return find("sa_family=AF_[A-Z0-9_]*")
}
{ sub(/^[0-9]+ +/, "") }
/^(connect|bind)\(/ { print substr($0, 1, index($0, "(") - 1), address() }
/^(sendto|sendmsg|sendmmsg)\(.*sa_family=AF_INET/ { print "send", address() }
/^listen\(/ { print "listen", find("<(UNIX|TCP|UDP|NETLINK)[^:>]*") }
/^accept4?\(/ { print "accept", find("<(UNIX|TCP|UDP)[^:>]*") }
/^open(at|at2)?\(.*\.key"/ { print "key", find("[^/\"]*\\.key\"") }
AWK
calls() {
	awk -f "$T/calls.awk" "$T/trace" | sort -u
}
# What names of users and hosts are looked up in, if it runs.
other() {
	calls | grep -v -e '^connect unix:/var/run/nscd/socket' -e sa_family=AF_NETLINK
}
others_keys() {
	calls | grep '^key ' | grep -v '^key ezra-1\.'
}
if calls | grep -q '^connect $'; then
	skip "what an agent connects to" "strace shows no addresses here: only root sees those of an agent"
	exit
fi

sleep 5
is "idle, it has connected to the broker and to nothing else" "$(other | grep '^connect\|^send')" "connect 127.0.0.1:$UW_PORT"
own="$(sed 's|http://|bind |' "$T/c/state/ezra-1.http")
bind unix:$T/c/run/ezra-1.sock"
is "it is bound to its own Unix socket and its port for HTTP, on loopback, and to nothing else" "$(other | grep '^bind' | sort)" "$own"
like "that is on loopback" "$own" '^bind 127\.0\.0\.1:'
is "it listens on these" "$(grep -c 'listen(' "$T/trace")" 2
check "it has opened its key" grep -q 'ezra-1\.key"' "$T/trace"
is "and nobody else's" "$(others_keys)" ""

did() {
	_what=$1
	shift
	check "at work: $_what" "$UW" submit "$@" --house ezra --wait
}
did "files" file_write path=note content=text
did "a repository" git_status repo_path=repo
did "an own tool" says
did "the host" system_info
did "processes" process_list
did "a server that a task names" http_get url="http://127.0.0.1:$echo_port/"
is "it has connected to the broker and to what the task named" "$(other | grep '^connect\|^send' | sort)" \
    "$(printf 'connect 127.0.0.1:%s\n' "$UW_PORT" "$echo_port" | sort)"
is "it is bound to these still" "$(other | grep '^bind' | sort)" "$own"
is "and listens on nothing more" "$(grep -c 'listen(' "$T/trace")" 2
is "still it has opened nobody else's key" "$(others_keys)" ""
stop_agent
