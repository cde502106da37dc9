#!/bin/sh
# Installs what is missing, through apt or brew: deploy/setup.sh demo|test [--list]
#
# Nothing is asked of the network when everything is there. As root, or with sudo.
set -u
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

want=${1:-demo}

# For whom; how one sees that it is there (prog: a program, lib: pkg-config, fuzzer); its package in apt; in brew.
# A package with ? is taken where there is one; the tests that want it say that they are skipped.
list() {
	cat <<'END'
demo prog:cc               gcc                    -
demo prog:pkg-config       pkg-config             pkg-config
demo prog:mosquitto        mosquitto              mosquitto
demo prog:mosquitto_pub    mosquitto-clients      mosquitto
demo prog:openssl          openssl                openssl@3
demo lib:libmosquitto      libmosquitto-dev       mosquitto
demo lib:libuv             libuv1-dev             libuv
demo lib:sqlite3           libsqlite3-dev         sqlite
demo lib:libcjson          libcjson-dev           cjson
demo lib:openssl           libssl-dev             openssl@3
demo lib:yaml-0.1          libyaml-dev            libyaml
demo lib:libcurl           libcurl4-openssl-dev   curl
demo lib:libmicrohttpd     libmicrohttpd-dev      libmicrohttpd
demo lib:ncursesw         libncurses-dev         -
test prog:gcc              gcc                    -
test prog:clang            clang                  -
test prog:git              git                    git
test prog:jq               jq                     jq
test prog:curl             curl                   curl
test prog:timeout          coreutils              coreutils
test prog:ps               procps                 -
test prog:age             age?                   age
test prog:tmux            tmux?                  tmux
test prog:strace           strace?                -
test prog:systemd-analyze  systemd?               -
test lib:zlib              zlib1g-dev             -
test lib:cmocka            libcmocka-dev          cmocka
test prog:nats-server      nats-server?           nats-server
test prog:promtool         prometheus?            prometheus
test prog:syncthing        syncthing?             syncthing
test prog:node             nodejs?                node
test prog:npm              npm?                   -
test prog:chromium         chromium?              -
test prog:dh               debhelper?             -
test prog:dpkg-buildpackage dpkg-dev?             -
test prog:fakeroot         fakeroot?              -
test prog:lintian          lintian?               -
test prog:mandoc           mandoc?                -
test prog:shellcheck       shellcheck?            shellcheck
test prog:zsh              zsh?                   -
test prog:fish             fish?                  fish
test prog:ruby             ruby?                  -
test prog:mmdebstrap       mmdebstrap?            -
test prog:systemd-nspawn   systemd-container?     -
test prog:ip               iproute2?              -
test prog:nft              nftables?              -
test prog:zstd             zstd?                  -
test prog:ssh-keygen       openssh-client?        -
test fuzzer                FUZZER                 -
END
}

fuzzer_works() {
	echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
	    clang -fsanitize=fuzzer,address,undefined -x c - -o /dev/null 2>/dev/null
}

is_there() {
	case $1 in
	prog:timeout) command -v timeout || command -v gtimeout ;;
	prog:*) command -v "${1#prog:}" ;;
	lib:*) pkg-config --exists "${1#lib:}" 2>/dev/null ;;
	fuzzer) fuzzer_works ;;
	esac >/dev/null
}

# missing COLUMN: packages of what is not there.
missing() {
	list | while read -r who probe apt brew; do
		[ "$who" = demo ] || [ "$want" = test ] || continue
		package=$apt
		[ "$1" = apt ] || package=$brew
		[ "$package" != - ] || continue
		is_there "$probe" || echo "$package"
	done | sort -u
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "setup: needs root or sudo for: $*" >&2
		return 1
	fi
}

# The runtime of libFuzzer is in a package whose name has clang's version; older clangs have it in another.
fuzzer_package() {
	version=$(clang -dumpversion | cut -d. -f1)
	for p in "libclang-rt-$version-dev" "libclang-common-$version-dev"; do
		apt-cache show "$p" >/dev/null 2>&1 && echo "$p" && return
	done
}

apt_install() {
	# shellcheck disable=SC2086
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $1 >"$log" 2>&1 && return
	cat "$log" >&2
	return 1
}

with_apt() {
	packages=$(missing apt | tr '\n' ' ')
	[ -n "$packages" ] || return 0
	echo "setup: installing $packages" | tr -d '?'
	as_root apt-get update -q >"$log" 2>&1 || cat "$log" >&2
	others=$(echo "$packages" | sed 's/FUZZER//; s/[^ ]*?//g')
	[ -z "$(echo "$others" | tr -d ' ')" ] || apt_install "$others" || return 1
	for p in $(echo "$packages" | grep -o '[^ ]*?' | tr -d '?'); do
		if apt_install "$p" 2>/dev/null; then
			echo "setup: the package $p may start a service of its own; it is not used here"
		else
			echo "setup: no package $p; tests that want it are skipped"
		fi
	done
	case " $packages" in
	*" mosquitto "*) echo "setup: the package mosquitto may start a broker of its own on port 1883; it is not used here" ;;
	esac
	case $packages in
	*FUZZER*) fuzzer_works || apt_install "$(fuzzer_package)" || echo "setup: no libFuzzer; corpora are only read" ;;
	esac
}

with_brew() {
	packages=$(missing brew | tr '\n' ' ')
	[ -n "$packages" ] || return 0
	echo "setup: installing $packages"
	# shellcheck disable=SC2086
	brew install $packages
}

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

if [ "${2:-}" = --list ]; then
	list
elif command -v apt-get >/dev/null; then
	with_apt
elif command -v brew >/dev/null; then
	with_brew
elif [ -n "$(missing apt)" ]; then
	echo "setup: no apt and no brew here; what is missing goes by these names on Debian (? could be done without):" >&2
	missing apt >&2
	missing apt | grep -qv '?$' && exit 1
	exit 0
fi
