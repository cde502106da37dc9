# Booted hosts: what a host is, and how to have some by hand, says tests/hosts/hosts.sh help.

.PHONY: hosts
hosts: all $(B)/tests/drill/trickle
	@UW="$(CURDIR)/$(BIN)" HELPERS="$(CURDIR)/$(B)/tests/e2e" MAKE="$(MAKE)" VERSION="$(VERSION)" B="$(B)" tests/hosts/all.sh
