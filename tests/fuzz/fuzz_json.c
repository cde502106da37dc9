#include <stdlib.h>
#include <string.h>

#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
same(const cJSON *a, const cJSON *b)
{
	char *x = cJSON_PrintUnformatted(a), *y = cJSON_PrintUnformatted(b);

	if (!cJSON_Compare(a, b, true) || !x || !y || strcmp(x, y) != 0)
		abort();
	cJSON_free(x);
	cJSON_free(y);
}

static void
well_linked(const cJSON *v)
{
	const cJSON *m, *last = NULL;

	cJSON_ArrayForEach(m, v) {
		if (last && m->prev != last)
			abort();
		last = m;
		well_linked(m);
	}
	if (last && v->child->prev != last)
		abort();
}

/* What we take, cJSON reads as we do; what is refused for its syntax is refused by the check alone too. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct err e = { 0 };
	cJSON *v = json_parse(text, size, &e), *other;

	if (!v) {
		if (!e.msg[0])
			abort();
		json_check(text, size, NULL);
		return 0;
	}
	if (json_check(text, size, NULL) || !(other = cJSON_ParseWithLength(text, size)))
		abort();
	same(v, other);
	well_linked(v);
	cJSON_Delete(other);
	cJSON_Delete(v);
	return 0;
}
