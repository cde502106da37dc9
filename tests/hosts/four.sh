#!/bin/sh
# limit: 600
# Four hosts, from nothing: the install guide, word for word, on a machine of one's own and three servers, and a fourth; then what may
# befall a host. CHAPTERS chooses of the functions below: all need begin and from_nothing, the_end needs package, a_revocation a_backup.
# shellcheck disable=SC1091,SC2154
. "$(dirname "$0")/lib.sh"

# deb_of VERSION: the file.
deb_of() {
	ls "$DEBS/uni-wizard_$1-1_"*.deb
}

chapters=${CHAPTERS:-begin package from_nothing services a_power_cut a_partition a_second_broker a_hang a_reboot an_upgrade a_backup a_revocation the_end}
HOSTS="ezra bezalel allegro h4" brokers=ezra deaf=

begin() {
	mac_up
	# shellcheck disable=SC2086
	hosts up $HOSTS || exit 2
	hosts push mac "$(deb_of "$VERSION")" /home/debian/
	hosts push mac "$(deb_of "$NEXT")" /tmp/
	hosts push mac "$HELPERS/../drill/trickle" /usr/local/bin/trickle
}

# Everything on the disk of a host but what others write there, and who is known and runs there.
traces() {
	# shellcheck disable=SC2016
	on "$1" sh -c 'find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /root -o -path "/tmp/*.deb" -o -path "*/systemd-private-*" \
	    -o -path "/var/log/*" ! -path "*uni-wizard*" -o -path /var/cache/apt -o -path /var/cache/ldconfig -o -path "/var/cache/debconf/*" \
	    -o -path "/var/lib/dpkg/*" ! -path "*uni-wizard*" -o -path "/var/lib/apt/*" \) -prune -o -print
	    cut -d: -f1 /etc/passwd /etc/group; systemctl list-unit-files --no-legend; ps -eo user= | sort -u' | sort
}

package() {
	traces h4 >"$T/before"
	deb=$(deb_of "$VERSION")
	hosts push h4 "$deb" /tmp/
	check "the package is installed" on h4 apt-get install -q -y "/tmp/${deb##*/}"
	is "no unit of it is enabled or runs before there is a cluster" "$(on h4 systemctl list-units --no-legend --plain 'uni-wizard*' 'timmy*' 'health*' |
	    grep -v '\.slice' | cut -d' ' -f1)" ""
	check "the program runs, and has a manual" on h4 sh -c 'uni-wizard --version && test -s /usr/share/man/man1/uni-wizard.1.gz'
	check "it is purged" on h4 apt-get purge -q -y uni-wizard
	traces h4 | diff "$T/before" - >"$T/left"
	is "a purge leaves nothing: no file, user, unit or process" "$(grep '^[<>]' "$T/left")" ""
}

uw() {
	mac uni-wizard "$@"
}

owner_of() {
	uw house list --json | jq -r --arg house "$1" '.[] | select(.house == $house) | .owner // empty'
}

# Everybody is there, every house has an owner and all others in step.
at_rest() {
	uw host list >"$T/rest" && uw house list --json >"$T/houses" &&
	    jq -e 'all(.[]; .owner != null and all(.candidates[]; .state == "owner" or .state == "in step"))' "$T/houses"
}

other_owner() {
	owner=$(owner_of "$1")
	[ -n "$owner" ] && [ "$owner" != "$2" ]
}

# stream HOUSE: tasks for it, 20 a second, until stream_ends; what becomes of them is in $T/stream.
stream() {
	mac trickle plain "$1" 20 "/home/debian/$1.outbox" >"$T/stream" 2>"$T/stream.err" &
	streaming=$!
	wait_for 20 flows || not_ok "tasks flow" "$(cat "$T/stream.err")"
}

flows() {
	[ "$(grep -c ' outcome ' "$T/stream")" -ge 20 ]
}

