#include <string.h>

#include "clock.h"
#include "json.h"
#include "remote.h"

static void
print_json(const struct client_spooled *s, size_t n)
{
	struct buf b = { 0 };

	json_put_open(&b, '[');
	for (size_t i = 0; i < n; i++) {
		json_put_open(&b, '{');
		json_kv_str(&b, "id", s[i].id);
		json_kv_str(&b, "house", s[i].house);
		json_kv_time(&b, "since", s[i].at_ms);
		json_kv_raw(&b, "task", s[i].task, strlen(s[i].task));
		json_put_close(&b, '}');
	}
	json_put_close(&b, ']');
	puts(buf_str(&b));
	buf_free(&b);
}

static void
print_text(const struct client_spooled *s, size_t n)
{
	static const char *const heads[] = { "ID", "HOUSE", "SINCE", "TASK", NULL };
	struct table *t = table_new(heads);
	char when[32];

	for (size_t i = 0; i < n; i++) {
		clock_format(s[i].at_ms, when, sizeof when);
		table_cell(t, "%s", s[i].id);
		table_cell(t, "%s", s[i].house);
		table_cell(t, "%s", when);
		table_cell(t, "%.60s%s", s[i].task, strlen(s[i].task) > 60 ? "..." : "");
	}
	table_print(t);
}

static int
list_run(const struct cmd_args *a)
{
	struct remote r;
	struct client_spooled *s;
	struct err e;
	size_t n;
	int rc = remote_open(&r, a, NULL, NULL, NULL);

	if (rc)
		return rc;
	if (client_spooled(r.client, &s, &n, &e)) {
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	} else {
		(a->json ? print_json : print_text)(s, n);
		client_spooled_free(s, n);
	}
	remote_close(&r);
	return rc;
}

const struct cmd cmd_outbox_list = {
	.name = "outbox list",
	.help = "List the tasks that wait in the local outbox for a house to accept them",
	.flags = CMD_JSON,
	.run = list_run,
};
