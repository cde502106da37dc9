#include <stddef.h>
#include <stdint.h>

#include "manifest.h"
#include "schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = { 0 };
	struct tool *t = manifest_parse((const char *)data, size, "/opt/tools.d", "/opt/tools.d/x.json", &e);
	struct buf b = { 0 };
	struct schema *s;

	if (!t) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	s = schema_compile(t->schema, strlen(t->schema), &e);
	tool_put(&b, t);
	if (!s || t->effect >= TOOL_NEFFECTS || t->timeout_s < 1 || json_check(buf_str(&b), b.len, &e))
		abort();
	schema_free(s);
	buf_free(&b);
	manifest_free(t);
	return 0;
}