# The stream ends; figures is "recovery longest-wait tasks lost twice uncertain rejected" of what came since $at.
stream_ends() {
	mac pkill -TERM -x trickle
	wait "$streaming"
	ended=$?
	figures=$(awk -v deaf="$deaf" -v at="$at" -v since="$((at - 500))" -v old="$owner" -f "$here/../drill/analyse.awk" "$T/stream")
	longest=$(echo "$figures" | cut -d' ' -f2)
	echo "# the longest that a task had to wait: $longest ms"
	# shellcheck disable=SC2086
	set -- $figures
	if [ "$ended" -eq 0 ] && [ "$3" -gt 20 ] && [ "$4 $5 $7" = "0 0 0" ]; then
		ok "none of $3 tasks is lost, none ends twice"
	else
		not_ok "none of $3 tasks is lost, none ends twice" "exit code $ended; lost, twice, rejected: $4 $5 $7
$(tail -n 3 "$T/stream.err")
$(awk '{ line[$3] = line[$3] $0 "\n" } $2 == "put" { open[$3] } $2 ~ /^(outcome|rejected)$/ { delete open[$3] }
    END { for (n in open) printf "%s", line[n] }' "$T/stream" | head -n 20)"
	fi
}

# home HOUSE AGENT: it is that agent's, which is not on the broker's host.
home() {
	[ "$(owner_of "$1")" = "$2" ] || uw house move "$1" --to "$2"
}

from_nothing() {
	begun=$(now)
	guide "From nothing" || exit 1
	echo "# three servers and the first task: $((($(now) - begun) / 1000)) s"
	check "a fourth host is added" mac sh -c 'uni-wizard host add h4 --house ezra --ssh root@h4 --package uni-wizard_*.deb --accept-new'
	on ezra sh -c 'cd /tmp && exec setpriv --reuid=uni-wizard --regid=uni-wizard --init-groups \
	    uni-wizard submit system_info --house bezalel --as ezra-1 --wait --within 20 --json' >"$T/first" 2>&1
	is "a task that ezra's host gives is done on bezalel's" "$(jq -r '.result.host // .host' "$T/first" 2>/dev/null || cat "$T/first")" bezalel
	took=$(($(now) - begun))
	echo "# from the first command to a task from host to host, on four hosts: $((took / 1000)) s"
	check "within two minutes, packages at hand" [ "$took" -lt $((120000 * SLOW)) ]
	check "all are in step, every house has its owner" wait_for 60 at_rest
	check "no alert is left" wait_for 60 uw alerts
	said=$(on h4 journalctl -o cat -u uni-wizard | wc -l)
	check "added once more, all is there already" mac sh -c 'uni-wizard host add h4 --package uni-wizard_*.deb'
	is "and its agent has not noticed" "$(on h4 journalctl -o cat -u uni-wizard | wc -l)" "$said"
}

exposure() {
	on "$1" systemd-analyze security --no-pager "$2" | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p'
}

services() {
	for h in $HOSTS; do
		is "$h: its agent runs, and will after a reboot" "$(on "$h" systemctl is-active uni-wizard; on "$h" systemctl is-enabled uni-wizard)" \
		    "active
enabled"
		is "$h: nothing has failed" "$(on "$h" systemctl --failed --no-legend --plain)" ""
		is "$h: its key is its agent's alone" "$(on "$h" sh -c 'stat -c "%U %a" /etc/uni-wizard/pki/*.key' | sort -u)" "uni-wizard 600"
		is "$h: who listens to others is sshd, and the broker where there is one" "$(on "$h" ss -Hltn | awk '{ print $4 }' | grep -v '^127\.\|^\[::1' |
		    sed 's/.*://' | sort -un | tr '\n' ' ')" "22 $([ "$h" != ezra ] || echo '8883 ')"
	done
	is "its key is nowhere but on the mac" "$(for h in $HOSTS; do on "$h" find /etc /var /root -name 'ca.key' -o -name 'sovereign.key'; done)" ""
	is "systemd is told when it is ready, and watches it" "$(on ezra systemctl show -p Type,WatchdogUSec,NotifyAccess uni-wizard | sort | tr '\n' ' ')" \
	    "NotifyAccess=main Type=notify WatchdogUSec=30s "
	for unit in uni-wizard uni-wizard@timmy-1 health-daemon uni-wizard-maintenance; do
		e=$(exposure bezalel $unit)
		check "systemd-analyze security $unit: $e, at most 2.0" awk -v e="$e" 'BEGIN { exit !(e != "" && e <= 2.0) }'
	done
	e=$(exposure ezra mosquitto)
	check "systemd-analyze security mosquitto: $e, at most 2.0" awk -v e="$e" 'BEGIN { exit !(e != "" && e <= 2.0) }'
	check "the doctor finds nothing on a host" on bezalel uni-wizard doctor --agent bezalel-1
}

