#!/bin/sh
# limit: 240
# Three hosts are upgraded under a stream of tasks, one after the other, and brought back when the new version is no good. A host
# is an overlay of this machine's root in a mount namespace: dpkg and apt are real there, as are agents and broker; ssh and
# systemctl are small doubles. On booted machines with their own: tests/hosts.
. "$(dirname "$0")/lib.sh"

drills=$(dirname "$0")/../drill
trickle=$HELPERS/../drill/trickle
OLD=${OLD:-$(dirname "$UW")/previous/uni-wizard}
HOUSE=ezra

can_overlay() {
	mkdir -p "$T/try" && unshare -m sh -c "mount -t tmpfs tmpfs '$T/try' && mkdir '$T/try/u' '$T/try/w' '$T/try/m' &&
	    mount -t overlay overlay -o lowerdir=/,upperdir='$T/try/u',workdir='$T/try/w' '$T/try/m'" 2>/dev/null
}
if [ "$(id -u)" -ne 0 ] || ! command -v dpkg-deb >/dev/null || ! command -v nsenter >/dev/null || ! can_overlay; then
	skip "hosts are upgraded one after the other" "needs root, dpkg, and overlay mounts in a namespace"
	exit
fi
if [ ! -x "$OLD" ]; then
	skip "hosts are upgraded one after the other" "no program of before: no history; OLD names one"
	exit
fi

mkdir -p "$T/c/tools.d" "$T/hosts" "$T/packages"
own_tool journal exclusive <<'END'
#!/bin/sh
echo "$UW_TASK_ID" >>"$UW_ROOTS/journal" && echo "{\"process\":$$}"
END
own_tool journal_again idempotent <<'END'
#!/bin/sh
echo "{\"process\":$$}"
END
cluster_up --houses $HOUSE --agents-per-house 3
"$UW" cluster stop $HOUSE-1 >"$T/out"
"$UW" cluster stop $HOUSE-2 >"$T/out"
"$UW" cluster stop $HOUSE-3 >"$T/out"

# package VERSION PROGRAM: a Debian package with that as its program.
arch=$(dpkg --print-architecture)
package() {
	rm -rf "$T/tree"
	mkdir -p "$T/tree/DEBIAN" "$T/tree/usr/bin" "$T/tree/usr/share/uni-wizard-test"
	printf 'Package: uni-wizard\nVersion: %s\nArchitecture: %s\nMaintainer: nobody <nobody@uni-wizard.invalid>\nDescription: test\n' \
	    "$1" "$arch" >"$T/tree/DEBIAN/control"
	printf '#!/bin/sh\nexit 0\n' >"$T/tree/DEBIAN/postinst"
	chmod 755 "$T/tree" "$T/tree/DEBIAN" "$T/tree/DEBIAN/postinst"
	echo "$1" >"$T/tree/usr/share/uni-wizard-test/version"
	cp "$2" "$T/tree/usr/bin/uni-wizard"
	dpkg-deb -Znone -b "$T/tree" "$T/packages/uni-wizard_$1_$arch.deb" >"$T/out"
}
deb() {
	echo "$T/packages/uni-wizard_$1_$arch.deb"
}
# Where hosts see it.
cp "$UW" "$T/new"
# What starts and dies; and what changes its database and then reaches no broker.
# shellcheck disable=SC2016
printf '#!/bin/sh\n[ "$1" != agent ] || exit 1\nexec %s "$@"\n' "$T/new" >"$T/dies"
# shellcheck disable=SC2016
printf '#!/bin/sh\n[ "$1" != agent ] || { sed "s/^brokers:.*/brokers: [\\"127.0.0.1:1\\"]/" /etc/uni-wizard/houses.yaml >/etc/uni-wizard/lost.yaml
exec %s agent --agent "$3" --config /etc/uni-wizard/lost.yaml; }\nexec %s "$@"\n' "$T/new" "$T/new" >"$T/deaf"
printf '#!/bin/sh\necho "{\\"version\\":\\"9\\",\\"protocol\\":9,\\"stores\\":{\\"agent\\":99}}"\n' >"$T/strange"
printf '#!/bin/sh\necho "{\\"version\\":\\"9\\",\\"protocol\\":1,\\"stores\\":{\\"agent\\":3}}"\n' >"$T/narrow"
chmod 755 "$T/dies" "$T/deaf" "$T/strange" "$T/narrow"
package 4.0.0-1 "$OLD"
package 4.0.1-1 "$T/new"
package 4.0.2-1 "$T/dies"
package 4.0.3-1 "$T/deaf"
package 4.9.0-1 "$T/strange"
package 4.8.0-1 "$T/narrow"

