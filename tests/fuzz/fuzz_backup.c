#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "age.h"
#include "backup.h"
#include "err.h"

/* Whose backups of the corpus are encrypted for. */
#define SECRET "AGE-SECRET-KEY-18T3MG46Y8V8QR5T4MZWUFNUZKNMMRKF4Y363DZWL5EZE0V3J9PXQPGFSHV"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *p;
	size_t left;
};

static ssize_t
get(void *arg, void *p, size_t max, struct err *e)
{
	struct bytes *b = arg;
	size_t n = b->left < max ? b->left : max;

	(void)e;
	memcpy(p, b->p, n);
	b->p += n;
	b->left -= n;
	return (ssize_t)n;
}

/* What is visited has a name that leads nowhere else, and not more bytes than it was said to have. */
static int64_t left;

static int
begin(void *arg, const struct backup_file *f, struct err *e)
{
	(void)arg;
	(void)e;
	if (!backup_path_ok(f->path))
		abort();
	left = f->bytes;
	return 0;
}

static int
put(void *arg, const void *p, size_t len, struct err *e)
{
	(void)arg;
	(void)p;
	(void)e;
	if ((int64_t)len > left)
		abort();
	left -= (int64_t)len;
	return 0;
}

static int
end(void *arg, const struct backup_file *f, struct err *e)
{
	(void)arg;
	(void)f;
	(void)e;
	if (left)
		abort();
	return 0;
}

static void
try_archive(struct source from)
{
	struct backup_visit v = { begin, put, end, NULL };
	struct backup *b = NULL;
	struct err e = { 0 };

	if ((backup_from(&b, from, &e) || backup_read(b, &v, &e)) && !e.msg[0])
		abort();
	backup_close(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes plain = { data, size }, sealed = { data, size };
	struct age_keys k = { .n = 1 };
	struct age_reader *r = NULL;
	struct err e = { 0 };

	try_archive((struct source){ get, &plain });
	if (age_key_parse_secret(SECRET, k.key[0], &e))
		abort();
	if (age_reader_new(&r, &(struct age_for){ .keys = &k }, (struct source){ get, &sealed }, &e) == 0)
		try_archive((struct source){ age_read, r });
	else if (!e.msg[0])
		abort();
	age_reader_free(r);
	return 0;
}
