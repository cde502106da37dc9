#!/bin/sh
# init and host: a cluster made from nothing, on hosts that are directories of this machine: their shells, files, users, brokers and
# agents are real, their package and service managers (host/) are not. tests/hosts has those.
. "$(dirname "$0")/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
out() { "$UW" "$@" 2>&1; }
sum() { cksum <"$C/houses.yaml"; }

# init
export HOME="$T/home"
mkdir "$HOME"
unset XDG_CONFIG_HOME
C=$HOME/.config/uni-wizard
refuse "without a terminal and --yes, init asks nobody" 2 setsid "$UW" init </dev/null
refuse "a bad answer is refused" 2 "$UW" init --yes --no-passphrase --cluster 'A b'
like "with what it is an answer to" "$(out init --yes --no-passphrase --cluster 'a: b')" 'cluster: expected a name .*got a: b'
check "and leaves no houses.yaml" [ ! -e "$C/houses.yaml" ]
like "a broker is a host" "$(out init --yes --no-passphrase --broker 'a b')" 'broker: expected host or host:port, got "?a b'
check "or anything else" [ ! -e "$C" ]
port=$(awk 'BEGIN { srand(); print 20000 + int(rand() * 12000) }')
check "init makes a cluster" "$UW" init --yes --no-passphrase --cluster lab --houses ezra,bezalel --broker "127.0.0.1:$port"
is "its directory is one's own" "$(stat -c %a "$C" "$C/pki" "$C/houses.yaml" "$C/pki/ca.key" "$C/pki/sovereign.key" | tr '\n' ' ')" \
    "700 700 600 600 600 "
check "houses.yaml is valid, and found without more words" "$UW" config check
is "with the answers in it" "$("$UW" config check --json | jq -c '[.cluster, .brokers[0].port, [.houses[].name]]')" \
    "[\"lab\",$port,[\"ezra\",\"bezalel\"]]"
check "all certificates are good" "$UW" pki show
before=$(cd "$C" && find . -type f -exec cksum {} + | sort)
is "a second init makes nothing" "$("$UW" init --yes --json | jq -c .made)" "[]"
is "and changes nothing" "$(cd "$C" && find . -type f -exec cksum {} + | sort)" "$before"
rm "$C/pki/operator.crt" "$C/pki/policy.json"
is "what is missing is made again" "$("$UW" init --yes --json | jq -c '.made | length')" 2
echo "a long passphrase" >"$T/pass"
chmod 600 "$T/pass"
check "init takes another directory, and a passphrase" "$UW" init "$T/other" --yes --passphrase-file "$T/pass"
check "whose key is locked" sh -c 'grep -q ENCRYPTED "$1" || ! head -1 "$1" | grep -q "BEGIN PRIVATE"' - "$T/other/pki/sovereign.key"

# ssh that fails
UW_HOSTS=$T/hosts
mkdir -p "$UW_HOSTS/h1"
# Of the environment ssh gets what it needs and no more.
printf '#!/bin/sh\nUW_HOSTS=%s exec %s/host/ssh "$@"\n' "$UW_HOSTS" "$here" >"$T/ssh"
chmod 755 "$T/ssh"
export UNI_WIZARD_SSH="$T/ssh"
cat >>"$C/houses.yaml" <<'END'
http: {listen: "127.0.0.1:0"}   # two hosts share a machine here
END
s=$(sum)
for says in "Permission denied (publickey).=ssh-copy-id" "Host key verification failed.=--accept-new" \
    "connect to host h1.invalid port 22: Connection refused=no sshd" "Could not resolve hostname h1.invalid=houses.yaml"; do
	echo "${says%%=*}" >"$UW_HOSTS/h1/ssh_says"
	like "ssh says: ${says%%=*}" "$(out host add h1 --house ezra --ssh root@h1.invalid)" "reach: host h1: .*${says#*=}.*ssh said: [A-Za-z]"
