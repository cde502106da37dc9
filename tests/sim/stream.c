/*
 * stream.c - the numbers of events. A house has one log, whoever owns it: its events are numbered on, through all
 * terms, and each term says after which event of which former one it begins. What an agent has of its own (handed
 * on by it for its users) is numbered by its store instead.
 *
 * Within a term or store no number is left out and none means two things. What a term says beyond where the next
 * one began was never an outcome: that is not counted.
 */
#include "check.h"

#include "buf.h"
#include "json.h"

#define CHAIN_MAX 10000

struct stream {
	char house[NAME_MAX_LEN + 1];
	char of[80];                    /* term or store */
	int host;
	uint64_t *lines;                /* hash by number, beginning with first; 0: not seen */
	int64_t cap, first, head, gap;
	bool based;                     /* its claim was seen */
	int64_t base;
	char base_of[80];
	int nth;                        /* of all that were seen */
	struct stream *next;
};

/* By somebody who may have missed what came after its base. */
struct unclean {
	const struct stream *of;
	struct unclean *next;
};

struct streams {
	struct check *check;
	struct stream *first;
	int n;
	struct unclean *unclean;
};

static struct stream *
find(const struct streams *all, const char *house, const char *of)
{
	struct stream *s = all->first;

	while (s && (strcmp(s->of, of) != 0 || strcmp(s->house, house) != 0))
		s = s->next;
	return s;
}

static struct stream *
get(struct streams *all, const char *house, const char *of, int host)
{
	struct stream *s = find(all, house, of);

	if (s)
		return s;
	s = xcalloc(1, sizeof *s);
	snprintf(s->house, sizeof s->house, "%s", house);
	snprintf(s->of, sizeof s->of, "%s", of);
	s->host = host;
	s->nth = all->n++;
	s->next = all->first;
	all->first = s;
	return s;
}

static void
grow(struct stream *s, int64_t i)
{
	int64_t cap = s->cap ? s->cap : 256;

	if (i < s->cap)
		return;
	while (cap <= i)
		cap *= 2;
	s->lines = xrealloc(s->lines, (size_t)cap * sizeof *s->lines);
	memset(s->lines + s->cap, 0, (size_t)(cap - s->cap) * sizeof *s->lines);
	s->cap = cap;
}

static void
fail(const struct streams *all, const struct stream *s, int64_t n, const char *what)
{
	sim_fail(all->check->sim, s->house, "event %lld of house %s, %s, %s", (long long)n, s->house, s->of, what);
}

/* The first of a term may have any number, that of a store is 1. */
static void
begin(struct stream *s, int64_t n, bool term)
{
	s->first = term ? n : 1;
	s->head = s->first - 1;
}

/* False: it was here before. */
static bool
note(struct streams *all, struct stream *s, int64_t n, uint64_t h)
{
	if (n < s->first) {
		fail(all, s, n, "comes after the first");
		return false;
	}
	grow(s, n - s->first);
	if (s->lines[n - s->first]) {
		if (s->lines[n - s->first] != h)
			fail(all, s, n, "says two things");
		return false;
	}
	s->lines[n - s->first] = h;
	if (n < s->head)
		fail(all, s, n, "comes after one with a higher number");
	s->gap += n - s->head - 1;
	s->head = n;
	if (s->gap > check_dropped(all->check, s->host))
		fail(all, s, n, "comes, and one before it is missing");
	return true;
}

/* "8.ezra-1.40058b7a": the part between the points. */
static const char *
agent_of(const char *term)
{
	static char agent[NAME_MAX_LEN + 1];
	const char *dot = strchr(term, '.');

	snprintf(agent, sizeof agent, "%.*s", dot ? (int)strcspn(dot + 1, ".") : 0, dot ? dot + 1 : "");
	return agent;
}

const struct stream *
streams_take(struct streams *all, const struct topic *t, const cJSON *o, const char *line, size_t len, int64_t *seq)
{
	const char *term = check_text(o, "term"), *store = check_text(o, "store");
	struct stream *s;
	int64_t n = 0;

	if (!cJSON_HasObjectItem(o, "seq"))
		return NULL;
	if (term[0] && strcmp(agent_of(term), t->id) != 0)
		sim_fail(all->check->sim, t->id, "%s publishes an event of term %s", t->id, term);
	s = get(all, t->name, term[0] ? term : store, check_host(all->check, t->id));
	if (!json_int(cJSON_GetObjectItemCaseSensitive(o, "seq"), &n) || n < 1 || !s->of[0]) {
		sim_fail(all->check->sim, t->id, "an event of house %s without a number: %.*s", t->name, (int)len, line);
		return NULL;
	}
	if (!s->first) {
		begin(s, n, term[0]);
		if (term[0])
			check_new_term(all->check, t->name);
	}
	*seq = n;
	return note(all, s, n, check_hash(line, len)) ? s : NULL;
}

