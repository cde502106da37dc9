#!/bin/sh
# limit: 120
# SIGHUP: agents take up a changed houses.yaml in the same process, under work, and lose, refuse and repeat none of it; what
# is wrong they name, and go on as before. New certificates are in use without a restart.
. "$(dirname "$0")/lib.sh"

own_tool count exclusive <<'EOF'
#!/bin/sh
jq -r .n >>"$UW_ROOTS/count" && echo '{}'
EOF
cluster_up --houses ezra,timmy,bezalel
# A bridge, whose Gitea is away, is one more process of ezra's owner.
cat >>"$T/c/houses.yaml" <<EOF
secrets: {FORGE: {env: FORGE}}
gitea: {url: "http://127.0.0.1:1", token: FORGE}
bridge: {repos: [a/b], house: ezra, identity: operator, listen: "off"}
EOF
export FORGE=token
restart_all
AGENTS="ezra-1 timmy-1 bezalel-1"

pid_of() { cat "$T/c/run/$1.pid"; }
pids() { for _a in $AGENTS; do pid_of "$_a"; done | tr '\n' ' '; }
hup() { for _a; do kill -HUP "$(pid_of "$_a")"; done; }
says() { [ "$(grep -c "$2" "$T/c/log/$1.log")" -ge "$3" ]; }
# How often each agent was ready.
lives() { for _a in $AGENTS; do says "$_a" ': ready' "$1" || return; done; }
in_step() {
	"$UW" house list --json 2>"$T/out" | jq -e 'all(.[]; [.candidates[].state] | sort == ["in step", "in step", "owner"])' >"$T/out"
}
runs_bridge() { [ "$(pgrep -f "bridge --agent [a-z]*-1 --config $T/c/" | wc -l)" -eq 1 ]; }
# Descriptors that are open: none may be left over from former lives.
files() { find "/proc/$(pid_of ezra-1)/fd" -type l 2>"$T/out" | wc -l; }

check "all are in step" wait_for 20 in_step
check "a bridge runs" wait_for 10 runs_bridge
before=$(pids) opened=$(files)
for agent in $AGENTS; do
	cat /dev/null >"$T/c/log/$agent.log"
done

# Under work
: >"$T/c/work/count"
seq 600 | sed 's/.*/{"tool":"count","params":{"n":&}}/' >"$T/batch"
as_exec watcher mosquitto_sub -q 0 -F '%U %p' -t 'uw/home/house/+/event/+' >"$T/events" 2>"$T/out" &
on_exit "kill $! 2>/dev/null"
"$UW" submit --batch "$T/batch" --window 4 --wait >"$T/batch.out" 2>&1 &
batch=$!
has_begun() { [ "$(wc -l <"$T/c/work/count")" -ge 20 ]; }
check "tasks come and are done" wait_for 10 has_begun
echo 'limits: {queued: 500000}' >"$T/more"
cat "$T/more" >>"$T/c/houses.yaml"
# shellcheck disable=SC2086
hup $AGENTS
check "every agent takes up what has changed" wait_for 20 lives 1
is "in the same processes" "$(pids)" "$before"
check "all are in step again" wait_for 20 in_step
check "while tasks still come" kill -0 $batch
wait $batch
is "every task succeeded" "$?" 0
like "none was refused" "$(cat "$T/batch.out")" '^600 tasks, 600 succeeded$'
is "none was done twice" "$(sort "$T/c/work/count" | uniq -d)" ""
gap=$(awk '/^[0-9]+\.[0-9]+ / { t = $1 } /"outcome"/ { if (last && t - last > gap) gap = t - last; last = t } END { printf "%d", 1000 * gap }' "$T/events")
echo "# the longest time without an outcome: $gap ms"
check "the gap is small" [ "$gap" -lt $((5000 * SLOW)) ]
if [ -d /proc/self/fd ]; then
	check "nothing stays open from before" [ "$(files)" -le $((opened + 2)) ]
