#!/bin/sh
# limit: 180
# Hosts share files through real Syncthings on loopback, two and then three: set up from houses.yaml, artifacts by their hash, exports, what
# is not whole or not right, and a cluster that does not mind when Syncthing is away.
. "$(dirname "$0")/lib.sh"

for needed in syncthing curl jq setsid; do
	command -v "$needed" >/dev/null && continue
	skip "sharing of files" "needs $needed"
	exit
done

cluster_up --houses ezra,timmy

# ---- Syncthings that talk to nobody but each other, from before their first start ----

# shellcheck disable=SC2046
set -- $(python3 -c '
import socket
s = [socket.socket() for _ in range(6)]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])')
API_ezra=$1 API_laptop=$2 API_desk=$3 AT_ezra=$4 AT_laptop=$5 AT_desk=$6

prepare() {
	syncthing generate --home="$T/$1.st" --no-default-folder --skip-port-probing >"$T/$1.generated" 2>&1
	sed -i.orig -e "s|<listenAddress>.*</listenAddress>|<listenAddress>tcp://127.0.0.1:$3</listenAddress>|" \
	    -e 's|AnnounceEnabled>true|AnnounceEnabled>false|; s|<natEnabled>true|<natEnabled>false|' \
	    -e 's|<relaysEnabled>true|<relaysEnabled>false|; s|<crashReportingEnabled>true|<crashReportingEnabled>false|' \
	    -e 's|<urAccepted>0|<urAccepted>-1|; s|<autoUpgradeIntervalH>12|<autoUpgradeIntervalH>0|' \
	    -e 's|<stunKeepaliveStartS>180|<stunKeepaliveStartS>0|' \
	    -e "s|<address>127.0.0.1:8384</address>|<address>127.0.0.1:$2</address>|" "$T/$1.st/config.xml"
	sed -n 's|.*<apikey>\(.*\)</apikey>.*|\1|p' "$T/$1.st/config.xml" >"$T/$1.key"
	chmod 600 "$T/$1.key"
}

start() {
	HOME=$T setsid syncthing serve --home="$T/$1.st" --no-browser --no-restart --no-upgrade </dev/null >"$T/$1.log" 2>&1 &
	echo $! >"$T/$1.pid"
}

stop() {
	[ ! -e "$T/$1.pid" ] || kill "$(cat "$T/$1.pid")" 2>/dev/null
	wait "$(cat "$T/$1.pid")" 2>/dev/null
	rm -f "$T/$1.pid"
}
on_exit 'for _h in ezra laptop desk; do [ ! -e "$T/$_h.pid" ] || stop $_h; done'

# rest HOST METHOD PATH [curl options]
rest() {
	_host=$1 _method=$2 _path=$3
	shift 3
	eval "_port=\$API_$_host"
	curl -sf -m 10 -X "$_method" -H "X-API-Key: $(cat "$T/$_host.key")" "$@" "http://127.0.0.1:$_port/rest/$_path"
}

prepare ezra "$API_ezra" "$AT_ezra"
prepare laptop "$API_laptop" "$AT_laptop"
start ezra
start laptop
ID_ezra=$(sed -n 's/.*Device ID: //p' "$T/ezra.generated") ID_laptop=$(sed -n 's/.*Device ID: //p' "$T/laptop.generated")
check "two Syncthings answer" wait_for 30 eval 'rest ezra GET system/ping && rest laptop GET system/ping'

# sharing HOST: what houses.yaml says; the same everywhere but for where this host's Syncthing is.
sharing() {
	cat <<END
secrets:
  SYNC_KEY: {file: $T/$1.key}
syncthing:
  dir: $T/$1.shared
  api: http://127.0.0.1:$2
  api_key: SYNC_KEY
  devices:
    ezra: {id: $ID_ezra, address: "tcp://127.0.0.1:$AT_ezra"}
    laptop: {id: $ID_laptop, address: "tcp://127.0.0.1:$AT_laptop"}
END
}
for host in laptop desk; do
	mkdir "$T/$host"
	sed -e "s|^pki: pki|pki: $T/c/pki|; s|^state: state|state: $T/$host|; s|^run: run|run: $T/$host|" \
	    -e "s|\[work\]|[$T/c/work]|; s|\[tools.d\]|[$T/c/tools.d]|" "$T/c/houses.yaml" >"$T/$host/houses.yaml"
	chmod 600 "$T/$host/houses.yaml"