static void
add_unclean(struct streams *all, const struct stream *of)
{
	struct unclean *u = xcalloc(1, sizeof *u);

	u->of = of;
	u->next = all->unclean;
	all->unclean = u;
}

static int64_t
number_of(const struct stream *s)
{
	return strtoll(s->of, NULL, 10);
}

void
streams_claim(struct streams *all, const char *house, const cJSON *o)
{
	const char *term = check_text(o, "term");
	const cJSON *base = cJSON_GetObjectItemCaseSensitive(o, "base");
	struct stream *s = get(all, house, term, check_host(all->check, agent_of(term)));

	if (s->based || !base)
		return;
	s->based = true;
	json_int(cJSON_GetObjectItemCaseSensitive(base, "seq"), &s->base);
	snprintf(s->base_of, sizeof s->base_of, "%s", check_text(base, "term"));
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "unclean")) || strcmp(s->base_of, "0") == 0)
		add_unclean(all, s);
}

/* Is that event among those that the term begins after? */
static bool
is_behind(const struct streams *all, const struct stream *term, const struct stream *s, int64_t seq)
{
	for (int i = 0; term && term->based && i < CHAIN_MAX; i++) {
		int64_t base = term->base;

		term = find(all, term->house, term->base_of);
		if (term == s)
			return seq <= base;
	}
	return false;
}

static bool
is_unclean(const struct streams *all, const struct stream *s)
{
	const struct unclean *u = all->unclean;

	while (u && u->of != s)
		u = u->next;
	return u;
}

/* Whoever took the house over uncleanly may have acted beside others, on two brokers. */
bool
streams_beside(const struct streams *all, const struct stream *s, int64_t seq)
{
	for (const struct stream *x = is_unclean(all, s) ? all->first : NULL; x; x = x->next)
		if (x != s && x->based && strcmp(x->house, s->house) == 0 && number_of(x) >= number_of(s) &&
		    !is_behind(all, x, s, seq))
			return true;
	return false;
}

/* Who did not hear of the latest terms, on another broker or with a new disk, begins with a lower number. */
static bool
comes_after(const struct stream *term, const struct stream *s)
{
	return number_of(term) >= number_of(s) || s->nth < term->nth;
}

bool
streams_missed(const struct streams *all, const struct stream *s, int64_t seq)
{
	for (const struct unclean *u = all->unclean; u; u = u->next)
		if (u->of != s && strcmp(u->of->house, s->house) == 0 && comes_after(u->of, s) &&
		    !is_behind(all, u->of, s, seq))
			return true;
	return false;
}

int64_t
streams_head(struct streams *all, const char *house, const char *of)
{
	const struct stream *s = find(all, house, of);

	return s ? s->head : 0;
}

/* Those after its base, up to head. */
static void
check_span(const struct streams *all, const struct stream *s, int64_t head)
{
	for (int64_t n = s->base + 1; n <= head; n++)
		if (!s->first || n < s->first || n > s->head || !s->lines[n - s->first]) {
			fail(all, s, n, "was never published");
			return;
		}
}

void
streams_check(struct streams *all, const char *house, const char *term, int64_t head)
{
	for (int i = 0; i < CHAIN_MAX && head > 0; i++) {
		const struct stream *s = find(all, house, term);

		if (!s || !s->based) {
			sim_fail(all->check->sim, house, "term %s of house %s was never claimed", term, house);
			return;
		}
		if (s->host >= 0 && (all->check->losses || check_dropped(all->check, s->host)))
			return;
		check_span(all, s, head);
		head = s->base;
		term = s->base_of;
	}
}

struct streams *
streams_new(struct check *k)
{
	struct streams *all = xcalloc(1, sizeof *all);

	all->check = k;
	return all;
}

void
streams_free(struct streams *all)
{
	for (struct stream *s = all->first, *next; s; s = next) {
		next = s->next;
		free(s->lines);
		free(s);
	}
	for (struct unclean *u = all->unclean, *next; u; u = next) {
		next = u->next;
		free(u);
	}
	free(all);
}