done
refuse "which is a failure" 1 "$UW" host add h1 --house ezra --ssh root@h1.invalid
is "and leaves houses.yaml as it was" "$(sum)" "$s"
check "a dry run shows what would be done all the same" "$UW" host add h1 --house ezra --ssh root@h1.invalid --dry-run
like "saying that it cannot look" "$(out host add h1 --house ezra --ssh root@h1.invalid --dry-run)" 'planned +reach .*cannot look: host h1'
for bad in "h1 --house ezra" "h1 --ssh root@h1.invalid" "H1 --house ezra --ssh h" "h1 --house ezra --ssh -oProxyCommand=x" "h1 --house E --ssh h"; do
	# shellcheck disable=SC2086
	refuse "wrong usage: host add $bad" 2 "$UW" host add $bad
done
refuse "an unknown host cannot be removed" 2 "$UW" host remove h9

if [ "$(id -u)" -ne 0 ] || ! unshare --mount true 2>/dev/null || ! command -v dpkg >/dev/null || ! command -v setpriv >/dev/null; then
	skip "hosts are added and removed" "needs root on Debian, with mount namespaces"
	exit
fi

# host_make NAME: a machine on which nothing is installed yet.
host_make() {
	h=$UW_HOSTS/$1
	mkdir -p "$h/run/systemd/system" "$h/var/lib/uni-wizard" "$h/usr/share/uni-wizard/mosquitto.service.d" "$h/usr/local/sbin"
	cp -a /etc "$h/etc"
	rm -rf "$h/etc/uni-wizard" "$h/etc/mosquitto/uni-wizard" "$h/etc/systemd/system/mosquitto.service.d"
	grep -q '^uni-wizard:' "$h/etc/passwd" || echo 'uni-wizard:x:6042:6042::/var/lib/uni-wizard:/usr/sbin/nologin' >>"$h/etc/passwd"
	grep -q '^uni-wizard:' "$h/etc/group" || echo 'uni-wizard:x:6042:' >>"$h/etc/group"
	mkdir "$h/run/uni-wizard"
	chown 6042:6042 "$h/run/uni-wizard" "$h/var/lib/uni-wizard"
	cp "$here/../../deploy/systemd/mosquitto.service.d/uni-wizard.conf" "$h/usr/share/uni-wizard/mosquitto.service.d"
	cp -P "$here"/host/apt-get "$here"/host/dpkg-query "$here"/host/systemctl "$h/usr/local/sbin"
	cp "$UW" "$h/usr/local/sbin/uni-wizard"
	rm -f "$h/ssh_says"
}

there() {
	h=$1
	shift
	# As one word of the shell there.
	"$UNI_WIZARD_SSH" "root@$h.invalid" "$*"
}