# Knows as much of systemctl as is asked of it.
cat >"$T/systemctl" <<'END'
#!/bin/sh
dir=/run/units
mkdir -p $dir /run/uni-wizard
lives() { [ -s "$dir/$1" ] && kill -0 "$(cat "$dir/$1")" 2>/dev/null; }
case $1 in
is-enabled) [ "$3" = uni-wizard.service ]; exit ;;
list-units)
	for f in "$dir"/*; do
		u=${f##*/}
		lives "$u" && echo "$u loaded active running"
	done
	exit 0 ;;
stop)
	shift
	for u; do lives "$u" && kill "$(cat "$dir/$u")"; done
	for u; do while lives "$u"; do sleep 0.1; done; rm -f "$dir/$u"; done ;;
start)
	shift
	for u; do
		lives "$u" && continue
		agent=$(sed -n 's/^UNI_WIZARD_AGENT=//p' /etc/uni-wizard/env)
		rm -f "/run/uni-wizard/$agent.sock"
		setsid /usr/bin/uni-wizard agent --agent "$agent" </dev/null >>/var/log/agent 2>&1 &
		echo $! >"$dir/$u"
		n=0
		until [ -S "/run/uni-wizard/$agent.sock" ]; do
			n=$((n + 1))
			{ lives "$u" && [ $n -lt 100 ]; } || { echo "$u failed: $(tail -n 1 /var/log/agent)" >&2; exit 1; }
			sleep 0.1
		done
	done ;;
esac
exit 0
END
chmod 755 "$T/systemctl"

