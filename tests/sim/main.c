/*
 * sim SEEDS...             runs them; SEEDS is a number or a range a-b
 *     -t                   traces: everything that happens, with its time
 *     -f                   full size: five agents and two brokers in each, whatever the seed says
 *     -m NAME -n MAX       with a planted bug: runs seeds 1..MAX until it is found; exit code 1 if it is not
 *     -M                   all planted bugs, each with the seeds it may take; as many at once as there are processors
 *
 * On a violation it prints the seed, what led to it, and how to see all of it; exit code 1.
 */
#include "sim.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mutant.h"

static double
cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Once more, with only what is about the same task or host. */
static void
explain(uint64_t seed, const struct sim_result *first)
{
	struct sim_result again;

	printf("not ok - seed %llu: %s: %s\n", (unsigned long long)seed, first->subject, first->why);
	sim_run(seed, true, first->subject, &again);
	if (again.history != first->history)
		printf("  it does not replay: that is a fault of the simulator\n");
	printf("  all of it: make sim-replay SEED=%llu%s TRACE=1\n", (unsigned long long)seed, sim_full ? " FULL=1" : "");
}

struct sum {
	int64_t seeds, failed, virtual_us, tasks, faults, turns;
};

static void
run_seed(uint64_t seed, bool trace, struct sum *sum)
{
	struct sim_result r;

	sim_run(seed, trace, NULL, &r);
	sum->seeds++;
	sum->failed += r.failed;
	sum->virtual_us += r.virtual_us;
	sum->tasks += r.tasks;
	sum->faults += r.faults;
	sum->turns += r.turns;
	if (r.failed && !trace)
		explain(seed, &r);
}

/* The same seed has the same history, or nothing it says can be looked into. */
static void
check_replay(uint64_t seed, struct sum *sum)
{
	struct sim_result a, b;

	sim_run(seed, false, NULL, &a);
	sim_run(seed, false, NULL, &b);
	if (a.history == b.history)
		return;
	printf("not ok - seed %llu has two histories\n", (unsigned long long)seed);
	sum->failed++;
}

static void
run_range(const char *text, bool trace, struct sum *sum)
{
	char *end;
	uint64_t from = strtoull(text, &end, 10), to = *end == '-' ? strtoull(end + 1, NULL, 10) : from;

	for (uint64_t seed = from; seed <= to && sum->failed < 10; seed++)
		run_seed(seed, trace, sum);
	if (to > from)
		check_replay(from, sum);
}

static void
print_sum(const struct sum *m)
{
	double cpu = cpu_s();

	printf("%s - %lld seeds: %.1f hours of a cluster in %.1f s of CPU (%.0f times real time), %lld tasks, "
	    "%lld faults, %lld turns\n", m->failed ? "not ok" : "ok", (long long)m->seeds, (double)m->virtual_us / 3.6e9, cpu,
	    (double)m->virtual_us / 1e6 / cpu, (long long)m->tasks, (long long)m->faults, (long long)m->turns);
}

/* How many seeds it took; 0: not found. */
static uint64_t
hunt(enum mutant m, uint64_t max, struct sim_result *r)
{
	uint64_t seed = 0;

	core_mutant = m;
	do
		sim_run(++seed, false, NULL, r);
	while (!r->failed && seed < max);
	core_mutant = MUTANT_NONE;
	return r->failed ? seed : 0;
}

static bool
hunt_and_tell(enum mutant m)
{
	struct sim_result r;
	uint64_t seed = hunt(m, mutants[m].seeds, &r);

	if (seed)
		printf("ok - %s: found by seed %llu of %d: %s\n", mutants[m].what, (unsigned long long)seed, mutants[m].seeds, r.why);
	else
		printf("not ok - %s: not found by %d seeds\n", mutants[m].what, mutants[m].seeds);
	fflush(stdout);
	return seed;
}

/* A process for each processor; each takes the next one that nobody has. */
static int
hunt_all(void)
{
	atomic_int *next = mmap(NULL, sizeof *next, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long processes = sysconf(_SC_NPROCESSORS_ONLN);
	int status, missed = 0;

	if (next == MAP_FAILED)
		return 2;
	printf("1..%d\n", MUTANT_COUNT - 1);
	fflush(stdout);
	for (long i = 0; i < processes; i++)
		if (fork() == 0) {
			for (int m; (m = ++*next) < MUTANT_COUNT;)
				missed += !hunt_and_tell((enum mutant)m);
			_exit(missed > 0);
		}
	while (wait(&status) > 0)
		missed += !WIFEXITED(status) || WEXITSTATUS(status);
	return missed > 0;
}

static int
hunt_one(const char *name, uint64_t max)
{
	for (int i = 1; i < MUTANT_COUNT; i++)
		if (strcmp(mutants[i].name, name) == 0) {
			struct sim_result r;
			uint64_t seed = hunt((enum mutant)i, max ? max : (uint64_t)mutants[i].seeds, &r);

			printf("%s: seed %llu: %s: %s\n", name, (unsigned long long)seed, r.subject, r.why);
			return seed ? 0 : 1;
		}
	fprintf(stderr, "sim: there is no planted bug %s\n", name);
	return 2;
}

int
main(int argc, char **argv)
{
	struct sum sum = { 0 };
	const char *mutant = NULL;
	bool trace = false;
	uint64_t max = 0;
	int opt;

	while ((opt = getopt(argc, argv, "tfm:n:M")) != -1)
		switch (opt) {
		case 't':
			trace = true;
			break;
		case 'f':
			sim_full = true;
			break;
		case 'm':
			mutant = optarg;
			break;
		case 'n':
			max = strtoull(optarg, NULL, 10);
			break;
		case 'M':
			return hunt_all();
		default:
			return 2;
		}
	if (mutant)
		return hunt_one(mutant, max);
	for (int i = optind; i < argc; i++)
		run_range(argv[i], trace, &sum);
	print_sum(&sum);
	return sum.failed ? 1 : 0;
}