a_power_cut() {
	check "allegro-1 is the router" wait_for 60 home _ allegro-1
	at=$(now)
	check "the power of its host is cut" hosts crash allegro
	check "somebody else is the router" wait_for 30 other_owner _ allegro-1
	check "a task that names no house is done" wait_for 30 uw submit noop --wait --within 10
	took=$(($(now) - at))
	echo "# from the power cut to a task done by another router: $took ms"
	check "within 30 s" [ "$took" -lt $((30000 * SLOW)) ]
	check "its host boots again" hosts up allegro
	check "its agent comes back by itself, all are in step" wait_for 60 at_rest
}

a_partition() {
	check "bezalel-1 owns its house" wait_for 60 home bezalel bezalel-1
	stream bezalel
	at=$(now) owner=bezalel-1
	hosts cut bezalel
	check "its host is cut off: the house goes to another" wait_for 30 other_owner bezalel bezalel-1
	sleep 5
	hosts heal bezalel
	check "the net is mended: it comes back in step" wait_for 60 at_rest
	stream_ends
}

# The worst host to lose: the broker's, with an agent on it.
a_second_broker() {
	check "another host gets a broker, too" mac sh -c 'uni-wizard host add bezalel --broker --package uni-wizard_*.deb'
	check "all are in step" wait_for 60 at_rest
	check "allegro-1 owns its house" wait_for 60 home allegro allegro-1
	stream allegro
	at=$(now) owner=allegro-1 deaf=1
	hosts crash ezra
	check "the power of the first broker's host is cut: tasks are done over the second" wait_for 30 uw submit noop --wait --within 10
	took=$(($(now) - at))
	echo "# after $took ms"
	check "within 30 s" [ "$took" -lt $((30000 * SLOW)) ]
	brokers="ezra bezalel"
	hosts up ezra
	check "it boots again, all are in step" wait_for 120 at_rest
	stream_ends
	deaf=
}

restarts() {
	[ "$(on "$1" systemctl show -p NRestarts --value uni-wizard)" -gt 0 ] && [ "$(on "$1" systemctl is-active uni-wizard)" = active ]
}

a_hang() {
	at=$(now)
	# shellcheck disable=SC2016
	on allegro sh -c 'kill -STOP "$(systemctl show -p MainPID --value uni-wizard)"'
	check "an agent that hangs is ended and started again" wait_for 60 restarts allegro
	echo "# after $((($(now) - at) / 1000)) s"
	check "and gets in step" wait_for 60 at_rest
}

a_reboot() {
	on h4 systemctl reboot 2>/dev/null
	check "a host goes down for a reboot" hosts gone h4
	check "and comes up" hosts up h4
	check "its agent comes back by itself, all are in step" wait_for 60 at_rest
}

versions() {
	uw host list --json | jq -r '.[].version' | sort -u
}

an_upgrade() {
	deb=/tmp/$(basename "$(deb_of "$NEXT")")
	stream ezra
	at=$(now) owner=$(owner_of ezra)
	check "all hosts are upgraded, one after the other" uw host upgrade --all --package "$deb"
	echo "# in $((($(now) - at) / 1000)) s"
	is "all run the new version" "$(versions)" "$NEXT"
	stream_ends
	check "none waits for more than 5 s" [ "$longest" -le $((5000 * SLOW)) ]
	check "all are in step" wait_for 60 at_rest
}

