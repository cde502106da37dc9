#!/bin/sh
# hosts.sh - real hosts on one Linux machine: each boots systemd on a disk, an address and processes of its own.
#
#   hosts.sh can                   nothing if this machine can do it, else why not, and exit code 1
#   hosts.sh rootfs                makes the disk that all begin with, once (a minute, 70 MB)
#   hosts.sh run COMMAND...        runs it where hosts can be; however it ends, nothing of them is left
#
# and within that command:
#
#   hosts.sh up NAME...            makes and boots those that are not up; at most 16, each reaches the others by name
#   hosts.sh exec NAME COMMAND...  runs it there, as root
#   hosts.sh push NAME FILE PATH   copies a file there, with its mode
#   hosts.sh halt NAME             shuts it down in order; its disk is kept, up boots it again
#   hosts.sh crash NAME            cuts its power: nothing of it says good-bye; its disk is kept
#   hosts.sh gone NAME             waits until it has gone down by itself, as in a reboot
#   hosts.sh freeze|thaw NAME      stops all its processes, and lets them go on; connections stay
#   hosts.sh cut NAME [NAME]       drops, without a word, what passes between it and all others (or one)
#   hosts.sh heal NAME [NAME]      undoes that
#   hosts.sh log NAME              what it has written on its console
#
# It works as root, with systemd on the machine or without, on either kind of cgroups, and asks nothing of the machine's own network: hosts
# hang on a bridge in a network namespace without an uplink. Everything is in namespaces of one process and dies with it. Whoever holds
# /run/hosts/key may log in as root, or as debian, who may use sudo: as with a server that one rents.
#
# Where the machine keeps memory and pids on cgroup v1, MemoryMax= and TasksMax= are not enforced in a host.
#
# UW_HOSTS_CACHE: where the disk is kept (build/hosts). Its packages are those of the machine's own system and apt sources.
set -u

