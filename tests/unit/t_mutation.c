/* Signed objects that somebody changed: policy, halt, grant and decision in every way that can be listed. None may be
 * taken. What was tried is counted and printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base64.h"
#include "json.h"
#include "policy.h"

#define T0 1764000000000
#define SECOND 1000
#define TASK "01KAW6Y0000000000000000000"
#define HASH "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static struct sign_key *ours, *strangers;

/* ' is written for ". */
static const char *const texts[SOVEREIGN_NKINDS] = {
	[SOVEREIGN_POLICY] = "{'n':7,'time':1764000000000,'houses':{'bezalel':{'profile':'artificer'},'ezra':{'profile':'archivist'}},"
	    "'production':['path:/srv/www','service:nginx','url:https://x/'],'rules':[{'house':'ezra','tool':'git_*','sender':'intern',"
	    "'effect':'exclusive','production':true,'then':'deny','why':'frozen'},{'then':'approve'}],'approval_s':3600,"
	    "'self_approval':false,'x-note':{'a':[1,true]}}",
	[SOVEREIGN_HALT] = "{'n':7,'time':1764000000000,'halts':[{'scope':'house','name':'ezra'},{'scope':'tool','name':'git_push'}],"
	    "'why':'a fire'}",
	[SOVEREIGN_GRANT] = "{'n':7,'time':1764000000000,'id':'nightly','house':'ezra','tool':'git_*','params':{'repo_path':'/srv/site',"
	    "'force':false,'depth':3},'senders':['operator','cron'],'count':10,'not_before':1764000000000,'expires':1764000600000,"
	    "'revoked':false,'live':[{'id':'other','n':4},{'id':'nightly','n':7}]}",
	[SOVEREIGN_DECISION] = "{'time':1764000000000,'task':'" TASK "','hash':'" HASH "','decision':'approve',"
	    "'expires':1764000600000,'note':'go on'}",
};

/* One signed object, and its parts. */
struct original {
	enum sovereign_kind kind;
	struct buf line, payload;
	char type[DSSE_TYPE_MAX + 1];
	struct dsse_signature signature;
	cJSON *tree;
};

static cJSON *
json(const char *text)
{
	char *copy = xstrdup(text);
	cJSON *v;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	v = json_parse(copy, strlen(copy), NULL);
	assert_non_null(v);
	free(copy);
	return v;
}

static void
original_make(struct original *o, enum sovereign_kind kind)
{
	cJSON *members = json(texts[kind]);
	struct err e = { 0 };
	struct dsse d;

	*o = (struct original){ .kind = kind };
	if (sovereign_seal(&o->line, kind, "home", members, ours, &e))
		fail_msg("%s", e.msg);
	cJSON_Delete(members);
	assert_int_equal(dsse_open(&d, o->line.data, o->line.len, NULL), 0);
	buf_add(&o->payload, d.payload.data, d.payload.len);
	memcpy(o->type, d.type, sizeof o->type);
	o->signature = d.signatures[0];
	o->tree = json_parse(o->payload.data, o->payload.len, NULL);
	dsse_release(&d);
}

static void
original_release(struct original *o)
{
	buf_free(&o->line);
	buf_free(&o->payload);
	cJSON_Delete(o->tree);
}

static size_t tried, accepted;

static void
try_as(enum sovereign_kind kind, const char *cluster, const struct sign_public *keys, size_t nkeys, const char *p, size_t len)
{
	/* Exactly as large as the text, so that a byte read too many is seen. */
	char *copy = malloc(len ? len : 1);
	struct sovereign s;
	struct err e = { 0 };

	memcpy(copy, p, len);
	tried++;
	if (sovereign_open(&s, kind, cluster, keys, nkeys, copy, len, &e) == 0) {
		accepted++;
		print_error("taken: %.*s\n", (int)len, copy);
		sovereign_release(&s);
	} else {
		assert_int_not_equal(e.code, ERR_NONE);
	}
	free(copy);
}

static void
try(const struct original *o, const char *p, size_t len)
{
	try_as(o->kind, "home", sign_key_public(ours), 1, p, len);
}

