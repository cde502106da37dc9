# make bench            what the cluster does, as ratios to the broker and the disk of the same run
# make bench QUICK=1    the same in about a minute, fewer repetitions
# make bench JSON=F     writes the figures to F too
# make bench-beats      what heartbeats cost, for docs/scaling.md
# make bench-intelligence   how good predictions are, and routing by them; exits 1 if a limit is missed
# make bench-hermes     from what Hermes does until it is heard of; exits 1 if a limit is missed
# make bench-flood      a million tasks at once for one house, and what another notices
# make bench-lag        how late Timmy's agent and an open page know what happens, and after outages of five minutes
# make bench-peers      beside beanstalkd and BullMQ, where they are installed (tests/bench/peers.sh says how)

BENCHDIR   = $(B)/tests/bench
BENCHPROCS = $(BENCHDIR)/procs.o $(BENCHDIR)/procs_$(if $(filter Darwin,$(shell uname -s)),darwin,linux).o
BENCHBIN   = $(addprefix $(BENCHDIR)/,raw disk quantiles load ready fill cpu audit beanstalk approve intelligence lag cut teller)

$(BENCHDIR)/%.o: CPPFLAGS += -Itests/bench
$(BENCHDIR)/raw $(BENCHDIR)/disk $(BENCHDIR)/quantiles: $(BENCHDIR)/hist.o
$(BENCHDIR)/load: $(BENCHDIR)/hist.o $(BENCHPROCS)
$(BENCHDIR)/ready $(BENCHDIR)/approve: $(BENCHDIR)/wire.o
$(BENCHDIR)/lag: $(BENCHDIR)/wire.o $(BENCHDIR)/hist.o
$(BENCHDIR)/cpu: $(BENCHPROCS)
$(BENCHDIR)/beanstalk: $(BENCHDIR)/hist.o
$(BENCHDIR)/intelligence $(B)/tests/unit/t_model: $(BENCHDIR)/workload.o
$(B)/tests/unit/t_model.o: CPPFLAGS += -Itests/bench

$(BENCHBIN): $(BENCHDIR)/%: $(BENCHDIR)/%.o $(LIBA)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIBA) $(LIBS)

.PHONY: bench bench-beats bench-flood bench-hermes bench-intelligence bench-lag bench-peers
bench: $(BIN) $(BENCHBIN)
	tests/bench/bench.sh $(BIN) $(BENCHDIR) $(if $(QUICK),--quick) $(if $(JSON),--json "$(JSON)")

bench-beats: $(BIN) $(BENCHBIN)
	tests/bench/beats.sh $(BIN) $(BENCHDIR) $(if $(QUICK),--quick)

bench-hermes: $(BIN) $(B)/tests/e2e/hermes_writer
	tests/bench/hermes.sh $(BIN) $(BENCHDIR) $(if $(QUICK),--quick)

bench-intelligence: $(BENCHDIR)/intelligence
	$< $(if $(QUICK),-q)

bench-flood: $(BIN) $(BENCHBIN)
	tests/bench/flood.sh $(BIN) $(BENCHDIR) $(if $(QUICK),--quick) $(if $(JSON),--json "$(JSON)")

bench-lag: $(BIN) $(BENCHBIN)
	tests/bench/lag.sh $(BIN) $(BENCHDIR) $(if $(QUICK),--quick) $(if $(JSON),--json "$(JSON)")

bench-peers: $(BIN) $(BENCHBIN)
	tests/bench/peers.sh $(BIN) $(BENCHDIR) $(if $(QUICK),--quick) $(if $(JSON),--json "$(JSON)")