# boot N: host hN with the agent ezra-N and the program of before.
boot() {
	h=$T/hosts/h$1
	mkdir -p "$h"
	cat >"$h/boot" <<-END
		set -e
		mount -t tmpfs -o mode=755 tmpfs "$h"
		mkdir "$h/u" "$h/w" "$h/m"
		mount -t overlay overlay -o "lowerdir=/,upperdir=$h/u,workdir=$h/w" "$h/m"
		for d in proc dev sys; do mount --rbind /\$d "$h/m/\$d"; done
		mkdir -p "$h/m$T"
		mount --bind "$T" "$h/m$T"
		cd "$h/m"
		rm -rf etc/uni-wizard var/lib/uni-wizard var/cache/uni-wizard run/units run/uni-wizard
		mkdir -p etc/uni-wizard usr/local/sbin var/lib/uni-wizard
		cp "$T/systemctl" usr/local/sbin/systemctl
		sed -e 's|^state:.*|state: /var/lib/uni-wizard|; s|^run:.*|run: /run/uni-wizard|; s|^pki:.*|pki: $T/c/pki|' \\
		    -e '/^hosts:/,\$d; s|roots: .*|roots: [$T/c/work]|; s|dirs: .*|dirs: [$T/c/tools.d]|; s|^http:.*|http: {listen: "off"}|' \\
		    "$T/c/houses.yaml" >etc/uni-wizard/houses.yaml
		echo UNI_WIZARD_AGENT=$HOUSE-$1 >etc/uni-wizard/env
		exec chroot . sh -c 'dpkg --force-all -i $(deb 4.0.0-1) >/run/dpkg.log 2>&1; systemctl start uni-wizard.service; echo up >$T/h$1.up; exec sleep 600'
	END
	unset UNI_WIZARD_CONFIG
	setsid unshare -m sh "$h/boot" >"$T/h$1.log" 2>&1 &
	echo $! >"$T/h$1.pid"
	export UNI_WIZARD_CONFIG="$T/c/houses.yaml"
	on_exit "halt $1"
}
on_host() {
	_pid=$(cat "$T/h$1.pid")
	shift
	nsenter -t "$_pid" -m -r -w sh -c "$*"
}
# Whoever is in that namespace.
halt() {
	_ns=$(readlink "/proc/$(cat "$T/h$1.pid")/ns/mnt") || return 0
	for _p in /proc/[0-9]*; do
		[ "$(readlink "$_p/ns/mnt" 2>/dev/null)" != "$_ns" ] || kill -9 "${_p#/proc/}" 2>/dev/null
	done
}
cat >"$T/ssh" <<END
#!/bin/sh
while [ "\$1" != -- ]; do shift; done
[ ! -e "$T/\${2#root@}.away" ] || { echo "ssh: connect to host \${2#root@}: Connection refused" >&2; exit 255; }
exec nsenter -t "\$(cat "$T/\${2#root@}.pid")" -m -r -w sh -c "\$3"
END
chmod 755 "$T/ssh"
export UNI_WIZARD_SSH="$T/ssh"
for n in 1 2 3; do
	boot $n
done
cat >>"$T/c/houses.yaml" <<END
hosts:
  h1: {ssh: root@h1, agents: [$HOUSE-1]}
  h2: {ssh: root@h2, agents: [$HOUSE-2]}
  h3: {ssh: root@h3, agents: [$HOUSE-3]}
END
for n in 1 2 3; do
	check "host h$n is up" wait_for 30 test -e "$T/h$n.up"
done

as_exec watcher mosquitto_sub -V 5 -R -t 'uw/home/agent/+/health/state' -F '%U %p' >"$T/beats" &
on_exit "kill $! 2>/dev/null"
is_settled() {
	tail -n 30 "$T/beats" | jq -nRr --arg house $HOUSE --argjson agents 3 -f "$drills/look.jq" | grep -q ' settled$'
}
check "three agents of the version before are in step" wait_for 20 is_settled
"$trickle" pace $HOUSE 20 "$T/outbox.db" >"$T/trickle" 2>"$T/trickle.err" &
trickling=$!
on_exit "kill -9 $trickling 2>/dev/null"
upgrade() {
	"$UW" host upgrade "$@" >"$T/up.out" 2>&1
}
installed() {
	for n in 1 2 3; do on_host $n "dpkg-query -W -f '\${Version} ' uni-wizard"; done
}
protocols() {
	for n in 1 2 3; do
		tail -n 12 "$T/beats" | cut -d ' ' -f 2- | jq -c 'select(.agent == "'$HOUSE-$n'") | .protocol // 0' | tail -n 1
	done | tr '\n' ' '
}
said() {
	like "$1" "$(cat "$T/up.out")" "$2"
}

# ---- what is refused before anything is done
refuse "no package" 2 upgrade --all
refuse "neither names nor all" 2 upgrade --package "$(deb 4.0.1-1)"
refuse "a host that is not there" 2 upgrade h4 --package "$(deb 4.0.1-1)"
said "and what there is instead" 'expected one of .hosts. in .* got "h4"; did you mean h[123]'
cp "$(deb 4.0.1-1)" "$T/packages/new.deb"
refuse "a package that is called otherwise" 2 upgrade --all --package "$T/packages/new.deb"
said "which names what it should be" 'a file called uni-wizard_VERSION_ARCH.deb'
refuse "somebody who may not move houses" 3 upgrade --all --package "$(deb 4.0.1-1)" --as watcher
touch "$T/h3.away"
refuse "a host that does not answer: none is begun" 1 upgrade --all --package "$(deb 4.0.1-1)"
said "it is named" 'host h3: ssh to root@h3'
rm "$T/h3.away"
cp "$(deb 4.0.2-1)" "$T/packages/uni-wizard_4.0.4-1_$arch.deb"
refuse "a package that is not what it is called" 1 upgrade h2 --package "$(deb 4.0.4-1)"
said "and says what it is" 'it is called uni-wizard_4.0.4-1_.* and is uni-wizard_4.0.2-1_'
refuse "a protocol that nobody here understands" 1 upgrade h2 --package "$(deb 4.9.0-1)"
said "says who" "it speaks protocol 9, $HOUSE-[123] speaks 1"
is "nothing was installed by any of these" "$(installed)" "4.0.0-1 4.0.0-1 4.0.0-1 "
check "a dry run says what would be done" upgrade --all --package "$(deb 4.0.1-1)" --dry-run
said "step by step" 'planned  *drain .*ezra to '
is "and does nothing" "$(installed)" "4.0.0-1 4.0.0-1 4.0.0-1 "

# ---- brought back by itself
check "all are in step" wait_for 20 is_settled
refuse "a version whose agent dies at the start" 1 upgrade --all --package "$(deb 4.0.2-1)"
said "the first host has the former one again" 'h[123] was brought back to the former version; h[123], h[123] not touched'
is "all have the former" "$(installed)" "4.0.0-1 4.0.0-1 4.0.0-1 "
check "and are in step" wait_for 20 is_settled
refuse "a version that changes its database and hears nobody" 1 upgrade h2 --package "$(deb 4.0.3-1)" --within 5 --json
is "is brought back too" "$(jq -r '.hosts[] | "\(.host) \(.state)"' "$T/up.out")" "h2 brought_back"
is "step by step" "$(jq -r '[.hosts[0] | .steps[-1], .back[] | .step + " " + .state] | join(", ")' "$T/up.out")" \
    "health failed, stop done, back done, health done"
check "the changed database is put away" on_host 2 test -s /var/lib/uni-wizard/$HOUSE-2.db.newer
is "and the former is in its place" "$(on_host 2 "od -An -tu1 -j63 -N1 /var/lib/uni-wizard/$HOUSE-2.db" | tr -d ' ')" 13
check "it is in step again" wait_for 20 is_settled

# ---- done
check "a good version goes to all" upgrade --all --package "$(deb 4.0.1-1)"
said "and that is said" 'h[123], h[123], h[123] with 4.0.1-1 now'
is "all have it" "$(installed)" "4.0.1-1 4.0.1-1 4.0.1-1 "
check "all are in step" wait_for 20 is_settled
is "with what it speaks" "$(protocols)" "1 1 1 "
check "once more there is nothing to do" upgrade --all --package "$(deb 4.0.1-1)"
said "and that is said" 'h[123], h[123], h[123] had it already'
refuse "an older one is refused" 1 upgrade --all --package "$(deb 4.0.0-1)"
said "by its version" 'host h[123] has 4.0.1-1, which is newer than the package, 4.0.0-1'
refuse "a program that does not read the databases" 1 upgrade h2 --package "$(deb 4.8.0-1)"
said "says which it would read" "databases there have version 1[0-9], the package's program knows up to 3"
is "two packages are kept" "$(on_host 3 ls /var/cache/uni-wizard | tr '\n' ' ')" \
    "uni-wizard_4.0.0-1_$arch.deb uni-wizard_4.0.1-1_$arch.deb "

kill $trickling
wait $trickling
figures=$(awk -v at=0 -v old=none -f "$drills/analyse.awk" "$T/trickle")
is "every task ended" "$(echo "$figures" | cut -d ' ' -f 4)" 0
is "none has two outcomes" "$(echo "$figures" | cut -d ' ' -f 5)" 0
is "none was refused" "$(echo "$figures" | cut -d ' ' -f 7)" 0
is "no exclusive task was started twice" "$(sort "$T/c/work/journal" | uniq -d | wc -l | tr -d ' ')" 0
gap() {
	awk '$2 == "outcome" { if (last && $1 - last > gap) gap = $1 - last; last = $1 } END { print gap + 0 }' "$T/trickle"
}
check "no gap of 5 s ($(gap) ms)" test "$(gap)" -lt $((5000 * SLOW))
