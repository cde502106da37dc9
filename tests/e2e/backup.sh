#!/bin/sh
# limit: 120
# A backup is whole and of one moment while agents work, opens with tar and age alone, and whatever is wrong with it is said;
# restore puts back all of it or nothing.
. "$(dirname "$0")/lib.sh"

B=$T/b
mkdir "$B"
own_tool count exclusive <<'END'
#!/bin/sh
echo "$UW_TASK_ID" >>"$UW_ROOTS/count" && echo '{}'
END
cluster_up --houses ezra,bezalel,timmy
: >"$T/c/work/count"
pids=$(cat "$T"/c/run/*.pid)

say() { "$UW" "$@" 2>&1; }
mode() { stat -c %a "$1" 2>/dev/null || stat -f %Lp "$1"; }
# Nothing that a backup makes on its way.
nothing_left() {
	for _left in "$T"/c/state/backup.* "$T"/c/state/*.copy "$B"/*.part; do
		[ ! -e "$_left" ] || { echo "$_left" && return 1; }
	done
}

# While agents work
awk 'BEGIN { for (i = 0; i < 3000; i++) printf "{\"tool\":\"%s\",\"params\":{}}\n", i % 20 ? "noop" : "count" }' |
    OUTBOX="$T/storm.db" "$HELPERS/storm" timmy ezra 600 40 >"$T/replies" 2>"$T/storm.err" &
check "there is load" wait_for 10 test -s "$T/replies"
mkdir "$T/precious" && : >"$T/precious/mine" && ln -s "$T/precious" "$T/c/state/backup.abcdef"
check "a backup is made meanwhile" "$UW" backup --out "$B/load.tar" --json
wait
is "no task went astray meanwhile" "$(cat "$T/storm.err")" ""
is "none that may run once ran twice" "$(sort "$T/c/work/count" | uniq -d)" ""
check "it is as it was written" "$UW" backup verify "$B/load.tar"
is "only its owner can read it" "$(mode "$B/load.tar")" 600
check "a link that looks like one that was left is not followed" [ -e "$T/precious/mine" ]
rm -f "$T/c/state/backup.abcdef"
check "nothing is left beside it" nothing_left
mkdir "$T/x" && tar xf "$B/load.tar" -C "$T/x"
if command -v sha256sum >/dev/null; then
	check "tar and sha256sum read it" sh -c 'cd "$1" && sha256sum -c SHA256SUMS' - "$T/x"
else
	skip "sha256sum" "is not here"
fi
is "databases, configuration, certificates and agents' keys are in it" \
    "$("$UW" backup list "$B/load.tar" --json | jq -r '[.files[].path] | (index("state/ezra-1.db") and index("houses.yaml") and
	index("pki/ca.crt") and index("pki/ezra-1.key") and index("state/ezra-1.audit.key"))')" true
is "keys of others are not" "$("$UW" backup list "$B/load.tar" --json | jq -r '.files[].path' |
    grep -E 'ca\.key|sovereign|issued|operator\.key|timmy\.key|broker\.key')" ""
if command -v sqlite3 >/dev/null; then
	is "its database is whole" "$(sqlite3 "$T/x/state/ezra-1.db" 'PRAGMA integrity_check')" ok
	is "and as of one moment: what each row says of its stream is there" \
	    "$(sqlite3 "$T/x/state/ezra-1.db" "SELECT count(*) FROM tasks t JOIN streams s USING (house) WHERE t.version > s.head")" 0
fi

# Encrypted
K=$("$UW" backup key "$T/key")
printf 'correct horse\n' >"$T/pass"
printf 'wrong horse\n' >"$T/wrong"
chmod 600 "$T/pass" "$T/wrong"
"$UW" backup key "$T/other" >"$T/out"
like "a key is one of age" "$K" '^age1[a-z0-9]{58}$'
is "its secret half is its owner's alone" "$(mode "$T/key")" 600
refuse "a key is not written over" 2 "$UW" backup key "$T/key"
refuse "the authority's key goes into no backup that is open" 2 "$UW" backup --keys --out "$B/open.tar"
check "all keys go into one that is encrypted" "$UW" backup --keys --recipient "$K" --out "$B/key.age"
check "or with a passphrase" "$UW" backup --encrypt --passphrase-file "$T/pass" --out "$B/pass.age"
check "a key opens it" "$UW" backup verify --identity "$T/key" "$B/key.age"
check "a passphrase opens it" "$UW" backup verify --passphrase-file "$T/pass" "$B/pass.age"
is "the authority's key is in it, what was issued, and the sovereign's" \
    "$("$UW" backup list --json -i "$T/key" "$B/key.age" | jq -r '[.files[].path] | (index("pki/ca.key") and index("pki/sovereign.key") and
	any(startswith("pki/issued/")))')" true
like "a wrong passphrase is called so" "$(say backup verify --passphrase-file "$T/wrong" "$B/pass.age")" 'passphrase is wrong'
like "another key is called so" "$(say backup verify -i "$T/other" "$B/key.age")" 'encrypted for another key'
like "no key is called so" "$(say backup verify "$B/key.age" </dev/null)" 'give its file with --identity'
chmod 644 "$T/key"
like "a key that others can read is refused" "$(say backup verify -i "$T/key" "$B/key.age")" 'others can read it'
chmod 600 "$T/key"
if command -v age >/dev/null; then
	is "age opens what we wrote" "$(age -d -i "$T/key" "$B/key.age" | tar xOf - houses.yaml | cksum)" "$(cksum <"$T/c/houses.yaml")"
	age -r "$K" -o "$T/theirs.age" "$B/load.tar"
	check "and we what age wrote" "$UW" backup verify -i "$T/key" "$T/theirs.age"
else
	skip "age itself" "is not here"
fi

# Damaged
size=$(wc -c <"$B/key.age" | tr -d ' ')
for n in 0 10 250 $((size / 2)) $((size - 1)); do
	head -c "$n" "$B/key.age" >"$T/cut"
	refuse "cut after $n bytes it is refused" 1 "$UW" backup verify -i "$T/key" "$T/cut"
done
size=$(wc -c <"$B/load.tar" | tr -d ' ')
head -c $((size - 512)) "$B/load.tar" >"$T/cut"
like "one whose end is missing is called so" "$(say backup verify "$T/cut")" 'was cut off'
# flip FILE OFFSET
flip() {
	cp "$1" "$T/flipped"
	dd if="$1" bs=1 skip="$2" count=1 2>/dev/null | LC_ALL=C tr '\000-\377' '\001-\377\000' |
	    dd of="$T/flipped" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
for at in 100 600 100000 $((size / 2)) $((size - 1500)); do
	flip "$B/load.tar" "$at"
	refuse "byte $at changed, it is refused" 1 "$UW" backup verify "$T/flipped"
done
flip "$B/key.age" 200000
like "in what is encrypted too" "$(say backup verify -i "$T/key" "$T/flipped")" 'was cut off or changed'
refuse "nothing of it is restored" 1 "$UW" restore --to "$T/half" -i "$T/key" "$T/flipped"
is "not even a part" "$(find "$T/half" -type f 2>/dev/null)" ""

# Restored
refuse "it is not restored while the agent runs" 3 "$UW" restore --force "$B/load.tar"
like "and that is said" "$(say restore "$B/load.tar")" 'ezra-1 runs.*stop it first'
check "a dry run reads all of it" "$UW" restore --to "$T/new" --dry-run "$B/load.tar"
check "and writes nothing" [ ! -e "$T/new" ]
check "it goes to another place" "$UW" restore --to "$T/new" "$B/load.tar"
is "with the same configuration" "$(cksum <"$T/new/houses.yaml")" "$(cksum <"$T/c/houses.yaml")"
is "keys are their owner's alone" "$(mode "$T/new/pki/ezra-1.key")" 600
is "and so are databases" "$(mode "$T/new/state/ezra-1.db")" 600
check "once more it is all there already" "$UW" restore --to "$T/new" "$B/load.tar"
echo '# mine' >>"$T/new/houses.yaml"
like "what was changed since is not written over" "$(say restore --to "$T/new" "$B/load.tar")" 'houses.yaml is there already'
check "but by force" "$UW" restore --to "$T/new" --force "$B/load.tar"
check "and then it is put aside" grep -q '# mine' "$T"/new/houses.yaml.before-*
check "one agent's databases alone" "$UW" restore --to "$T/one" --agent ezra-1 --only state "$B/load.tar"
is "are one agent's" "$(cd "$T/one/state" && ls -- *.db)" ezra-1.db
like "an agent that is not in it is called so" "$(say restore --to "$T/two" --agent nobody "$B/load.tar")" 'no agent of this name'
check "its former audit chain verifies" "$UW" audit verify "$T"/one/state/ezra-1.audit-*.jsonl
printf x >"$T/one/state/bezalel-1.db-wal"
like "the log of a lost database is not taken for that of the new one" \
    "$(say restore --to "$T/one" --agent bezalel-1 --only state "$B/load.tar")" 'bezalel-1.db is there already'

if [ "$(id -u)" = 0 ]; then
	mkdir -p "$T/owned/state" && chown 12345 "$T/owned/state"
	check "root restores" "$UW" restore --to "$T/owned" --only state "$B/load.tar"
	is "for whom the directory belongs to" "$(stat -c %u "$T/owned/state/ezra-1.db" 2>/dev/null || stat -f %u "$T/owned/state/ezra-1.db")" 12345
else
	mkdir -m 500 "$T/closed"
	like "a directory that is not ours is named" "$(say restore --to "$T/closed" "$B/load.tar")" 'closed.*Permission denied'
fi

# By time
mkdir "$T/kept"
echo x >"$T/kept/uni-wizard-mine.tar"
for i in 1 2 3 4; do
	"$UW" backup --dir "$T/kept" --keep 2 --json >"$T/out" || not_ok "a backup is made" "$i"
	sleep 1.1
done
is "the newest two stay, and what is not ours" "$(find "$T/kept" -type f | wc -l | tr -d ' ')" 3
check "what is removed is told" jq -e '.removed | length == 1' "$T/out"

# Killed
for ms in 02 05 10 15 20 30; do
	rm -f "$B/killed.tar"
	"$UW" backup --out "$B/killed.tar" >"$T/out" 2>&1 &
	p=$!
	sleep "0.$ms"
	kill -9 "$p" 2>/dev/null
	wait "$p" 2>/dev/null
	[ ! -e "$B/killed.tar" ] || check "killed after 0.$ms s, what is there is whole" "$UW" backup verify "$B/killed.tar"
done
rm -f "$B/killed.tar"
check "the next one is made" "$UW" backup --out "$B/killed.tar"
check "and takes away what was left" nothing_left
for ms in 01 02 03 05 08; do
	"$UW" restore --to "$T/killed" "$B/load.tar" >"$T/out" 2>&1 &
	p=$!
	sleep "0.$ms"
	kill -9 "$p" 2>/dev/null
	wait "$p" 2>/dev/null
	[ ! -e "$T/killed/state/ezra-1.db" ] || ! command -v sqlite3 >"$T/out" || check "a database that is there after a kill is whole" \
	    test "$(sqlite3 "$T/killed/state/ezra-1.db" 'PRAGMA quick_check')" = ok
done
check "a restore that was killed goes on" "$UW" restore --to "$T/killed" "$B/load.tar"
is "and leaves nothing but what belongs there" "$(find "$T/killed" -name .restoring)" ""
mkdir "$T/killed/.restoring"
check "nor of one that was killed at its very end" "$UW" restore --to "$T/killed" "$B/load.tar"
is "what it had not yet taken away" "$(find "$T/killed" -name .restoring)" ""

# One that wants to be where others look
cp "$T/c/houses.yaml" "$T/c/authorized_keys"
check "a backup of a configuration with an odd name" "$UW" backup --config "$T/c/authorized_keys" --out "$B/odd.tar"
rm "$T/c/authorized_keys"
like "is not put back under it" "$(say restore --only config "$B/odd.tar")" 'authorized_keys: not a name of .*--to DIR'
check "nothing is there" [ ! -e "$T/c/authorized_keys" ]

# Full
if [ "$(id -u)" = 0 ] && mkdir "$T/small" && mount -t tmpfs -o size=1m small "$T/small" 2>"$T/out"; then
	on_exit 'umount -l "$T/small"'
	like "no room is said before" "$(say backup --out "$T/small/b.tar")" 'has no room for it'
	echo 'limits: {min_free_bytes: 0}' >>"$T/c/houses.yaml"
	head -c 900000 /dev/zero >"$T/small/filler"
	like "and when it runs out" "$(say restore --to "$T/small/r" "$B/load.tar")" 'nothing was restored: .*No space left'
	is "nothing is left of it" "$(find "$T/small" -type f)" "$T/small/filler"
	sed -i.orig '/^limits/d' "$T/c/houses.yaml"
else
	skip "a full disk" "needs root and tmpfs"
fi
is "the agents are those of the beginning" "$(cat "$T"/c/run/*.pid)" "$pids"
