/*
 * disk.c - how long this disk takes to make an append durable.
 *
 * disk DIR COUNT RATE HIST: appends 4 KiB (what a small SQLite commit writes to its log) and calls
 * fdatasync, COUNT times, RATE times a second (0: back to back), and adds the times of the call alone,
 * in microseconds, to the histogram in the file HIST.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "clock.h"
#include "hist.h"
#include "log.h"

static void
wait_until(int64_t us)
{
	int64_t left;

	while ((left = us - clock_mono_us()) > 0)
		poll(NULL, 0, (int)((left + 999) / 1000));
}

static int64_t
append_once(int fd, const char *block, size_t len)
{
	int64_t start;

	if (write(fd, block, len) != (ssize_t)len)
		fatal("disk: write");
	start = clock_mono_us();
#ifdef __APPLE__
	/* fsync() there stops at the drive's cache. */
	if (fcntl(fd, F_FULLFSYNC))
		fatal("disk: F_FULLFSYNC");
#else
	if (fdatasync(fd))
		fatal("disk: fdatasync");
#endif
	return clock_mono_us() - start;
}

int
main(int argc, char **argv)
{
	static char block[4096];
	static struct hist h;
	char path[512];
	long count, rate;
	int64_t start;
	int fd;

	if (argc != 5)
		fatalx("usage: disk DIR COUNT RATE HIST");
	count = strtol(argv[2], NULL, 10);
	rate = strtol(argv[3], NULL, 10);
	snprintf(path, sizeof path, "%s/disk-probe", argv[1]);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		fatal("disk: %s", path);
	memset(block, 'x', sizeof block);
	start = clock_mono_us();
	for (long i = 0; i < count; i++) {
		if (rate > 0)
			wait_until(start + i * 1000000 / rate);
		hist_add(&h, (uint64_t)append_once(fd, block, sizeof block));
	}
	close(fd);
	unlink(path);
	if (hist_save(&h, argv[4]))
		fatal("disk: %s", argv[4]);
	return 0;
}
