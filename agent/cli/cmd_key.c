/*
 * cmd_key.c - key init, show, rotate: the sovereign's key.
 *
 * The private key lies in the file that `sovereign_key` names, the public one beside it in <file>.pub, so that it can
 * be shown without the passphrase. A rotation has its next key in <file>.next until every agent pins that too.
 */
#include "clock.h"
#include "edict.h"
#include "json.h"
#include "passphrase.h"
#include "save.h"

#define OPT_PASSPHRASE_FILE EDICT_PASSPHRASE
#define OPT_NO_PASSPHRASE EDICT_NO_PASSPHRASE
#define OPT_END { .name = NULL }

/* Caller frees. */
static char *
path_with(const char *path, const char *suffix)
{
	struct buf b = { 0 };

	buf_addf(&b, "%s%s", path, suffix);
	return buf_take(&b);
}

static int
public_save(const char *path, const struct sign_public *p, struct err *e)
{
	char text[SIGN_TEXT + 1], *pub = path_with(path, ".pub");
	int rc;

	sign_public_format(p, text);
	text[SIGN_TEXT - 1] = '\n';
	text[SIGN_TEXT] = '\0';
	rc = save_file(pub, text, SIGN_TEXT, 0644, e);
	free(pub);
	return rc;
}

static int
public_read(const char *path, struct sign_public *p, struct err *e)
{
	struct buf b = { .max = 256 };
	char *pub = path_with(path, ".pub");
	int rc = save_read(pub, &b, e);

	while (b.len && b.data[b.len - 1] == '\n')
		buf_cut(&b, b.len - 1);
	if (rc == 0)
		rc = sign_public_parse(p, buf_str(&b), e);
	if (rc)
		err_wrap(e, "%s", pub);
	buf_free(&b);
	free(pub);
	return rc;
}

/* NULL: none wanted. */
static int
new_passphrase(const struct cmd_args *a, struct buf *out, const char **passphrase)
{
	struct err e = { 0 };

	*passphrase = NULL;
	if (cmd_flag(a, "no-passphrase"))
		return cmd_text(a, "passphrase-file", NULL)
		    ? cmd_fail(EXIT_USAGE, "--no-passphrase: not together with --passphrase-file") : 0;
	if (passphrase_get(out, cmd_text(a, "passphrase-file", NULL), "New passphrase for the sovereign's key: ", true, &e))
		return cmd_fail(EXIT_USAGE, "%s", e.msg);
	*passphrase = buf_str(out);
	return 0;
}

struct sign_key *
edict_key_make(const struct cmd_args *a, const char *path, int *rc)
{
	struct buf text = { 0 };
	struct sign_key *key = sign_key_new();
	const char *passphrase;
	struct err e = { 0 };

	*rc = access(path, F_OK) == 0 ? cmd_fail(EXIT_NOT_SUCCEEDED, "%s is there already", path)
				      : new_passphrase(a, &text, &passphrase);
	if (!*rc && (sign_key_save(key, path, passphrase, &e) || public_save(path, sign_key_public(key), &e)))
		*rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	passphrase_wipe(&text);
	if (!*rc)
		return key;
	sign_key_free(key);
	return NULL;
}

static bool
is_pinned(const struct config *c, const struct sign_public *p)
{
	for (size_t i = 0; i < c->sovereign_keys.n; i++)
		if (sign_public_equal(&c->sovereign_keys.v[i], p))
			return true;
	return false;
}

static void
put_key(struct buf *b, const struct config *c, const char *path, const struct sign_public *p)
{
	char text[SIGN_TEXT];

	sign_public_format(p, text);
	json_put_open(b, '{');
	json_kv_str(b, "file", path);
	json_kv_str(b, "id", p->id);
	json_kv_str(b, "public", text);
	json_kv_bool(b, "passphrase", sign_key_is_locked(path));
	json_kv_bool(b, "pinned", is_pinned(c, p));
	json_put_close(b, '}');
}

