#include "secret.h"

#include "json.h"
#include "param.h"
#include "tool.h"

const struct config_secret *
secret_param(const struct tool_run *r, const char *param, struct err *e)
{
	const struct config *c = r->env->config;
	const char *name = param_str(r, param);
	char field[64];

	*e = (struct err){ 0 };
	for (size_t i = 0; name && i < c->nsecrets; i++)
		if (strcmp(c->secrets[i].name, name) == 0)
			return &c->secrets[i];
	if (name) {
		snprintf(field, sizeof field, "params.%s", param);
		err_field(e, ERR_INVALID, field, name, "the name of a secret in the configuration");
	}
	return NULL;
}

/* Calls visit for each value that is to be masked, until it returns true; true if one did. */
static bool
each_value(const struct config *c, bool (*visit)(const char *name, const char *value, size_t len, void *arg),
    void *arg)
{
	size_t n = c ? c->nsecrets + c->nhouses : 0;

	for (size_t i = 0; i < n; i++) {
		bool secret = i < c->nsecrets;
		const char *name = secret ? c->secrets[i].name : c->houses[i - c->nsecrets].name;
		const char *value = secret ? c->secrets[i].value : c->houses[i - c->nsecrets].auth_token;

		if (value && strlen(value) >= SECRET_MASK_MIN && visit(name, value, strlen(value), arg))
			return true;
	}
	return false;
}

static bool
mask_one(const char *name, const char *value, size_t len, void *arg)
{
	struct buf *b = arg, out = { .max = b->max };
	const char *at = buf_str(b), *end = at + b->len, *hit;

	while ((hit = memmem(at, (size_t)(end - at), value, len))) {
		buf_add(&out, at, (size_t)(hit - at));
		buf_addf(&out, "[secret %s]", name);
		at = hit + len;
	}
	if (at == buf_str(b))
		return false;
	buf_add(&out, at, (size_t)(end - at));
	buf_free(b);
	*b = out;
	return false;
}

void
secret_mask(const struct config *c, struct buf *b)
{
	each_value(c, mask_one, b);
}

/* As it is, or as it would be escaped. */
static bool
is_in_json(const char *name, const char *value, size_t len, void *arg)
{
	const struct buf *b = arg;
	struct buf quoted = { 0 };
	bool found = memmem(buf_str(b), b->len, value, len);

	(void)name;
	json_put_strn(&quoted, value, len);
	found = found || memmem(buf_str(b), b->len, quoted.data + 1, quoted.len - 2);
	buf_free(&quoted);
	return found;
}

static char *
masked(const struct config *c, const char *text)
{
	struct buf b = { 0 };

	buf_adds(&b, text);
	secret_mask(c, &b);
	return buf_take(&b);
}

/* cJSON frees what it is given. */
static void
mask_text(const struct config *c, char **text)
{
	char *is = masked(c, *text);
	size_t size = strlen(is) + 1;

	cJSON_free(*text);
	*text = cJSON_malloc(size);
	if (!*text)
		abort();
	memcpy(*text, is, size);
	free(is);
}

static void
mask_tree(const struct config *c, cJSON *v)
{
	cJSON *one;

	if (v->string)
		mask_text(c, &v->string);
	if (cJSON_IsString(v))
		mask_text(c, &v->valuestring);
	cJSON_ArrayForEach(one, v)
		mask_tree(c, one);
}

void
secret_mask_json(const struct config *c, struct buf *b)
{
	cJSON *v;

	if (!each_value(c, is_in_json, b) || !(v = json_parse(buf_str(b), b->len, NULL)))
		return;
	mask_tree(c, v);
	buf_clear(b);
	json_put_tree(b, v);
	cJSON_Delete(v);
}

struct tail {
	const struct buf *b;
	size_t len;
};

/* The longest end of the text with which the value begins. */
static bool
look_at_tail(const char *name, const char *value, size_t len, void *arg)
{
	struct tail *t = arg;

	(void)name;
	for (size_t n = len - 1 < t->b->len ? len - 1 : t->b->len; n > t->len; n--)
		if (memcmp(buf_str(t->b) + t->b->len - n, value, n) == 0)
			t->len = n;
	return false;
}

size_t
secret_mask_stream(const struct config *c, struct buf *b)
{
	struct tail t = { .b = b };

	secret_mask(c, b);
	each_value(c, look_at_tail, &t);
	return b->len - t.len;
}