/* An envelope of parts that need not belong together. */
static void
try_parts(const struct original *o, const char *type, const char *payload, size_t len, const char *keyid,
    const unsigned char *signature)
{
	struct buf b = { 0 };

	buf_adds(&b, "{\"payload\":\"");
	base64_put(&b, payload, len);
	buf_addf(&b, "\",\"payloadType\":\"%s\",\"signatures\":[{\"keyid\":\"%s\",\"sig\":\"", type, keyid);
	base64_put(&b, signature, SIGN_SIZE);
	buf_adds(&b, "\"}]}");
	try(o, b.data, b.len);
	buf_free(&b);
}

static void
signature_by(const struct sign_key *key, const char *type, const char *payload, size_t len, unsigned char out[SIGN_SIZE])
{
	struct buf b = { 0 };

	dsse_encode(&b, type, payload, len);
	sign_make(key, b.data, b.len, out);
	buf_free(&b);
}

/* With the signature it had, with a stranger's, and with a stranger's under our name. */
static void
try_payload(const struct original *o, const char *payload, size_t len)
{
	unsigned char forged[SIGN_SIZE];

	signature_by(strangers, o->type, payload, len, forged);
	try_parts(o, o->type, payload, len, o->signature.keyid, o->signature.bytes);
	try_parts(o, o->type, payload, len, sign_key_public(strangers)->id, forged);
	try_parts(o, o->type, payload, len, o->signature.keyid, forged);
}

/* Our own signature does not make up for a form that could be read in two ways. */
static void
try_signed_by_us(const struct original *o, const char *payload, size_t len)
{
	unsigned char good[SIGN_SIZE];

	signature_by(ours, o->type, payload, len, good);
	try_parts(o, o->type, payload, len, o->signature.keyid, good);
}

static void
all_are_refused(const char *what)
{
	print_message("      %-55s %6zu tried, %zu accepted\n", what, tried, accepted);
	assert_true(tried > 0);
	assert_int_equal(accepted, 0);
	tried = 0;
}

#define EACH_KIND(o) \
	for (struct original o, *once_ = (original_make(&o, 0), &o); once_; \
	    once_ = o.kind + 1 < SOVEREIGN_NKINDS ? (original_next(&o), &o) : (original_release(&o), NULL))

static void
original_next(struct original *o)
{
	enum sovereign_kind next = o->kind + 1;

	original_release(o);
	original_make(o, next);
}

/* Fields. One node of the tree is changed, in each of these ways that fits it. */

static bool
replace(cJSON *node, cJSON *with)
{
	cJSON *parent_less = cJSON_Duplicate(with, true);
	char *name = node->string;

	/* The node stays where it is; only what it holds becomes another's. */
	cJSON_Delete(node->child);
	if (node->valuestring)
		cJSON_free(node->valuestring);
	node->type = parent_less->type;
	node->valuestring = parent_less->valuestring;
	node->valuedouble = parent_less->valuedouble;
	node->valueint = parent_less->valueint;
	node->child = parent_less->child;
	node->string = name;
	parent_less->valuestring = NULL;
	parent_less->child = NULL;
	cJSON_Delete(parent_less);
	cJSON_Delete(with);
	return true;
}

static bool to_null(cJSON *n) { return replace(n, cJSON_CreateNull()); }
static bool to_true(cJSON *n) { return replace(n, cJSON_CreateTrue()); }
static bool to_false(cJSON *n) { return replace(n, cJSON_CreateFalse()); }
static bool to_zero(cJSON *n) { return replace(n, cJSON_CreateNumber(0)); }
static bool to_text(cJSON *n) { return replace(n, cJSON_CreateString("x")); }
static bool to_nothing(cJSON *n) { return replace(n, cJSON_CreateString("")); }
static bool to_star(cJSON *n) { return replace(n, cJSON_CreateString("*")); }
static bool to_array(cJSON *n) { return replace(n, cJSON_CreateArray()); }
static bool to_object(cJSON *n) { return replace(n, cJSON_CreateObject()); }

static bool
add(cJSON *n, double by)
{
	return cJSON_IsNumber(n) && replace(n, cJSON_CreateNumber(n->valuedouble + by));
}

static bool plus_one(cJSON *n) { return add(n, 1); }
static bool minus_one(cJSON *n) { return add(n, -1); }
static bool much_more(cJSON *n) { return add(n, 1e12); }

