#include <string.h>

#include "clock.h"
#include "json.h"
#include "remote.h"

struct houses {
	const struct cmd_args *a;
	struct remote r;
	cJSON *health[CONFIG_MAX_HOUSES * 4];   /* the newest of each agent */
	size_t n, agents;
	bool done;
};

static const char *
text_of(const cJSON *o, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

	return text ? text : "";
}

static int64_t
number_of(const cJSON *o, const char *name)
{
	int64_t n = 0;

	json_int(cJSON_GetObjectItemCaseSensitive(o, name), &n);
	return n;
}

static void
on_message(void *arg, const char *topic, const char *payload, size_t len)
{
	struct houses *h = arg;
	cJSON *o = json_parse_object(payload, len, NULL);
	size_t i = 0;

	(void)topic;
	if (!o)
		return;
	while (i < h->n && strcmp(text_of(h->health[i], "agent"), text_of(o, "agent")) != 0)
		i++;
	if (i == sizeof h->health / sizeof *h->health) {
		cJSON_Delete(o);
		return;
	}
	if (i < h->n)
		cJSON_Delete(h->health[i]);
	else
		h->n++;
	h->health[i] = o;
	h->done = h->n >= h->agents;
}

/* The one that says it holds the house. */
static const cJSON *
owner_of(const struct houses *h, const char *house, const cJSON **part)
{
	for (size_t i = 0; i < h->n; i++) {
		const cJSON *p;

		if (strcmp(text_of(h->health[i], "state"), "offline") == 0)
			continue;
		cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(h->health[i], "houses"))
			if (strcmp(text_of(p, "house"), house) == 0) {
				*part = p;
				return h->health[i];
			}
	}
	return NULL;
}

static void
put_row(struct buf *b, const struct houses *h, const char *house, const char *role)
{
	const cJSON *part = NULL, *o = owner_of(h, house, &part);

	json_put_open(b, '{');
	json_kv_str(b, "house", house);
	json_kv_str(b, "role", role);
	json_kv_str(b, "owner", o ? text_of(o, "agent") : NULL);
	json_kv_str(b, "state", o ? text_of(o, "state") : "no owner");
	if (o) {
		json_kv_int(b, "up_s", number_of(o, "up_s"));
		json_kv_int(b, "queued", number_of(part, "queued"));
		json_kv_int(b, "running", number_of(part, "running"));
		json_kv_int(b, "open", number_of(part, "open"));
		json_kv_int(b, "succeeded", number_of(part, "succeeded"));
		json_kv_int(b, "failed", number_of(part, "failed") + number_of(part, "dead"));
	}
	json_put_close(b, '}');
}

static void
add_row(struct table *t, const struct houses *h, const char *house, const char *role)
{
	const cJSON *part = NULL, *o = owner_of(h, house, &part);

	table_cell(t, "%s", house);
	table_cell(t, "%s", role ? role : "");
	table_cell(t, "%s", o ? text_of(o, "agent") : "-");
	table_cell(t, "%s", o ? text_of(o, "state") : "no owner");
	table_cell(t, "%lld", (long long)number_of(part, "queued"));
	table_cell(t, "%lld", (long long)number_of(part, "running"));
	table_cell(t, "%lld", (long long)number_of(part, "succeeded"));
	table_cell(t, "%lld", (long long)(number_of(part, "failed") + number_of(part, "dead")));
}

static void
print_json(const struct houses *h)
{
	struct buf b = { 0 };

	json_put_open(&b, '[');
	for (size_t i = 0; i < h->r.config.nhouses; i++)
		put_row(&b, h, h->r.config.houses[i].name, h->r.config.houses[i].role);
	put_row(&b, h, "_", "router");
	json_put_close(&b, ']');
	puts(buf_str(&b));
	buf_free(&b);
}

static void
print_text(const struct houses *h)
{
	static const char *const heads[] = { "HOUSE", "ROLE", "OWNER", "STATE", "QUEUED", "RUNNING", "SUCCEEDED",
		"FAILED", NULL };
	struct table *t = table_new(heads);

	for (size_t i = 0; i < h->r.config.nhouses; i++)
		add_row(t, h, h->r.config.houses[i].name, h->r.config.houses[i].role);
	add_row(t, h, "_", "router");
	table_print(t);
}

static int
list_run(const struct cmd_args *a)
{
	struct houses h = { .a = a };
	char filter[TOPIC_MAX];
	struct err e;
	int rc = remote_open(&h.r, a, NULL, on_message, &h);

	if (rc)
		return rc;
	for (size_t i = 0; i < h.r.config.nhouses; i++)
		h.agents += h.r.config.houses[i].agents.n;
	topic_format(filter, h.r.config.cluster, TOPIC_HEALTH, "+", "state");
	if (client_subscribe(h.r.client, filter, &e))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	else
		rc = remote_wait(&h.r, &h.done, 2500);
	if (rc == EXIT_NO_ANSWER && client_is_up(h.r.client))
		rc = EXIT_OK;           /* an agent that is away is shown so */
	else if (rc == EXIT_NO_ANSWER)
		rc = remote_no_answer(&h.r, "the broker");
	if (!rc)
		(a->json ? print_json : print_text)(&h);
	for (size_t i = 0; i < h.n; i++)
		cJSON_Delete(h.health[i]);
	remote_close(&h.r);
	return rc;
}

const struct cmd cmd_house_list = {
	.name = "house list",
	.help = "List the houses: who owns each, what is queued and running",
	.flags = CMD_JSON,
	.run = list_run,
};
