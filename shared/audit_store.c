#include "audit_store.h"

#include "base64.h"
#include "digest.h"
#include "json.h"

#define ANSWER_BYTES (256 << 10)

enum { R_ENDS, R_FROM, R_TIME, R_OWN, R_KEYS, R_META, R_COUNT };

static const char *const sql[R_COUNT] = {
	[R_ENDS] = "SELECT page, first + count - 1, hash FROM audit ORDER BY page DESC LIMIT 1",
	[R_FROM] = "SELECT page, first, count, records, seal FROM audit WHERE page >= ?1 ORDER BY page",
	[R_TIME] = "SELECT page, at_ms FROM audit WHERE page >= ?1 ORDER BY page LIMIT 1",
	[R_OWN] = "SELECT n, envelope FROM audit_own WHERE n >= ?1 AND n < ?2 ORDER BY n",
	[R_KEYS] = "SELECT binding FROM audit_keys ORDER BY n",
	[R_META] = "SELECT value FROM meta WHERE name = ?1",
};

int
audit_store_prepare(struct db *d, int *first, struct err *e)
{
	return db_more(d, sql, R_COUNT, first, e);
}

static void
put_meta(struct db *d, int first, struct buf *b, const char *key, const char *name)
{
	sqlite3_stmt *s = db_use(d, first + R_META);

	db_text(s, 1, name);
	if (db_step(d, s, NULL) == 1)
		json_kv_str(b, key, (const char *)sqlite3_column_text(s, 0));
	sqlite3_reset(s);
}

static void
put_head(struct db *d, int first, struct buf *b)
{
	static const unsigned char none[DIGEST_SIZE];
	sqlite3_stmt *s = db_use(d, first + R_ENDS);
	bool any = db_step(d, s, NULL) == 1 && sqlite3_column_bytes(s, 2) == DIGEST_SIZE;
	char hash[DIGEST_HEX];

	digest_format(any ? sqlite3_column_blob(s, 2) : none, hash);
	json_kv_int(b, "pages", any ? sqlite3_column_int64(s, 0) : 0);
	json_kv_int(b, "n", any ? sqlite3_column_int64(s, 1) : 0);
	json_kv_str(b, "hash", hash);
	sqlite3_reset(s);
}

void
audit_store_put_chain(struct db *d, int first, struct buf *b)
{
	sqlite3_stmt *s = db_use(d, first + R_KEYS);

	put_meta(d, first, b, "store", "store");
	put_meta(d, first, b, "checkpoint", AUDIT_STORE_CHECKPOINT);
	put_head(d, first, b);
	json_put_key(b, "keys");
	json_put_open(b, '[');
	while (db_step(d, s, NULL) == 1)
		json_put_str(b, (const char *)sqlite3_column_text(s, 0));
	json_put_close(b, ']');
}

static void
put_own(struct db *d, int first, struct buf *b, int64_t from, int64_t to)
{
	sqlite3_stmt *s = db_use(d, first + R_OWN);

	json_put_key(b, "own");
	json_put_open(b, '[');
	db_int(s, 1, from);
	db_int(s, 2, to);
	while (db_step(d, s, NULL) == 1) {
		json_put_open(b, '{');
		json_kv_int(b, "n", sqlite3_column_int64(s, 0));
		json_kv_str(b, "envelope", (const char *)sqlite3_column_text(s, 1));
		json_put_close(b, '}');
	}
	json_put_close(b, ']');
	sqlite3_reset(s);
}

static void
put_page(struct db *d, int first, struct buf *b, sqlite3_stmt *s)
{
	int64_t from = sqlite3_column_int64(s, 1);

	json_kv_int(b, "page", sqlite3_column_int64(s, 0));
	json_put_key(b, "records");
	buf_addc(b, '"');
	base64_put(b, sqlite3_column_blob(s, 3), (size_t)sqlite3_column_bytes(s, 3));
	buf_addc(b, '"');
	json_kv_str(b, "seal", (const char *)sqlite3_column_text(s, 4));
	put_own(d, first, b, from, from + sqlite3_column_int64(s, 2));
	json_put_close(b, '}');
	buf_addc(b, '\n');
}

int64_t
audit_store_pages(struct db *d, int first, int64_t page, struct buf *(*line)(void *arg), void *arg)
{
	sqlite3_stmt *s = db_use(d, first + R_FROM);
	size_t bytes = 0;
	int more;

	db_int(s, 1, page);
	while ((more = db_step(d, s, NULL)) == 1 && bytes < ANSWER_BYTES) {
		page = sqlite3_column_int64(s, 0) + 1;
		bytes += (size_t)sqlite3_column_bytes(s, 3) + (size_t)sqlite3_column_bytes(s, 4);
		put_page(d, first, line(arg), s);
	}
	sqlite3_reset(s);
	return more == 1 ? page : 0;
}

static int64_t
first_page(struct db *d, int first, int64_t from, int64_t *ms)
{
	sqlite3_stmt *s = db_use(d, first + R_TIME);
	int64_t page = 0;

	db_int(s, 1, from);
	if (db_step(d, s, NULL) == 1) {
		page = sqlite3_column_int64(s, 0);
		*ms = sqlite3_column_int64(s, 1);
	}
	sqlite3_reset(s);
	return page;
}

static int64_t
last_page(struct db *d, int first)
{
	sqlite3_stmt *s = db_use(d, first + R_ENDS);
	int64_t page = db_step(d, s, NULL) == 1 ? sqlite3_column_int64(s, 0) : 0;

	sqlite3_reset(s);
	return page;
}

int64_t
audit_store_page_at(struct db *d, int first, int64_t ms)
{
	int64_t at = 0, low = first_page(d, first, 0, &at), high = last_page(d, first);

	while (low < high) {
		int64_t mid = low + (high - low) / 2;

		if (first_page(d, first, mid, &at) && at < ms)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}
