#include "redact.h"

#include "buf.h"
#include "config.h"
#include "json.h"

#define BEGIN "-----BEGIN "
#define END "-----END "
#define VALUE_MIN 4                     /* shorter ones are in every text */

struct values {
	char **v;
	size_t n;
};

static void
add(struct values *s, const char *text)
{
	if (!text || strlen(text) < VALUE_MIN)
		return;
	s->v = xrealloc(s->v, (s->n + 1) * sizeof *s->v);
	s->v[s->n++] = xstrdup(text);
}

/* Also as it stands within JSON, and each of its lines: a value of several lines may be cut into them. */
static void
add_forms(struct values *s, const char *text)
{
	struct buf b = { 0 };
	char *copy, *save = NULL;

	if (!text)
		return;
	add(s, text);
	json_put_str(&b, text);
	buf_cut(&b, b.len - 1);
	if (strcmp(b.data + 1, text) != 0)
		add(s, b.data + 1);
	buf_free(&b);
	copy = xstrdup(text);
	for (char *p = strtok_r(copy, "\r\n", &save); p; p = strtok_r(NULL, "\r\n", &save))
		if (strcmp(p, text) != 0)
			add(s, p);
	free(copy);
}

static int
longest_first(const void *a, const void *b)
{
	size_t x = strlen(*(char *const *)a), y = strlen(*(char *const *)b);

	return (y > x) - (y < x);
}

static void
values_init(struct values *s, const struct config *c)
{
	*s = (struct values){ .n = 0 };
	for (size_t i = 0; c && i < c->nhouses; i++)
		add_forms(s, c->houses[i].auth_token);
	/* Webhooks of some services are secret by their path alone. */
	for (size_t i = 0; c && i < c->nsinks; i++)
		add_forms(s, c->sinks[i].url);
	for (size_t i = 0; c && i < c->nsecrets; i++)
		add_forms(s, c->secrets[i].value);
	if (s->n)
		qsort(s->v, s->n, sizeof *s->v, longest_first);
}

static void
values_release(struct values *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
}

static size_t
value_at(const struct values *s, const char *p, size_t left)
{
	for (size_t i = 0; i < s->n; i++) {
		size_t n = strlen(s->v[i]);

		if (n <= left && memcmp(p, s->v[i], n) == 0)
			return n;
	}
	return 0;
}

/* "-----BEGIN PRIVATE KEY-----" to the end of its block, or of the text if that is missing. */
static size_t
key_at(const char *p, size_t left)
{
	const char *line_end, *end;

	if (left < sizeof BEGIN || memcmp(p, BEGIN, sizeof BEGIN - 1) != 0)
		return 0;
	line_end = memmem(p + sizeof BEGIN - 1, left - sizeof BEGIN + 1, "-----", 5);
	if (!line_end || !memmem(p, (size_t)(line_end - p), "PRIVATE KEY", 11))
		return 0;
	end = memmem(p, left, END, sizeof END - 1);
	if (!end)
		return left;
	line_end = memmem(end + sizeof END - 1, left - (size_t)(end - p) - sizeof END + 1, "-----", 5);
	return line_end ? (size_t)(line_end + 5 - p) : left;
}

int
redact(const struct config *c, const char *text, size_t len, struct buf *out)
{
	struct values s;
	int taken = 0;

	values_init(&s, c);
	for (size_t i = 0; i < len;) {
		size_t n = value_at(&s, text + i, len - i);

		if (!n)
			n = key_at(text + i, len - i);
		taken += n > 0;
		if (n)
			buf_adds(out, REDACTED);
		else
			buf_addc(out, text[i]);
		i += n ? n : 1;
	}
	values_release(&s);
	return taken;
}