self=$(cd "$(dirname "$0")" && pwd)/hosts.sh
cache=${UW_HOSTS_CACHE:-${self%/tests/*}/build/hosts}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

run=/run/hosts
net=10.77.0
patience=60
packages=systemd,systemd-sysv,dbus,iproute2,iputils-ping,procps,ca-certificates,openssl,openssh-server,sudo,adduser,logrotate
packages=$packages,git,jq,mosquitto,mosquitto-clients,libuv1,libsqlite3-0,libcjson1,libyaml-0-2,libcurl4,libmicrohttpd12,libncursesw6
# Another disk where what makes it is another.
tar=$cache/rootfs-$(sed '/^packages=/p;/^do_rootfs/,/^}/p;d' "$self" | cat - /etc/os-release | cksum | cut -d' ' -f1).tar.zst

die() {
	echo "hosts.sh: $*" >&2
	exit 1
}

apt_sources() {
	for f in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ubuntu.sources /etc/apt/sources.list; do
		[ ! -s "$f" ] || { echo "$f"; return; }
	done
	return 1
}

do_can() {
	[ "$(uname)" = Linux ] || die "needs Linux"
	[ "$(id -u)" -eq 0 ] || die "needs root"
	for p in mmdebstrap systemd-nspawn ip nft zstd ssh-keygen unshare nsenter flock; do
		command -v "$p" >/dev/null || die "needs the program $p"
	done
	apt_sources >/dev/null || die "needs the apt sources of Debian or Ubuntu"
	# shellcheck disable=SC2016
	unshare --mount --propagation private --net --pid --fork --mount-proc sh -ec '
		mount -t cgroup2 none /sys/fs/cgroup
		d=/sys/fs/cgroup/uw-hosts-can.$1
		mkdir "$d"
		[ -e "$d/cgroup.freeze" ] && [ -e "$d/cgroup.kill" ] || rc=1
		rmdir "$d"
		mount -t tmpfs tmpfs /run
		mkdir /run/1 /run/2 /run/3 /run/4
		mount -t overlay overlay -o lowerdir=/run/1,upperdir=/run/2,workdir=/run/3 /run/4
		ip link add br0 type bridge
		nft add table bridge t
		exit "${rc:-0}"' sh $$ >/dev/null 2>&1 ||
	    die "needs namespaces, cgroup2 with freeze and kill, overlayfs, bridges and nftables of the kernel"
}

# Nothing may begin, fetch or clean by itself, and no two hosts may have the same keys.
do_rootfs() {
	[ ! -e "$tar" ] || return 0
	mkdir -p "$cache" || exit
	exec 9>"$cache/lock"
	flock 9
	[ ! -e "$tar" ] || return 0
	rm -f "$cache"/rootfs-*
	# shellcheck disable=SC1091
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016
	mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" --dpkgopt=force-unsafe-io \
	    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	    --customize-hook='chroot "$1" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
	        e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer console-getty.service getty.target' \
	    --customize-hook='chroot "$1" useradd -m -s /bin/bash debian && \
	        echo "debian ALL=(ALL) NOPASSWD:ALL" >"$1/etc/sudoers.d/debian" && chmod 440 "$1/etc/sudoers.d/debian"' \
	    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap; : >"$1/etc/machine-id"' \
	    "$suite" "$tar.new.tar.zst" "$(apt_sources)" >"$cache/log" 2>&1 </dev/null ||
	    die "no root file system: $(tail -n 3 "$cache/log" | tr '\n' ' ')"
	mv "$tar.new.tar.zst" "$tar"
}

do_run() {
	[ $# -gt 0 ] || die "run what?"
	do_can
	do_rootfs
	exec unshare --mount --propagation private --net --pid --fork --kill-child --mount-proc "$self" pen "$@"
}

leave() {
	trap - EXIT
	echo 1 >"$CG/cgroup.kill"
	unpopulated "$CG"
	find "$CG" -depth -type d -exec rmdir {} +
	exit "$1"
}

# The first process of the namespaces: they end with it. Cgroups alone stay if it is killed; the next one takes them away.
do_pen() {
	mount -t cgroup2 none /sys/fs/cgroup && mount -t tmpfs -o size=3g,mode=755 tmpfs /run || exit
	for d in /sys/fs/cgroup/uw-hosts.*; do
		! grep -qs '^populated 0' "$d/cgroup.events" || find "$d" -depth -type d -exec rmdir {} +
	done
	CG=$(mktemp -d /sys/fs/cgroup/uw-hosts.XXXXXX) || exit
	export CG
	trap 'leave $?' EXIT
	trap 'exit 130' INT TERM
	mkdir -p "$run/rootfs" /run/netns /run/systemd/nspawn
	echo "127.0.0.1 localhost" >"$run/etc-hosts"
	: >"$run/names"
	ssh-keygen -q -t ed25519 -N '' -C hosts.sh -f "$run/key"
	tar -C "$run/rootfs" --zstd -xf "$tar" || exit
	sysctl -qw net.ipv6.conf.all.disable_ipv6=1
	ip link set lo up
	ip link add br0 type bridge forward_delay 0
	ip addr add "$net.1/24" dev br0
	ip link set br0 up
	"$@"
}

number() {
	grep -nx -- "$1" "$run/names" | cut -d: -f1
}

known() {
	[ -n "$(number "${1:-}")" ] || die "no such host: ${1:-none is named}"
}

# The first process of a host, by the pid that it has here.
leader() {
	read -r nspawn 2>/dev/null <"$run/$1/pid" || return 1
	grep -qs "/$1/" "/proc/$nspawn/cgroup" || return 1
	first=$(cut -d' ' -f1 "/proc/$nspawn/task/$nspawn/children" 2>/dev/null)
	[ -n "$first" ] && echo "$first"
}

frozen() {
	grep -qs '^frozen 1' "$CG/$1/cgroup.events"
}

do_exec() {
	known "${1:-}"
	host=$1
	shift
	pid=$(leader "$host") || die "$host is down"
	! frozen "$host" || die "$host is frozen"
	# shellcheck disable=SC2016
	exec sh -c 'echo $$ >"$CG/$0/guest/cgroup.procs" && pid=$1 && shift && exec nsenter -t "$pid" --all env -i HOME=/root \
	    LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"' "$host" "$pid" "$@"
}

do_push() {
	known "${1:-}"
	pid=$(leader "$1") || die "$1 is down"
	cp -p "$2" "/proc/$pid/root$3"
}

disk_of() {
	n=$(wc -l <"$run/names")
	[ "$n" -lt 16 ] || die "16 hosts are enough"
	echo "$1" >>"$run/names"
	echo "$net.$((n + 11)) $1 $1.example.org" >>"$run/etc-hosts"
	upper=$run/$1/upper
	mkdir -p "$run/$1/work" "$run/$1/root" "$upper/etc/ssh"
	echo "$1" >"$upper/etc/hostname"
	echo "$1 $$" | md5sum | cut -c 1-32 >"$upper/etc/machine-id"
	ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$upper/etc/ssh/ssh_host_ed25519_key"
	install -d -m 700 "$upper/root" "$upper/root/.ssh"
	install -m 600 "$run/key.pub" "$upper/root/.ssh/authorized_keys"
	install -d -m 700 -o 1000 -g 1000 "$upper/home/debian" "$upper/home/debian/.ssh"
	install -m 600 -o 1000 -g 1000 "$run/key.pub" "$upper/home/debian/.ssh/authorized_keys"
}

cable() {
	ip netns add "$1"
	ip netns exec "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
	ip link add "to-$1" type veth peer name eth0 netns "$1"
	# The same after a power cut, or others would look for the former one.
	ip -n "$1" link set eth0 address "$(printf '02:77:00:00:00:%02x' "$(number "$1")")"
	ip -n "$1" addr add "$net.$(($(number "$1") + 10))/24" dev eth0
	ip -n "$1" link set lo up
	ip -n "$1" link set eth0 up
	ip link set "to-$1" master br0 up
}

# A pure cgroup2 view makes its systemd use that, whatever the machine does; mounts made in here vanish with the host.
boot() {
	[ -z "$(leader "$1")" ] || return 0
	[ -n "$(number "$1")" ] || disk_of "$1"
	[ -e "/run/netns/$1" ] || cable "$1"
	mkdir -p "$CG/$1" "$CG/$1/guest"
	# shellcheck disable=SC2016
	setsid unshare --mount --propagation private sh -ec '
		cd "$2"
		echo $$ >"$CG/$1/cgroup.procs"
		echo $$ >pid
		mount -t overlay overlay -o "lowerdir=$3,upperdir=upper,workdir=work" root
		exec systemd-nspawn --quiet --boot --directory=root --register=no --keep-unit --console=pipe --link-journal=no \
		    --resolv-conf=off --timezone=off --settings=no --bind-ro="$4:/etc/hosts" --machine="$1" --hostname="$1" \
		    --network-namespace-path="/run/netns/$1"' sh "$1" "$run/$1" "$run/rootfs" "$run/etc-hosts" </dev/null >>"$run/$1/log" 2>&1 &
}

within() {
	end=$(($(date +%s) + patience))
	until "$@"; do
		[ "$(date +%s)" -lt "$end" ] || return 1
		sleep 0.1
	done
}

booted() {
	pid=$(leader "$1") && [ -S "/proc/$pid/root/run/systemd/private" ] || return 1
	state=$("$self" exec "$1" systemctl is-system-running --wait 2>/dev/null)
	[ "$state" = running ] || [ "$state" = degraded ]
}

do_up() {
	for h; do
		expr "$h" : '[a-z][a-z0-9]\{0,9\}$' >/dev/null || die "a name has at most ten letters and digits: $h"
		boot "$h"
	done
	for h; do
		within booted "$h" || die "$h did not boot in $patience s: $(tail -n 5 "$run/$h/log")"
		[ "$state" = running ] || "$self" exec "$h" systemctl --failed --no-legend --no-pager >&2
	done
}

unpopulated() {
	within grep -q '^populated 0' "$1/cgroup.events"
}

do_gone() {
	known "${1:-}"
	unpopulated "$CG/$1" || die "$1 does not end"
	find "$CG/$1" -depth -type d -exec rmdir {} +
	rm -f "$run/$1/pid"
	ip netns del "$1"
	ip link del "to-$1" 2>/dev/null
	return 0
}

do_halt() {
	known "${1:-}"
	pid=$(leader "$1") || die "$1 is down"
	kill -s RTMIN+4 "$pid"
	do_gone "$1"
}

# The cable first, so that the ends of its connections are not told.
do_crash() {
	known "${1:-}"
	ip link set "to-$1" down
	echo 1 >"$CG/$1/cgroup.kill"
	do_gone "$1"
}

do_freeze() {
	known "${1:-}"
	echo 1 >"$CG/$1/cgroup.freeze"
	within frozen "$1" || die "$1 does not freeze"
}

do_thaw() {
	known "${1:-}"
	echo 0 >"$CG/$1/cgroup.freeze"
}

do_cut() {
	known "${1:-}"
	if [ $# -eq 2 ]; then
		known "$2"
		drop="iifname to-$1 oifname to-$2 drop; iifname to-$2 oifname to-$1 drop"
	else
		drop="iifname to-$1 drop; oifname to-$1 drop"
	fi
	for hook in input forward output; do
		echo "add table bridge cut-$1-${2:-all}
		add chain bridge cut-$1-${2:-all} $hook { type filter hook $hook priority 0; }"
		echo "$drop" | tr ';' '\n' | sed "s/^/add rule bridge cut-$1-${2:-all} $hook /"
	done | nft -f -
}

do_heal() {
	known "${1:-}"
	nft delete table bridge "cut-$1-${2:-all}"
}

do_log() {
	known "${1:-}"
	cat "$run/$1/log"
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
can | rootfs | run) "do_$command" "$@" ;;
pen | up | exec | push | halt | crash | gone | freeze | thaw | cut | heal | log)
	[ "$command" = pen ] || [ -n "${CG:-}" ] || die "this is for a command that hosts.sh run runs"
	"do_$command" "$@"
	;;
*)
	sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$self"
	[ "$command" = help ]
	;;
esac
