# Targets that bring the program to hosts.

MAN      = $(TO)/share/man
BASHCOMP = $(TO)/share/bash-completion/completions/uni-wizard
ZSHCOMP  = $(TO)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)/_uni-wizard
FISHCOMP = $(TO)/share/fish/vendor_completions.d/uni-wizard.fish

.PHONY: install-man install-completion install-host uninstall-deployed deb

install: install-man install-completion install-host
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
ifneq ($(SYSTEM),Darwin)
	$(INSTALL) -d "$(TO)/lib/sysusers.d" "$(TO)/lib/tmpfiles.d"
	$(INSTALL) -m 644 deploy/host/sysusers.conf "$(TO)/lib/sysusers.d/uni-wizard.conf"
	$(INSTALL) -m 644 deploy/host/tmpfiles.conf "$(TO)/lib/tmpfiles.d/uni-wizard.conf"
endif

uninstall-deployed:
	rm -f "$(MAN)"/man1/uni-wizard.1 "$(MAN)"/man1/uni-wizard-*.1 "$(MAN)/man5/houses.yaml.5"
	rm -f "$(BASHCOMP)" "$(ZSHCOMP)" "$(FISHCOMP)"
	rm -f "$(TO)/lib/sysusers.d/uni-wizard.conf" "$(TO)/lib/tmpfiles.d/uni-wizard.conf"

# build/uni-wizard_VERSION-1_ARCH.deb, and libuniwizard-dev with it.
deb:
	@deploy/deb.sh $(VERSION) $(B)
