#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Packed records, as another agent's file may have them: refused, or packed again they are the same bytes. */
static void
try_packed(const uint8_t *data, size_t size)
{
	const unsigned char *p = data, *end = data + size;
	struct audit_pack pack = { .texts = NULL };
	struct audit_record r = { .n = 0 };
	bool good = true;

	audit_pack_begin(&pack);
	while (p < end && (good = audit_unpack(&p, end, &r) == 0))
		audit_pack_add(&pack, &r);
	if (good && (pack.out.len != size || (size && memcmp(pack.out.data, data, size) != 0)))
		abort();
	audit_pack_free(&pack);
}

static void
on_problem(void *arg, const char *name, const char *text)
{
	(void)name;
	*(bool *)arg = text[0];
}

/* Lines of a chain: each is taken or complained of, and nothing is lost on the way. */
static void
try_lines(const char *p, size_t size)
{
	const char *end = p + size, *nl;
	bool told = false;
	struct audit_check k = { .name = "fuzz", .arg = &told, .problem = on_problem };

	for (; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			nl = end;
		audit_check_line(&k, p, (size_t)(nl - p));
	}
	audit_check_end(&k);
	if ((k.problems > 0) != told)
		abort();
	audit_check_release(&k);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_packed(data, size);
	try_lines((const char *)data, size);
	return 0;
}
