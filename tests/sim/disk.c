/*
 * disk.c - a file system for SQLite that knows what was synced.
 *
 * A crash of the process keeps what was written; a loss of power may lose, sector by sector, what was not
 * synced, and the length too. A disk may be full, fail now and then, be lost, or freeze in the middle of a write:
 * that is how a process dies within its commit.
 */
#include "sim.h"

#include <sqlite3.h>

#include "buf.h"

#define PAGE 4096
#define SECTOR 512
#define FILES_MAX 8

/* A page as it was when last synced; NULL: beyond the end. */
struct undo {
	size_t page;
	uint8_t *old;
};

struct file {
	char name[64];
	bool exists;
	uint8_t *data;
	size_t len, cap, synced_len;
	struct undo *undo;
	size_t nundo, undo_cap;
	uint8_t *touched;               /* by page: has an undo */
	size_t touched_cap;
};

struct disk {
	struct disks *all;
	char name[NAME_MAX_LEN + 1];
	struct file files[FILES_MAX];
	bool frozen, full;
	int fail;
	int64_t die_after;
	struct disk *next;
};

struct disks {
	struct sim *sim;
	struct disk *first;
};

struct handle {
	sqlite3_file base;
	struct disk *disk;
	struct file *file;
};

/* ---- files ---- */

/* For what will be written from there on; a gap before it is zero. */
static void
grow(struct file *f, size_t from, size_t len)
{
	if (len > f->cap) {
		f->cap = f->cap ? f->cap : 16 * PAGE;
		while (f->cap < len)
			f->cap *= 2;
		f->data = xrealloc(f->data, f->cap);
	}
	if (from > f->len)
		memset(f->data + f->len, 0, from - f->len);
	f->len = len > f->len ? len : f->len;
}

static void
mark_touched(struct file *f, size_t page)
{
	if (page >= f->touched_cap) {
		size_t cap = f->touched_cap ? 2 * f->touched_cap : 64;

		while (cap <= page)
			cap *= 2;
		f->touched = xrealloc(f->touched, cap);
		memset(f->touched + f->touched_cap, 0, cap - f->touched_cap);
		f->touched_cap = cap;
	}
	f->touched[page] = 1;
}

/* Before a page changes. */
static void
remember(struct file *f, size_t page)
{
	size_t from = page * PAGE, n = f->synced_len > from ? f->synced_len - from : 0;
	struct undo u = { .page = page };

	if (page < f->touched_cap && f->touched[page])
		return;
	if (n && f->len > from) {
		n = n > PAGE ? PAGE : n;
		u.old = xcalloc(1, PAGE);
		memcpy(u.old, f->data + from, n > f->len - from ? f->len - from : n);
	}
	if (f->nundo == f->undo_cap) {
		f->undo_cap = f->undo_cap ? 2 * f->undo_cap : 64;
		f->undo = xrealloc(f->undo, f->undo_cap * sizeof *f->undo);
	}
	f->undo[f->nundo++] = u;
	mark_touched(f, page);
}

static void
remember_range(struct file *f, size_t from, size_t to)
{
	for (size_t page = from / PAGE; page * PAGE < to; page++)
		remember(f, page);
}

static void
forget_undo(struct file *f)
{
	for (size_t i = 0; i < f->nundo; i++) {
		f->touched[f->undo[i].page] = 0;
		free(f->undo[i].old);
	}
	f->nundo = 0;
	f->synced_len = f->len;
}

static void
file_clear(struct file *f)
{
	forget_undo(f);
	free(f->data);
	free(f->undo);
	free(f->touched);
	*f = (struct file){ 0 };
}

/* ---- loss of power ---- */

enum tear { TEAR_ALL, TEAR_TAIL, TEAR_RANDOM };

static void
restore_sectors(struct file *f, const struct undo *u, struct rng *r, bool all)
{
	size_t from = u->page * PAGE;

	for (size_t at = 0; at < PAGE && from + at < f->len; at += SECTOR) {
		size_t n = f->len - from - at < SECTOR ? f->len - from - at : SECTOR;

		if (!all && rng_chance(r, 500))
			continue;
		if (u->old)
			memcpy(f->data + from + at, u->old + at, n);
		else
			memset(f->data + from + at, 0, n);
	}
}

static void
lose_unsynced(struct file *f, struct rng *r)
{
	enum tear tear = (enum tear)rng_between(r, TEAR_ALL, TEAR_RANDOM);
	size_t keep = f->nundo ? (size_t)rng_between(r, 0, (int64_t)f->nundo - 1) : 0;
	bool shrinks = f->len > f->synced_len && (tear == TEAR_ALL || rng_chance(r, 300));

	if (f->len < f->synced_len && (tear == TEAR_ALL || rng_chance(r, 500)))
		grow(f, f->synced_len, f->synced_len);
	for (size_t i = 0; i < f->nundo; i++) {
		if (tear == TEAR_TAIL && i < keep)
			continue;
		if (tear == TEAR_RANDOM && rng_chance(r, 300))
			continue;
		restore_sectors(f, &f->undo[i], r, tear == TEAR_ALL || (tear == TEAR_TAIL && i > keep));
	}
	if (shrinks)
		f->len = f->synced_len;
	forget_undo(f);
}

