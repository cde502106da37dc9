#include "client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "clock.h"
#include "db.h"
#include "dial.h"
#include "err.h"
#include "json.h"
#include "mqtt.h"
#include "pace.h"
#include "task.h"

#define BUCKETS 65536           /* of tasks by id; what is not used costs no memory */
#define RESEND_MS 3000                  /* not accepted for so long: once more */
#define LOOK_MS 500                     /* so often it is looked which those are */
#define UNHEARD_MS 200                  /* nobody listened: once more after this, doubling up to RESEND_MS */
#define ASK_MS 10000                    /* accepted for so long: is there an outcome? Doubling up to ... */
#define ASK_MAX_MS 160000
#define DOUBT_MS 500                    /* nothing was answered for so long: are the agents on this broker at all? */
#define MOVE_MS 3000                    /* nor was a heartbeat heard: then on another one */
#define LINES_MAX 256                   /* tasks in one message */
#define BYTES_MAX (128u << 10)
#define RESUME_MAX 4096                 /* tasks of former runs taken up at once */
#define FILTERS_MAX 16
#define SAME_KEY_MAX 16                 /* tasks out at once that a key makes the same */
#define ID_BYTES 34                     /* what putting the id in adds */
#define REPLY_BYTES 21                  /* and the reply address, beside the topic */
#define MQTT_NO_SUBSCRIBERS 0x10        /* reason codes of MQTT 5 */
#define MQTT_FAILURE 0x80
#define MQTT_NOT_AUTHORIZED 0x87
#define BUSY_S 5                        /* before a busy house is asked again that does not say when */
#define BUSY_MAX_S 3600
#define TIDY_MS 200                     /* rows of tasks that are through may stay so long */

/* A task that is not through yet. */
struct item {
	struct ulid id;                 /* as its house knows it */
	struct ulid sent_id;            /* as it was submitted: another one if its key stood for an older task */
	char house[NAME_MAX_LEN + 1];
	char *line;
	size_t len;
	bool wait;                      /* for the outcome */
	bool accepted;
	bool stored;
	bool done;                      /* row to be deleted */
	int64_t sent_ms;                /* 0: to be sent */
	bool out;                       /* sent, and no answer came */
	int64_t patience_ms;            /* before it is sent again */
	bool dirty;                     /* its row is behind */
	struct item *next_id;           /* in its bucket */
	struct item *next_dirty;
	struct item *prev, *next;       /* in order of submission */
};

/* A message for the broker to keep, which it does not have yet. */
struct kept {
	char topic[TOPIC_MAX];
	struct buf payload;
	int mid;                        /* 0: not sent on this connection */
	struct kept *next;
};

struct client {
	struct client_opts o;
	char identity[NAME_MAX_LEN + 1];
	char client_id[64], reply_topic[TOPIC_MAX];
	struct db db;
	bool has_db;
	struct mqtt *mqtt;
	bool up, lost, subscribed;
	int subscribing;
	struct dial dial;
	struct mqtt_known known[CONFIG_MAX_BROKERS];
	int64_t up_ms;
	char why[400];
	char down[160];                 /* why the connection ends that is lost */
	char *filters[FILTERS_MAX];
	size_t nfilters;
	bool unheard;                   /* something was sent to nobody */
	bool refused;                   /* something was sent that we may not send */
	int64_t asked_ms;               /* when the first was sent that nothing answered since; 0: nothing is open */
	bool doubts;                    /* listens to heartbeats on this connection */
	bool wants_health;              /* the caller listens to them too */
	int64_t beat_ms;                /* when one was heard */
	int64_t unheard_ms;             /* wait before that is tried again */
	struct buf requests;            /* lines "topic\n json\n" that wait for the connection */
	struct buf unanswered;          /* those that were sent, with no answer to anything since */
	struct kept *kept;
	struct item *by_id[BUCKETS];
	struct item *first, *last;
	struct item *unsent;            /* first that may have to be sent */
	int64_t n, not_accepted, next_resend_ms;
	struct item *dirty, *dirty_tail;
	int out;                        /* tasks that are */
	struct pace pace;
	struct item *timed;             /* one of them: how long its answer takes is measured; NULL: none is */
	int64_t timed_us;
	bool more;                      /* read and not delivered: poll() would not show it */
	bool urgent;                    /* something new is among the dirty */
	int64_t tidy_ms;                /* when what is done is deleted at the latest; 0: nothing is */
	struct pollfd *watched;
	size_t nwatched;
};

static const char *const migrations[] = {
	"CREATE TABLE outbox (id BLOB PRIMARY KEY, house TEXT NOT NULL, body TEXT NOT NULL, at_ms INTEGER NOT NULL)",
};

