#include "params.h"

#include <errno.h>
#include <fcntl.h>

#include "json.h"
#include "nearest.h"

#define KEY_MAX 64

struct param {
	char field[KEY_MAX + 8];        /* "params.key" */
	const char *key;                /* within field */
	const char *value;              /* within the argument */
	bool raw;                       /* key:=json */
	const cJSON *schema;            /* of this parameter; NULL: not known */
};

static int
param_split(const char *arg, struct param *p, struct err *e)
{
	size_t n = strspn(arg, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
	const char *rest = arg + n;

	*p = (struct param){ .raw = *rest == ':' };
	rest += p->raw;
	if (n == 0 || n > KEY_MAX || *rest != '=')
		return err_field(e, ERR_INVALID, "params", arg, "key=value, key:=json or key=@file");
	snprintf(p->field, sizeof p->field, "params.%.*s", (int)n, arg);
	p->key = p->field + strlen("params.");
	p->value = rest + 1;
	return 0;
}

/* The parameter's own schema. A name that the tool does not have is an error here already, because
 * the nearest one is known here. */
static int
param_find(struct param *p, const cJSON *schema, struct err *e)
{
	const cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties"), *child;
	const cJSON *others = cJSON_GetObjectItemCaseSensitive(schema, "additionalProperties");
	struct nearest near = { .word = p->key };
	const char *best;

	p->schema = cJSON_GetObjectItemCaseSensitive(properties, p->key);
	if (!p->schema && cJSON_IsObject(others))
		p->schema = others;
	if (p->schema || !schema || cJSON_IsTrue(others))
		return 0;
	cJSON_ArrayForEach(child, properties)
		nearest_try(&near, child->string);
	best = nearest_word(&near);
	return err_set(e, ERR_INVALID, "%s: no such parameter%s%s%s", p->field, best ? "; did you mean " : "",
	    best ? best : "", best ? "?" : "");
}

/* 1 if the schema allows the type, 0 if it names others, -1 if it does not say. */
static int
allows(const cJSON *schema, const char *type)
{
	const cJSON *t = cJSON_GetObjectItemCaseSensitive(schema, "type"), *v;

	if (cJSON_IsString(t))
		return strcmp(t->valuestring, type) == 0;
	if (!cJSON_IsArray(t))
		return -1;
	cJSON_ArrayForEach(v, t)
		if (cJSON_IsString(v) && strcmp(v->valuestring, type) == 0)
			return 1;
	return 0;
}

static const char *
types_brief(const cJSON *schema, char *out, size_t size)
{
	const cJSON *t = cJSON_GetObjectItemCaseSensitive(schema, "type"), *v;
	size_t n = 0;

	if (cJSON_IsString(t)) {
		snprintf(out, size, "%s", t->valuestring);
		return out;
	}
	out[0] = '\0';
	cJSON_ArrayForEach(v, t)
		if (cJSON_IsString(v) && n < size)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n ? " or " : "", v->valuestring);
	return out;
}

/* A scalar that is no text: number, true, false, null, as the schema allows. */
static bool
fits(const cJSON *schema, const cJSON *v)
{
	if (cJSON_IsNumber(v))
		return allows(schema, "integer") == 1 || allows(schema, "number") == 1;
	if (cJSON_IsBool(v))
		return allows(schema, "boolean") == 1;
	if (cJSON_IsNull(v))
		return allows(schema, "null") == 1;
	return (cJSON_IsObject(v) && allows(schema, "object") == 1) ||
	    (cJSON_IsArray(v) && allows(schema, "array") == 1);
}

/* Text to what the schema wants: another type first, because everything is text. */
static cJSON *
value_read(const struct param *p, const cJSON *schema, const char *text, struct err *e)
{
	cJSON *v = schema && allows(schema, "string") != -1 ? json_parse(text, strlen(text), NULL) : NULL;
	char types[100];

	if (v && !cJSON_IsString(v) && fits(schema, v))
		return v;
	cJSON_Delete(v);
	if (allows(schema, "string") != 0)
		return cJSON_CreateString(text);
	err_field(e, ERR_INVALID, p->field, text, "%s", types_brief(schema, types, sizeof types));
	return NULL;
}

