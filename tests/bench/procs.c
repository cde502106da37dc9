#include "procs.h"

int
procs_parse(struct procs *p, const char *list)
{
	char *end;

	p->n = 0;
	while (p->n < PROCS_MAX) {
		long pid = strtol(list, &end, 10);

		if (end == list || pid <= 0)
			return -1;
		p->pid[p->n++] = (int)pid;
		if (*end == '\0')
			return 0;
		if (*end != ',')
			return -1;
		list = end + 1;
	}
	return -1;
}