enum { Q_PUT, Q_DROP, Q_ALL, Q_COUNT };

static const char *const sql[Q_COUNT] = {
	[Q_PUT] = "INSERT OR IGNORE INTO outbox VALUES (?1, ?2, ?3, ?4)",
	[Q_DROP] = "DELETE FROM outbox WHERE id = ?1",
	[Q_ALL] = "SELECT id, house, body, at_ms FROM outbox WHERE at_ms <= ?2 ORDER BY at_ms LIMIT ?1",
};

int
client_store_version(void)
{
	return (int)(sizeof migrations / sizeof *migrations);
}

static struct item **
bucket(struct client *c, const struct ulid *id)
{
	return &c->by_id[((unsigned)id->b[14] << 8 | id->b[15]) % BUCKETS];
}

static struct item *
item_find(struct client *c, const struct ulid *id)
{
	struct item *i = *bucket(c, id);

	while (i && !ulid_equal(&i->id, id))
		i = i->next_id;
	return i;
}

static void
item_index(struct client *c, struct item *i, const struct ulid *id)
{
	struct item **b = bucket(c, id);

	i->id = *id;
	i->next_id = *b;
	*b = i;
}

static void
item_unindex(struct client *c, struct item *i)
{
	struct item **b = bucket(c, &i->id);

	while (*b != i)
		b = &(*b)->next_id;
	*b = i->next_id;
}

static void
item_out(struct client *c, struct item *i)
{
	if (i->accepted || i->out)
		return;
	i->out = true;
	c->out++;
	if (!c->timed) {
		c->timed = i;
		c->timed_us = clock_mono_us();
	}
}

/* It counts no longer: an answer came, or is not waited for. */
static void
item_in(struct client *c, struct item *i)
{
	c->out -= i->out;
	i->out = false;
	if (c->timed == i)
		c->timed = NULL;
}

static struct item *
item_add(struct client *c, const struct ulid *id, const char *house, const char *line, size_t len)
{
	struct item *i = xcalloc(1, sizeof *i);

	item_index(c, i, id);
	i->sent_id = *id;
	snprintf(i->house, sizeof i->house, "%s", house);
	i->line = xstrndup(line, len);
	i->len = len;
	i->patience_ms = RESEND_MS;
	i->prev = c->last;
	if (c->last)
		c->last->next = i;
	else
		c->first = i;
	c->last = i;
	if (!c->unsent)
		c->unsent = i;
	c->n++;
	c->not_accepted++;
	return i;
}

static void
item_free(struct client *c, struct item *i)
{
	item_unindex(c, i);
	item_in(c, i);
	if (c->unsent == i)
		c->unsent = i->next;
	if (i->prev)
		i->prev->next = i->next;
	else
		c->first = i->next;
	if (i->next)
		i->next->prev = i->prev;
	else
		c->last = i->prev;
	c->n--;
	free(i->line);
	free(i);
}

static void
item_dirty(struct client *c, struct item *i)
{
	if (i->dirty)
		return;
	i->dirty = true;
	i->next_dirty = NULL;
	if (c->dirty)
		c->dirty_tail->next_dirty = i;
	else
		c->dirty = i;
	c->dirty_tail = i;
}

/* Its house has it. */
static void
item_accept(struct client *c, struct item *i)
{
	int64_t now_us;

	if (i->accepted)
		return;
	if (c->timed == i) {
		now_us = clock_mono_us();
		pace_answer(&c->pace, now_us, now_us - c->timed_us);
	}
	item_in(c, i);
	i->accepted = true;
	i->patience_ms = ASK_MS;
	c->not_accepted--;
	item_dirty(c, i);
}

static void
item_finish(struct client *c, struct item *i)
{
	item_accept(c, i);
	i->done = true;
	item_dirty(c, i);
}

static int
make_dir(const char *path, struct err *e)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return err_set(e, ERR_IO, "cannot make the directory %s: %s", path, strerror(errno));
	return 0;
}

static int
open_outbox(struct client *c, struct err *e)
{
	char path[512];

	if (c->o.no_outbox)
		return 0;
	snprintf(path, sizeof path, "%s/outbox-%s.db", c->o.config->state_dir, c->identity);
	if (!c->o.outbox_path && make_dir(c->o.config->state_dir, e))
		return -1;
	if (db_open(&c->db, c->o.outbox_path ? c->o.outbox_path : path, DB_SHARED, NULL, migrations, client_store_version(), sql,
	    Q_COUNT, e))
		return -1;
	c->has_db = true;
	return 0;
}

