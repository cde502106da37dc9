# make drill               kills, freezes and cuts agents and brokers of a real cluster; a table of what it cost
# make drill RUNS=3        fewer runs of each (20); FAULTS="kill freeze" only these, JSON=F writes the figures to F
# make drill-bridge        500 issues in Gitea while bridges and agents are killed, ISSUES=N SEED=N
# make drill-load          owners that change although nobody did anything, in MINUTES=10 of full load

DRILLDIR = $(B)/tests/drill
DRILLBIN = $(DRILLDIR)/trickle

$(DRILLBIN): $(DRILLDIR)/%: $(DRILLDIR)/%.o $(LIBA)
	$(say) "ld $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIBA) $(LIBS)

.PHONY: drill drill-bridge drill-load
drill: $(BIN) $(DRILLBIN)
	@tests/drill/drill.sh $(BIN) $(DRILLDIR) $(if $(RUNS),--runs $(RUNS)) $(if $(FAULTS),--faults "$(FAULTS)") \
	    $(if $(JSON),--json "$(JSON)") $(if $(LOOPBACK),--loopback)

drill-load: $(BIN) $(DRILLBIN)
	@tests/drill/load.sh $(BIN) $(DRILLDIR) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(JSON),--json "$(JSON)") \
	    $(if $(LOOPBACK),--loopback)

drill-bridge: $(BIN)
	@UW="$(CURDIR)/$(BIN)" HELPERS="$(CURDIR)/$(B)/tests/e2e" $(if $(ISSUES),ISSUES=$(ISSUES)) $(if $(SEED),SEED=$(SEED)) \
	    tests/run.sh tests/drill/bridge.sh