static void
print_key(const struct cmd_args *a, const struct config *c, const char *path, const struct sign_public *p)
{
	struct buf b = { 0 };
	char text[SIGN_TEXT];

	sign_public_format(p, text);
	put_key(&b, c, path, p);
	if (a->json)
		puts(buf_str(&b));
	else
		printf("%-11s%s\n%-11s%s\n%-11s%s\n%-11s%s\n%-11s%s\n", "file", path, "id", p->id, "public", text, "passphrase",
		    sign_key_is_locked(path) ? "yes" : "none", "pinned", is_pinned(c, p) ? "yes" : "no");
	buf_free(&b);
}

static void
print_pinning(const struct config *c, const struct sign_public *p)
{
	char text[SIGN_TEXT];

	sign_public_format(p, text);
	printf("\nWrite this into %s on every host, then restart the agents:\n\nsovereign_keys: [", c->path);
	for (size_t i = 0; i < c->sovereign_keys.n; i++) {
		char pinned[SIGN_TEXT];

		sign_public_format(&c->sovereign_keys.v[i], pinned);
		printf("\"%s\", ", pinned);
	}
	printf("\"%s\"]\n", text);
}

/* key init */

static const struct cmd_opt init_opts[] = { OPT_PASSPHRASE_FILE, OPT_NO_PASSPHRASE, OPT_END };

static int
init_run(const struct cmd_args *a)
{
	struct config c;
	struct sign_key *key;
	int rc = edict_config(a, &c);

	if (rc)
		return rc;
	key = edict_key_make(a, c.sovereign_key, &rc);
	if (key) {
		print_key(a, &c, c.sovereign_key, sign_key_public(key));
		if (!a->json && !is_pinned(&c, sign_key_public(key))) {
			print_pinning(&c, sign_key_public(key));
			printf("\nFrom then on they start nothing until they hold a policy: `uni-wizard policy sign FILE`.\n");
		}
	}
	sign_key_free(key);
	config_release(&c);
	return rc;
}

const struct cmd cmd_key_init = {
	.name = "key init",
	.help = "Make the sovereign's key; his decisions, policies, grants and halts are signed with it",
	.more = "Asks for a passphrase twice, on the terminal. The file is `sovereign_key` of the configuration, readable by its\n"
	        "owner only, and never overwritten. Agents take what it signs once its public key is among `sovereign_keys`.",
	.opts = init_opts,
	.flags = CMD_JSON,
	.run = init_run,
};

/* key show */

static const struct cmd_opt show_opts[] = { OPT_PASSPHRASE_FILE, OPT_END };

static int
show_run(const struct cmd_args *a)
{
	struct config c;
	struct sign_public p;
	struct sign_key *key = NULL;
	int rc = edict_config(a, &c);

	if (rc)
		return rc;
	if (public_read(c.sovereign_key, &p, NULL)) {
		key = edict_key_load(a, c.sovereign_key);
		rc = key ? 0 : EXIT_NOT_SUCCEEDED;
		if (key)
			p = *sign_key_public(key);
	}
	if (!rc)
		print_key(a, &c, c.sovereign_key, &p);
	sign_key_free(key);
	config_release(&c);
	return rc;
}

const struct cmd cmd_key_show = {
	.name = "key show",
	.help = "Show the sovereign's public key, and whether this configuration pins it",
	.opts = show_opts,
	.flags = CMD_JSON,
	.run = show_run,
};

/* key rotate: first the next key, then everything signed anew with it */

static const struct cmd_opt rotate_opts[] = { OPT_PASSPHRASE_FILE, OPT_NO_PASSPHRASE, EDICT_WITHIN, OPT_END };

static cJSON *
members_of(const struct sovereign *s)
{
	return cJSON_Duplicate(s->tree, true);
}

static cJSON *
live_list(const struct known_object *const *live, size_t n)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < n; i++) {
		cJSON *one = cJSON_CreateObject();

		cJSON_AddStringToObject(one, "id", live[i]->s.u.grant.id);
		cJSON_AddNumberToObject(one, "n", (double)live[i]->s.n);
		cJSON_AddItemToArray(list, one);
	}
	return list;
}