int
client_open(struct client **out, const struct client_opts *o, struct err *e)
{
	struct client *c = xcalloc(1, sizeof *c);
	struct ulid u;
	char id[ULID_TEXT];

	c->o = *o;
	c->unheard_ms = UNHEARD_MS;
	dial_init(&c->dial, o->config);
	snprintf(c->identity, sizeof c->identity, "%s", o->identity ? o->identity : o->config->identity);
	ulid_now(&u);
	ulid_format(&u, id);
	snprintf(c->client_id, sizeof c->client_id, "uw-%s-%s", c->identity, id + 10);
	topic_format(c->reply_topic, o->config->cluster, TOPIC_REPLY, c->identity, id);
	if (open_outbox(c, e)) {
		client_close(c);
		return -1;
	}
	*out = c;
	return 0;
}

bool
client_is_up(const struct client *c)
{
	return c->subscribed;
}

bool
client_is_refused(const struct client *c)
{
	return c->refused;
}

void
client_pardon(struct client *c)
{
	c->refused = false;
}

void
client_watch(struct client *c, struct pollfd *fds, size_t n)
{
	assert(n <= CLIENT_WATCHED);
	c->watched = fds;
	c->nwatched = n;
}

const char *
client_why_down(const struct client *c)
{
	return c->why;
}

int64_t
client_pending(const struct client *c)
{
	return c->not_accepted;
}

/* ---- the outbox ---- */

/* The id goes first, so that a task as small as {"tool":"noop"} is not parsed again to add it. */
static int
put_id(struct buf *b, const char *task, size_t len, const struct ulid *id, struct err *e)
{
	char text[ULID_TEXT];
	const char *p = task;

	while (p < task + len && (*p == ' ' || *p == '\t'))
		p++;
	if (p == task + len || *p != '{' || memchr(task, '\n', len))
		return err_set(e, ERR_INVALID, "a task is a JSON object on one line");
	ulid_format(id, text);
	for (p++; p < task + len && (*p == ' ' || *p == '\t'); p++)
		;
	buf_addf(b, "{\"id\":\"%s\"%s", text, *p == '}' ? "" : ",");
	buf_add(b, p, (size_t)(task + len - p));
	return 0;
}

int
client_submit(struct client *c, const char *house, const char *task, size_t len, const struct ulid *id, bool wait,
    struct err *e)
{
	struct buf b = { 0 };
	struct item *i;
	int64_t max = c->o.config->max_task_bytes - ID_BYTES - REPLY_BYTES - (int64_t)strlen(c->reply_topic);

	if ((int64_t)len > max)
		return err_set(e, ERR_TOO_BIG, "a task of %zu bytes; at most %lld are allowed", len, (long long)max);
	if (item_find(c, id))
		return err_set(e, ERR_CONFLICT, "this id is in the outbox already");
	if (put_id(&b, task, len, id, e)) {
		buf_free(&b);
		return -1;
	}
	i = item_add(c, id, house, b.data, b.len);
	i->wait = wait;
	item_dirty(c, i);
	c->urgent = true;
	buf_free(&b);
	return 0;
}

/* What was accepted is safe with its house, and another process that found it here would be told its outcome
 * in our place. */
static bool
belongs_in_outbox(const struct item *i)
{
	return !i->done && !i->accepted;
}

static int
write_item(struct client *c, struct item *i, struct err *e)
{
	sqlite3_stmt *s = db_use(&c->db, i->stored ? Q_DROP : Q_PUT);

	db_blob(s, 1, &i->sent_id, sizeof i->sent_id);
	if (!i->stored) {
		db_text(s, 2, i->house);
		db_textn(s, 3, i->line, i->len);
		db_int(s, 4, clock_wall_ms());
	}
	return db_run(&c->db, s, e);
}

static int
write_items(struct client *c, struct err *e)
{
	for (struct item *i = c->dirty; i; i = i->next_dirty)
		if (belongs_in_outbox(i) != i->stored && write_item(c, i, e))
			return -1;
	return 0;
}

/* What is new must be on the disk before it is sent. What is done can wait a moment to share a commit: were
 * its row to outlive a crash, it would be sent again and answered again. */
static bool
must_save(struct client *c)
{
	int64_t now;

	if (c->urgent || !c->dirty)
		return c->urgent;
	now = clock_mono_ms();
	if (!c->tidy_ms)
		c->tidy_ms = now + TIDY_MS;
	return now >= c->tidy_ms;
}