static bool
longer(cJSON *n)
{
	struct buf b = { 0 };
	bool fits = cJSON_IsString(n);

	buf_addf(&b, "%sx", fits ? n->valuestring : "");
	if (fits)
		replace(n, cJSON_CreateString(b.data));
	buf_free(&b);
	return fits;
}

static bool
shorter(cJSON *n)
{
	if (!cJSON_IsString(n) || !n->valuestring[0])
		return false;
	n->valuestring[strlen(n->valuestring) - 1] = '\0';
	return true;
}

static bool
emptied(cJSON *n)
{
	if (!n->child)
		return false;
	cJSON_Delete(n->child);
	n->child = NULL;
	return true;
}

static bool
one_more(cJSON *n)
{
	if (cJSON_IsArray(n))
		return cJSON_AddItemToArray(n, n->child ? cJSON_Duplicate(n->child, true) : cJSON_CreateNumber(1));
	return cJSON_IsObject(n) && cJSON_AddStringToObject(n, "x-more", "x");
}

static bool
one_unknown(cJSON *n)
{
	return cJSON_IsObject(n) && cJSON_AddStringToObject(n, "unheard-of", "x");
}

static bool
first_gone(cJSON *n)
{
	if (!n->child)
		return false;
	cJSON_Delete(cJSON_DetachItemViaPointer(n, n->child));
	return true;
}

static bool
last_gone(cJSON *n)
{
	if (!n->child || !n->child->next)
		return false;
	cJSON_Delete(cJSON_DetachItemViaPointer(n, n->child->prev));
	return true;
}

static bool
reordered(cJSON *n)
{
	if (!cJSON_IsArray(n) || !n->child || !n->child->next)
		return false;
	cJSON_AddItemToArray(n, cJSON_DetachItemViaPointer(n, n->child));
	return true;
}

static bool
renamed(cJSON *n)
{
	if (!n->string || !n->string[0])
		return false;
	n->string[0] = n->string[0] == 'x' ? 'y' : 'x';
	return true;
}

static bool (*const changes[])(cJSON *) = { to_null, to_true, to_false, to_zero, to_text, to_nothing, to_star, to_array, to_object,
	plus_one, minus_one, much_more, longer, shorter, emptied, one_more, one_unknown, first_gone, last_gone, reordered, renamed };

/* The i-th node below, depth first; *i is counted down. */
static cJSON *
node_at(cJSON *v, size_t *i)
{
	cJSON *m, *found;

	cJSON_ArrayForEach(m, v) {
		if ((*i)-- == 0)
			return m;
		if ((found = node_at(m, i)))
			return found;
	}
	return NULL;
}

static bool
try_change(const struct original *o, size_t node, bool (*change)(cJSON *))
{
	cJSON *copy = cJSON_Duplicate(o->tree, true), *n = node ? NULL : copy;
	size_t i = node - 1;
	struct buf b = { 0 };

	if (node)
		n = node_at(copy, &i);
	if (n && change(n) && canonical_put(&b, copy, NULL) == 0 &&
	    (b.len != o->payload.len || memcmp(b.data, o->payload.data, b.len) != 0))
		try_payload(o, b.data, b.len);
	buf_free(&b);
	cJSON_Delete(copy);
	return n != NULL;
}

static void
no_changed_field_is_taken(void **state)
{
	(void)state;
	EACH_KIND(o)
		for (size_t c = 0; c < sizeof changes / sizeof *changes; c++)
			for (size_t node = 0; try_change(&o, node, changes[c]); node++)
				;
	all_are_refused("a field changed, added, removed or moved");
}

/* Bytes */

static void
no_changed_byte_of_the_payload_is_taken(void **state)
{
	(void)state;
	EACH_KIND(o)
		for (size_t i = 0; i < o.payload.len; i++)
			for (int bit = 0; bit < 8; bit++) {
				o.payload.data[i] ^= (char)(1 << bit);
				try_payload(&o, o.payload.data, o.payload.len);
				o.payload.data[i] ^= (char)(1 << bit);
			}
	all_are_refused("a bit of the payload flipped");
	EACH_KIND(o)
		for (size_t i = 0; i < o.payload.len; i++) {
			struct buf b = { 0 };

			buf_add(&b, o.payload.data, i);
			buf_add(&b, o.payload.data + i + 1, o.payload.len - i - 1);
			try_payload(&o, b.data, b.len);
			buf_cut(&b, i);
			buf_addc(&b, ' ');
			buf_add(&b, o.payload.data + i, o.payload.len - i);
			try_payload(&o, b.data, b.len);
			buf_free(&b);
		}
	all_are_refused("a byte of the payload left out, or a blank put in");
}

