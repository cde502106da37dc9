# The simulator: the core again, with planted bugs to choose from and small limits, so that edges are met often.
SIMFLAGS = -DUW_MUTATIONS -DWINDOW_MAX=16 -DAGED_MS=2000 -DOUTBOX_IN_FLIGHT=16 -DOUTBOX_IN_MEMORY=8192u -DOUTPUT_KEEP=512u -DPACE=64
SIMOBJ   = $(patsubst %.c,$(B)/sim/%.o,$(wildcard tests/sim/*.c agent/core/*.c))
SIM      = $(B)/sim/sim
SEEDS   ?= 1-40

$(B)/sim/%.o: %.c
	@mkdir -p $(@D)
	$(say) "cc $< (sim)"
	$(Q)$(CC) $(CPPFLAGS) -Itests/sim $(SIMFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(SIM): $(SIMOBJ) $(B)/broker-config/broker.o $(B)/broker-config/save.o $(LIBA)
	$(say) "ld $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

.PHONY: sim sim-replay sim-mutations sim-test

# make sim SEEDS=1-1000; FULL=1: five agents and two brokers in each
sim: $(SIM)
	@$(SIM) $(if $(FULL),-f) $(SEEDS)

# make sim-replay SEED=n TRACE=1, and FULL=1 if it was found so
sim-replay: $(SIM)
	@$(SIM) $(if $(FULL),-f) $(if $(TRACE),-t) $(SEED)

sim-mutations: $(SIM)
	@$(SIM) -M

# Part of make test; MUTATIONS= leaves the planted bugs out.
MUTATIONS ?= tests/sim/mutations.sh
sim-test: $(SIM)
	@SIM="$(SIM)" SEEDS="$(SEEDS)" tests/run.sh tests/sim/seeds.sh $(MUTATIONS)
