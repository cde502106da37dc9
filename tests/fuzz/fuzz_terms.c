/*
 * Terms: whatever they are, a tool that touches production runs only when they say in so many words that it may.
 */
#include <stddef.h>
#include <stdint.h>

#include "guard.h"
#include "json.h"
#include "notes.h"
#include "place.h"
#include "tool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
plan(struct tool_run *r, struct plan *p, struct err *e)
{
	(void)r;
	return plan_touch(p, PLAN_PATH, PLAN_WRITES, "/srv/www/f", "00", e) ||
	    plan_touch(p, PLAN_URL, PLAN_WRITES, "https://x/a", NULL, e);
}

static int
run(struct tool_run *r, struct buf *result, struct err *e)
{
	(void)e;
	*(bool *)r->arg = true;
	buf_adds(result, "1");
	return 0;
}

static bool
names(const cJSON *terms, const char *place)
{
	const cJSON *one;

	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(terms, "production"))
		if (cJSON_IsString(one) && strcmp(one->valuestring, place) == 0)
			return true;
	return false;
}

/* Spelled as here, a place is known to be touched. */
static bool
is_closed(const cJSON *terms)
{
	return names(terms, "path:/srv/www") || names(terms, "path:/srv") || names(terms, "url:https://x/");
}

static void
try_url(const char *text)
{
	char *once = place_url(text), *twice = once ? place_url(once) : NULL;

	if (once && (!twice || strcmp(once, twice) != 0) && !strchr(once, '%'))
		abort();
	free(once);
	free(twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tool tool = { .name = "t", .effect = TOOL_EXCLUSIVE, .run = run, .plan = plan };
	struct notes notes = { 0 };
	bool ran = false;
	struct tool_run r = { .tool = &tool, .notes = &notes, .arg = &ran };
	struct buf result = { 0 };
	struct err e = { 0 };
	char *text = xstrndup((const char *)data, size);
	int rc = guard_run(&r, text, size, run, &result, &e);
	cJSON *terms = json_parse_object(text, size, NULL);

	if (ran != (rc == 0) || ran == r.refused || (rc && !e.msg[0]))
		abort();
	if (ran && (!terms || (is_closed(terms) && !json_is_true(terms, "approved"))))
		abort();
	cJSON_Delete(terms);
	try_url(text);
	notes_release(&notes);
	buf_free(&result);
	free(text);
	return 0;
}
