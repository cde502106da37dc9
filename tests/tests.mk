# Targets that test, show and document. TEST=word runs only what has the word in its name:
# make check TEST=config

TEST ?=
chosen    = $(if $(TEST),$(foreach p,$(1),$(if $(findstring $(TEST),$(notdir $(p))),$(p))),$(1))
UNITS     = $(patsubst %.c,$(B)/%,$(call chosen,$(wildcard tests/unit/t_*.c)))
E2E       = $(call chosen,$(filter-out %/lib.sh,$(wildcard tests/e2e/*.sh)))
FUZZERS   = $(patsubst %.c,$(B)/%,$(call chosen,$(wildcard tests/fuzz/fuzz_*.c)))
# Programs that the end-to-end tests need where a shell is too slow.
HELPERS   = $(patsubst %.c,$(B)/%,$(wildcard tests/e2e/*.c))
# All but main(), so that a test may bring its own and takes only what it uses.
UNITLIB   = $(B)/libtested.a

$(UNITLIB): $(filter-out $(B)/agent/main.o $(LIBOBJ),$(AGENT)) $(CLI) $(BROKER) $(CORE)
	$(say) "ar $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(UNITLIB) $(LIBA)
	$(say) "ld $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS) $(shell $(PKGCONF) --libs cmocka 2>/dev/null || echo -lcmocka)

# Tests of the core share what drives one.
$(patsubst %.c,$(B)/%,$(wildcard tests/unit/t_core_*.c)): $(B)/tests/unit/coretest.o

$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(UNITLIB) $(LIBA) $(if $(FUZZ),,$(B)/tests/fuzz/once.o)
	$(say) "ld $@"
	$(Q)$(CC) $(LDFLAGS) $(if $(FUZZ),-fsanitize=fuzzer) -o $@ $^ $(LIBS)

$(B)/tests/e2e/%: $(B)/tests/e2e/%.o $(LIBA)
	$(say) "ld $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

.PRECIOUS: $(B)/tests/unit/%.o $(B)/tests/fuzz/%.o $(B)/tests/e2e/%.o

.PHONY: demo test check unit e2e web package-check macos-check fuzz tests help docs docs-check

demo:
	@deploy/setup.sh demo
	@$(MAKE) --no-print-directory -j$$(getconf _NPROCESSORS_ONLN || echo 2) all
	@deploy/demo.sh "$(B)/uni-wizard"

test:
	@deploy/setup.sh test
	@TEST="$(TEST)" tests/all.sh "$(MAKE)"

tests: all $(UNITS) $(FUZZERS) $(HELPERS)

check: unit e2e

unit: $(UNITS)
	@tests/run.sh $(UNITS)

# The program of before, of the commit in tests/previous.commit: for mixed.sh. Every build uses the same.
PREVIOUS  = build/previous/uni-wizard
$(PREVIOUS): tests/previous.commit
	@mkdir -p $(@D)
	@tests/previous.sh $@

e2e: all $(HELPERS) $(PREVIOUS) $(B)/tests/drill/trickle $(addprefix $(B)/tests/bench/,lag cut teller quantiles) $(B)/tests/unit/t_gitea
	@UW="$(CURDIR)/$(BIN)" OLD="$(CURDIR)/$(PREVIOUS)" HELPERS="$(CURDIR)/$(B)/tests/e2e" LANES="$(LANES)" RETRY="$(RETRY)" tests/run.sh $(E2E)

# The dashboard in a browser.
web: all
	@UW="$(CURDIR)/$(BIN)" HELPERS="$(CURDIR)/$(B)/tests/e2e" MODULES="$(CURDIR)/$(B)/web" tests/run.sh $(call chosen,$(wildcard tests/web/*.sh))

# What is installed, and Debian's packages.
package-check: $(BIN)
	@UW="$(CURDIR)/$(BIN)" B="$(B)" tests/run.sh $(call chosen,$(wildcard tests/package/*.sh))

# Compiled and linked for macOS, by a cross-compiler.
macos-check: $(BIN)
	@UW="$(CURDIR)/$(BIN)" tests/run.sh tests/macos/macos.sh

# Each target for FUZZ_S seconds, from its corpus; without FUZZ=1 the corpus once.
FUZZ_S ?= 5
fuzz: $(FUZZERS)
	@FUZZ_S=$(FUZZ_S) FUZZ_DIR="$(B)/fuzz" tests/run.sh $(FUZZERS)

docs: $(BIN)
	@deploy/docs.sh "$(BIN)" docs

docs-check: $(BIN)
	@UW="$(BIN)" tests/run.sh tests/docs.sh

help:
	@sed -n 's/^# //p;/^$$/q' Makefile
	@echo 'make unit | e2e | web | fuzz   one kind of test; TEST=word chooses, FUZZ=1 CC=clang fuzzes for real'
	@echo 'make sim SEEDS=1-1000          a simulated cluster with faults; sim-replay SEED=n TRACE=1, sim-mutations'
	@echo 'make hosts                     a cluster on four hosts that boot here, from packages to its end; needs root, 4 minutes'
	@echo 'make drill RUNS=20             faults on a real cluster: how long until it works again; drill-load MINUTES=10'
	@echo 'make package-check             what make install and make deb make'
	@echo 'make macos-check               is it compiled and linked for macOS, by a cross-compiler?'
	@echo 'make docs                      writes the documentation that comes from tables; docs-check: is all that documents name there?'
	@echo 'make drill-bridge              the bridge to Gitea under faults; bench-beats, bench-flood, bench-hermes, bench-intelligence, bench-lag'