/* ---- SQLite's view ---- */

static struct rng *
disk_rng(struct disk *d)
{
	return &d->all->sim->rng[RNG_DISK];
}

/* What every write and sync goes through. */
static int
may_write(struct disk *d)
{
	if (d->die_after && --d->die_after == 0)
		d->frozen = true;
	if (d->frozen)
		return SQLITE_IOERR;
	return d->fail && rng_chance(disk_rng(d), d->fail) ? SQLITE_IOERR : SQLITE_OK;
}

static int
x_close(sqlite3_file *h)
{
	(void)h;
	return SQLITE_OK;
}

static int
x_read(sqlite3_file *h, void *out, int n, sqlite3_int64 at)
{
	const struct file *f = ((struct handle *)h)->file;
	size_t have = (size_t)at < f->len ? f->len - (size_t)at : 0;

	if (have >= (size_t)n) {
		memcpy(out, f->data + at, (size_t)n);
		return SQLITE_OK;
	}
	if (have)
		memcpy(out, f->data + at, have);
	memset((char *)out + have, 0, (size_t)n - have);
	return SQLITE_IOERR_SHORT_READ;
}

/* A process that dies while it writes leaves a part. */
static int
x_write(sqlite3_file *h, const void *p, int n, sqlite3_int64 at)
{
	struct disk *d = ((struct handle *)h)->disk;
	struct file *f = ((struct handle *)h)->file;
	size_t len = (size_t)n;
	bool was_frozen = d->frozen;
	int rc = may_write(d);

	if (d->full && (size_t)at + len > f->len)
		return SQLITE_FULL;
	if (rc && (was_frozen || !d->frozen))
		return rc;
	if (rc)
		len = (size_t)rng_between(disk_rng(d), 0, n);
	if (len) {
		remember_range(f, (size_t)at, (size_t)at + len);
		grow(f, (size_t)at, (size_t)at + len);
		memcpy(f->data + at, p, len);
	}
	return rc;
}

static int
x_truncate(sqlite3_file *h, sqlite3_int64 len)
{
	struct file *f = ((struct handle *)h)->file;
	int rc = may_write(((struct handle *)h)->disk);

	if (rc)
		return rc;
	if ((size_t)len < f->len) {
		remember_range(f, (size_t)len, f->len);
		f->len = (size_t)len;
	}
	return SQLITE_OK;
}

static int
x_sync(sqlite3_file *h, int flags)
{
	int rc = may_write(((struct handle *)h)->disk);

	(void)flags;
	if (rc)
		return SQLITE_IOERR_FSYNC;
	forget_undo(((struct handle *)h)->file);
	return SQLITE_OK;
}

static int
x_size(sqlite3_file *h, sqlite3_int64 *out)
{
	*out = (sqlite3_int64)((struct handle *)h)->file->len;
	return SQLITE_OK;
}

static int
x_lock(sqlite3_file *h, int level)
{
	(void)h;
	(void)level;
	return SQLITE_OK;
}

static int
x_reserved(sqlite3_file *h, int *out)
{
	(void)h;
	*out = 0;
	return SQLITE_OK;
}

