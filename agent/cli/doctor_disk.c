/*
 * doctor_disk.c - the state directory: is it ours alone, is there room, and how long until something is on the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "buf.h"
#include "clock.h"
#include "doctor.h"

#define SYNCS 15
#define SYNC_BYTES 4096
#define SLOW_US 100000

static bool
is_directory(struct doctor *d, const char *dir)
{
	struct stat st;

	if (stat(dir, &st))
		doctor_wrong(d, FOUND_DISK_WRITE, dir, "%s: %s", dir, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		doctor_wrong(d, FOUND_DISK_WRITE, dir, "%s is no directory", dir);
	else if (access(dir, W_OK | X_OK))
		doctor_wrong(d, FOUND_DISK_WRITE, dir, "%s: %s", dir, strerror(errno));
	else if (st.st_mode & 077)
		doctor_wrong(d, FOUND_DISK_MODE, dir, "%s has mode %03o", dir, (unsigned)st.st_mode & 0777);
	else
		return true;
	return false;
}

static void
check_room(struct doctor *d, const char *dir)
{
	struct statvfs v;
	int64_t left;

	if (statvfs(dir, &v)) {
		doctor_wrong(d, FOUND_DISK_WRITE, dir, "%s: %s", dir, strerror(errno));
		return;
	}
	left = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
	if (left < d->config->min_free_bytes)
		doctor_wrong(d, FOUND_DISK_FULL, dir, "%lld MB are free, and %lld MB are to be kept free",
		    (long long)(left >> 20), (long long)(d->config->min_free_bytes >> 20));
	else
		doctor_well(d, "%lld MB are free", (long long)(left >> 20));
}

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* As a commit does it: append, and wait for the disk. */
static int
measure(int fd, int64_t us[SYNCS])
{
	static const char bytes[SYNC_BYTES];

	for (int i = 0; i < SYNCS; i++) {
		int64_t begun = clock_mono_us();

		if (write(fd, bytes, sizeof bytes) != (ssize_t)sizeof bytes || fsync(fd))
			return -1;
		us[i] = clock_mono_us() - begun;
	}
	qsort(us, SYNCS, sizeof *us, by_size);
	return 0;
}

static void
check_sync(struct doctor *d, const char *dir)
{
	char path[600];
	int64_t us[SYNCS];
	int fd;

	snprintf(path, sizeof path, "%.560s/doctor.XXXXXX", dir);
	fd = mkstemp(path);
	if (fd >= 0)
		unlink(path);
	if (fd < 0 || measure(fd, us))
		doctor_wrong(d, errno == ENOSPC ? FOUND_DISK_FULL : FOUND_DISK_WRITE, dir, "%s: %s", path, strerror(errno));
	else if (us[SYNCS / 2] > SLOW_US)
		doctor_wrong(d, FOUND_DISK_SLOW, dir, "fsync takes %.1f ms, at worst %.1f ms", (double)us[SYNCS / 2] / 1000,
		    (double)us[SYNCS - 1] / 1000);
	else
		doctor_well(d, "fsync takes %.1f ms, at worst %.1f ms", (double)us[SYNCS / 2] / 1000,
		    (double)us[SYNCS - 1] / 1000);
	if (fd >= 0)
		close(fd);
}

void
doctor_disk(struct doctor *d)
{
	const char *dir = d->config->state_dir;

	if (!is_directory(d, dir))
		return;
	check_room(d, dir);
	check_sync(d, dir);
}
