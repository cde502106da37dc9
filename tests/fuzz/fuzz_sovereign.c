/* Envelopes from anywhere. The first byte chooses: as it is, or as a payload that gets a good signature, so that what lies
 * behind the signature is reached too. Whatever is taken can be written again, asked about and released. */
#include <stddef.h>
#include <stdint.h>

#include "json.h"
#include "policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sign_key *key;

static void
ask(const struct sovereign *s)
{
	struct policy_question q = { "ezra", "git_push", "operator", "exclusive", false, s->tree };
	struct policy_answer a;
	struct ulid id = { { 0 } };
	char text[SOVEREIGN_WHY * 2];

	switch (s->kind) {
	case SOVEREIGN_POLICY:
		policy_judge(&s->u.policy, &q, &a);
		policy_needs_touches(&s->u.policy, &q);
		break;
	case SOVEREIGN_HALT:
		if (halt_covers(&s->u.halt, q.house, q.tool))
			halt_describe(halt_covers(&s->u.halt, q.house, q.tool), s->u.halt.why, text);
		break;
	case SOVEREIGN_GRANT:
		grant_covers(&s->u.grant, &(struct grant_question){ q.house, q.tool, q.sender, s->tree, 0, 1764000000000 });
		break;
	default:
		decision_check(&s->u.decision, &id, "", false, 0, NULL);
	}
}

static void
take(enum sovereign_kind kind, const char *line, size_t len, bool is_ours)
{
	struct sovereign s;
	struct buf again = { 0 };

	if (sovereign_open(&s, kind, "home", sign_key_public(key), 1, line, len, NULL))
		return;
	/* Only what the corpus holds, or what was signed here, can get this far. */
	if (!is_ours)
		abort();
	ask(&s);
	if (sovereign_seal(&again, kind, "home", s.tree, key, NULL) || again.len != len || memcmp(again.data, line, len) != 0)
		abort();
	buf_free(&again);
	sovereign_release(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum sovereign_kind kind;
	const char *text = (const char *)data + 1;
	char type[DSSE_TYPE_MAX + 1];
	struct buf line = { 0 };
	int64_t n;

	if (!key)
		key = sign_key_from_seed((const unsigned char *)"a seed that nobody else will use");
	if (!size)
		return 0;
	kind = (enum sovereign_kind)(data[0] % SOVEREIGN_NKINDS);
	if (data[0] & 0x10) {
		sovereign_peek(text, size - 1, &kind, &n);
		take(kind, text, size - 1, false);
		return 0;
	}
	snprintf(type, sizeof type, "application/vnd.uni-wizard.%s+json", sovereign_kind_name(kind));
	dsse_make(&line, type, text, size - 1, key);
	take(kind, line.data, line.len, true);
	buf_free(&line);
	return 0;
}
