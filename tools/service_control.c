#include <poll.h>

#include "clock.h"
#include "guard.h"
#include "notes.h"
#include "param.h"
#include "service.h"
#include "tool.h"

#define SPARE_MS 3000           /* to look at the result before the worker is stopped */
#define END_MS 500              /* ... and to report it */
#define LOOK_MS 100             /* how often it is looked at */

struct control {
	struct tool_run *r;
	enum service_action action;
	const char *unit;
	struct service before, after;
};

static int
read_action(struct control *c, struct err *e)
{
	const char *name = param_str(c->r, "action");

	for (int a = 0; a < SERVICE_NACTIONS; a++)
		if (strcmp(service_action_name((enum service_action)a), name) == 0) {
			c->action = (enum service_action)a;
			return 0;
		}
	return err_field(e, ERR_INVALID, "params.action", name, "an action");
}

static int
look(struct control *c, struct err *e)
{
	return service_read(c->unit, run_deadline(c->r, END_MS), &c->after, e);
}

/* What "done" means is that it is so, and for a start that it stays so for the settling time: a
 * service whose configuration is bad is up for a moment too. */
static int
prove(struct control *c, struct err *e)
{
	int64_t settle_ms = param_int(c->r, "settle_ms"), end_ms = clock_mono_ms() + settle_ms;
	bool starts = c->action == SERVICE_START || c->action == SERVICE_RESTART;
	struct service first;
	bool proven;

	if (look(c, e))
		return -1;
	first = c->after;
	while ((proven = service_proves(c->action, &c->before, &c->after)) == starts &&
	    clock_mono_ms() < end_ms) {
		poll(NULL, 0, LOOK_MS);
		if (look(c, e))
			return -1;
	}
	if (proven && (!starts || strcmp(first.invocation, c->after.invocation) == 0))
		return 0;
	return err_set(e, ERR_TOOL, "%s %s: said to be done, but the unit is %s (%s), %s%s%s",
	    service_action_name(c->action), c->unit, c->after.active, c->after.sub,
	    c->after.file_state[0] ? c->after.file_state : "not enabled",
	    c->after.result[0] ? ", result " : "", c->after.result);
}

/* The failure stands; whether something was changed is seen by comparing. A reload may have been taken
 * in half without a trace. */
static int
fail(struct control *c, struct err *e)
{
	struct err ignored = { 0 };

	if (c->action != SERVICE_RELOAD && e->code != ERR_TIMEOUT && look(c, &ignored) == 0 &&
	    service_same(&c->before, &c->after))
		tool_effect_none(c->r);
	return -1;
}

static int
check_possible(const struct control *c, struct err *e)
{
	const char *load = c->before.load;

	if (c->action == SERVICE_RELOAD && strcmp(c->before.can_reload, "no") == 0)
		return err_set(e, ERR_WRONG_STATE, "reload %s: the unit cannot be reloaded", c->unit);
	if (c->action == SERVICE_STOP || c->action == SERVICE_DISABLE || strcmp(load, "loaded") == 0)
		return 0;
	return err_set(e, ERR_WRONG_STATE, "%s %s: the unit is %s", service_action_name(c->action), c->unit,
	    load);
}

static void
put_control(const struct control *c, bool changed, struct buf *result)
{
	json_put_open(result, '{');
	json_kv_str(result, "unit", c->before.id);
	json_kv_str(result, "action", service_action_name(c->action));
	json_kv_bool(result, "changed", changed);
	json_put_key(result, "before");
	service_put(&c->before, result);
	json_put_key(result, "after");
	service_put(&c->after, result);
	json_put_close(result, '}');
}

static int
service_control_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct control c = { .r = r, .unit = param_str(r, "unit") };

	if (read_action(&c, e) || service_read(c.unit, run_deadline(r, END_MS), &c.before, e) ||
	    check_possible(&c, e) || touch_agreed(r, PLAN_SERVICE, c.before.id, NULL, e))
		return -1;
	if (service_has(c.action, &c.before)) {
		c.after = c.before;
		put_control(&c, false, result);
		return 0;
	}
	tool_effect_begins(r);
	if (service_ask(c.action, c.unit, run_deadline(r, SPARE_MS), e) || prove(&c, e))
		return fail(&c, e);
	put_control(&c, true, result);
	note_write(r, PLAN_SERVICE, c.after.id, NULL);
	return 0;
}

static int
service_control_plan(struct tool_run *r, struct plan *p, struct err *e)
{
	struct control c = { .r = r, .unit = param_str(r, "unit") };
	struct buf state = { 0 };

	if (read_action(&c, e) || service_read(c.unit, run_deadline(r, END_MS), &c.before, e) ||
	    check_possible(&c, e) || service_touch(&c.before, p, PLAN_WRITES, e))
		return -1;
	plan_target(p, "%s %s", service_action_name(c.action), c.before.id);
	service_put(&c.before, &state);
	plan_showf(p, "%s is %s (%s), %s%s\n", c.before.id, c.before.active, c.before.sub,
	    c.before.file_state[0] ? c.before.file_state : "not enabled",
	    service_has(c.action, &c.before) ? ": nothing to do" : "");
	plan_show(p, buf_str(&state), state.len);
	buf_free(&state);
	return 0;
}

/* As the result says it was left. */
static int
service_control_prove(struct tool_run *r, const cJSON *result, struct err *e)
{
	const cJSON *after = cJSON_GetObjectItemCaseSensitive(result, "after");
	const char *active = json_text(after, "active"), *enabled = json_text(after, "enabled");
	struct service now;

	if (service_read(param_str(r, "unit"), run_deadline(r, END_MS), &now, e))
		return -1;
	if (note_check(r, "service_state", now.id, strcmp(now.active, active) == 0, now.active, active, e))
		return -1;
	return note_check(r, "service_enabled", now.id, strcmp(now.file_state, enabled) == 0, now.file_state,
	    enabled, e);
}

const struct tool tool_service_control = {
	.name = "service_control",
	.summary = "Starts, stops, restarts, reloads, enables or disables a service, and shows that it is so",
	.schema = "{\"type\":\"object\",\"required\":[\"unit\",\"action\"],\"properties\":{"
	    "\"unit\":{\"type\":\"string\",\"pattern\":\"" SERVICE_UNIT_PATTERN "\",\"maxLength\":255,"
	    "\"description\":\"Such as nginx, nginx.service, backup.timer, or a label of launchd.\"},"
	    "\"action\":{\"enum\":[\"start\",\"stop\",\"restart\",\"reload\",\"enable\",\"disable\"],"
	    "\"description\":\"What to do with it; enable and disable are for the next boot.\"},"
	    "\"settle_ms\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":60000,\"default\":1000,"
	    "\"description\":\"How long a start has to hold, or a stop may take to show.\"}}}",
	/* A class is for all its actions. Most are the same twice as once, but a second restart breaks off
	 * the work of everybody who uses the service once more, so none is repeated without being asked. */
	.effect = TOOL_EXCLUSIVE,
	.timeout_s = 120,
	.run = service_control_run,
	.plan = service_control_plan,
	.prove = service_control_prove,
};