done
echo 'alerts: {sync-fault: {raise_s: 1, clear_s: 1}, sync-behind: {limit: 2}}' >>"$T/c/houses.yaml"
sharing ezra "$API_ezra" >>"$T/c/houses.yaml"
sharing laptop "$API_laptop" >>"$T/laptop/houses.yaml"
check "the configuration is right" "$UW" config check

ln -s c "$T/ezra"
on() {
	_on=$1
	shift
	UNI_WIZARD_CONFIG=$T/$_on/houses.yaml "$UW" "$@"
}

# ---- set up ----

sharing_of() { on "$1" doctor --json | jq -r '[.results[] | select(.check == "sharing") | .finding // .status] | unique | join(" ")'; }
mv "$T/laptop.key" "$T/kept"
is "a host without the key takes no part" "$(sharing_of laptop)" skipped
mv "$T/kept" "$T/laptop.key"
is "one that has it is to be set up" "$(sharing_of laptop)" sync.setup

refuse "without a set-up there is nowhere to put" 2 on ezra artifact put "$0"
# Neither talks to anybody, for it only listens on loopback; but nobody asked for them.
rest ezra PATCH config/options -d '{"relaysEnabled":true,"crashReportingEnabled":true}'
rest ezra GET config >"$T/before"
on ezra sync setup --dry-run --json >"$T/dry"
like "a dry run tells what it would change" "$(jq -r '.changes | join(" / ")' "$T/dry")" \
    'options: relaysEnabled is true, to be false / .*device laptop: to be added / folder uw-ezra: to be added / folder uw-laptop: to be added'
rest ezra GET config >"$T/after"
check "and changes nothing" cmp "$T/before" "$T/after"
is "nor writes anything" "$(ls "$T/ezra.shared" 2>/dev/null)" ""
is "set-up mends as many" "$(on ezra sync setup --json | jq .differences)" "$(jq .differences "$T/dry")"
check "on the other host too" on laptop sync setup
rest ezra GET config >"$T/before"
is "a second set-up finds nothing to change" "$(on ezra sync setup --json | jq -c '[.changes, .differences, .applied]')" '[[],0,false]'
like "and says so" "$(on laptop sync setup)" '^laptop: .*nothing is changed$'
rest ezra GET config >"$T/after"
check "and changes nothing" cmp "$T/before" "$T/after"
for host in ezra laptop; do
	is "nothing of $host talks to the outside" "$(rest $host GET config/options | jq -c '[.relaysEnabled, .globalAnnounceEnabled,
	    .localAnnounceEnabled, .natEnabled, .crashReportingEnabled, .urAccepted, .autoUpgradeIntervalH, .stunKeepaliveStartS]')" \
	    '[false,false,false,false,false,-1,0,0]'
	at=
	eval "at=\$AT_$host"
	is "it listens at its address alone" "$(rest $host GET config/options | jq -c .listenAddresses)" "[\"tcp://127.0.0.1:$at\"]"
	is "each folder has one writer" "$(rest $host GET config/folders | jq -r --arg me "uw-$host" \
	    'map((.id == $me) == (.type == "sendonly") and (.id != $me) == (.type == "receiveonly")) | all')" true
done
restart_all
check "they find each other" wait_for 30 on ezra sync status
check "both of them" wait_for 10 on laptop sync status
if command -v ss >/dev/null; then
	is "no socket of either leads elsewhere" "$(ss -Htuanp | grep syncthing | awk '{ print $5; if ($2 != "LISTEN") print $6 }' |
	    grep -v '^127.0.0.1:')" ""
fi
is "an unknown device is told its own ID" "$(sed "s/$ID_ezra/$ID_laptop/; s/laptop: .*//" "$T/c/houses.yaml" >"$T/laptop/other.yaml"
    "$UW" sync status --config "$T/laptop/other.yaml" 2>&1 | grep -c "which is $ID_ezra")" 1

# ---- artifacts ----

