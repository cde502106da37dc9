# make demo                      install what is missing, build, start four houses, show the main job
# make test                      install what is missing, then every test; ends with "N passed, N failed"
# make                           build the program and the library into build/
# make check                     unit and end-to-end tests of one build; SAN=address,undefined for sanitizers
# make bench                     figures, as ratios in one run;  make bench-peers  with beanstalkd and BullMQ
# make install                   to DESTDIR and PREFIX (/usr/local); units for systemd to UNITDIR;  make uninstall
# make deb                       Debian packages into build/;  make formula  a formula for Homebrew
# make help                      this list

PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
VERSION := 4.0.0
CC      ?= cc

B        = build$(if $(FUZZ),-fuzz,$(if $(SAN),-san))
CSTD     = -std=c11 -D_GNU_SOURCE
WARN     = -Wall -Wextra -Wshadow -Wpedantic -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
CFLAGS  ?= -O2 -g
PKGS     = libmosquitto libuv sqlite3 libcjson openssl yaml-0.1
CPPFLAGS += -Ishared -Itools -Iintelligence -Ibroker-config -Iagent -Iagent/bridge -Iagent/core -Iagent/hermes -Iagent/cli \
	-DUW_VERSION='"$(VERSION)"' -DUW_BINDIR='"$(PREFIX)/bin"' -DUW_SHAREDIR='"$(PREFIX)/share/uni-wizard"' -include shared/banned.h
SYSTEM  := $(shell uname)
ifeq ($(SYSTEM),Darwin)
# brew keeps these apart from what macOS brings itself.
BREW    := $(shell brew --prefix 2>/dev/null)/opt
PKGCONF  = PKG_CONFIG_PATH="$(BREW)/openssl@3/lib/pkgconfig:$(BREW)/sqlite/lib/pkgconfig:$(BREW)/curl/lib/pkgconfig:$$PKG_CONFIG_PATH" pkg-config
# libuniwizard.4.dylib there, libuniwizard.so.4 elsewhere.
so       = libuniwizard$(if $(1),.$(1)).dylib
SONAME   = -dynamiclib -install_name $(LIBDIR)/$(call so,4)
else
PKGCONF  = pkg-config
so       = libuniwizard.so$(if $(1),.$(1))
SONAME   = -shared -Wl,-soname,$(call so,4) -Wl,--version-script=shared/libuniwizard.map
endif
# Asked once, not for each file.
PKG_CFLAGS := $(shell $(PKGCONF) --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell $(PKGCONF) --libs $(PKGS) 2>/dev/null)
override CFLAGS += $(CSTD) $(WARN) $(if $(WERROR),-Werror) -fPIC -fno-strict-aliasing -fstack-protector-strong \
	$(PKG_CFLAGS)
LIBS     = $(PKG_LIBS) -lm -lpthread -ldl
ifdef FUZZ
SAN      = address,undefined
override CFLAGS += -fsanitize=fuzzer-no-link
endif
ifdef SAN
override CFLAGS  += -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS += -fsanitize=$(SAN)
endif

# V=1 shows the commands themselves, -s nothing.
Q        = $(if $(V),,@)
SILENT  := $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
say      = @$(if $(V)$(SILENT),:,echo)

