#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "json.h"
#include "schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A schema, a line end, a value. What passes once passes again: defaults fit their own schema. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nl = size ? memchr(data, '\n', size) : NULL;
	size_t len = nl ? (size_t)(nl - data) : size;
	struct err e = { 0 };
	struct schema *s = schema_compile((const char *)data, len, &e);
	cJSON *v;

	if (!s) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	v = nl ? json_parse((const char *)nl + 1, size - len - 1, &e) : NULL;
	e = (struct err){ 0 };
	if (v && schema_check(s, v, &e)) {
		if (!e.msg[0])
			abort();
	} else if (v && schema_check(s, v, &e)) {
		abort();
	}
	cJSON_Delete(v);
	schema_free(s);
	return 0;
}