static int
save(struct client *c, struct err *e)
{
	if (!must_save(c))
		return 0;
	if (c->has_db && (db_exec(&c->db, "BEGIN IMMEDIATE", e) || write_items(c, e) ||
	    db_exec(&c->db, "COMMIT", e))) {
		sqlite3_exec(c->db.h, "ROLLBACK", NULL, NULL, NULL);
		return -1;
	}
	while (c->dirty) {
		struct item *i = c->dirty;

		c->dirty = i->next_dirty;
		i->dirty = false;
		i->stored = belongs_in_outbox(i);
		if (i->done)
			item_free(c, i);
	}
	c->urgent = false;
	c->tidy_ms = 0;
	return 0;
}

static void
kept_drop(struct kept **at)
{
	struct kept *k = *at;

	*at = k->next;
	buf_free(&k->payload);
	free(k);
}

void
client_close(struct client *c)
{
	if (!c)
		return;
	c->urgent = c->dirty != NULL;
	save(c, NULL);
	mqtt_close(c->mqtt, true);
	dial_release(&c->dial);
	while (c->first)
		item_free(c, c->first);
	for (size_t i = 0; i < c->nfilters; i++)
		free(c->filters[i]);
	buf_free(&c->requests);
	buf_free(&c->unanswered);
	while (c->kept)
		kept_drop(&c->kept);
	if (c->has_db)
		db_close(&c->db);
	free(c);
}

/* A younger row has a process that cares for it. */
int
client_resume(struct client *c, struct err *e)
{
	sqlite3_stmt *s = c->has_db ? db_use(&c->db, Q_ALL) : NULL;
	int n = 0, rc;

	if (!s)
		return 0;
	db_int(s, 1, RESUME_MAX);
	db_int(s, 2, clock_wall_ms() - RESEND_MS);
	while ((rc = db_step(&c->db, s, e)) == 1) {
		struct ulid id;

		if (sqlite3_column_bytes(s, 0) != sizeof id)
			continue;
		memcpy(&id, sqlite3_column_blob(s, 0), sizeof id);
		if (item_find(c, &id))
			continue;
		item_add(c, &id, (const char *)sqlite3_column_text(s, 1), (const char *)sqlite3_column_text(s, 2),
		    (size_t)sqlite3_column_bytes(s, 2))->stored = true;
		n++;
	}
	return rc ? -1 : n;
}

int
client_spooled(struct client *c, struct client_spooled **out, size_t *n, struct err *e)
{
	struct client_spooled *list = xcalloc(RESUME_MAX, sizeof *list);
	sqlite3_stmt *s = db_use(&c->db, Q_ALL);
	struct ulid id;
	int rc;

	*n = 0;
	db_int(s, 1, RESUME_MAX);
	db_int(s, 2, INT64_MAX);
	while ((rc = db_step(&c->db, s, e)) == 1) {
		struct client_spooled *p = &list[(*n)++];

		if (sqlite3_column_bytes(s, 0) == sizeof id) {
			memcpy(&id, sqlite3_column_blob(s, 0), sizeof id);
			ulid_format(&id, p->id);
		}
		snprintf(p->house, sizeof p->house, "%s", (const char *)sqlite3_column_text(s, 1));
		p->task = xstrdup((const char *)sqlite3_column_text(s, 2));
		p->at_ms = sqlite3_column_int64(s, 3);
	}
	*out = list;
	return rc;
}

void
client_spooled_free(struct client_spooled *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(s[i].task);
	free(s);
}

bool
client_holds(struct client *c, const struct ulid *id)
{
	const struct item *i = item_find(c, id);

	return i && !i->accepted;
}

int
client_drop(struct client *c, const struct ulid *id, struct err *e)
{
	struct item *i = item_find(c, id);

	if (!i)
		return 0;
	item_finish(c, i);
	c->urgent = true;
	return save(c, e);
}

/* ---- sending ---- */

static void
publish(struct client *c, const char *topic, const struct buf *b)
{
	struct err e;

	if (b->len && mqtt_publish(c->mqtt, topic, b->data, b->len - 1, 1, false, c->reply_topic, NULL, 0, 0, &e) < 0) {
		snprintf(c->why, sizeof c->why, "%.*s", (int)sizeof c->why - 1, e.msg);
		snprintf(c->down, sizeof c->down, "%.*s", (int)sizeof c->down - 1, e.msg);
		c->lost = e.code != ERR_INVALID;
	}
	if (!c->asked_ms)
		c->asked_ms = clock_mono_ms();
}

static bool
has_reply(const char *json, size_t len)
{
	cJSON *o = memmem(json, len, "\"reply\"", 7) ? json_parse_object(json, len, NULL) : NULL;
	bool has = cJSON_GetObjectItemCaseSensitive(o, "reply");

	cJSON_Delete(o);
	return has;
}

