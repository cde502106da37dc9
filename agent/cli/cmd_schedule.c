#include <string.h>

#include "clock.h"
#include "cmd.h"
#include "json.h"

#define NEXT_MAX 100

static const struct cmd_opt opts[] = {
	{ .name = "next", .letter = 'n', .kind = OPT_INT, .arg = "N", .min = 1, .max = NEXT_MAX,
	  .help = "the next N times (default 1; of `schedule show` 5)" },
	{ .name = NULL },
};

/* There may be none. */
static int64_t
next_after(const struct config_schedule *s, int64_t ms)
{
	return ms ? cron_next(&s->cron, s->zone, ms) : 0;
}

static void
put_schedule(struct buf *b, const struct config_schedule *s, int64_t n)
{
	int64_t at = clock_wall_ms();

	json_put_open(b, '{');
	json_kv_str(b, "name", s->name);
	json_kv_str(b, "house", s->house);
	json_kv_str(b, "cron", s->cron_text);
	json_kv_str(b, "zone", s->zone_name);
	json_kv_str(b, "missed", s->missed);
	json_kv_raw(b, "task", s->task, strlen(s->task));
	json_put_key(b, "next");
	json_put_open(b, '[');
	for (int64_t i = 0; i < n && (at = next_after(s, at)); i++) {
		char text[32];

		clock_format(at, text, sizeof text);
		json_put_str(b, text);
	}
	json_put_close(b, ']');
	json_put_close(b, '}');
}

static void
print_text(const struct config *c, int64_t n)
{
	static const char *const heads[] = { "NAME", "HOUSE", "WHEN", "ZONE", "MISSED", "NEXT", NULL };
	struct table *t = table_new(heads);

	for (size_t i = 0; i < c->nschedules; i++) {
		const struct config_schedule *s = &c->schedules[i];
		int64_t at = next_after(s, clock_wall_ms());

		for (int64_t k = 0; k < n && (at || !k); k++) {
			char text[32] = "never";

			if (at)
				clock_format(at, text, sizeof text);
			table_cell(t, "%s", k ? "" : s->name);
			table_cell(t, "%s", k ? "" : s->house);
			table_cell(t, "%s", k ? "" : s->cron_text);
			table_cell(t, "%s", k ? "" : s->zone_name);
			table_cell(t, "%s", k ? "" : s->missed);
			table_cell(t, "%s", text);
			at = next_after(s, at);
		}
	}
	table_print(t);
}

static int
schedule_list_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	int64_t n = cmd_int(a, "next", 1);
	int rc = cmd_config(a, c);

	if (!rc && a->json) {
		struct buf b = { 0 };

		json_put_open(&b, '[');
		for (size_t i = 0; i < c->nschedules; i++)
			put_schedule(&b, &c->schedules[i], n);
		json_put_close(&b, ']');
		puts(buf_str(&b));
		buf_free(&b);
	} else if (!rc) {
		print_text(c, n);
	}
	if (!rc)
		config_release(c);
	free(c);
	return rc;
}

static void
show(const struct cmd_args *a, const struct config_schedule *s)
{
	int64_t n = cmd_int(a, "next", 5), at = clock_wall_ms();
	struct buf b = { 0 };

	if (a->json) {
		put_schedule(&b, s, n);
		puts(buf_str(&b));
		buf_free(&b);
		return;
	}
	printf("house   %s\nwhen    %s in %s\nmissed  %s\ntask    %s\n", s->house, s->cron_text, s->zone_name, s->missed, s->task);
	for (int64_t i = 0; i < n && (at = next_after(s, at)); i++) {
		char text[32];

		clock_format(at, text, sizeof text);
		printf("%s    %s\n", i ? "    " : "next", text);
	}
}

static int
schedule_show_run(const struct cmd_args *a)
{
	struct config *c = xcalloc(1, sizeof *c);
	const struct config_schedule *s = NULL;
	int rc = cmd_config(a, c);

	if (rc) {
		free(c);
		return rc;
	}
	for (size_t i = 0; i < c->nschedules; i++)
		if (strcmp(c->schedules[i].name, a->argv[0]) == 0)
			s = &c->schedules[i];
	if (s)
		show(a, s);
	else
		rc = cmd_fail(EXIT_USAGE, "NAME: expected a schedule of %s, got \"%s\"; `uni-wizard schedule list` shows them", c->path,
		    a->argv[0]);
	config_release(c);
	free(c);
	return rc;
}

const struct cmd cmd_schedule_list = {
	.name = "schedule list",
	.help = "List the schedules, and when each is due next",
	.more = "Schedules stand in the configuration under `schedules`; each house's owner runs its own. What was run are tasks of the\n"
	        "sender `schedule`: `uni-wizard task list --sender schedule`. The next run is among them.",
	.opts = opts,
	.flags = CMD_JSON,
	.run = schedule_list_run,
};

const struct cmd cmd_schedule_show = {
	.name = "schedule show",
	.args = "NAME",
	.help = "Show a schedule, and when it is due next",
	.opts = opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.run = schedule_show_run,
};
