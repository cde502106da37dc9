/*
 * cpu.c - prints how many microseconds of processor time processes and their descendants have used.
 */
#include <inttypes.h>

#include "log.h"
#include "procs.h"

int
main(int argc, char **argv)
{
	struct procs p;

	if (argc != 2 || procs_parse(&p, argv[1]))
		fatalx("usage: cpu PID,PID,...");
	printf("%" PRId64 "\n", procs_cpu_us(&p, true));
	return 0;
}