/* MQTT 3.1.1 has no response topic, so the address goes into the object, on a line of its own already. */
static void
put_object(const struct client *c, struct buf *b, const char *json, size_t len)
{
	if (mqtt_is_v5(c->mqtt) || has_reply(json, len)) {
		buf_add(b, json, len);
		return;
	}
	buf_addf(b, "{\"reply\":{\"topic\":\"%s\"}%s", c->reply_topic, json[1] == '}' ? "" : ",");
	buf_add(b, json + 1, len - 1);
}

/* Runs of tasks for one house make one message. */
static void
send_items(struct client *c)
{
	struct buf b = { 0 };
	char topic[TOPIC_MAX];
	int64_t now = clock_mono_ms();
	const char *house = NULL;
	struct item *i;
	int window = pace_window(&c->pace, c->not_accepted), lines_max = window < 4 * LINES_MAX ? (window + 3) / 4 : LINES_MAX;
	int lines = 0;

	if (!c->subscribed)
		return;
	for (i = c->unsent; i && !c->lost && c->out < window; i = i->next) {
		if (i->sent_ms || i->done)
			continue;
		if (house && (strcmp(house, i->house) != 0 || lines == lines_max || b.len > BYTES_MAX)) {
			publish(c, topic, &b);
			buf_clear(&b);
			lines = 0;
		}
		if (!lines++)
			topic_format(topic, c->o.config->cluster, TOPIC_TASK, house = i->house, c->identity);
		put_object(c, &b, i->line, i->len);
		buf_addc(&b, '\n');
		i->sent_ms = now;
		item_out(c, i);
	}
	if (lines)
		publish(c, topic, &b);
	c->unsent = i;
	buf_free(&b);
}

static void
send_requests(struct client *c)
{
	struct buf one = { 0 };
	char *p, *end;

	if (!c->subscribed || !c->requests.len)
		return;
	p = c->requests.data;
	end = p + c->requests.len;
	while (p < end && !c->lost) {
		char *nl = memchr(p, '\n', (size_t)(end - p)), *nl2 = memchr(nl + 1, '\n', (size_t)(end - nl - 1));

		buf_clear(&one);
		put_object(c, &one, nl + 1, (size_t)(nl2 - nl - 1));
		buf_addc(&one, '\n');
		*nl = '\0';
		publish(c, p, &one);
		*nl = '\n';
		if (!c->lost)
			p = nl2 + 1;
	}
	buf_free(&one);
	if (c->o.config->nbrokers > 1)
		buf_add(&c->unanswered, c->requests.data, (size_t)(p - c->requests.data));
	memmove(c->requests.data, p, (size_t)(end - p));
	buf_cut(&c->requests, (size_t)(end - p));
}

static void
send_kept(struct client *c)
{
	struct err e;

	if (!c->subscribed)
		return;
	for (struct kept *k = c->kept; k && !c->lost; k = k->next) {
		int mid = k->mid ? k->mid : mqtt_publish(c->mqtt, k->topic, buf_str(&k->payload), k->payload.len, 1, true, NULL,
		    NULL, 0, 0, &e);

		k->mid = mid > 0 ? mid : 0;
		c->lost = mid < 0 && e.code != ERR_INVALID;
		if (mid < 0)
			snprintf(c->why, sizeof c->why, "%.*s", (int)sizeof c->why - 1, e.msg);
	}
}

void
client_retain(struct client *c, const char *topic, const char *payload, size_t len)
{
	struct kept *k = xcalloc(1, sizeof *k), **at = &c->kept;

	snprintf(k->topic, sizeof k->topic, "%s", topic);
	buf_add(&k->payload, payload, len);
	while (*at)
		at = &(*at)->next;
	*at = k;
	send_kept(c);
}

bool
client_has_retained(const struct client *c)
{
	return !c->kept;
}

static bool
is_overdue(const struct client *c, const struct item *i, int64_t now)
{
	return i->sent_ms && (now - i->sent_ms >= i->patience_ms || (c->unheard && !i->accepted));
}

/* What was not accepted after a while goes out again: the house may have been without an owner. So does, ever
 * more rarely, what has no outcome: the reply may have been lost with the broker. */
static void
check_resend(struct client *c)
{
	int64_t now = clock_mono_ms();

	if (now < c->next_resend_ms)
		return;
	c->next_resend_ms = now + LOOK_MS;
	for (struct item *i = c->first; i; i = i->next) {
		if (!is_overdue(c, i, now))
			continue;
		i->sent_ms = 0;
		item_in(c, i);
		if (!i->accepted)
			i->patience_ms = RESEND_MS;
		else if (i->patience_ms < ASK_MAX_MS)
			i->patience_ms *= 2;
		c->unsent = c->first;
	}
	c->unheard = false;
}

