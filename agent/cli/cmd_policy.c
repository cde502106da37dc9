/*
 * cmd_policy.c - policy show, check, sign: which tasks on which houses need the sovereign's approval.
 *
 * A file holds the policy's members without kind, cluster, n and time, in YAML or JSON; `policy show` prints the one
 * in force in this form.
 */
#include "clock.h"
#include "edict.h"
#include "json.h"
#include "passphrase.h"
#include "save.h"

#define FILE_MAX_BYTES (256u << 10)

#define OPT_END { .name = NULL }

/* As YAML */

static const char *const order[] = { "houses", "production", "rules", "approval_s", "self_approval" };

static void
put_member(struct buf *b, const cJSON *v)
{
	const cJSON *m;

	if (!v->child) {
		buf_addf(b, "%s: ", v->string);
		canonical_put(b, v, NULL);
		buf_addc(b, '\n');
		return;
	}
	buf_addf(b, "%s:\n", v->string);
	cJSON_ArrayForEach(m, v) {
		if (cJSON_IsObject(v))
			buf_addf(b, "  %s: ", m->string);
		else
			buf_adds(b, "  - ");
		canonical_put(b, m, NULL);
		buf_addc(b, '\n');
	}
}

/* Each entry on a line of its own, so that a difference is one of lines. */
static void
put_yaml(struct buf *b, const cJSON *policy)
{
	const cJSON *m;

	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		if ((m = cJSON_GetObjectItemCaseSensitive(policy, order[i])))
			put_member(b, m);
	cJSON_ArrayForEach(m, policy)
		if (strncmp(m->string, "x-", 2) == 0)
			put_member(b, m);
}

/* Differences by lines */

struct lines {
	char **v;
	size_t n;
};

static struct lines
lines_of(struct buf *b)
{
	struct lines l = { .v = xcalloc(b->len + 1, sizeof *l.v) };
	char *save;

	for (char *s = b->data ? strtok_r(b->data, "\n", &save) : NULL; s; s = strtok_r(NULL, "\n", &save))
		l.v[l.n++] = s;
	return l;
}

/* Of the longest common run of lines: at[i][j] is its length from the i-th old and the j-th new line on. */
static unsigned *
common_table(const struct lines *old, const struct lines *new)
{
	size_t w = new->n + 1;
	unsigned *at = xcalloc((old->n + 1) * w, sizeof *at);

	for (size_t i = old->n; i-- > 0;)
		for (size_t j = new->n; j-- > 0;) {
			unsigned down = at[(i + 1) * w + j], right = at[i * w + j + 1];

			at[i * w + j] = strcmp(old->v[i], new->v[j]) == 0 ? at[(i + 1) * w + j + 1] + 1 : down > right ? down : right;
		}
	return at;
}

static void
put_change(struct buf *out, char sign, const char *line)
{
	buf_addf(out, "%s%c %s%s\n", cmd_color(1, sign == '+' ? "green" : "red"), sign, line, cmd_color(1, "reset"));
}

/* A heading goes with the entries beneath it that changed. */
static void
put_heading(struct buf *out, const struct lines *l, size_t i, const char **told)
{
	while (i && l->v[i][0] == ' ')
		i--;
	if (strcmp(l->v[i], *told) != 0)
		buf_addf(out, "  %s\n", l->v[i]);
	*told = l->v[i];
}

static void
put_difference(struct buf *out, struct buf *before, struct buf *after)
{
	struct lines old = lines_of(before), new = lines_of(after);
	unsigned *at = common_table(&old, &new);
	const char *told = "";
	size_t w = new.n + 1, i = 0, j = 0;

	while (i < old.n || j < new.n) {
		if (i < old.n && j < new.n && strcmp(old.v[i], new.v[j]) == 0) {
			i++;
			j++;
		} else if (j == new.n || (i < old.n && at[(i + 1) * w + j] >= at[i * w + j + 1])) {
			if (old.v[i][0] == ' ')
				put_heading(out, &old, i, &told);
			put_change(out, '-', old.v[i++]);
		} else {
			if (new.v[j][0] == ' ')
				put_heading(out, &new, j, &told);
			put_change(out, '+', new.v[j++]);
		}
	}
	free(at);
	free(old.v);
	free(new.v);
}

/* Files */

