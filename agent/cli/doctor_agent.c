/*
 * doctor_agent.c - the agent that lives on this host: does it run, answer, and reach its broker; what a former life of
 * it left; and its service.
 */
#include "buf.h"
#include "clock.h"
#include "doctor.h"
#include "group.h"
#include "json.h"
#include "local.h"
#include "proc.h"

#define ANSWER_MS 3000

static void
say_stress(struct doctor *d, const cJSON *o)
{
	const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(o, "stress"), 0);
	const char *house = json_text(first, "house");

	doctor_wrong(d, FOUND_AGENT_DEGRADED, d->subject, "%s is under stress since %s: %s%s%s is %lld %s, its limit is %lld", d->subject,
	    json_text(first, "since"), json_text(first, "name"), *house ? " of house " : "", house,
	    (long long)json_number(first, "value", 0), json_text(first, "unit"), (long long)json_number(first, "limit", 0));
}

static void
check_answer(struct doctor *d, const cJSON *o)
{
	const char *version = json_text(o, "version");

	if (!json_is_true(o, "connected"))
		doctor_wrong(d, FOUND_AGENT_CUT, d->subject, "%s runs and is not connected to a broker", d->subject);
	else if (strcmp(version, UW_VERSION) != 0)
		doctor_wrong(d, FOUND_AGENT_OLD, d->subject, "%s is version %s, this program %s", d->subject, version, UW_VERSION);
	else if (json_is_true(o, "degraded"))
		say_stress(d, o);
	else
		doctor_well(d, "%s runs, version %s, connected", d->subject, version);
}

void
doctor_agent(struct doctor *d)
{
	static const char ping[] = "{\"op\":\"ping\"}";
	char path[600], *line;
	struct local *l = NULL;
	struct err e = { 0 };
	size_t len;
	cJSON *o = NULL;

	snprintf(path, sizeof path, "%.500s/%s.sock", d->config->run_dir, d->subject);
	if (local_open(&l, path, ANSWER_MS, &e)) {
		doctor_wrong(d, FOUND_AGENT_DOWN, d->subject, "%s", e.msg);
		return;
	}
	if (local_send(l, ping, sizeof ping - 1, ANSWER_MS, &e) == 0 && local_read(l, ANSWER_MS, &line, &len, &e) == 1)
		o = json_parse_object(line, len, NULL);
	if (o)
		check_answer(d, o);
	else
		doctor_wrong(d, FOUND_AGENT_SILENT, d->subject, "%s does not answer within %d s", path, ANSWER_MS / 1000);
	cJSON_Delete(o);
	local_close(l);
}

static bool
is_running(const struct doctor *d)
{
	char path[600];
	struct local *l = NULL;
	struct err e;
	bool runs;

	snprintf(path, sizeof path, "%.500s/%s.sock", d->config->run_dir, d->subject);
	runs = local_open(&l, path, ANSWER_MS, &e) == 0;
	local_close(l);
	return runs;
}

/* A living agent has workers, and has seen to those of its former life. */
void
doctor_left(struct doctor *d)
{
	char path[600], number[16];
	pid_t pid = 0;

	snprintf(path, sizeof path, "%.500s/%s.workers", d->config->state_dir, d->subject);
	if (!is_running(d))
		pid = ledger_living(path);
	snprintf(number, sizeof number, "%d", (int)pid);
	if (pid)
		doctor_wrong(d, FOUND_LEFT, number, "process %d was started for %s, which does not run", (int)pid, d->subject);
	else
		doctor_well(d, "nothing was left behind");
}

/* ---- systemd ---- */

/* Where a person would find it. */
static bool
program_find(const char *name, char *out, size_t size)
{
	const char *p = getenv("PATH");

	for (; p && *p; p += strcspn(p, ":"), p += *p == ':') {
		snprintf(out, size, "%.*s/%s", (int)strcspn(p, ":"), p, name);
		if (out[0] == '/' && access(out, X_OK) == 0)
			return true;
	}
	return false;
}

static int
systemctl(const char *const *argv, struct proc_end *end)
{
	struct proc p = { .argv = argv, .deadline_ms = clock_mono_ms() + ANSWER_MS, .max_out = 16384, .max_err = 400 };
	struct err e;

	return proc_run(&p, end, &e) || end->status != 0 ? -1 : 0;
}

/* Whether one of the lines begins with that word. */
static bool
has_line(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : p)
		if (strncmp(p, word, n) == 0 && p[n] == ' ')
			return true;
	return false;
}

/* "uni-wizard@ezra-1.service enabled enabled": the first two words of each line. A unit that is not used here may be disabled;
 * one that runs should be there after the next boot, too. */
static int
check_files(struct doctor *d, char *text, const char *active)
{
	char *save = NULL, unit[200], state[40];
	int n = 0;

	for (char *p = strtok_r(text, "\n", &save); p; p = strtok_r(NULL, "\n", &save)) {
		if (sscanf(p, "%199s %39s", unit, state) != 2)
			continue;
		n++;
		if (strcmp(state, "disabled") == 0 && has_line(active, unit))
			doctor_wrong(d, FOUND_UNIT_DISABLED, unit, "%s runs, but is disabled", unit);
	}
	return n;
}

static int
check_failed(struct doctor *d, char *text)
{
	char *save = NULL, unit[200];
	int n = 0;

	for (char *p = strtok_r(text, "\n", &save); p; p = strtok_r(NULL, "\n", &save))
		if (sscanf(p, "%199s", unit) == 1) {
			n++;
			doctor_wrong(d, FOUND_UNIT_FAILED, unit, "%s has failed", unit);
		}
	return n;
}

#define OUR_UNITS "uni-wizard*", "timmy-router.service", "health-daemon.service"

void
doctor_unit(struct doctor *d)
{
	char program[4200];
	const char *const files[] = { program, "list-unit-files", "--plain", "--no-legend", OUR_UNITS, NULL };
	const char *const active[] = { program, "list-units", "--state=active", "--plain", "--no-legend", OUR_UNITS, NULL };
	const char *const failed[] = { program, "list-units", "--failed", "--plain", "--no-legend", OUR_UNITS, NULL };
	struct proc_end end = { .status = -1 }, runs = { .status = -1 };
	int n = 0, bad = 0;
	bool have = program_find("systemctl", program, sizeof program) && systemctl(files, &end) == 0 && systemctl(active, &runs) == 0;

	if (have && end.out.len)
		n = check_files(d, end.out.data, buf_str(&runs.out));
	proc_end_release(&end);
	proc_end_release(&runs);
	end = (struct proc_end){ .status = -1 };
	if (have && systemctl(failed, &end) == 0 && end.out.len)
		bad = check_failed(d, end.out.data);
	proc_end_release(&end);
	if (!have)
		doctor_skip(d, "no systemd here");
	else if (n + bad == 0)
		doctor_skip(d, "systemd has no unit of ours");
	else if (bad == 0)
		doctor_well(d, "%d units, none has failed", n);
}