/* The task is on its way while it goes to the disk: nobody is told that it is submitted before both are done, and
 * a crash in between leaves him as wise as one before. */
int
client_commit(struct client *c, struct err *e)
{
	send_items(c);
	if (c->mqtt)
		mqtt_write(c->mqtt);
	return save(c, e);
}

int
client_request(struct client *c, enum topic_kind kind, const char *house, const char *json, struct err *e)
{
	char topic[TOPIC_MAX];

	if (strchr(json, '\n'))
		return err_set(e, ERR_INVALID, "a request is JSON on one line");
	topic_format(topic, c->o.config->cluster, kind, house, c->identity);
	buf_addf(&c->requests, "%s\n%s\n", topic, json);
	send_requests(c);
	return 0;
}

int
client_subscribe(struct client *c, const char *filter, struct err *e)
{
	if (c->nfilters == FILTERS_MAX)
		return err_set(e, ERR_BUSY, "more than %d subscriptions", FILTERS_MAX);
	c->filters[c->nfilters++] = xstrdup(filter);
	c->wants_health |= strstr(filter, "/health/") || strchr(filter, '#');
	if (!mqtt_is_up(c->mqtt))
		return 0;
	if (mqtt_subscribe(c->mqtt, filter, 1, e) < 0)
		return -1;
	c->subscribing++;
	return 0;
}

/* ---- the connection ---- */

static void
on_down(void *arg, const char *why)
{
	struct client *c = arg;

	snprintf(c->down, sizeof c->down, "%.*s", (int)sizeof c->down - 1, why);
	c->lost = true;
}

static void
listen_to_beats(struct client *c)
{
	char filter[TOPIC_MAX];
	struct err e;

	topic_format(filter, c->o.config->cluster, TOPIC_HEALTH, "+", "state");
	if (mqtt_subscribe(c->mqtt, filter, 0, &e) >= 0)
		c->subscribing++;
	c->doubts = true;
}

/* With several brokers the one that answers may not be the one where the agents are, and one that is silent may
 * not be known as dead for long. A house without an owner does not answer either, but its agents are heard. Who
 * subscribes to something waits for what nobody may say there. */
static void
check_broker(struct client *c)
{
	int64_t now = clock_mono_ms(), since = c->nfilters ? c->up_ms : c->asked_ms;

	if (c->o.config->nbrokers < 2 || !c->subscribed || !since || now - since < DOUBT_MS)
		return;
	if (!c->doubts)
		listen_to_beats(c);
	if (now - since < MOVE_MS || now - c->beat_ms < MOVE_MS - DOUBT_MS)
		return;
	on_down(c, "no agent is heard there");
}

static void
on_up(void *arg, bool session)
{
	struct client *c = arg;
	struct err e;

	(void)session;
	c->up = true;
	c->subscribing = 0;
	if (mqtt_subscribe(c->mqtt, c->reply_topic, 1, &e) >= 0)
		c->subscribing++;
	for (size_t i = 0; i < c->nfilters; i++)
		if (mqtt_subscribe(c->mqtt, c->filters[i], 1, &e) >= 0)
			c->subscribing++;
}

static void
on_subscribed(void *arg, int mid, int granted)
{
	struct client *c = arg;

	(void)mid;
	if (granted >= 0x80)
		snprintf(c->why, sizeof c->why, "the broker refused a subscription of %s (reason 0x%02x)", c->identity,
		    (unsigned)granted);
	if (--c->subscribing > 0 || c->subscribed)
		return;
	c->subscribed = true;
	c->up_ms = clock_mono_ms();
	dial_succeeded(&c->dial);
	pace_forget(&c->pace);
	c->unsent = c->first;
	/* What they ask may come before the agents do, so all of them ask again soon. */
	for (struct item *i = c->first; i; i = i->next) {
		item_in(c, i);
		i->sent_ms = 0;
		i->patience_ms = RESEND_MS;
	}
}

/* One that is refused stays, so that nobody takes it for kept. */
static bool
kept_sent(struct client *c, int mid, int reason)
{
	struct kept **at = &c->kept;

	while (*at && (*at)->mid != mid)
		at = &(*at)->next;
	if (!*at || reason >= MQTT_FAILURE)
		return false;
	kept_drop(at);
	return true;
}

