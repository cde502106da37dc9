#include "version.h"

#include <stdio.h>

#include "client.h"
#include "core.h"
#include "hermes_book.h"
#include "json.h"
#include "matters.h"

static const struct {
	const char *name;
	int (*version)(void);
} stores[] = {
	{ "agent", core_store_version },
	{ "outbox", client_store_version },
	{ "bridge", matters_store_version },
	{ "hermes", hermes_book_store_version },
};

void
version_print(bool json)
{
	struct buf b = { 0 };

	if (!json) {
		printf("uni-wizard %s\n", UW_VERSION);
		return;
	}
	json_put_open(&b, '{');
	json_kv_str(&b, "version", UW_VERSION);
	json_kv_int(&b, "protocol", CORE_PROTOCOL);
	json_put_key(&b, "stores");
	json_put_open(&b, '{');
	for (size_t i = 0; i < sizeof stores / sizeof *stores; i++)
		json_kv_int(&b, stores[i].name, stores[i].version());
	json_put_close(&b, '}');
	json_put_close(&b, '}');
	puts(buf_str(&b));
	buf_free(&b);
}
