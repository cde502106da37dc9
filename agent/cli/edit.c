#include "edit.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "json.h"

#define FILE_MAX (1 << 20)

static int
write_file(const char *path, int fd, const cJSON *o, struct err *e)
{
	char *text = cJSON_Print(o);
	FILE *f = fdopen(fd, "w");
	bool written = f && fprintf(f, "%s\n", text) > 0;

	cJSON_free(text);
	if (f)
		written &= fclose(f) == 0;
	else
		close(fd);
	return written ? 0 : err_set(e, ERR_IO, "cannot write %s: %s", path, strerror(errno));
}

static int
read_file(const char *path, struct buf *b, struct err *e)
{
	FILE *f = fopen(path, "re");
	size_t n = 1;

	if (!f)
		return err_set(e, ERR_IO, "cannot read %s: %s", path, strerror(errno));
	while (n && b->len < FILE_MAX) {
		char part[4096];

		n = fread(part, 1, sizeof part, f);
		buf_add(b, part, n);
	}
	fclose(f);
	return b->len < FILE_MAX ? 0 : err_set(e, ERR_TOO_BIG, "%s has more than %d bytes", path, FILE_MAX);
}

static const char *
editor(void)
{
	const char *name = getenv("VISUAL");

	if (!name || !*name)
		name = getenv("EDITOR");
	return name && *name ? name : "vi";
}

/* The shell's words, as git does it: EDITOR may be "code --wait". An interrupt is the editor's to take. */
static int
run_editor(const char *path, struct err *e)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, was;
	struct buf line = { 0 };
	int status = -1;
	pid_t pid;

	buf_addf(&line, "%s \"$1\"", editor());
	sigaction(SIGINT, &ignore, &was);
	pid = fork();
	if (pid == 0) {
		sigaction(SIGINT, &was, NULL);
		execl("/bin/sh", "sh", "-c", line.data, "sh", path, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	sigaction(SIGINT, &was, NULL);
	buf_free(&line);
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(e, ERR_IO, "the editor (%s) did not end well", editor());
}

static int
take_back(const char *path, cJSON **o, struct err *e)
{
	struct buf b = { 0 };
	cJSON *now = NULL;

	if (read_file(path, &b, e) == 0) {
		now = json_parse_object(buf_str(&b), b.len, e);
		if (!now)
			err_wrap(e, "what was written is in %s", path);
	}
	buf_free(&b);
	if (!now)
		return -1;
	cJSON_Delete(*o);
	*o = now;
	return 0;
}

int
edit_json(cJSON **o, struct err *e)
{
	const char *dir = getenv("TMPDIR");
	struct buf path = { 0 };
	int fd, rc;

	buf_addf(&path, "%s/uni-wizard-XXXXXX.json", dir && *dir ? dir : "/tmp");
	fd = mkstemps(path.data, 5);
	if (fd < 0) {
		err_set(e, ERR_IO, "cannot create %s: %s", path.data, strerror(errno));
		buf_free(&path);
		return -1;
	}
	rc = write_file(path.data, fd, *o, e) || run_editor(path.data, e);
	if (rc || (rc = take_back(path.data, o, e)) == 0)
		unlink(path.data);
	buf_free(&path);
	return rc ? -1 : 0;
}