/* One after the other gets its new number; those that still have the old one stay in force meanwhile. */
static int
resign_grants(struct edict *x)
{
	size_t n = x->known.ngrants, many = 0;
	const struct known_object **live = xcalloc(n + 1, sizeof *live);
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		if (known_grant_in_force(&x->known, &x->known.grants[i].s.u.grant, x->known.grants[i].s.n, clock_wall_ms()))
			live[many++] = &x->known.grants[i];
	for (size_t i = 0; i < many && !rc; i++) {
		cJSON *members = members_of(&live[i]->s), *list = live_list(live, many);

		cJSON_SetNumberValue(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(list, (int)i), "n"),
		    (double)(known_highest(&x->known, SOVEREIGN_GRANT) + 1));
		cJSON_ReplaceItemInObjectCaseSensitive(members, "live", list);
		rc = edict_send(x, SOVEREIGN_GRANT, cJSON_GetObjectItemCaseSensitive(members, "id")->valuestring, members);
	}
	free(live);
	return rc;
}

static int
resign_all(struct edict *x)
{
	int rc = 0;

	if (x->known.policy.line)
		rc = edict_send(x, SOVEREIGN_POLICY, "current", members_of(&x->known.policy.s));
	if (!rc && x->known.halt.line)
		rc = edict_send(x, SOVEREIGN_HALT, "current", members_of(&x->known.halt.s));
	return rc ? rc : resign_grants(x);
}

/* The former key is kept, for whoever still has to read what it signed. */
static int
swap_files(const char *path, const char *next)
{
	static const char *const suffixes[] = { "", ".pub" };
	int rc = 0;

	for (size_t i = 0; i < 2 && !rc; i++) {
		char *from = path_with(next, suffixes[i]), *to = path_with(path, suffixes[i]), *old = path_with(to, ".old");

		rename(to, old);
		if (rename(from, to))
			rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s could not be renamed to %s", from, to);
		free(from);
		free(to);
		free(old);
	}
	return rc;
}

static int
rotate_begin(const struct cmd_args *a, const struct config *c, const char *next)
{
	int rc;
	struct sign_key *key = edict_key_make(a, next, &rc);

	if (!key)
		return rc;
	print_key(a, c, next, sign_key_public(key));
	if (!a->json) {
		print_pinning(c, sign_key_public(key));
		printf("\nThen `uni-wizard key rotate` once more: it signs everything anew and puts the new key in place.\n");
	}
	sign_key_free(key);
	return 0;
}

static int
rotate_end(const struct cmd_args *a, const char *next)
{
	struct edict x;
	int rc = edict_open(&x, a, true);

	if (rc)
		return rc;
	x.key = edict_key_load(a, next);
	if (!x.key)
		rc = EXIT_NOT_SUCCEEDED;
	else if (!is_pinned(&x.r.config, sign_key_public(x.key)))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s is not among sovereign_keys of %s yet; write it there on every host first",
		    sign_key_public(x.key)->id, x.r.config.path);
	if (!rc)
		rc = resign_all(&x);
	if (!rc)
		rc = swap_files(x.r.config.sovereign_key, next);
	if (!rc)
		rc = edict_report(&x, "everything is signed with the new key; take the old one out of sovereign_keys on every host");
	edict_close(&x);
	return rc;
}

static int
rotate_run(const struct cmd_args *a)
{
	struct config c;
	char *next;
	int rc = edict_config(a, &c);

	if (rc)
		return rc;
	next = path_with(c.sovereign_key, ".next");
	if (access(c.sovereign_key, F_OK))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "%s: there is no key to rotate; `uni-wizard key init` makes one", c.sovereign_key);
	else
		rc = access(next, F_OK) ? rotate_begin(a, &c, next) : rotate_end(a, next);
	config_release(&c);
	free(next);
	return rc;
}

const struct cmd cmd_key_rotate = {
	.name = "key rotate",
	.help = "Replace the sovereign's key, in two steps",
	.more = "The first time it makes the next key beside the present one, and says what to write into `sovereign_keys` on every\n"
	        "host. The second time it signs the policy, the halts and the grants in force anew with that key, waits until the\n"
	        "agents hold them, and puts it in place; the former one stays as <file>.old.",
	.opts = rotate_opts,
	.flags = CMD_JSON,
	.run = rotate_run,
};
