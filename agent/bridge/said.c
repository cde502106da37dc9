#include "said.h"

#include <math.h>
#include <string.h>

#include "json.h"

bool
said_is_plain(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > SUGGEST_NAME)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f || strchr("`<>", name[i]))
			return false;
	return true;
}

bool
said_kind(const cJSON *item, enum suggest_kind *kind)
{
	for (int k = 0; k < SUGGEST_NKINDS; k++)
		if (strcmp(json_text(item, "kind"), suggest_kind_name((enum suggest_kind)k)) == 0) {
			*kind = (enum suggest_kind)k;
			return true;
		}
	return false;
}

static bool
is_item(const cJSON *o)
{
	const cJSON *p = cJSON_GetObjectItemCaseSensitive(o, "p");
	enum suggest_kind kind;

	return cJSON_IsObject(o) && said_kind(o, &kind) && said_is_plain(json_text(o, "name")) && cJSON_IsNumber(p) &&
	    p->valuedouble >= 0 && p->valuedouble <= 1 && json_number(o, "like", -1) >= 0;
}

cJSON *
said_read(const char *text, size_t len)
{
	cJSON *list = len <= SAID_BYTES ? json_parse(text, len, NULL) : NULL;
	bool good = cJSON_IsArray(list) && cJSON_GetArraySize(list) <= SAID_MAX;
	const cJSON *o;

	cJSON_ArrayForEach(o, list)
		good = good && is_item(o);
	if (good)
		return list;
	cJSON_Delete(list);
	return NULL;
}

void
said_add(cJSON *list, const struct suggest_said *x, bool set)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "kind", suggest_kind_name(x->kind));
	cJSON_AddStringToObject(o, "name", x->name);
	cJSON_AddNumberToObject(o, "p", round(x->p * 1000) / 1000);
	cJSON_AddNumberToObject(o, "like", x->like);
	if (set)
		cJSON_AddTrueToObject(o, "set");
	cJSON_AddItemToArray(list, o);
}

bool
said_has_set(const cJSON *list, const char *label)
{
	const cJSON *o;

	cJSON_ArrayForEach(o, list)
		if (json_is_true(o, "set") && strcmp(json_text(o, "name"), label) == 0)
			return true;
	return false;
}

void
said_put(struct buf *out, const cJSON *list)
{
	const char *before = "Probably ";
	enum suggest_kind kind;
	const cJSON *o;

	cJSON_ArrayForEach(o, list) {
		said_kind(o, &kind);
		buf_addf(out, "%s%s%s`%s` (%.0f %%, from %lld like it%s)", before, kind == SUGGEST_LABEL ? "" : suggest_kind_name(kind),
		    kind == SUGGEST_LABEL ? "" : " ", json_text(o, "name"),
		    100 * cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, "p")), (long long)json_number(o, "like", 0),
		    json_is_true(o, "set") ? "; set" : "");
		before = ", ";
	}
	buf_addc(out, '.');
}
