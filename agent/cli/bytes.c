#include "bytes.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "err.h"

int
bytes_put_fd(void *fd, const void *p, size_t len, struct err *e)
{
	const char *at = p;

	while (len) {
		ssize_t n = write(*(int *)fd, at, len);

		if (n < 0 && errno != EINTR)
			return err_set(e, ERR_IO, "%s", strerror(errno));
		at += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

ssize_t
bytes_get_fd(void *fd, void *p, size_t max, struct err *e)
{
	ssize_t n;

	do
		n = read(*(int *)fd, p, max);
	while (n < 0 && errno == EINTR);
	return n < 0 ? err_set(e, ERR_IO, "%s", strerror(errno)) : n;
}

ssize_t
bytes_fill(const struct source *s, void *p, size_t len, struct err *e)
{
	size_t have = 0;
	ssize_t n = 1;

	while (have < len && (n = s->get(s->arg, (char *)p + have, len - have, e)) > 0)
		have += (size_t)n;
	return n < 0 ? -1 : (ssize_t)have;
}