echo "a report" >"$T/report"
HASH=$(on ezra artifact put "$T/report")
is "put prints the hash" "$HASH" "$(sha256sum "$T/report" | cut -d' ' -f1)"
is "the other host gets it by that" "$(on laptop artifact get "$HASH" 2>"$T/err")" "a report"
is "and tells whose it is" "$(on laptop artifact get "$HASH" -o "$T/got" --json | jq -r .device)" ezra
check "in a file too" cmp "$T/report" "$T/got"
is "who put it twice has it once" "$(on ezra artifact put "$T/report" --json | jq -r .was_here) $(on ezra artifact list --json | wc -l | tr -d ' ')" "true 1"
head -c 3000000 /dev/urandom >"$T/big"
BIG=$(sha256sum "$T/big" | cut -d' ' -f1)
on laptop artifact get "$BIG" -o "$T/got" --wait 30 2>"$T/err" &
getting=$!
check "who comes first waits, and says whom he heard" wait_for 10 grep -q 'not here yet; none that is connected has told of it' "$T/err"
on ezra artifact put - <"$T/big" >"$T/out"
check "and gets it when it has come" wait "$getting"
check "whole" cmp "$T/big" "$T/got"
refuse "what is no hash is wrong usage" 2 on laptop artifact get "${HASH}0"
refuse "what nobody has does not come" 5 on laptop artifact get "$(printf '%064d' 1)" --wait 1

# Known of, but kept from coming.
rest laptop POST 'db/ignores?folder=uw-ezra' -d '{"ignore":["*"]}' >"$T/out"
echo "for later" >"$T/later"
LATER=$(on ezra artifact put "$T/later")
told() { on laptop artifact get "$LATER" --wait 0 2>&1 | grep -q 'is not here after 0 s; ezra put it, and ezra has it$'; }
check "get says who put it and who has it" wait_for 10 told
rest laptop POST 'db/ignores?folder=uw-ezra' -d '{"ignore":[]}' >"$T/out"
is "and waits until it is here" "$(on laptop artifact get "$LATER" --wait 30 2>"$T/err")" "for later"
rm "$T/ezra.shared/ezra/artifacts/$(printf %.2s "$LATER")/$LATER"

# By tasks.
echo "a result" >"$T/c/work/result"
TASKS=$("$UW" submit artifact_put path=result --house ezra --wait --json | jq -r .result.hash)
is "a task puts one too" "$(on laptop artifact get "$TASKS" 2>"$T/err")" "a result"
is "and one gets it" "$("$UW" submit artifact_get hash="$TASKS" --house ezra --wait --json | jq -r .result.content)" "a result"
is "one asks how it stands" "$("$UW" submit sync_status --house ezra --wait --json | jq -r .result.ok)" true
rm "$T/ezra.shared/ezra/artifacts/$(printf %.2s "$TASKS")/$TASKS"
check "what its writer removes is gone everywhere" wait_for 20 eval '[ "$(on laptop artifact list --json | wc -l)" -eq 2 ]'

# Killed while it is written.
mkfifo "$T/half"
(UNI_WIZARD_CONFIG=$T/c/houses.yaml exec "$UW" artifact put - <"$T/half") >"$T/out" 2>&1 &
putting=$!
exec 9>"$T/half"
head -c 200000 /dev/zero >&9
check "a draft is being written" wait_for 10 eval '[ -n "$(find "$T/ezra.shared/new" -size +100k)" ]'
kill -9 $putting
wait $putting 2>/dev/null
exec 9>&-
rest ezra POST 'db/scan?folder=uw-ezra'
is "nobody sees what was not finished" "$(on ezra artifact list --json | wc -l | tr -d ' ') $(rest laptop GET 'db/status?folder=uw-ezra' | jq .globalFiles)" "2 2"

# ---- what is not right ----

