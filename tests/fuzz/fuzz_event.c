/* A line that another party of the cluster wrote: read strictly, and written again it is the same. */
#include <stddef.h>
#include <stdint.h>

#include "json.h"
#include "task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_round_trip(const cJSON *v)
{
	struct buf b = { 0 };
	cJSON *again;

	json_put_tree(&b, v);
	again = json_parse(buf_str(&b), b.len, NULL);
	if (!again || !cJSON_Compare(v, again, true))
		abort();
	cJSON_Delete(again);
	buf_free(&b);
}

/* A string of it, as this program itself writes strings. */
static void
check_string(const cJSON *v)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(v, "type"));
	struct buf b = { 0 };
	cJSON *again;

	if (!s)
		return;
	json_put_str(&b, s);
	again = json_parse(buf_str(&b), b.len, NULL);
	if (!again || strcmp(again->valuestring, s) != 0)
		abort();
	cJSON_Delete(again);
	buf_free(&b);
}

static void
check_task(const cJSON *v)
{
	struct task_msg m;
	struct err e = { 0 };
	struct buf b = { 0 };

	if (!cJSON_IsObject(v))
		return;
	if (task_msg_read(v, &m, &e) == 0) {
		if (!m.tool[0] && !cJSON_GetObjectItemCaseSensitive(v, "tool"))
			abort();
		return;
	}
	if (!e.code || !e.msg[0])
		abort();
	json_put_err(&b, &e);
	if (json_check(b.data, b.len, NULL))
		abort();
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = { 0 };
	cJSON *v = json_parse((const char *)data, size, &e);

	if (!v) {
		if (!e.code || !e.msg[0])
			abort();
		return 0;
	}
	check_round_trip(v);
	check_string(v);
	check_task(v);
	cJSON_Delete(v);
	return 0;
}
