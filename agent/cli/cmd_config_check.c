#include "buf.h"
#include "clock.h"
#include "cmd.h"
#include "json.h"
#include "pki.h"

#define MAX_WARNINGS 100
#define SOON_DAYS 30

struct warnings {
	char *v[MAX_WARNINGS];
	size_t n;
};

static void
keep_warning(const char *msg, void *arg)
{
	struct warnings *w = arg;

	if (w->n < MAX_WARNINGS)
		w->v[w->n++] = xstrdup(msg);
}

static bool
pki_has(const struct config *c, const char *file)
{
	struct buf path = { 0 };
	bool there;

	buf_addf(&path, "%s/%s", c->pki_dir, file);
	there = access(path.data, F_OK) == 0;
	buf_free(&path);
	return there;
}

/* Without a list that is good a broker lets nobody in. Whoever has no part in that has none. */
static void
check_revoked(const struct config *c, struct warnings *w)
{
	struct buf msg = { 0 };
	struct pki_crl crl;
	struct err e = { 0 };
	int64_t left_ms;

	if (!pki_has(c, "ca.key") && !pki_has(c, "ca.crl"))
		return;
	if (pki_crl_read(c->pki_dir, &crl, &e)) {
		buf_addf(&msg, "%s; `uni-wizard pki init` where ca.key is writes what is missing", e.msg);
	} else {
		left_ms = crl.until_ms - clock_wall_ms();
		if (left_ms < 0)
			buf_addf(&msg, "%s/ca.crl has expired, and brokers let nobody in", c->pki_dir);
		else if (left_ms < SOON_DAYS * INT64_C(86400000))
			buf_addf(&msg, "%s/ca.crl expires in %d days, and brokers will let nobody in", c->pki_dir,
			    (int)(left_ms / 86400000));
		if (msg.len)
			buf_adds(&msg, "; `uni-wizard pki init` where ca.key is signs it anew, and a broker reads it on SIGHUP");
	}
	if (msg.len)
		keep_warning(msg.data, w);
	buf_free(&msg);
}

static void
put_names(struct buf *b, const char *key, const struct config_names *names)
{
	json_put_key(b, key);
	json_put_open(b, '[');
	for (size_t i = 0; i < names->n; i++)
		json_put_str(b, names->v[i]);
	json_put_close(b, ']');
}

static void
put_house(struct buf *b, const struct config_house *h)
{
	json_put_open(b, '{');
	json_kv_str(b, "name", h->name);
	json_kv_str(b, "role", h->role);
	json_kv_str(b, "priority", h->priority);
	json_kv_str(b, "endpoint", h->endpoint);
	json_kv_bool(b, "auth_token", h->auth_token != NULL);
	put_names(b, "agents", &h->agents);
	put_names(b, "candidates", &h->candidates);
	json_kv_str(b, "copies", h->copies);
	json_put_close(b, '}');
}

static void
put_config(struct buf *b, const struct config *c)
{
	json_kv_str(b, "cluster", c->cluster);
	json_kv_str(b, "identity", c->identity);
	json_kv_str(b, "pki", c->pki_dir);
	json_kv_str(b, "state", c->state_dir);
	json_kv_str(b, "run", c->run_dir);
	json_kv_str(b, "sovereign", c->sovereign);
	put_names(b, "operators", &c->operators);
	put_names(b, "watchers", &c->watchers);
	put_names(b, "router", &c->router);
	put_names(b, "witnesses", &c->witnesses);
	json_put_key(b, "brokers");
	json_put_open(b, '[');
	for (size_t i = 0; i < c->nbrokers; i++) {
		json_put_open(b, '{');
		json_kv_str(b, "host", c->brokers[i].host);
		json_kv_int(b, "port", c->brokers[i].port);
		json_put_close(b, '}');
	}
	json_put_close(b, ']');
	json_put_key(b, "houses");
	json_put_open(b, '[');
	for (size_t i = 0; i < c->nhouses; i++)
		put_house(b, &c->houses[i]);
	json_put_close(b, ']');
}

static void
print_json(const char *path, const struct config *c, const struct warnings *w, const struct err *e)
{
	struct buf b = { 0 };

	json_put_open(&b, '{');
	json_kv_bool(&b, "ok", c != NULL);
	json_kv_str(&b, "path", path);
	if (c)
		put_config(&b, c);
	else {
		json_put_key(&b, "error");
		json_put_err(&b, e);
	}
	json_put_key(&b, "warnings");
	json_put_open(&b, '[');
	for (size_t i = 0; i < w->n; i++)
		json_put_str(&b, w->v[i]);
	json_put_close(&b, ']');
	json_put_close(&b, '}');
	puts(buf_str(&b));
	buf_free(&b);
}

static void
print_list(const struct config_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		printf("%s%s", i ? ", " : "", names->v[i]);
}

static void
print_names(const char *title, const struct config_names *names)
{
	printf("  %-10s", title);
	print_list(names);
	puts(names->n ? "" : "none");
}

static void
print_house(const struct config_house *h)
{
	printf("  %-10s%s (%s, %s): ", "house", h->name, h->role, h->priority);
	print_list(&h->agents);
	printf("; candidates: ");
	print_list(&h->candidates);
	printf("; copies: %s\n", h->copies);
}

static void
print_text(const struct config *c)
{
	printf("%s is valid\n  %-10s%s\n  %-10s", c->path, "cluster", c->cluster, "brokers");
	for (size_t i = 0; i < c->nbrokers; i++)
		printf(strchr(c->brokers[i].host, ':') ? "%s[%s]:%d" : "%s%s:%d", i ? ", " : "",
		    c->brokers[i].host, c->brokers[i].port);
	putchar('\n');
	for (size_t i = 0; i < c->nhouses; i++)
		print_house(&c->houses[i]);
	print_names("router", &c->router);
	print_names("witnesses", &c->witnesses);
	printf("  %-10s%s\n", "sovereign", c->sovereign);
	print_names("operators", &c->operators);
	print_names("watchers", &c->watchers);
	printf(
	    "  %-10s%s\n  %-10s%s\n  %-10s%s\n", "pki", c->pki_dir, "state", c->state_dir, "run", c->run_dir);
}

static int
config_check_run(const struct cmd_args *a)
{
	const char *path = a->argc ? a->argv[0] : config_path(a->config);
	struct config *c = xcalloc(1, sizeof *c);
	struct warnings w = { .n = 0 };
	struct err e = { 0 };
	int rc = config_load(c, path, keep_warning, &w, &e);

	if (!rc)
		check_revoked(c, &w);
	if (a->json)
		print_json(path, rc ? NULL : c, &w, &e);
	for (size_t i = 0; i < w.n; i++) {
		if (!a->json)
			cmd_warn(w.v[i], NULL);
		free(w.v[i]);
	}
	if (!a->json && rc)
		cmd_fail(0, "%s", e.msg);
	if (!a->json && !rc)
		print_text(c);
	if (!rc)
		config_release(c);
	free(c);
	return rc ? EXIT_NOT_SUCCEEDED : EXIT_OK;
}

const struct cmd cmd_config_check = {
	.name = "config check",
	.args = "[FILE]",
	.help = "Read houses.yaml and say what is in it or what is wrong",
	.more = "A mistake is named with file, line, key, what was expected and what came. Exit code 1 then.",
	.max_args = 1,
	.flags = CMD_JSON,
	.complete = "files",
	.run = config_check_run,
};
