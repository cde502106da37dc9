#include <libproc.h>
#include <mach/mach_time.h>
#include <sys/resource.h>

#include "procs.h"

static int64_t
own_time(int pid, int64_t *resident)
{
	struct rusage_info_v2 u;

	if (proc_pid_rusage(pid, RUSAGE_INFO_V2, (rusage_info_t *)&u))
		return 0;
	if (resident)
		*resident += (int64_t)u.ri_resident_size;
	return (int64_t)(u.ri_user_time + u.ri_system_time + u.ri_child_user_time + u.ri_child_system_time);
}

static int64_t
tree_time(int pid, int depth)
{
	int children[256], n = depth < 8 ? proc_listchildpids(pid, children, sizeof children) : 0;
	int64_t sum = own_time(pid, NULL);

	for (int i = 0; i < n && i < 256; i++)
		sum += tree_time(children[i], depth + 1);
	return sum;
}

int64_t
procs_cpu_us(const struct procs *p, bool descendants)
{
	mach_timebase_info_data_t unit;
	int64_t time = 0;

	/* The kernel counts in units of the machine's clock. */
	mach_timebase_info(&unit);
	for (size_t i = 0; i < p->n; i++)
		time += descendants ? tree_time(p->pid[i], 0) : own_time(p->pid[i], NULL);
	return time * unit.numer / unit.denom / 1000;
}

int64_t
procs_rss_bytes(const struct procs *p)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < p->n; i++)
		own_time(p->pid[i], &bytes);
	return bytes;
}
