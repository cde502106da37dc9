# Targets that bring the program to hosts.

.PHONY: install-host uninstall-host deb

# User and directories of a host with systemd.
install-host:
ifneq ($(SYSTEM),Darwin)
	$(INSTALL) -d "$(TO)/lib/sysusers.d" "$(TO)/lib/tmpfiles.d"
	$(INSTALL) -m 644 deploy/host/sysusers.conf "$(TO)/lib/sysusers.d/uni-wizard.conf"
	$(INSTALL) -m 644 deploy/host/tmpfiles.conf "$(TO)/lib/tmpfiles.d/uni-wizard.conf"
endif

uninstall-host:
	rm -f "$(TO)/lib/sysusers.d/uni-wizard.conf" "$(TO)/lib/tmpfiles.d/uni-wizard.conf"

# build/uni-wizard_VERSION-1_ARCH.deb, and libuniwizard-dev with it.
deb:
	@deploy/deb.sh $(VERSION) $(B)
