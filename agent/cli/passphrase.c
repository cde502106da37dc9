#include "passphrase.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/stat.h>
#include <termios.h>

#include "buf.h"
#include "err.h"

void
passphrase_wipe(struct buf *b)
{
	if (b->data)
		OPENSSL_cleanse(b->data, b->cap);
	buf_free(b);
}

/* One line, without its end. Byte by byte: what follows is somebody else's. -1: nothing came. */
static int
read_line(int fd, struct buf *out)
{
	ssize_t n;
	char c = '\0';

	buf_clear(out);
	while ((n = read(fd, &c, 1)) == 1 && c != '\n')
		buf_addc(out, c);
	while (out->len && out->data[out->len - 1] == '\r')
		buf_cut(out, out->len - 1);
	return n == 1 || out->len ? 0 : -1;
}

static void
say(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		return;
}

/* The terminal itself, so that a pipe on standard input is left alone. */
static int
terminal_open(void)
{
	return open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static volatile sig_atomic_t caught;

static void
on_signal(int sig)
{
	caught = sig;
}

/* Echo is off as long as this runs: an interrupt ends the program only when it is on again. */
static int
ask_hidden(int tty, const char *prompt, struct buf *out)
{
	struct sigaction stop = { .sa_handler = on_signal }, before;
	struct termios old, quiet;
	int rc;

	caught = 0;
	sigaction(SIGINT, &stop, &before);
	if (tcgetattr(tty, &old))
		return -1;
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(tty, TCSAFLUSH, &quiet);
	say(tty, prompt);
	rc = read_line(tty, out);
	say(tty, "\n");
	tcsetattr(tty, TCSAFLUSH, &old);
	sigaction(SIGINT, &before, NULL);
	if (caught)
		raise(SIGINT);
	return rc;
}

static int
check_new(const struct buf *b, struct err *e)
{
	return b->len >= PASSPHRASE_MIN
	    ? 0 : err_set(e, ERR_INVALID, "a passphrase has at least %d bytes; --no-passphrase for none", PASSPHRASE_MIN);
}

static int
ask_twice(int tty, struct buf *out, struct err *e)
{
	struct buf again = { .max = PASSPHRASE_MAX };
	int rc = check_new(out, e);

	if (rc == 0 && (ask_hidden(tty, "The same again: ", &again) || strcmp(buf_str(&again), buf_str(out)) != 0))
		rc = err_set(e, ERR_INVALID, "the two passphrases differ");
	passphrase_wipe(&again);
	return rc;
}

static int
from_terminal(struct buf *out, const char *prompt, bool is_new, struct err *e)
{
	int tty = terminal_open(), rc;

	if (tty < 0)
		return err_set(e, ERR_INVALID, "no terminal to ask for the passphrase on; --passphrase-file FILE gives it");
	if (ask_hidden(tty, prompt, out))
		rc = err_set(e, ERR_INVALID, "no passphrase was given");
	else
		rc = is_new ? ask_twice(tty, out, e) : 0;
	close(tty);
	return rc;
}

static int
from_file(struct buf *out, const char *file, bool is_new, struct err *e)
{
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY), rc;

	if (fd < 0 || fstat(fd, &st))
		rc = err_set(e, ERR_IO, "--passphrase-file: %s: %s", file, strerror(errno));
	else if (S_ISREG(st.st_mode) && (st.st_mode & 077))
		rc = err_set(e, ERR_DENIED, "--passphrase-file: %s: others can read it; chmod 600", file);
	else if (read_line(fd, out))
		rc = err_set(e, ERR_INVALID, "--passphrase-file: %s: is empty", file);
	else
		rc = is_new ? check_new(out, e) : 0;
	if (fd >= 0)
		close(fd);
	return rc;
}

int
passphrase_get(struct buf *out, const char *file, const char *prompt, bool is_new, struct err *e)
{
	int rc;

	/* Memory that grows would leave copies behind. */
	out->max = PASSPHRASE_MAX;
	buf_reserve(out, PASSPHRASE_MAX);
	rc = file ? from_file(out, file, is_new, e) : from_terminal(out, prompt, is_new, e);
	if (rc == 0 && !buf_ok(out))
		rc = err_set(e, ERR_TOO_BIG, "a passphrase has at most %d bytes", PASSPHRASE_MAX);
	return rc;
}

int
ask_line(struct buf *out, const char *question)
{
	int tty = terminal_open(), rc;

	if (tty < 0)
		return -1;
	say(tty, question);
	rc = read_line(tty, out);
	close(tty);
	return rc;
}

char
ask_letter(const char *question, const char *allowed)
{
	struct buf line = { .max = 80 };
	char letter = '\0';

	while (!letter && ask_line(&line, question) == 0) {
		char c = line.len ? (char)tolower((unsigned char)line.data[0]) : allowed[0];

		letter = strchr(allowed, c) ? c : '\0';
	}
	buf_free(&line);
	return letter;
}