static int
x_control(sqlite3_file *h, int op, void *arg)
{
	(void)h;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int
x_sector(sqlite3_file *h)
{
	(void)h;
	return SECTOR;
}

static int
x_characteristics(sqlite3_file *h)
{
	(void)h;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* Version 1: no shared memory, which locking_mode=EXCLUSIVE does not need. */
static const sqlite3_io_methods methods = {
	.iVersion = 1, .xClose = x_close, .xRead = x_read, .xWrite = x_write, .xTruncate = x_truncate,
	.xSync = x_sync, .xFileSize = x_size, .xLock = x_lock, .xUnlock = x_lock, .xCheckReservedLock = x_reserved,
	.xFileControl = x_control, .xSectorSize = x_sector, .xDeviceCharacteristics = x_characteristics,
};

/* Paths are /<disk>/<file>. */
static struct file *
file_at(const char *path, struct disk **disk)
{
	char name[NAME_MAX_LEN + 1] = "";
	const char *slash = strrchr(path, '/');
	struct file *empty = NULL;
	struct disk *d;

	if (slash > path)
		snprintf(name, sizeof name, "%.*s", (int)(slash - path - 1), path + 1);
	d = disk_of(sim_current->disks, name);
	*disk = d;
	for (int i = 0; i < FILES_MAX; i++) {
		if (d->files[i].exists && strcmp(d->files[i].name, slash + 1) == 0)
			return &d->files[i];
		if (!d->files[i].exists && !empty)
			empty = &d->files[i];
	}
	if (empty)
		snprintf(empty->name, sizeof empty->name, "%s", slash + 1);
	return empty;
}

static int
x_open(sqlite3_vfs *v, const char *path, sqlite3_file *out, int flags, int *out_flags)
{
	struct handle *h = (struct handle *)out;

	(void)v;
	*h = (struct handle){ 0 };
	h->file = path ? file_at(path, &h->disk) : NULL;
	if (!h->file || h->disk->frozen)
		return SQLITE_CANTOPEN;
	h->file->exists = true;
	h->base.pMethods = &methods;
	if (out_flags)
		*out_flags = flags;
	return SQLITE_OK;
}

static int
x_delete(sqlite3_vfs *v, const char *path, int sync)
{
	struct disk *d;
	struct file *f = file_at(path, &d);
	int rc = may_write(d);

	(void)v;
	(void)sync;
	if (rc)
		return SQLITE_IOERR_DELETE;
	if (!f || !f->exists)
		return SQLITE_IOERR_DELETE_NOENT;
	file_clear(f);
	return SQLITE_OK;
}

static int
x_access(sqlite3_vfs *v, const char *path, int flags, int *out)
{
	struct disk *d;
	struct file *f = file_at(path, &d);

	(void)v;
	*out = f && f->exists && (flags != SQLITE_ACCESS_EXISTS || f->len > 0);
	return SQLITE_OK;
}

static int
x_path(sqlite3_vfs *v, const char *path, int n, char *out)
{
	(void)v;
	snprintf(out, (size_t)n, "%s", path);
	return SQLITE_OK;
}

static int
x_randomness(sqlite3_vfs *v, int n, char *out)
{
	(void)v;
	for (int i = 0; i < n; i++)
		out[i] = (char)rng_next(&sim_current->rng[RNG_DISK]);
	return n;
}

static int
x_sleep(sqlite3_vfs *v, int us)
{
	(void)v;
	return us;
}

static int
x_time(sqlite3_vfs *v, sqlite3_int64 *out)
{
	(void)v;
	*out = (sim_current ? sim_current->now_us / MS : 0) + WALL_BASE_MS + 210866760000000;
	return SQLITE_OK;
}

static int
x_time_days(sqlite3_vfs *v, double *out)
{
	sqlite3_int64 ms;

	x_time(v, &ms);
	*out = (double)ms / 86400000.0;
	return SQLITE_OK;
}

static int
x_error(sqlite3_vfs *v, int n, char *out)
{
	(void)v;
	if (n)
		out[0] = '\0';
	return 0;
}

static sqlite3_vfs vfs = {
	.iVersion = 2, .szOsFile = sizeof(struct handle), .mxPathname = 256, .zName = DISK_VFS, .xOpen = x_open,
	.xDelete = x_delete, .xAccess = x_access, .xFullPathname = x_path, .xRandomness = x_randomness,
	.xSleep = x_sleep, .xCurrentTime = x_time_days, .xGetLastError = x_error, .xCurrentTimeInt64 = x_time,
};

/* ---- disks ---- */

/* The default one too: SQLite's own random numbers come from it. */
struct disks *
disks_new(struct sim *s)
{
	struct disks *d = xcalloc(1, sizeof *d);

	d->sim = s;
	sqlite3_vfs_register(&vfs, 1);
	sqlite3_randomness(0, NULL);
	return d;
}

void
disks_free(struct disks *all)
{
	for (struct disk *d = all->first, *next; d; d = next) {
		next = d->next;
		disk_wipe(d);
		free(d);
	}
	free(all);
}

struct disk *
disk_of(struct disks *all, const char *name)
{
	struct disk *d;

	for (d = all->first; d; d = d->next)
		if (strcmp(d->name, name) == 0)
			return d;
	d = xcalloc(1, sizeof *d);
	snprintf(d->name, sizeof d->name, "%s", name);
	d->all = all;
	d->next = all->first;
	all->first = d;
	return d;
}

void
disk_freeze(struct disk *d)
{
	d->frozen = true;
}

bool
disk_is_frozen(const struct disk *d)
{
	return d->frozen;
}

void
disk_die_after(struct disk *d, int64_t writes)
{
	d->die_after = writes;
}

void
disk_settle(struct disk *d, bool power)
{
	d->frozen = false;
	d->die_after = 0;
	for (int i = 0; i < FILES_MAX && power; i++)
		if (d->files[i].exists)
			lose_unsynced(&d->files[i], disk_rng(d));
}

void
disk_wipe(struct disk *d)
{
	for (int i = 0; i < FILES_MAX; i++)
		file_clear(&d->files[i]);
}

void
disk_fill(struct disk *d, bool full)
{
	d->full = full;
}

bool
disk_is_bad(const struct disk *d)
{
	return d->full || d->fail;
}

void
disk_fail(struct disk *d, int permille)
{
	d->fail = permille;
}