static cJSON *
raw_read(const struct param *p, const char *text, struct err *e)
{
	struct err why = { 0 };
	cJSON *v = json_parse(text, strlen(text), &why);

	if (!v)
		err_set(e, ERR_INVALID, "%s: %s", p->field, why.msg);
	return v;
}

static int
file_read(const struct param *p, const char *path, struct buf *out, struct err *e)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 1;
	char *to;

	while (n > 0 && (to = buf_reserve(out, 16 << 10))) {
		n = read(fd, to, 16 << 10);
		if (n < 0 && errno == EINTR) {
			n = 1;
		} else if (n >= 0) {
			to[n] = '\0';
			out->len += (size_t)n;
		}
	}
	if (n < 0)
		err_set(e, ERR_IO, "%s: %.200s: %s", p->field, path, strerror(errno));
	else if (!buf_ok(out) || out->len > PARAMS_MAX_BYTES)
		n = err_set(
		    e, ERR_TOO_BIG, "%s: %.200s has more than %u bytes", p->field, path, PARAMS_MAX_BYTES);
	if (fd >= 0 && !is_stdin)
		close(fd);
	return n < 0 ? -1 : 0;
}

/* JSON text cannot carry any byte: what is no UTF-8 would arrive changed. */
static int
check_text(const struct param *p, const struct buf *text, struct err *e)
{
	struct buf quoted = { 0 };
	cJSON *back;
	int rc = 0;

	json_put_strn(&quoted, buf_str(text), text->len);
	back = json_parse(buf_str(&quoted), quoted.len, NULL);
	if (strlen(buf_str(text)) != text->len || !back || strcmp(back->valuestring, buf_str(text)) != 0)
		rc = err_field(e, ERR_INVALID, p->field, "other bytes", "text in UTF-8 without NUL");
	cJSON_Delete(back);
	buf_free(&quoted);
	return rc;
}

/* The text that counts: the argument's, or a file's. */
static int
text_read(const struct param *p, struct buf *out, struct err *e)
{
	out->max = PARAMS_MAX_BYTES + (32u << 10);
	if (p->value[0] != '@')
		buf_adds(out, p->value);
	else if (p->value[1] == '@' && !p->raw)
		buf_adds(out, p->value + 1);
	else if (file_read(p, p->value + 1, out, e))
		return -1;
	return check_text(p, out, e);
}

static bool
is_list(const struct param *p)
{
	return allows(p->schema, "array") == 1 && !p->raw;
}

/* One item more, or the whole list as JSON. */
static int
list_add(const struct param *p, cJSON *params, const char *text, struct err *e)
{
	cJSON *list = cJSON_GetObjectItemCaseSensitive(params, p->key), *v;

	if (!list && text[0] == '[' && (v = json_parse(text, strlen(text), NULL))) {
		cJSON_AddItemToObject(params, p->key, v);
		return 0;
	}
	v = value_read(p, cJSON_GetObjectItemCaseSensitive(p->schema, "items"), text, e);
	if (!v)
		return -1;
	if (!list)
		list = cJSON_AddArrayToObject(params, p->key);
	cJSON_AddItemToArray(list, v);
	return 0;
}

static int
param_add(const struct param *p, cJSON *params, struct err *e)
{
	struct buf text = { 0 };
	cJSON *v = NULL;
	int rc = -1;

	if (!is_list(p) && cJSON_GetObjectItemCaseSensitive(params, p->key)) {
		err_set(e, ERR_INVALID, "%s: given twice", p->field);
	} else if (text_read(p, &text, e) == 0) {
		if (is_list(p))
			rc = list_add(p, params, buf_str(&text), e);
		else if ((v = p->raw ? raw_read(p, buf_str(&text), e)
				     : value_read(p, p->schema, buf_str(&text), e)))
			rc = cJSON_AddItemToObject(params, p->key, v) ? 0 : -1;
	}
	buf_free(&text);
	return rc;
}

cJSON *
params_read(int argc, char *const *argv, const char *schema, struct err *e)
{
	cJSON *tree = schema ? json_parse(schema, strlen(schema), NULL) : NULL;
	cJSON *params = cJSON_CreateObject();
	struct param p;

	for (int i = 0; params && i < argc; i++)
		if (param_split(argv[i], &p, e) || param_find(&p, tree, e) || param_add(&p, params, e)) {
			cJSON_Delete(params);
			params = NULL;
		}
	cJSON_Delete(tree);
	return params;
}