static void
no_changed_signature_is_taken(void **state)
{
	(void)state;
	EACH_KIND(o) {
		for (size_t bit = 0; bit < 8 * SIGN_SIZE; bit++) {
			o.signature.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
			try_parts(&o, o.type, o.payload.data, o.payload.len, o.signature.keyid, o.signature.bytes);
			o.signature.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		}
		/* All values of each byte too, for one of them: it takes its time. */
		for (size_t i = 0; i < SIGN_SIZE && o.kind == SOVEREIGN_DECISION; i++) {
			unsigned char kept = o.signature.bytes[i];

			for (int v = 0; v < 256; v++) {
				o.signature.bytes[i] = (unsigned char)v;
				if (v != kept)
					try_parts(&o, o.type, o.payload.data, o.payload.len, o.signature.keyid, o.signature.bytes);
			}
			o.signature.bytes[i] = kept;
		}
	}
	all_are_refused("a bit of the signature flipped, a byte of it changed");
}

static void
no_changed_byte_of_the_envelope_is_taken(void **state)
{
	(void)state;
	EACH_KIND(o)
		for (size_t i = 0; i < o.line.len; i++)
			for (int bit = 0; bit < 8; bit++) {
				o.line.data[i] ^= (char)(1 << bit);
				try(&o, o.line.data, o.line.len);
				o.line.data[i] ^= (char)(1 << bit);
			}
	all_are_refused("a bit of the envelope flipped");
}

static void
no_part_of_an_envelope_is_taken(void **state)
{
	(void)state;
	EACH_KIND(o) {
		for (size_t n = 0; n < o.line.len; n++)
			try(&o, o.line.data, n);
		for (size_t n = 1; n < o.line.len; n++)
			try(&o, o.line.data + n, o.line.len - n);
		for (size_t n = 0; n < o.payload.len; n++)
			try_payload(&o, o.payload.data, n);
	}
	all_are_refused("truncated, at the end, at the beginning, inside");
	EACH_KIND(o)
		for (int c = 0; c < 256; c++) {
			buf_addc(&o.line, (char)c);
			try(&o, o.line.data, o.line.len);
			buf_cut(&o.line, o.line.len - 1);
		}
	all_are_refused("a byte added");
}

/* Forms that only our own key could have made, and must not have. */
static void
no_other_form_is_taken_even_if_we_signed_it(void **state)
{
	static const char *const wrong[] = { "{'a':1,'a':1}", "[]", "1", "null", "''", "" };

	(void)state;
	EACH_KIND(o) {
		const char *p = o.payload.data;
		struct buf b = { 0 };

		for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
			try_signed_by_us(&o, wrong[i], strlen(wrong[i]));
		for (size_t i = 0; i <= o.payload.len; i++) {
			/* In a text a blank is a difference that we would have signed. */
			if (i && i < o.payload.len && !strchr("{}[]:,", p[i]) && !strchr("{}[]:,", p[i - 1]))
				continue;
			buf_clear(&b);
			buf_add(&b, p, i);
			buf_addc(&b, '\t');
			buf_add(&b, p + i, o.payload.len - i);
			try_signed_by_us(&o, b.data, b.len);
		}
		/* Every digit followed by ".0", every member there twice, an unknown one. */
		for (size_t i = 1; i < o.payload.len; i++)
			if (p[i - 1] >= '0' && p[i - 1] <= '9' && strchr(",}]", p[i])) {
				buf_clear(&b);
				buf_add(&b, p, i);
				buf_adds(&b, ".0");
				buf_add(&b, p + i, o.payload.len - i);
				try_signed_by_us(&o, b.data, b.len);
			}
		for (const cJSON *m = o.tree->child; m; m = m->next) {
			buf_clear(&b);
			buf_addc(&b, '{');
			json_put_key(&b, m->string);
			json_put_tree(&b, m);
			buf_addc(&b, ',');
			buf_add(&b, p + 1, o.payload.len - 1);
			try_signed_by_us(&o, b.data, b.len);
		}
		buf_clear(&b);
		buf_add(&b, p, o.payload.len - 1);
		buf_adds(&b, ",\"zzz\":1}");
		try_signed_by_us(&o, b.data, b.len);
		buf_free(&b);
	}
	all_are_refused("other forms of the payload, signed by our own key");
}