/* Signed with a key that nobody has: only the form is looked at. */
static int
check_form(const char *cluster, const cJSON *members, struct err *e)
{
	struct sign_key *key = sign_key_new();
	cJSON *whole = cJSON_Duplicate(members, true);
	struct buf line = { 0 };
	int rc;

	cJSON_AddNumberToObject(whole, "n", 1);
	cJSON_AddNumberToObject(whole, "time", 0);
	rc = sovereign_seal(&line, SOVEREIGN_POLICY, cluster, whole, key, e);
	cJSON_Delete(whole);
	buf_free(&line);
	sign_key_free(key);
	return rc;
}

static int
check_own_members(const cJSON *o, struct err *e)
{
	static const char *const not_here[] = { "kind", "cluster", "n", "time" };

	for (size_t i = 0; i < sizeof not_here / sizeof *not_here; i++)
		if (cJSON_GetObjectItemCaseSensitive(o, not_here[i]))
			return err_field(e, ERR_INVALID, not_here[i], NULL, "no such member; signing puts it in");
	return 0;
}

/* NULL with the error printed. */
static cJSON *
file_read(const struct config *c, const char *path)
{
	struct buf b = { .max = FILE_MAX_BYTES };
	struct err e = { 0 };
	cJSON *o = NULL;
	const char *text;

	if (save_read(path, &b, &e)) {
		cmd_fail(EXIT_USAGE, "%s", e.msg);
		buf_free(&b);
		return NULL;
	}
	text = buf_str(&b);
	text += strspn(text, " \t\r\n");
	o = *text == '{' ? json_parse_object(text, strlen(text), &e) : config_tree(path, buf_str(&b), b.len, &e);
	if (o && !cJSON_IsObject(o))
		err_set(&e, ERR_INVALID, "expected a mapping (houses: ..., rules: ...)");
	if (!o || !cJSON_IsObject(o) || check_own_members(o, &e) || check_form(c->cluster, o, &e)) {
		cmd_fail(EXIT_USAGE, "%s%s%s", *text == '{' || o ? path : "", *text == '{' || o ? ": " : "", e.msg);
		cJSON_Delete(o);
		o = NULL;
	}
	buf_free(&b);
	return o;
}

/* What is right in form and yet not meant, most likely. */
static void
warn_unknown_tools(const struct config *c, const cJSON *policy)
{
	const cJSON *rule;
	int i = 0;

	cJSON_ArrayForEach(rule, cJSON_GetObjectItemCaseSensitive(policy, "rules")) {
		char field[40];

		snprintf(field, sizeof field, "rules.%d.tool", i++);
		if (*json_text(rule, "tool"))
			edict_warn_tool(c, field, json_text(rule, "tool"));
	}
}

static void
warn_unknown(const struct config *c, const cJSON *policy)
{
	const cJSON *h;
	char text[160];

	cJSON_ArrayForEach(h, cJSON_GetObjectItemCaseSensitive(policy, "houses"))
		if (strcmp(h->string, "_") != 0 && !config_house_find(c, h->string)) {
			snprintf(text, sizeof text, "houses.%.40s: no house of this cluster", h->string);
			cmd_warn(text, NULL);
		}
	for (size_t i = 0; i < c->nhouses; i++)
		if (!cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(policy, "houses"), c->houses[i].name)) {
			snprintf(text, sizeof text, "houses.%.40s: not named, so it asks for nothing of its own", c->houses[i].name);
			cmd_warn(text, NULL);
		}
	warn_unknown_tools(c, policy);
}

/* Returns whether there is any. */
static bool
difference(const struct known *k, const cJSON *policy, struct buf *out)
{
	struct buf before = { 0 }, after = { 0 };

	if (k->policy.line)
		put_yaml(&before, k->policy.s.tree);
	put_yaml(&after, policy);
	put_difference(out, &before, &after);
	buf_free(&before);
	buf_free(&after);
	return out->len > 0;
}

static void
print_difference(const struct known *k, const cJSON *policy)
{
	struct buf out = { 0 };
	bool any = difference(k, policy, &out);

	if (!k->policy.line)
		printf("there is no policy in force yet; all of it is new:\n");
	else if (any)
		printf("against policy %lld, which is in force:\n", (long long)k->policy.s.n);
	else
		printf("the same as policy %lld, which is in force\n", (long long)k->policy.s.n);
	fputs(buf_str(&out), stdout);
	buf_free(&out);
}

/* policy show */