check "all artifacts are what their names say" on laptop artifact verify
COPY=$T/laptop.shared/ezra/artifacts/$(printf %.2s "$HASH")/$HASH
chmod 644 "$COPY"
echo "another report" >"$COPY"
refuse "one that somebody changed is refused" 1 on laptop artifact get "$HASH" -o "$T/bad"
is "not a byte of it is handed out" "$(on laptop artifact get "$HASH" 2>"$T/err"; ls "$T"/bad* 2>/dev/null)" ""
like "and why" "$(cat "$T/err")" 'is not what its name says: its hash is '
refuse "verify finds it" 1 on laptop artifact verify
rest laptop POST 'db/scan?folder=uw-ezra'
refuse "so does Syncthing" 1 on laptop sync status
is "which says where" "$(on laptop sync status --json | jq -c '.devices[] | select(.changed_here > 0) | [.device, .changed_here]')" '["ezra",1]'
check "the writer's own is as it was" cmp "$T/report" "$T/ezra.shared/ezra/artifacts/$(printf %.2s "$HASH")/$HASH"
rest laptop POST 'db/revert?folder=uw-ezra'
check "what was changed can be taken back" wait_for 20 eval 'on laptop artifact verify && on laptop sync status'

# ---- exports ----

"$UW" submit noop --house ezra --wait >"$T/out"
check "what agents recorded and learned is published" on ezra sync publish
is "for each that lives here" "$(cd "$T/ezra.shared/ezra" && echo audit/* patterns/*)" \
    "audit/ezra-1.ndjson audit/timmy-1.ndjson patterns/ezra-1.json patterns/timmy-1.json"
is "what is as before stays as it is" "$(on ezra sync publish --json | jq -r '[.[] | select(.kind == "audit") | .outcome] | unique | join(" ")')" unchanged
records() { head -n 1 "$T/$1.shared/ezra/audit/ezra-1.ndjson" | jq .n; }
before=$(records ezra)
"$UW" submit noop --house ezra --wait >"$T/out"
check "what was recorded since is published" wait_for 10 eval 'on ezra sync publish && [ "$(records ezra)" -gt "$before" ]'
check "the other host has it" wait_for 20 test -s "$T/laptop.shared/ezra/audit/ezra-1.ndjson"
check "all of it" wait_for 20 eval '[ "$(records laptop)" -gt "$before" ]'
check "and can check the chain" on laptop audit verify "$T/laptop.shared/ezra/audit/ezra-1.ndjson"
check "and what was learned" wait_for 10 eval 'jq -e ".agent == \"ezra-1\" and .report.attempts >= 1" "$T/laptop.shared/ezra/patterns/ezra-1.json"'

# ---- forgetting ----

touch -t 202001010000 "$T/ezra.shared/ezra/artifacts/$(printf %.2s "$HASH")/$HASH"
is "what is too old is named" "$(on ezra artifact prune --dry-run --json | jq -r .hash)" "$HASH"
refuse "only by who put it" 0 on laptop artifact prune
is "and it is there" "$(on laptop artifact list --json | wc -l | tr -d ' ')" 2
check "its writer removes it" on ezra artifact prune
check "and with it all copies" wait_for 20 eval '[ "$(on laptop artifact list --json | jq -r .hash)" = "$BIG" ]'

# ---- away ----

health() { curl -s -m 5 "$(cat "$T/c/state/ezra-1.http")/health" >"$T/health"; }
says() { health && jq -e "$1" "$T/health"; }
raised() { "$UW" alerts --json | jq -e --arg name "$1" 'any(.[]; .name | startswith($name))'; }
check "the agent's health has it" wait_for 10 says '.status == "ok" and .checks.sync.ok'
is "and the doctor" "$(sharing_of ezra)" well
rest ezra PATCH config/options -d '{"relaysEnabled":true}'
is "who finds what was switched on since" "$(sharing_of ezra)" "sync.setup well"
check "which another set-up mends" on ezra sync setup
refuse "no alert is raised" 1 raised sync
rest ezra PATCH config/folders/uw-laptop -d '{"minDiskFree":{"value":100,"unit":"%"}}'
echo "no room for it" >"$T/stuck"
on laptop artifact put "$T/stuck" >"$T/out"
check "an alert tells of files that do not come" wait_for 30 eval 'health; raised sync-behind.ezra-1'
check "and is taken back when there is room" on ezra sync setup
check "for they come" wait_for 40 eval 'health; ! raised sync'
stop laptop
check "an alert tells that a host is away, though nobody asks" wait_for 40 raised sync-fault.ezra-1
check "the agent's health says that a host is away, and is well itself" wait_for 10 \
    says '.status == "ok" and (.checks.sync | .ok == false and (.detail | test("0 of 1 other devices are connected, not laptop")))'