# Whoever starts them again ends first.
on_exit 'for p in "$UW_HOSTS"/*/run/units/*; do case $p in *.enabled | *.main) ;; *) kill -9 "$(cat "$p")" ;; esac; done 2>/dev/null
for p in "$UW_HOSTS"/*/run/units/*.main; do kill -9 "$(cat "$p")"; done 2>/dev/null
sleep 0.3'
chmod 755 "$T"
umask 022
arch=$(dpkg --print-architecture)
deb=$T/uni-wizard_9.9.9-1_$arch.deb
printf 'a package' >"$deb"
host_make h1
host_make h2
add_h1() { "$UW" host add h1 --house ezra --ssh root@h1.invalid --address 127.0.0.1 --broker --package "$deb" "$@"; }
run_one() { timeout $((30 * SLOW)) "$UW" submit system_info --house "$1" --wait --json 2>/dev/null | jq -rs '.[-1].state'; }
states() { jq -r '[.steps[] | .step + " " + .state] | join(", ")'; }

# A run that fails half-way, and one that goes on
add_h1 --dry-run >/dev/null
check "a dry run leaves the host alone" [ ! -e "$UW_HOSTS/h1/etc/uni-wizard" ]
is "and houses.yaml" "$(sum)" "$s"
: >"$UW_HOSTS/h1/var/lib/no-room"
: >"$UW_HOSTS/h1/var/lib/no-room-2"
refuse "a package of another architecture is refused" 1 "$UW" host add h1 --house ezra --ssh root@h1.invalid --address 127.0.0.1 --broker \
    --package "$T/uni-wizard_1_nonesuch.deb"
# The first try fails, and the one after the update of the lists, too.
sed -i 's|rm /var/lib/no-room$|mv /var/lib/no-room-2 /var/lib/no-room 2>/dev/null \|\| rm /var/lib/no-room|' "$UW_HOSTS/h1/usr/local/sbin/apt-get"
like "a full disk is said, with the step and the host" "$(add_h1 2>&1)" "package: host h1: .*it said: E: You don't have enough free space"
like "houses.yaml names the host by now" "$(cat "$C/houses.yaml")" \
    'h1: \{ssh: "root@h1.invalid", address: "127.0.0.1", broker: "on", agents: \[ezra-1\]\}'
like "whose comments are all there" "$(cat "$C/houses.yaml")" '# two hosts share a machine here'
is "the next run goes on from there" "$(add_h1 --json | states)" \
    "reach already, houses already, package done, certificates done, configuration done, broker done, start done, health done, policy done"
is "keys are where they belong, for their users alone" \
    "$(cd "$UW_HOSTS/h1/etc" && stat -c '%a %u %n' uni-wizard/pki/ezra-1.key uni-wizard/houses.yaml | tr '\n' ' ')" \
    "600 6042 uni-wizard/pki/ezra-1.key 640 0 uni-wizard/houses.yaml "
check "no authority's key is" [ ! -e "$UW_HOSTS/h1/etc/uni-wizard/pki/ca.key" ]
check "no key and no value was in an argument of ssh" sh -c '! grep -qE "PRIVATE|ezra|uni-wizard_" "$1"' - "$UW_HOSTS/h1/called"
is "what is of this machine alone is not there" "$(grep -cE '^(hosts|state|run|pki):' "$UW_HOSTS/h1/etc/uni-wizard/houses.yaml")" 0
pid=$(cat "$UW_HOSTS/h1/run/units/uni-wizard.main")
is "a third run changes nothing" "$("$UW" host add h1 --package "$deb" --json | jq -c '[.ok, .steps[2].state, .steps[4].note]')" \
    '[true,"already","/etc/uni-wizard/houses.yaml as it was"]'
is "and nothing is restarted" "$(cat "$UW_HOSTS/h1/run/units/uni-wizard.main")" "$pid"
is "the cluster works" "$(run_one ezra)" succeeded

# A second host
check "a second host is added" "$UW" host add h2 --house bezalel --ssh root@h2.invalid --address 127.0.0.2 --package "$deb"
is "for its house's usual agent nobody begins anew" "$(cat "$UW_HOSTS/h1/run/units/uni-wizard.main")" "$pid"
check "both are listed as online" "$UW" host list
is "with version and the end of their certificates" "$("$UW" host list --json | jq -c '[.[] | [.host, .agent, .health, (.certificate_until > "2026")]]')" \
    '[["h1","ezra-1","online",true],["h2","bezalel-1","online",true]]'

# Certificates
mkdir "$T/old"
cp "$C/pki/bezalel-1.crt" "$C/pki/bezalel-1.key" "$C/pki/ca.crt" "$T/old"
# connects DIRECTORY: with bezalel-1's certificate of that directory.
connects() {
	timeout 5 mosquitto_pub -h 127.0.0.1 -p "$port" --cafile "$C/pki/ca.crt" --cert "$1/bezalel-1.crt" --key "$1/bezalel-1.key" -i "c$$" -q 1 \
	    -t uw/lab/agent/bezalel-1/telemetry/x -m x >/dev/null 2>&1
}
check "a certificate is good before" connects "$T/old"
check "certificates are rotated" "$UW" host rotate-cert h2 --new-key
check "the former one is worth nothing" not connects "$T/old"
check "the new one is good" connects "$C/pki"
check "and its agent is online" "$UW" host list

# cloud-init
host_make h3
s=$(sum)
like "a package over HTTP that nothing is known of is refused" "$(out host cloud-init h3 --house ezra --ssh root@h3.invalid \
    --package-url http://h/x.deb)" 'package-url: expected https://.*--package FILE'
is "and nothing has changed" "$(sum)" "$s"
"$UW" host cloud-init h3 --house ezra --ssh root@h3.invalid --address 127.0.0.3 --package "$deb" >"$T/data" 2>/dev/null
check "user data is a script" sh -n "$T/data"
cp "$T/data" "$UW_HOSTS/h3/usr/local/sbin/user-data"
cp "$UW_HOSTS/h3/usr/local/sbin/apt-get" "$T/apt-get"
printf '#!/bin/sh\nexit 1\n' >"$UW_HOSTS/h3/usr/local/sbin/apt-get"
refuse "which fails where a step of it does" 1 there h3 sh /usr/local/sbin/user-data
check "and goes no further" [ ! -e "$UW_HOSTS/h3/etc/uni-wizard" ]
cp "$T/apt-get" "$UW_HOSTS/h3/usr/local/sbin/apt-get"
check "that makes the machine a host" there h3 sh /usr/local/sbin/user-data
check "without the authority's key" not grep -rq "$(sed -n 2p "$C/pki/ca.key")" "$UW_HOSTS/h3/etc/uni-wizard" "$UW_HOSTS/h3/var/lib/uni-wizard"
: >"$UW_HOSTS/h1/run/log/systemctl"
check "host add does the rest" "$UW" host add h3 --package "$deb"
like "the others know its agent" "$(cat "$UW_HOSTS/h1/etc/uni-wizard/houses.yaml")" 'agents: \[ezra-1, ezra-2\]'
check "what they got was taken up" [ ! -e "$UW_HOSTS/h1/etc/uni-wizard/.reload" ]
check "by the watcher of their agents, too" grep -q 'try-restart health-daemon' "$UW_HOSTS/h1/run/log/systemctl"
is "and it is online" "$("$UW" host list --json | jq -r '.[] | select(.host == "h3") | .agent + " " + .health')" "ezra-2 online"

# Removal
cp "$C/pki/bezalel-1.crt" "$C/pki/bezalel-1.key" "$T/old"
: >"$UW_HOSTS/h2/called"
"$UW" host remove h2 --lost >"$T/lost" 2>&1 &
check "a lost host's certificate is worth nothing within five seconds" wait_for 4 not connects "$T/old"
check "which is all the while one waits" wait $!
is "to it nothing was said" "$(cat "$UW_HOSTS/h2/called")" ""
check "its agent still runs there" there h2 systemctl is-active uni-wizard
like "its house has the name of an agent to come" "$(cat "$C/houses.yaml")" 'agents: \[bezalel-2\]'
is "hosts that are left" "$("$UW" host list --json | jq -c '[.[].host]')" '["h1","h3"]'
is "the house goes on with those who stand in" "$(run_one bezalel)" succeeded
: >"$UW_HOSTS/h3/run/units/stuck"
s=$(sum)
like "one whose agent does not stop is not" "$("$UW" host remove h3 2>&1)" "stop: host h3: .*it said: uni-wizard.* still runs"
is "and nothing has changed" "$(sum)" "$s"
rm "$UW_HOSTS/h3/run/units/stuck"
echo "ssh: connect to host h3.invalid port 22: Connection refused" >"$UW_HOSTS/h3/ssh_says"
like "nor one that is not reached, and how to do without it is said" "$("$UW" host remove h3 2>&1)" "no sshd listens.*--lost does without it"
rm "$UW_HOSTS/h3/ssh_says"
check "a host is removed and purged" "$UW" host remove h3 --purge
is "nothing of it is left there" "$(cd "$UW_HOSTS/h3" && find etc/uni-wizard var/lib/uni-wizard var/lib/installed 2>/dev/null)" ""