fi

check "one bridge runs" wait_for 10 runs_bridge
is "no child is left that nobody waits for" "$(ps -eo ppid=,stat=,args= | awk -v of=" $before" 'index(of, " " $1 " ") && $2 ~ /^Z/')" ""

# One after the other
sed -i.orig 's/500000/400000/' "$T/c/houses.yaml"
n=2
for agent in $AGENTS; do
	hup "$agent"
	check "$agent begins anew" wait_for 20 says "$agent" ': ready' $n
	check "and is in step" wait_for 20 in_step
done

# Wrong
cp "$T/c/houses.yaml" "$T/good"
echo 'limits2: 7' >>"$T/c/houses.yaml"
line=$(wc -l <"$T/c/houses.yaml" | tr -d ' ')
# shellcheck disable=SC2086
hup $AGENTS
for agent in $AGENTS; do
	check "$agent says where houses.yaml is wrong" wait_for 5 says "$agent" "houses.yaml:$line: limits2: no such key" 1
done
sed "s/$agent/other-1/" "$T/good" >"$T/c/houses.yaml"
hup "$agent"
check "an agent that houses.yaml does not have any more says so" wait_for 5 says "$agent" "no house has an agent $agent any more" 1
printf '\377\376{' >"$T/c/houses.yaml"
hup "$agent"
check "garbage does no harm" wait_for 5 says "$agent" 'goes on with what it read before' 3
is "the processes are the same" "$(pids)" "$before"
cat "$T/good" >"$T/c/houses.yaml"
check "they work" "$UW" submit noop --house timmy --wait
check "and did not begin anew" not lives $((n + 1))

# Not changed, though the file is another one: only the connection is new.
cp "$T/c/houses.yaml" "$T/c/houses.new" && mv "$T/c/houses.new" "$T/c/houses.yaml"
hup ezra-1
check "with nothing changed it connects anew" wait_for 5 says ezra-1 'reconnecting' 1
check "and works on" "$UW" submit noop --house ezra --wait

# SIGTERM while it begins anew
sed -i.orig 's/400000/300000/' "$T/c/houses.yaml"
is_gone() { ! kill -0 "$1" 2>/dev/null; }
pid=$(pid_of ezra-1)
hup ezra-1
kill -TERM "$pid"
check "an agent that is told to stop then stops" wait_for 10 is_gone "$pid"
check "and starts" "$UW" cluster start ezra-1

# Certificates
serial() {
	openssl s_client -connect "$1" </dev/null 2>"$T/out" | openssl x509 -noout -serial 2>"$T/out"
}
if command -v openssl >"$T/out"; then
	pid=$(pid_of bezalel-1)
	check "a certificate is renewed" "$UW" pki renew bezalel-1 --new-key
	check "and is in use" wait_for 15 says bezalel-1 'certificates were renewed' 1
	check "for HTTP there is one too" "$UW" pki issue http --san localhost,127.0.0.1
	sed -i.orig '/^http/d' "$T/c/houses.yaml"
	port=$(($(od -An -N2 -tu2 /dev/urandom) % 12000 + 20000))
	echo "http: {listen: '0.0.0.0:$port'}" >>"$T/c/houses.yaml"
	hup bezalel-1
	listens() { [ -n "$(serial "127.0.0.1:$port")" ]; }
	check "an agent that is to serve HTTPS does" wait_for 20 listens
	old=$(serial "127.0.0.1:$port")
	check "that certificate is renewed" "$UW" pki renew http
	hup bezalel-1
	renewed() { listens && [ "$(serial "127.0.0.1:$port")" != "$old" ]; }
	check "and in use after SIGHUP" wait_for 20 renewed
	is "by the same process" "$(pid_of bezalel-1) $(kill -0 "$pid" && echo lives)" "$pid lives"
else
	skip "certificates are renewed" "no openssl command"
fi
