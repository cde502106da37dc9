/*
 * quantiles.c - prints a histogram file as figures: NAME_p50, _p99, _p999, _max and _n.
 */
#include <inttypes.h>

#include "hist.h"
#include "log.h"

int
main(int argc, char **argv)
{
	static const struct { const char *suffix; double q; } rows[] = {
		{ "p50", 0.5 }, { "p99", 0.99 }, { "p999", 0.999 }, { "max", 1 },
	};
	static struct hist h;

	if (argc != 3)
		fatalx("usage: quantiles NAME HIST");
	if (hist_load(&h, argv[2]))
		fatal("quantiles: %s", argv[2]);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		printf("%s_%s %" PRIu64 "\n", argv[1], rows[i].suffix, hist_quantile(&h, rows[i].q));
	printf("%s_n %" PRIu64 "\n", argv[1], h.total);
	return 0;
}