/* As something else */

static void
no_object_passes_for_another(void **state)
{
	(void)state;
	EACH_KIND(o) {
		struct sign_public other = *sign_key_public(strangers);

		for (int k = 0; k < SOVEREIGN_NKINDS; k++) {
			char type[DSSE_TYPE_MAX + 1];

			snprintf(type, sizeof type, "application/vnd.uni-wizard.%s+json", sovereign_kind_name((enum sovereign_kind)k));
			if (k == (int)o.kind)
				continue;
			try_as((enum sovereign_kind)k, "home", sign_key_public(ours), 1, o.line.data, o.line.len);
			/* With the other's type in front: unsigned, and signed by us. */
			try_parts(&o, type, o.payload.data, o.payload.len, o.signature.keyid, o.signature.bytes);
			for (int as = 0; as < SOVEREIGN_NKINDS; as++) {
				struct buf b = { 0 };

				dsse_make(&b, type, o.payload.data, o.payload.len, ours);
				try_as((enum sovereign_kind)as, "home", sign_key_public(ours), 1, b.data, b.len);
				buf_free(&b);
			}
		}
		try_as(o.kind, "away", sign_key_public(ours), 1, o.line.data, o.line.len);
		try_as(o.kind, "", sign_key_public(ours), 1, o.line.data, o.line.len);
		try_as(o.kind, "home", sign_key_public(ours), 0, o.line.data, o.line.len);
		try_as(o.kind, "home", &other, 1, o.line.data, o.line.len);
		/* Under our id, as if it could be chosen. */
		memcpy(other.id, sign_key_public(ours)->id, sizeof other.id);
		try_as(o.kind, "home", &other, 1, o.line.data, o.line.len);
	}
	all_are_refused("of another kind or cluster, by another key");
}

/* Signed by us and whole, but not for now */

static void
opened(struct sovereign *s, enum sovereign_kind kind, int64_t n)
{
	cJSON *members = json(texts[kind]);
	struct buf b = { 0 };
	struct err e = { 0 };

	if (n && kind == SOVEREIGN_GRANT)
		cJSON_SetNumberValue(cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(members, "live"), 1), "n"), (double)n);
	if (n)
		cJSON_SetNumberValue(cJSON_GetObjectItem(members, "n"), (double)n);
	if (sovereign_seal(&b, kind, "home", members, ours, &e) ||
	    sovereign_open(s, kind, "home", sign_key_public(ours), 1, b.data, b.len, &e))
		fail_msg("%s", e.msg);
	cJSON_Delete(members);
	buf_free(&b);
}

static void
count(bool taken)
{
	tried++;
	accepted += taken;
}

/* Each pair of numbers, in each order: what is held only ever goes up. */
static void
nothing_older_takes_the_place_of_what_is_held(void **state)
{
	static const int64_t numbers[] = { 5, 6, 7, 8, 1000, JSON_INT_MAX };
	size_t many = sizeof numbers / sizeof *numbers;

	(void)state;
	for (int k = 0; k < SOVEREIGN_DECISION; k++)
		for (size_t i = 0; i < many; i++)
			for (size_t j = 0; j < many; j++) {
				struct sovereign a, b;

				opened(&a, (enum sovereign_kind)k, numbers[i]);
				opened(&b, (enum sovereign_kind)k, numbers[j]);
				if (i <= j)
					count(sovereign_supersedes(&a, &b));
				else
					assert_true(sovereign_supersedes(&a, &b));
				sovereign_release(&a);
				sovereign_release(&b);
			}
	all_are_refused("replayed: a number that is lower or equal");
}

