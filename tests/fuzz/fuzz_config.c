#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "err.h"

static void
look(const char *msg, void *arg)
{
	*(size_t *)arg += strlen(msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config c;
	struct err e = { 0 };
	size_t seen = 0;

	if (config_parse(&c, "/nowhere/houses.yaml", (const char *)data, size, look, &seen, &e)) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	if (c.nhouses == 0 || c.router.n == 0 || c.nbrokers == 0)
		abort();
	config_release(&c);
	return 0;
}