# Files of another system, by their names.
OTHER    = $(if $(filter Darwin,$(SYSTEM)),linux,darwin)
src      = $(patsubst %.c,$(B)/%.o,$(filter-out %_$(OTHER).c,$(wildcard $(1)/*.c)))
SHARED   = $(call src,shared)
TOOLS    = $(call src,tools)
MIND     = $(call src,intelligence)
BROKER   = $(call src,broker-config)
CORE     = $(call src,agent/core)
AGENT    = $(call src,agent) $(call src,agent/bridge) $(B)/web.o
CLI      = $(call src,agent/cli) $(call src,agent/hermes)
HARNESS  = $(filter $(B)/agent/harness%,$(AGENT))
LIBOBJ   = $(SHARED) $(TOOLS) $(MIND) $(HARNESS)
BIN      = $(B)/uni-wizard
LIBA     = $(B)/libuniwizard.a
LIBSO    = $(B)/$(call so,4)

# What a command began that failed is no result.
.DELETE_ON_ERROR:

.PHONY: all
all: $(BIN) $(LIBA) $(LIBSO)
	@:

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(say) "cc $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(LIBA): $(LIBOBJ)
	$(say) "ar $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# The deterministic core: no clock, socket or random device in it.
$(B)/libuwcore.a: $(CORE)
	$(say) "ar $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(LIBSO): $(LIBOBJ) shared/libuniwizard.map
	$(say) "ld $@"
	$(Q)$(CC) $(LDFLAGS) $(SONAME) -o $@ $(LIBOBJ) $(LIBS)

$(BIN): $(filter-out $(HARNESS),$(AGENT)) $(CLI) $(BROKER) $(B)/libuwcore.a $(LIBA)
	$(say) "ld $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

-include $(shell find $(B) -path '$(B)/demo' -prune -o -type f -name '*.d' -print 2>/dev/null)

# The dashboard's files, as they are.
WEB      = $(sort $(wildcard agent/web/*))
$(B)/web.c: $(WEB) agent/web.sh
	@mkdir -p $(@D)
	$(say) "web $@"
	$(Q)agent/web.sh $(WEB) >$@.new && mv $@.new $@

$(B)/web.o: $(B)/web.c
	$(say) "cc $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The one thing that depends on where all this will live.
$(B)/prefix: FORCE
	@mkdir -p $(@D)
	@echo '$(PREFIX)' | cmp -s - $@ || echo '$(PREFIX)' >$@
$(B)/agent/harness.o: $(B)/prefix

$(B)/uniwizard.pc: deploy/uniwizard.pc.in $(B)/prefix Makefile
	@sed 's|@PREFIX@|$(PREFIX)|;s|@LIBDIR@|$(LIBDIR)|;s|@VERSION@|$(VERSION)|;s|@PKGS@|$(PKGS)|' $< >$@

# Units for systemd: one text for every agent.
UNITDIR  ?= $(PREFIX)/lib/systemd/system
AGENT_UNITS = $(addprefix $(B)/systemd/,uni-wizard.service uni-wizard@.service timmy-router.service)
SERVICES  = $(if $(filter Linux,$(SYSTEM)),$(AGENT_UNITS) $(addprefix $(B)/systemd/,health-daemon.service \
	uni-wizard-maintenance.service uni-wizard-maintenance.timer uni-wizard-backup.service uni-wizard-backup.timer))
service   = sed -e '/^@SANDBOX@$$/{r deploy/systemd/sandbox.in' -e 'd' -e '}' \
	-e 's|@WHAT@|$(1)|;s|@AGENT@|$(2)|;s|@BINDIR@|$(PREFIX)/bin|;s| *$$||' $< >$@

$(AGENT_UNITS): deploy/systemd/agent.service.in deploy/systemd/sandbox.in $(B)/prefix Makefile
	@mkdir -p $(@D)
	@$(call service,$(WHAT),$(WHO))
$(B)/systemd/%.service: deploy/systemd/%.service.in deploy/systemd/sandbox.in $(B)/prefix Makefile
	@mkdir -p $(@D)
	@$(call service)
$(B)/systemd/%.timer: deploy/systemd/%.timer
	@mkdir -p $(@D)
	@cp $< $@
$(B)/systemd/uni-wizard.service: WHAT = agent
$(B)/systemd/uni-wizard@.service: WHAT = agent %i
$(B)/systemd/uni-wizard@.service: WHO = --agent %i
$(B)/systemd/timmy-router.service: WHAT = router
$(B)/systemd/timmy-router.service: WHO = --agent $${UNI_WIZARD_ROUTER}

.PHONY: services
services: $(SERVICES)
	@:

docs/API_REFERENCE.md: agent/uni_wizard.h docs/api.awk
	@awk -f docs/api.awk $< >$@.new && mv $@.new $@

INSTALL  ?= install
TO        = $(DESTDIR)$(PREFIX)
TOLIB     = $(DESTDIR)$(LIBDIR)

.PHONY: install uninstall FORCE
install: all services $(B)/uniwizard.pc
	$(INSTALL) -d "$(TO)/bin" "$(TOLIB)/pkgconfig" "$(TO)/include" "$(TO)/share/uni-wizard/tools.d"
	$(INSTALL) -m 755 $(BIN) "$(TO)/bin"
	$(INSTALL) -m 644 $(LIBA) "$(TOLIB)"
	$(INSTALL) -m 755 $(LIBSO) "$(TOLIB)/$(call so,$(VERSION))"
	ln -sf $(call so,$(VERSION)) "$(TOLIB)/$(call so,4)"
	ln -sf $(call so,4) "$(TOLIB)/$(call so)"
	$(INSTALL) -m 644 agent/uni_wizard.h "$(TO)/include"
	$(INSTALL) -m 644 $(B)/uniwizard.pc "$(TOLIB)/pkgconfig"
	if [ -n "$(SERVICES)" ]; then \
		$(INSTALL) -d "$(DESTDIR)$(UNITDIR)" "$(TO)/share/uni-wizard/mosquitto.service.d" && \
		$(INSTALL) -m 644 $(SERVICES) "$(DESTDIR)$(UNITDIR)" && \
		$(INSTALL) -m 644 deploy/systemd/mosquitto.service.d/uni-wizard.conf "$(TO)/share/uni-wizard/mosquitto.service.d"; \
	fi
	for f in tools/tools.d/*; do \
		mode=644; [ ! -x "$$f" ] || mode=755; \
		$(INSTALL) -m $$mode "$$f" "$(TO)/share/uni-wizard/tools.d" || exit 1; \
	done

uninstall:
	rm -f "$(TO)/bin/uni-wizard" "$(TO)/include/uni_wizard.h" "$(TOLIB)/pkgconfig/uniwizard.pc"
	rm -f "$(TOLIB)/libuniwizard.a" "$(TOLIB)/$(call so)" "$(TOLIB)/$(call so,4)" "$(TOLIB)/$(call so,$(VERSION))"
	rm -rf "$(TO)/share/uni-wizard"
	rm -f $(patsubst $(B)/systemd/%,"$(DESTDIR)$(UNITDIR)/%",$(SERVICES))

include deploy/deploy.mk
include tests/tests.mk
include tests/bench/bench.mk
include tests/sim/sim.mk
include tests/drill/drill.mk
include tests/hosts/hosts.mk