static const char subject[] = "{'cluster':'home','house':'ezra','task':'" TASK "','tool':'file_write','tool_digest':'" HASH "',"
    "'params':{'path':'/srv/www/a','content':'x','mode':420},'effect':'idempotent','mode':'simple','sender':'operator',"
    "'touches':[{'kind':'path','name':'/srv/www/a','access':'write','sha256':'" HASH "'},{'kind':'service','name':'nginx','sha256':null}]}";

/* The same id, but not the same task: any difference in what was shown gives another hash. */
static void
no_decision_holds_for_a_task_that_differs(void **state)
{
	cJSON *tree = json(subject);
	struct sovereign s;
	struct decision *d = &s.u.decision;
	char hash[CANONICAL_HASH];

	(void)state;
	opened(&s, SOVEREIGN_DECISION, 0);
	assert_int_equal(canonical_hash(tree, d->hash, NULL), 0);
	assert_int_equal(decision_check(d, &d->task, d->hash, false, T0, NULL), 0);
	for (size_t c = 0; c < sizeof changes / sizeof *changes; c++)
		for (size_t node = 0;; node++) {
			cJSON *copy = cJSON_Duplicate(tree, true), *n;
			size_t i = node;

			n = node_at(copy, &i);
			if (n && changes[c](n) && !cJSON_Compare(copy, tree, true) && canonical_hash(copy, hash, NULL) == 0)
				count(decision_check(d, &d->task, hash, false, T0, NULL) == 0);
			cJSON_Delete(copy);
			if (!n)
				break;
		}
	all_are_refused("a decision for the same id with another hash");
	for (int bit = 0; bit < 128; bit++) {
		struct ulid other = d->task;

		other.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		count(decision_check(d, &other, d->hash, false, T0, NULL) == 0);
	}
	all_are_refused("a decision for another id");
	sovereign_release(&s);
	cJSON_Delete(tree);
}

static void
nothing_holds_outside_of_its_time_or_twice(void **state)
{
	static const int64_t late[] = { 0, 1, SECOND, 60 * SECOND, 86400 * (int64_t)SECOND, JSON_INT_MAX / 2 };
	struct sovereign s, g;
	struct decision *d = &s.u.decision;
	cJSON *params = json("{'repo_path':'/srv/site','force':false,'depth':3}");
	struct grant_question q = { "ezra", "git_push", "operator", params, 0, T0 };

	(void)state;
	opened(&s, SOVEREIGN_DECISION, 0);
	opened(&g, SOVEREIGN_GRANT, 0);
	for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
		count(decision_check(d, &d->task, d->hash, false, d->expires_ms + late[i], NULL) == 0);
		q.now_ms = g.u.grant.expires_ms + late[i];
		count(grant_covers(&g.u.grant, &q));
		q.now_ms = g.u.grant.not_before_ms - 1 - late[i];
		count(grant_covers(&g.u.grant, &q));
	}
	count(decision_check(d, &d->task, d->hash, true, T0, NULL) == 0);
	q.now_ms = T0;
	for (q.used = 10; q.used < 20; q.used++)
		count(grant_covers(&g.u.grant, &q));
	all_are_refused("expired, not yet in force, used");
	q.used = 9;
	assert_true(grant_covers(&g.u.grant, &q));
	assert_int_equal(decision_check(d, &d->task, d->hash, false, d->expires_ms - 1, NULL), 0);
	sovereign_release(&s);
	sovereign_release(&g);
	cJSON_Delete(params);
}

static int
set_up(void **state)
{
	(void)state;
	ours = sign_key_from_seed((const unsigned char *)"the sovereign's seed, 32 bytes..");
	strangers = sign_key_from_seed((const unsigned char *)"a stranger's seed of 32 bytes...");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	sign_key_free(ours);
	sign_key_free(strangers);
	return 0;
}

#define T cmocka_unit_test

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_changed_field_is_taken),
		T(no_changed_byte_of_the_payload_is_taken),
		T(no_changed_signature_is_taken),
		T(no_changed_byte_of_the_envelope_is_taken),
		T(no_part_of_an_envelope_is_taken),
		T(no_other_form_is_taken_even_if_we_signed_it),
		T(no_object_passes_for_another),
		T(nothing_older_takes_the_place_of_what_is_held),
		T(no_decision_holds_for_a_task_that_differs),
		T(nothing_holds_outside_of_its_time_or_twice),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
