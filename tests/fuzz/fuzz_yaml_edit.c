/* fuzz_yaml_edit.c - changes to a YAML text: whatever the text, they stay within it, and one that fails changes nothing. */
#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "config.h"
#include "err.h"
#include "yaml_edit.h"

static int
change(int what, struct buf *text, struct err *e)
{
	switch (what) {
	case 0: return yaml_put(text, "hosts.h1", "{ssh: \"root@h\"}", e);
	case 1: return yaml_put(text, "houses.ezra.agents", "[a]", e);
	case 2: return yaml_list_add(text, "houses.ezra.agents", "b", e);
	case 3: return yaml_list_remove(text, "houses.ezra.agents", "a", e);
	case 4: return yaml_remove(text, "houses.ezra", e);
	default: return yaml_remove(text, "hosts", e);
	}
}

/* The reader looks at what became of it, as it does before it is saved. */
static bool
is_ours(const struct buf *text)
{
	static struct config c;
	int rc = config_parse(&c, "/f", buf_str(text), text->len, NULL, NULL, NULL);

	if (rc == 0)
		config_release(&c);
	return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 4096)
		return 0;
	for (int what = 0; what < 6; what++) {
		struct buf text = { 0 };
		struct err e = { 0 };

		buf_add(&text, data, size);
		if (change(what, &text, &e) && (!e.msg[0] || text.len != size || (size && memcmp(text.data, data, size) != 0)))
			abort();
		(void)is_ours(&text);
		buf_free(&text);
	}
	return 0;
}
