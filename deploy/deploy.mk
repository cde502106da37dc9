# Targets that bring the program to hosts.

MAN      = $(TO)/share/man
BASHCOMP = $(TO)/share/bash-completion/completions/uni-wizard
ZSHCOMP  = $(TO)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)/_uni-wizard
FISHCOMP = $(TO)/share/fish/vendor_completions.d/uni-wizard.fish

# What services of a host are like: systemd's, or launchd's.
ON_HOST  = $(if $(filter Darwin,$(SYSTEM)),install-launchd,install-host)
LAUNCHD  = $(TO)/share/uni-wizard/launchd

.PHONY: install-man install-completion install-host install-launchd uninstall-deployed deb dist formula

install: install-man install-completion $(ON_HOST)
uninstall: uninstall-deployed

# Pages have the day of the last commit, where somebody knows it.
install-man: $(BIN)
	$(INSTALL) -d "$(MAN)/man1" "$(MAN)/man5"
	export SOURCE_DATE_EPOCH="$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null)}"; \
	for page in $$($(BIN) man --list); do \
		$(BIN) man "$${page%.*}" >"$(MAN)/man$${page##*.}/$$page" || exit 1; \
	done

install-completion: $(BIN)
	$(INSTALL) -d "$(dir $(BASHCOMP))" "$(dir $(ZSHCOMP))" "$(dir $(FISHCOMP))"
	$(BIN) completion bash >"$(BASHCOMP)"
	$(BIN) completion zsh >"$(ZSHCOMP)"
	$(BIN) completion fish >"$(FISHCOMP)"

# User and directories, for systemd.
install-host:
	$(INSTALL) -d "$(TO)/lib/sysusers.d" "$(TO)/lib/tmpfiles.d"
	$(INSTALL) -m 644 deploy/host/sysusers.conf "$(TO)/lib/sysusers.d/uni-wizard.conf"
	$(INSTALL) -m 644 deploy/host/tmpfiles.conf "$(TO)/lib/tmpfiles.d/uni-wizard.conf"

# To be copied to where launchd looks; brew has its own.
install-launchd:
	$(INSTALL) -d "$(LAUNCHD)" "$(TO)/var/log"
	sed 's|@BINDIR@|$(PREFIX)/bin|;s|@SHAREDIR@|$(PREFIX)/share/uni-wizard|;s|@LOGDIR@|$(PREFIX)/var/log|' \
		deploy/launchd/org.uni-wizard.agent.plist.in >"$(LAUNCHD)/org.uni-wizard.agent.plist"

uninstall-deployed:
	rm -f "$(MAN)"/man1/uni-wizard.1 "$(MAN)"/man1/uni-wizard-*.1 "$(MAN)/man5/houses.yaml.5"
	rm -f "$(BASHCOMP)" "$(ZSHCOMP)" "$(FISHCOMP)"
	rm -f "$(TO)/lib/sysusers.d/uni-wizard.conf" "$(TO)/lib/tmpfiles.d/uni-wizard.conf"

# build/uni-wizard_VERSION-1_ARCH.deb, and libuniwizard-dev with it.
deb:
	@deploy/deb.sh $(VERSION) $(B)

# The sources of the last commit, and a formula for brew that takes them from here, or from URL.
DIST = $(B)/uni-wizard-$(VERSION).tar.gz
URL ?= file://$(CURDIR)/$(DIST)
SHA256 = $(if $(filter Darwin,$(SYSTEM)),shasum -a 256,sha256sum)
dist:
	@mkdir -p $(B)
	git archive --format=tar.gz --prefix=uni-wizard-$(VERSION)/ -o $(DIST) HEAD

formula: dist
	sum=$$($(SHA256) <$(DIST)) && sed "s|@URL@|$(URL)|;s|@VERSION@|$(VERSION)|;s|@SHA256@|$${sum%% *}|" deploy/homebrew/uni-wizard.rb \
		>$(B)/uni-wizard.rb