/* Nobody listens on the house's topic, or we may not write there. */
static void
on_sent(void *arg, int mid, int reason)
{
	struct client *c = arg;

	if (kept_sent(c, mid, reason))
		return;
	if (reason != MQTT_NO_SUBSCRIBERS && reason < MQTT_FAILURE)
		return;
	c->refused |= reason == MQTT_NOT_AUTHORIZED;
	snprintf(c->why, sizeof c->why, reason == MQTT_NO_SUBSCRIBERS ? "no agent of the house is connected" :
	    "the broker refuses what %s sends (reason 0x%02x)", c->identity, (unsigned)reason);
	c->unheard = true;
	c->next_resend_ms = clock_mono_ms() + c->unheard_ms;
	c->unheard_ms = 2 * c->unheard_ms < RESEND_MS ? 2 * c->unheard_ms : RESEND_MS;
}

int64_t
client_reply_busy_s(const struct client_reply *r)
{
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(r->obj, "error");
	int64_t s;

	if (strcmp(r->type, "rejected") != 0 || strcmp(json_text(error, "code"), err_code_name(ERR_BUSY)) != 0)
		return 0;
	s = json_number(error, "retry_after_s", BUSY_S);
	return s < 1 ? 1 : s > BUSY_MAX_S ? BUSY_MAX_S : s;
}

/* Not all at once: up to a quarter later, by its id. */
static void
put_off(struct client *c, struct item *i, int64_t s)
{
	if (i->accepted)
		return;
	item_in(c, i);
	i->sent_ms = clock_mono_ms();
	i->patience_ms = 1000 * s + 250 * s * i->id.b[15] / 256;
}

static void
settle(struct client *c, struct item *i, const struct client_reply *r)
{
	if (i->done)
		return;
	c->unheard_ms = UNHEARD_MS;
	if (strcmp(r->type, "accepted") == 0) {
		item_accept(c, i);
		if (!i->wait)
			item_finish(c, i);
	} else if (c->o.keep_busy && client_reply_busy_s(r)) {
		put_off(c, i, client_reply_busy_s(r));
	} else if (strcmp(r->type, "outcome") == 0 || strcmp(r->type, "rejected") == 0) {
		item_finish(c, i);
	}
}

static bool
read_id(const cJSON *o, const char *name, struct ulid *id)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

	return text && ulid_parse(text, id);
}

/* A key stood for an older task: what is told of that one is told of ours. */
static void
take_sent_id(struct client *c, const cJSON *o, const struct ulid *id)
{
	struct ulid sent;
	struct item *i = read_id(o, "sent_id", &sent) ? item_find(c, &sent) : NULL;

	if (!i)
		return;
	item_unindex(c, i);
	item_index(c, i, id);
}

/* Settled first and told then: who is told may free items by a commit. */
static int
settle_all(struct client *c, const struct client_reply *r, struct ulid sent[SAME_KEY_MAX])
{
	int n = 0;

	for (struct item *i = item_find(c, &r->id); i && n < SAME_KEY_MAX; i = i->next_id)
		if (ulid_equal(&i->id, &r->id)) {
			settle(c, i, r);
			sent[n++] = i->sent_id;
		}
	return n;
}

static void
tell(struct client *c, const struct client_reply *r)
{
	if (c->o.on_reply)
		c->o.on_reply(c->o.arg, r);
}

static void
take_reply(struct client *c, const char *line, size_t len)
{
	cJSON *o = json_parse_object(line, len, NULL);
	struct client_reply r = { .type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "type")), .obj = o,
		.line = line, .len = len };
	struct ulid id = { 0 }, sent[SAME_KEY_MAX];
	int n = 0;

	c->asked_ms = 0;
	buf_clear(&c->unanswered);
	if (r.type && read_id(o, "id", &id)) {
		r.id = id;
		take_sent_id(c, o, &id);
		n = settle_all(c, &r, sent);
	}
	if (r.type && !n)
		tell(c, &r);
	for (int k = 0; k < n; k++) {
		r.id = sent[k];
		tell(c, &r);
	}
	cJSON_Delete(o);
}

static bool
is_beat(const struct client *c, const char *topic)
{
	struct topic t;

	return topic_parse(topic, c->o.config->cluster, &t, NULL) == 0 && t.kind == TOPIC_HEALTH;
}

static void
on_message(void *arg, const struct mqtt_msg *m)
{
	struct client *c = arg;
	const char *p = m->payload, *end = p + m->len;

	if (strcmp(m->topic, c->reply_topic) != 0) {
		bool beat = is_beat(c, m->topic);

		if (beat && !m->retained)
			c->beat_ms = clock_mono_ms();
		if (c->o.on_message && (!beat || c->wants_health))
			c->o.on_message(c->o.arg, m->topic, m->payload, m->len);
		return;
	}
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p);

		if (len)
			take_reply(c, p, len);
		p += len + 1;
	}
}

