#include "secret.h"

#include "param.h"
#include "tool.h"

#define MIN_LEN 6               /* shorter values would mask ordinary words */

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

static void
mask_one(const struct config_secret *s, struct buf *b)
{
	struct buf out = { .max = b->max };
	size_t len = strlen(s->value);
	const char *at = buf_str(b), *end = at + b->len, *hit;

	while ((hit = memmem(at, (size_t)(end - at), s->value, len))) {
		buf_add(&out, at, (size_t)(hit - at));
		buf_addf(&out, "[secret %s]", s->name);
		at = hit + len;
	}
	if (at == buf_str(b))
		return;
	buf_add(&out, at, (size_t)(end - at));
	buf_free(b);
	*b = out;
}

void
secret_mask(const struct config *c, struct buf *b)
{
	for (size_t i = 0; c && i < c->nsecrets; i++)
		if (c->secrets[i].value && strlen(c->secrets[i].value) >= MIN_LEN)
			mask_one(&c->secrets[i], b);
}
