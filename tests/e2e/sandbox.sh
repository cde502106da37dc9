#!/bin/sh
# once
# limit: 120
# The wall around tools, as an agent puts it up: what health says of it, what tools can still do, what they leave behind.
. "$(dirname "$0")/lib.sh"

own_tool around exclusive <<'END'
#!/bin/sh
# What the world looks like from here.
echo "$TMPDIR" >"$TMPDIR/x" && mode=$(ls -ld "$TMPDIR" | cut -c 1-10)
dir=${0%/tools.d/*}
tries() { "$@" >/dev/null 2>&1 && echo yes || echo no; }
cat <<JSON
{"uid":$(id -u),"mode":"$mode","tmp":"$TMPDIR","root":"$(tries touch "$UW_ROOTS/touched")",
 "else":"$(tries touch "$dir/touched")","key":"$(tries cat "$dir/pki/ezra-1.key")","state":"$(tries cat "$dir/state/ezra-1.db")",
 "sovereign":"$(tries cat "$dir/pki/sovereign.key")"}
JSON
END
own_tool writes_elsewhere exclusive '"writes":["'"$T"'/allowed"]' <<'END'
#!/bin/sh
echo x >"${0%/c/tools.d/*}/allowed/x" && echo '{}'
END
own_tool only_reads read <<'END'
#!/bin/sh
echo x >"$UW_ROOTS/never" && echo '{}'
END
own_tool fills idempotent <<'END'
#!/bin/sh
head -c 3000000 /dev/zero >"$TMPDIR/big"
sleep 20
echo '{}'
END
own_tool stays exclusive <<'END'
#!/bin/sh
mkdir -p "$TMPDIR/a/b" && echo x >"$TMPDIR/a/b/c" && chmod 0 "$TMPDIR/a"
echo $PPID >"$UW_ROOTS/worker"
sleep 60
END
mkdir "$T/allowed" "$T/temp"
cluster_up --houses ezra
cat >>"$T/c/houses.yaml" <<END
workers:
  temp_dir: $T/temp
  temp_bytes: 1MiB
  count: 2
END
restart_all
landlock=$("$UW" tool show noop --json | jq .sandbox.landlock)

run() {
	"$UW" submit "$@" --house ezra --wait --json >"$T/ended" 2>"$T/err"
}
left() { find "$T/temp" -mindepth 3 | wc -l; }

as_exec watcher mosquitto_sub -q 1 -t 'uw/home/agent/ezra-1/health/state' >"$T/beats" &
on_exit "kill $! 2>/dev/null"
beats() { grep -q '"sandbox":' "$T/beats"; }
check "a heartbeat is heard of an agent whose workers are ready" wait_for 10 beats
is "it says which walls stand, as tool show does" "$(grep -m 1 '"sandbox":' "$T/beats" | jq -c .pool.sandbox)" \
    "$("$UW" tool show noop --json | jq -c .sandbox)"
like "tool show says it in words" "$("$UW" tool show noop)" 'sandbox: .*user of the agent'

check "an own tool looks around" run around
is "its temporary directory is its own" "$(jq -r .result.mode "$T/ended")" "drwx------"
like "and lies where it was configured" "$(jq -r .result.tmp "$T/ended")" "^$T/temp/"
is "it can write beneath the roots" "$(jq -r .result.root "$T/ended")" yes
is "nothing of it is left" "$(left)" 0
run fills
like "one that fills it is stopped" "$(jq -r .error.message "$T/ended")" 'temporary directory holds more than 1048576 bytes'
is "and nothing of it is left either" "$(left)" 0
if [ "$landlock" -ge 2 ]; then
	run around
	is "it cannot write elsewhere, nor read keys and databases" \
	    "$(jq -c '.result | [.else, .key, .state, .sovereign]' "$T/ended")" '["no","no","no","no"]'
	check "Timmy's own among them" [ -s "$T/c/pki/sovereign.key" ]
	run writes_elsewhere
	is "but where its manifest says" "$(jq -r .state "$T/ended")" succeeded
	run only_reads
	is "a tool that only reads cannot write at all" "$(jq -r .state "$T/ended")$(ls "$T/c/work/never" 2>/dev/null)" failed
else
	skip "it cannot write elsewhere" "no Landlock on this host"
fi

# Built-in tools inside
git -C "$T/c/work" init -q repo
git -C "$T/c/work/repo" -c user.name=t -c user.email=t@t commit -q --allow-empty -m first
check "files are written" run file_write path=repo/new content=text
check "git works" run git_commit repo_path=repo message=m paths='["new"]'
check "so does what looks at the host" run process_list
mkdir "$T/c/work/target"

# A worker that is killed, and an agent
stays() { [ -s "$T/c/work/worker" ] && [ "$(left)" -gt 1 ]; }
"$UW" submit stays --house ezra >"$T/out"
check "a tool runs" wait_for 10 stays
kill -9 "$(cat "$T/c/work/worker")"
clean() { [ "$(left)" -eq 0 ]; }
check "what it had is gone after its worker was killed" wait_for 5 clean
: >"$T/c/work/worker"
"$UW" submit stays --house ezra >"$T/out"
check "another runs" wait_for 10 stays
check "its agent is killed" "$UW" cluster kill ezra-1
check "and starts again" "$UW" cluster start ezra-1
check "what it had is gone, too" wait_for 5 clean
is "of all agents that ever were, one directory is left" "$(find "$T/temp" -mindepth 1 -maxdepth 1 | wc -l)" 1

# Another user
nobody=$(id -u nobody 2>/dev/null)
configure_user() { awk -v user="$1" '{ print } $0 == "workers:" { print "  user: " user }' "$T/c/houses.yaml" >"$T/user.yaml"; }
if [ "$(id -u)" -ne 0 ] || [ -z "$nobody" ]; then
	configure_user root
	cp "$T/user.yaml" "$T/c/houses.yaml"
	check "the agent is stopped" "$UW" cluster stop ezra-1
	refuse "an agent that is not root does not run tools as another user" 1 "$UW" agent --config "$T/c/houses.yaml" --agent ezra-1
	like "and says why" "$(cat "$T/.check")" 'workers\.user: only an agent that runs as root'
else
	chmod 711 "$T" "$T/c" "$T/temp"
	chmod 711 "$(dirname "${UW_TMP:-/tmp/x}")" "${UW_TMP:-$T}"
	chmod -R go+rX "$T/c/tools.d"
	chown -R nobody "$T/c/work"
	chmod 755 "$T/c/work"
	configure_user nobody
	cat "$T/user.yaml" >"$T/c/houses.yaml"
	check "the agent starts anew, with another user" "$UW" cluster restart ezra-1
	check "a tool runs" run around
	is "as that user" "$(jq -r .result.uid "$T/ended")" "$nobody"
	is "who can use the roots, and read no keys" "$(jq -c '.result | [.root, .key, .state, .else]' "$T/ended")" \
	    '["yes","no","no","no"]'
	check "files are written" run file_write path=by_nobody content=text
	is "and belong to that user" "$(stat -c %U "$T/c/work/by_nobody")" nobody
	check "git works" run git_status repo_path=repo
	is "nothing is left behind" "$(left)" 0
	configure_user no-such-user
	sed -i '/user: nobody/d' "$T/user.yaml"
	refuse "an unknown user is refused" 1 "$UW" agent --config "$T/user.yaml" --agent ezra-1
	like "by name" "$(cat "$T/.check")" 'workers\.user: this host has no user no-such-user'
fi
