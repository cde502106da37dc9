#!/bin/sh
# What make install puts under a prefix: all of it, whether it works there, and that make uninstall takes all of it away.
. "$(dirname "$0")/../e2e/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root" || exit 2
B=${B:-build}
D=$T/root
P=$D/opt/uw

make_it() { make -s B="$B" DESTDIR="$D" PREFIX=/opt/uw "$@"; }
have() { command -v "$1" >/dev/null; }

check "make install succeeds" make_it install
find "$D" ! -type d | sort >"$T/installed"
for f in bin/uni-wizard include/uni_wizard.h lib/libuniwizard.so.4 lib/pkgconfig/uniwizard.pc share/man/man1/uni-wizard-task.1 \
    share/man/man5/houses.yaml.5 share/bash-completion/completions/uni-wizard share/zsh/site-functions/_uni-wizard \
    share/fish/vendor_completions.d/uni-wizard.fish lib/sysusers.d/uni-wizard.conf lib/tmpfiles.d/uni-wizard.conf; do
	check "$f is there" test -s "$P/$f"
done
is "nothing of it names the place where it was built, or DESTDIR" \
    "$(grep -rlIF -e "$root" -e "$D" "$D")" ""
is "only programs may be run" "$(cd "$P" && find . -type f -perm -u+x | sort | tr '\n' ' ')" \
    "./bin/uni-wizard $(cd "$P" && find . -name 'libuniwizard.so.4.*') ./share/uni-wizard/tools.d/deploy "

# Manual pages
if have mandoc; then
	# References to pages that are not installed here are not wrong.
	mandoc -T lint "$P"/share/man/man?/* 2>&1 | grep -v 'referenced manual not found' >"$T/lint"
	is "mandoc finds nothing wrong with the manual pages" "$(cat "$T/lint")" ""
	mandoc -T ascii "$P/share/man/man1/uni-wizard-submit.1" | sed 's/.\x08//g' >"$T/page"
	check "they can be read" grep -q -- '-p, --priority N' "$T/page"
else
	skip "THE MANUAL PAGES" "needs mandoc (apt-get install mandoc)"
fi
if have man && have groff; then
	is "nor does groff" "$(for page in "$P"/share/man/man?/*; do
		groff -man -Tutf8 -ww -Kutf8 "$page" 2>&1 >"$T/page"
	done)" ""
fi
for page in "$P"/share/man/man?/*; do
	sed -n 's/^\.BR \(uni[a-z.\\-]*\|houses\.yaml\) (\([0-9]\)).*/\1.\2/p' "$page" | tr -d '\134'
done | sort -u >"$T/named"
is "each page that another one names is there" \
    "$(while read -r page; do [ -e "$P/share/man/man${page##*.}/$page" ] || echo "$page"; done <"$T/named")" ""

# Completions, as shells load them, by the program that was installed
PATH=$P/bin:$PATH
export PATH
if have bash; then
	is "bash completes" \
	    "$(bash "$here/bash_tab.bash" "$P/share/bash-completion/completions/uni-wizard" uni-wizard tool show file_rea)" file_read
else
	skip "COMPLETION IN BASH" "needs bash"
fi
if have zsh; then
	is "zsh completes, the first time as well" \
	    "$(zsh -f "$here/zsh_tab.zsh" "$P/share/zsh/site-functions" "uni-wizard tool show file_rea")" "uni-wizard tool show file_read "
else
	skip "COMPLETION IN ZSH" "needs zsh (apt-get install zsh)"
fi
if have fish; then
	is "fish completes" "$(HOME=$T XDG_DATA_DIRS=$P/share fish -c 'complete -C "uni-wizard tool show file_rea"' | cut -f1)" file_read
else
	skip "COMPLETION IN FISH" "needs fish (apt-get install fish)"
fi

# What systemd says about user and directories, in a tree of its own
if have systemd-sysusers && have systemd-tmpfiles && [ "$(id -u)" -eq 0 ]; then
	mkdir -p "$T/host/etc"
	check "the user is made" systemd-sysusers --root="$T/host" "$P/lib/sysusers.d/uni-wizard.conf"
	like "and its group" "$(cat "$T/host/etc/group")" '^uni-wizard:'
	check "directories are made" systemd-tmpfiles --root="$T/host" --create "$P/lib/tmpfiles.d/uni-wizard.conf"
	uid=$(sed -n 's/^uni-wizard:[^:]*:\([0-9]*\):.*/\1/p' "$T/host/etc/passwd")
	is "with the right modes and owners" "$(cd "$T/host" && stat -c '%a %u %n' etc/uni-wizard etc/uni-wizard/pki var/lib/uni-wizard)" \
	    "750 0 etc/uni-wizard
750 0 etc/uni-wizard/pki
700 $uid var/lib/uni-wizard"
else
	skip "USER AND DIRECTORIES" "needs root and systemd-sysusers"
fi

# For the Mac
mac() { make -s B="$B" DESTDIR="$T/mac" PREFIX=/opt/homebrew SYSTEM=Darwin BREW=/opt/homebrew install-launchd; }
check "the service of launchd is made" mac
plist=$T/mac/opt/homebrew/share/uni-wizard/launchd/org.uni-wizard.agent.plist
if have python3; then
	is "it is a property list that starts the installed program again when it ends" "$(python3 -c '
import plistlib, sys
p = plistlib.load(open(sys.argv[1], "rb"))
print(p["Label"], p["KeepAlive"], p["ThrottleInterval"], p["StandardErrorPath"], "/opt/homebrew/bin/uni-wizard" in p["ProgramArguments"][2])
' "$plist")" "org.uni-wizard.agent True 10 /opt/homebrew/var/log/uni-wizard.log True"
else
	skip "THE PROPERTY LIST" "needs python3"
fi
if have git && git rev-parse HEAD >/dev/null 2>&1; then
	check "a formula for brew is made" make -s B="$T/b" formula
	is "with the hash of the sources that it takes" "$(sed -n 's/^  sha256 "\(.*\)"$/\1/p' "$T/b/uni-wizard.rb")" \
	    "$(sha256sum <"$T/b/uni-wizard-$(uni-wizard --version | cut -d' ' -f2).tar.gz" | cut -d' ' -f1)"
	if have ruby; then
		check "it is Ruby" ruby -wc "$T/b/uni-wizard.rb"
	else
		skip "THE FORMULA" "needs ruby (apt-get install ruby)"
	fi
else
	skip "THE FORMULA" "needs the sources in git"
fi

# Away with it
check "make uninstall succeeds" make_it uninstall
is "and leaves nothing of it" "$(find "$D" ! -type d)" ""

# Scripts of this repository
if have shellcheck; then
	{ git ls-files 2>/dev/null || find . -path './build*' -prune -o -type f -print; } | while read -r f; do
		head -n 1 "$f" 2>/dev/null | grep -aqE '^#!/bin/(ba)?sh|^#!/usr/bin/env bash' && echo "$f"
	done >"$T/scripts"
	check "there are scripts" test -s "$T/scripts"
	xargs shellcheck -S warning <"$T/scripts" >"$T/wrong" 2>&1
	is "shellcheck finds nothing wrong with the $(wc -l <"$T/scripts" | tr -d ' ') scripts" "$(head -n 60 "$T/wrong")" ""
else
	skip "THE SCRIPTS" "needs shellcheck (apt-get install shellcheck)"
fi