refuse "so does the status" 1 on ezra sync status
is "of which a percentage says nothing" "$(on ezra sync status --json | jq -c '.devices[] | select(.device == "laptop") | [.connected, has("lacks_items")]')" '[false,false]'
is "the doctor names it" "$(sharing_of ezra)" "sync.away well"
on ezra artifact get "$(printf '%064d' 1)" --wait 0 2>"$T/err"
like "get says from whom it may come" "$(cat "$T/err")" 'not connected, and may have it: laptop$'
check "tasks run meanwhile" "$UW" submit noop --house ezra --wait
# It is two processes, which may each have a group of its own.
pkill -STOP -f -- "--home=$T/ezra.st"
check "and when this host's own hangs" wait_for 30 says '.status == "ok" and .checks.sync.ok == false and (.checks.sync.detail | test("does not answer|did not answer"))'
pkill -CONT -f -- "--home=$T/ezra.st"
stop ezra
check "without any Syncthing too" "$UW" submit noop --house ezra --wait
refuse "a status ends with no answer" 5 on ezra sync status
check "the agent says so, and is well" wait_for 10 says '.status == "ok" and .checks.sync.ok == false and (.checks.sync.detail | test("does not answer"))'
is "what is put" "$(on ezra artifact put "$T/report")" "$HASH"
start ezra
start laptop
is "arrives when they are back" "$(on laptop artifact get "$HASH" --wait 60 2>"$T/err")" "a report"

# ---- a third ----

prepare desk "$API_desk" "$AT_desk"
start desk
ID_desk=$(sed -n 's/.*Device ID: //p' "$T/desk.generated")
sharing desk "$API_desk" >>"$T/desk/houses.yaml"
for host in ezra laptop desk; do
	echo "    desk: {id: $ID_desk, address: \"tcp://127.0.0.1:$AT_desk\"}" >>"$T/$host/houses.yaml"
done
check "it answers" wait_for 30 rest desk GET system/ping
is "it is new to the others" "$(on ezra sync setup | grep -v '^folder uw-[el]')" "device desk: to be added
folder uw-desk: to be added
ezra: 4 differences, now mended"
check "set up there" on laptop sync setup
check "and on itself" on desk sync setup
check "all three find each other" wait_for 30 on desk sync status

# One of them is not what it was: it writes into the folder of another, and others believe it.
COPY=$T/laptop.shared/ezra/artifacts/$(printf %.2s "$HASH")/$HASH
rest laptop PATCH config/folders/uw-ezra -d '{"type":"sendreceive"}'
chmod 644 "$COPY"
echo forged >"$COPY"
forged() { on desk artifact get "$HASH" >"$T/out" 2>"$T/err"; [ $? -eq 1 ] && [ ! -s "$T/out" ]; }
check "what a host forged is refused elsewhere" wait_for 30 eval 'rest laptop POST "db/scan?folder=uw-ezra"; forged'
check "its writer sees it" wait_for 20 eval 'on ezra sync status | grep -q "folder of ezra: 1 items were changed elsewhere"'
check "and has its own" cmp "$T/report" "$T/ezra.shared/ezra/artifacts/$(printf %.2s "$HASH")/$HASH"
is "set-up mends that host" "$(on laptop sync setup --json | jq -r '.changes[]')" 'folder uw-ezra: type is "sendreceive", to be "receiveonly"'
rest ezra POST 'db/override?folder=uw-ezra'
check "what the writer has counts again" wait_for 30 eval '[ "$(on desk artifact get "$HASH" 2>&1)" = "a report" ] && on ezra sync status'

stop laptop
echo "by way of the desk" >"$T/way"
WAY=$(on ezra artifact put "$T/way")
is "it gets what is new" "$(on desk artifact get "$WAY" --wait 30 2>"$T/err")" "by way of the desk"
stop ezra
start laptop
is "and hands it on when its writer is away" "$(on laptop artifact get "$WAY" --wait 60 2>"$T/err")" "by way of the desk"
