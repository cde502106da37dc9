#include "target.h"

#include <string.h>

#include "tool.h"

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void
put(char out[TARGET_MAX], const char *text, size_t len)
{
	if (len > TARGET_MAX - 1) {
		text += len - (TARGET_MAX - 1);
		len = TARGET_MAX - 1;
	}
	memcpy(out, text, len);
	out[len] = '\0';
}

/* "https://user@Host:443/path" is "host": who listens there is the same, whatever the scheme. */
static void
put_host(char out[TARGET_MAX], const char *url)
{
	const char *p = strstr(url, "://"), *at;
	bool tls = strncasecmp(url, "https:", 6) == 0;
	size_t n;

	p = p ? p + 3 : url;
	n = strcspn(p, "/?#");
	while ((at = memchr(p, '@', n))) {
		n -= (size_t)(at + 1 - p);
		p = at + 1;
	}
	put(out, p, n);
	n = strlen(out);
	for (size_t i = 0; i < n; i++)
		out[i] = lower(out[i]);
	if (n > 4 && tls && strcmp(out + n - 4, ":443") == 0)
		out[n - 4] = '\0';
	else if (n > 3 && !tls && strcmp(out + n - 3, ":80") == 0)
		out[n - 3] = '\0';
}

bool
target_read(const struct tool *t, const char *text, char out[TARGET_MAX])
{
	const char *name = t->target ? t->target->name : NULL;

	if (!t->target || !*text || (name && strcmp(name, text) != 0))
		return false;
	if (t->target->url)
		put_host(out, text);
	else
		put(out, text, strlen(text));
	return *out;
}

bool
target_of(const struct tool *t, const cJSON *params, char out[TARGET_MAX])
{
	struct buf b = { 0 };
	bool has = t->target != NULL;

	if (has && t->target->name)
		return target_read(t, t->target->name, out);
	for (int i = 0; has && i < 3 && t->target->params[i]; i++) {
		const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(params, t->target->params[i]));

		has = s || i;
		if (s)
			buf_addf(&b, "%s%s", i ? ":" : "", s);
	}
	has = has && target_read(t, buf_str(&b), out);
	buf_free(&b);
	return has;
}

bool
target_was_down(const struct tool_run *r, const struct err *e)
{
	const struct target_rule *rule = r->tool ? r->tool->target : NULL;

	if (!rule || r->refused)
		return false;
	for (const short *p = rule->down; *p; p++)
		if (*p == r->failed_with)
			return true;
	return e->code == ERR_NETWORK || (e->code == ERR_TIMEOUT && !rule->slow);
}

static void
put_params(struct buf *b, const struct target_rule *r)
{
	json_put_key(b, "params");
	json_put_open(b, '[');
	for (int i = 0; i < 3 && r->params[i]; i++)
		json_put_str(b, r->params[i]);
	json_put_close(b, ']');
	json_kv_bool(b, "url", r->url);
}

void
target_put(struct buf *b, const struct tool *t)
{
	const struct target_rule *r = t->target;

	if (!r) {
		json_put_raw(b, "null", 4);
		return;
	}
	json_put_open(b, '{');
	if (r->name)
		json_kv_str(b, "name", r->name);
	else
		put_params(b, r);
	if (r->down[0]) {
		json_put_key(b, "down");
		json_put_open(b, '[');
		for (int i = 0; r->down[i]; i++)
			json_put_int(b, r->down[i]);
		json_put_close(b, ']');
	}
	json_put_close(b, '}');
}