# A disk that is lost with its host: the backup goes onto another machine, which takes the host's place.
a_backup() {
	guide "Afterwards"
	check "a host is backed up while it works" on h4 uni-wizard backup --out /root/h4.tar
	on h4 cat /root/h4.tar >"$T/h4.tar"
	said=$(on h4 sh -c 'ls /etc/uni-wizard/pki; cat /etc/uni-wizard/env')
	hosts crash h4
	hosts up h5
	hosts push h5 "$T/h4.tar" /root/h4.tar
	deb=$(deb_of "$NEXT")
	hosts push h5 "$deb" /root/
	check "another machine gets the package" on h5 apt-get install -q -y "/root/${deb##*/}"
	check "the backup is put back there" on h5 uni-wizard restore /root/h4.tar
	is "with configuration, certificate and key" "$(on h5 sh -c 'ls /etc/uni-wizard/pki; cat /etc/uni-wizard/env')" "$said"
	check "it takes the place of the host that is lost" uw host add h4 --ssh root@h5 --package "/tmp/${deb##*/}" --accept-new
	check "and gets in step" wait_for 60 at_rest
	check "what it recorded before and since is whole" on h5 uni-wizard audit verify --agent ezra-2
}

# thief BROKER CLIENT...: as somebody who has the host's key, from elsewhere.
thief() {
	_broker=$1 _client=$2
	shift 2
	mac "$_client" -h "$_broker.example.org" -p 8883 --cafile stolen/ca.crt --cert stolen/ezra-2.crt --key stolen/ezra-2.key "$@"
}

says() {
	thief "$1" mosquitto_pub -q 1 -t uw/home/agent/ezra-2/telemetry/x -m '{}'
}

locked_out() {
	for b in $brokers; do
		! says "$b" || return 1
	done
}

hears() {
	[ -s "$T/heard" ]
}

is_refused() {
	on h5 journalctl -o cat -u uni-wizard | grep -q 'trying again'
}

a_revocation() {
	mac mkdir -p stolen
	for f in ca.crt ezra-2.crt ezra-2.key; do
		on h5 cat "/etc/uni-wizard/pki/$f" | mac tee "stolen/$f" >/dev/null
	done
	thief ezra mosquitto_sub -t 'uw/home/agent/+/health/state' >"$T/heard" 2>&1 &
	listening=$!
	check "who has a host's key can connect, and hears" wait_for 10 hears
	check "and may speak in its name" says ezra
	hosts crash h5
	at=$(now)
	uw host remove h4 --lost >"$T/removed" 2>&1 &
	removing=$!
	check "the host is declared lost: no broker lets in who has its key" wait_for 30 locked_out
	took=$(($(now) - at))
	echo "# locked out after $took ms"
	check "within 5 s" [ "$took" -le $((5000 * SLOW)) ]
	: >"$T/heard"
	sleep 2
	is "who was connected with it hears nothing more" "$(cat "$T/heard")" ""
	check "the host is struck" wait "$removing"
	mac pkill -x mosquitto_sub
	wait "$listening"
	hosts up h5
	check "back again, it is not let in" wait_for 20 is_refused
	is "and the cluster does not know it" "$(uw host list --json 2>/dev/null | jq -r '.[].host' | grep -c h4)" 0
	check "which is whole without it" wait_for 60 at_rest
}

the_end() {
	guide "Taking it all away"
	for h in ezra bezalel allegro; do
		traces "$h" | diff "$T/before" - >"$T/left"
		is "$h is as it was before, but for Mosquitto's own: no file, user, unit or process is left" \
		    "$(awk '/^[<>]/ && (!/mosquitto/ || /uni-wizard/)' "$T/left")" ""
	done
}

for chapter in $chapters; do
	opened=$(now)
	$chapter
	echo "# $chapter: $((($(now) - opened) / 1000)) s"
done