static void
show_text(const struct edict *x)
{
	const struct sovereign *s = &x->known.policy.s;
	struct buf b = { 0 };
	char when[32];

	clock_format(s->time_ms, when, sizeof when);
	put_yaml(&b, s->tree);
	printf("# policy %lld of %s, signed %s by key %s\n", (long long)s->n, x->r.config.cluster, when, s->by);
	for (size_t i = 0; i < x->known.nagents; i++) {
		const struct known_agent *a = &x->known.agents[i];

		if (a->heard && a->holds[SOVEREIGN_POLICY] != s->n)
			printf("# %s holds policy %lld\n", a->name, (long long)a->holds[SOVEREIGN_POLICY]);
	}
	fputs(buf_str(&b), stdout);
	buf_free(&b);
}

static int
show_run(const struct cmd_args *a)
{
	struct edict x;
	int rc = edict_open(&x, a, true);

	if (rc)
		return rc;
	if (!x.known.policy.line && x.known.refused)
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "no policy that a pinned key signed; refused: %s", x.known.why.msg);
	else if (!x.known.policy.line)
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "no policy is known; `uni-wizard policy sign FILE` gives one, and without it no agent "
		    "starts anything");
	else if (a->json)
		puts(x.known.policy.line);
	else
		show_text(&x);
	edict_close(&x);
	return rc;
}

const struct cmd cmd_policy_show = {
	.name = "policy show",
	.help = "Show the policy in force, in the form that policy sign takes",
	.more = "--json prints the signed envelope as it was published. A line says so for each agent that holds another one.",
	.flags = CMD_JSON,
	.run = show_run,
};

/* policy check */

static int
check_run(const struct cmd_args *a)
{
	struct config c;
	struct edict x;
	cJSON *o;
	int rc = edict_config(a, &c);

	if (rc)
		return rc;
	o = file_read(&c, a->argv[0]);
	if (o)
		warn_unknown(&c, o);
	else
		rc = EXIT_USAGE;
	config_release(&c);
	if (!rc)
		rc = edict_open(&x, a, false);
	if (!rc) {
		print_difference(&x.known, o);
		edict_close(&x);
	}
	cJSON_Delete(o);
	return rc;
}

const struct cmd cmd_policy_check = {
	.name = "policy check",
	.args = "FILE",
	.help = "Check a policy, and show how it differs from the one in force",
	.min_args = 1,
	.max_args = 1,
	.complete = "files",
	.run = check_run,
};

/* policy sign */

static const struct cmd_opt sign_opts[] = {
	{ .name = "yes", .letter = 'y', .kind = OPT_FLAG, .help = "do not ask" },
	EDICT_PASSPHRASE,
	EDICT_WITHIN,
	OPT_END
};

static int
confirm(const struct edict *x, const cJSON *policy)
{
	char letter;

	if (!x->a->json)
		print_difference(&x->known, policy);
	if (cmd_flag(x->a, "yes"))
		return 0;
	fflush(stdout);
	letter = ask_letter("Sign this policy? [y/N] ", "ny");
	if (letter == 'y')
		return 0;
	return cmd_fail(EXIT_NOT_SUCCEEDED, letter ? "nothing was signed" : "no terminal to ask on; --yes signs without asking");
}

static int
sign_run(const struct cmd_args *a)
{
	struct edict x;
	char what[64];
	cJSON *o;
	int rc = edict_open(&x, a, true);

	if (rc)
		return rc;
	o = file_read(&x.r.config, a->argv[0]);
	if (o)
		warn_unknown(&x.r.config, o);
	rc = o ? confirm(&x, o) : EXIT_USAGE;
	if (!rc && !(rc = edict_send(&x, SOVEREIGN_POLICY, "current", cJSON_Duplicate(o, true)))) {
		snprintf(what, sizeof what, "policy %lld is signed and published", (long long)x.n);
		rc = edict_report(&x, what);
	}
	cJSON_Delete(o);
	edict_close(&x);
	return rc;
}

const struct cmd cmd_policy_sign = {
	.name = "policy sign",
	.args = "FILE",
	.help = "Sign a policy and give it to the agents, after showing what it changes",
	.more = "FILE is YAML or JSON with houses (a profile each: judge, archivist, artificer, dispatcher, none), production (places\n"
	        "such as path:/srv/www, repo:/srv/site, service:nginx, url:https://x/), rules, approval_s and self_approval. Rules\n"
	        "name house, tool, sender and effect by patterns; the first that matches counts: then: allow, approve or deny.\n"
	        "Exit code 5 if an agent that is there does not hold it in time.",
	.opts = sign_opts,
	.min_args = 1,
	.max_args = 1,
	.flags = CMD_JSON,
	.complete = "files",
	.run = sign_run,
};