/* Whoever was to answer may be on another broker. */
static void
ask_again(struct client *c)
{
	struct buf all = c->unanswered;

	buf_add(&all, buf_str(&c->requests), c->requests.len);
	buf_free(&c->requests);
	c->requests = all;
	c->unanswered = (struct buf){ 0 };
}

static void
take_down(struct client *c)
{
	int64_t now = clock_mono_ms();

	for (struct kept *k = c->kept; k; k = k->next)
		k->mid = 0;

	mqtt_close(c->mqtt, false);
	c->mqtt = NULL;
	if (c->subscribed)
		dial_lost(&c->dial, c->down, now);
	else if (!c->known[c->dial.broker].again)
		dial_failed(&c->dial, c->down, now);
	dial_why(&c->dial, c->why, sizeof c->why);
	ask_again(c);
	c->up = c->lost = c->subscribed = c->more = c->doubts = false;
	c->asked_ms = c->beat_ms = 0;
}

/* A broker that is away is waited for; a certificate that cannot be read is an error. */
static int
dial(struct client *c, struct err *e)
{
	const struct config_broker *b = dial_broker(&c->dial);
	const char *address = dial_address(&c->dial, clock_mono_ms());
	char ca[512], crt[512], key[512];
	struct err why;

	if (!address) {
		if (c->dial.failures)
			dial_why(&c->dial, c->why, sizeof c->why);
		return 0;
	}
	snprintf(ca, sizeof ca, "%s/ca.crt", c->o.config->pki_dir);
	snprintf(crt, sizeof crt, "%s/%s.crt", c->o.config->pki_dir, c->identity);
	snprintf(key, sizeof key, "%s/%s.key", c->o.config->pki_dir, c->identity);
	c->mqtt = mqtt_connect(&(struct mqtt_opts){ .client_id = c->client_id, .host = b->host,
	    .address = address, .port = b->port, .known = &c->known[c->dial.broker],
	    .cafile = ca, .certfile = crt, .keyfile = key, .keepalive_s = 5, .clean = true,
	    .receive_max = 1024, .max_packet = 16u << 20, .arg = c,
	    .on_up = on_up, .on_down = on_down, .on_message = on_message, .on_sent = on_sent,
	    .on_subscribed = on_subscribed }, &why);
	if (c->mqtt)
		return 0;
	dial_failed(&c->dial, why.msg, clock_mono_ms());
	dial_why(&c->dial, c->why, sizeof c->why);
	if (why.code != ERR_CONFIG)
		return 0;
	*e = why;
	return -1;
}

static void
wait_for(struct client *c, int timeout_ms)
{
	struct pollfd p[1 + CLIENT_WATCHED] = { { .fd = c->mqtt ? mqtt_fd(c->mqtt) : dial_fd(&c->dial), .events = POLLIN } };
	int64_t now = clock_mono_ms();

	if (c->mqtt && mqtt_want_write(c->mqtt))
		p[0].events |= POLLOUT;
	if (!c->mqtt && dial_wait_ms(&c->dial, now) < timeout_ms)
		timeout_ms = (int)dial_wait_ms(&c->dial, now);
	if (c->tidy_ms && c->tidy_ms - now < timeout_ms)
		timeout_ms = c->tidy_ms > now ? (int)(c->tidy_ms - now) : 0;
	if (timeout_ms > 500)
		timeout_ms = 500;       /* keepalive and resends want a look now and then */
	for (size_t i = 0; i < c->nwatched; i++)
		p[1 + i] = c->watched[i];
	/* It passes over what has no descriptor. */
	if (poll(p, 1 + c->nwatched, c->more ? 0 : timeout_ms) < 0)
		memset(p, 0, sizeof p);
	for (size_t i = 0; i < c->nwatched; i++)
		c->watched[i].revents = p[1 + i].revents;
}

int
client_run(struct client *c, int timeout_ms, struct err *e)
{
	if (!c->mqtt && dial(c, e))
		return -1;
	wait_for(c, timeout_ms);
	if (c->mqtt) {
		c->more = mqtt_read(c->mqtt, 256);
		mqtt_tick(c->mqtt);
		if (dial_is_late(&c->dial, clock_mono_ms()))
			on_down(c, "no answer to the connect");
	}
	check_broker(c);
	if (c->lost) {
		take_down(c);
		return save(c, e);
	}
	check_resend(c);
	send_items(c);
	send_requests(c);
	send_kept(c);
	if (c->mqtt)
		mqtt_write(c->mqtt);
	return save(c, e);
}
