#include "ssh.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "err.h"
#include "proc.h"

#define SSH_FAILED 255                  /* ssh's own failure, which no script of ours returns */
#define STDERR_MAX 4096
#define PERSIST_S 60                    /* the connection ends by itself if we are killed */
#define MAX_ARGS 40
#define MAX_ENV 8
#define GRACE_MS 2000

/* The user's login shell gets only this, whichever shell it is. */
#define AS_ROOT "exec sh -c 'if test `id -u` = 0; then exec sh; else exec sudo -n sh; fi'"

static const char preamble[] =
    "set -eu\n"
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH LC_ALL=C DEBIAN_FRONTEND=noninteractive\n"
    "export PATH LC_ALL DEBIAN_FRONTEND\n"
    "umask 077\n";

void
ssh_init(struct ssh *s, const struct config *c, const struct config_host *h)
{
	const char *slash = strrchr(c->path, '/');
	struct buf path = { 0 };

	*s = (struct ssh){ .control = NULL };
	snprintf(s->name, sizeof s->name, "%s", h->name);
	config_ssh(h->ssh, &s->at);
	buf_addf(&path, "%.*s/ssh_config", slash ? (int)(slash - c->path) : 1, slash ? c->path : ".");
	if (access(path.data, R_OK) == 0)
		s->config = buf_take(&path);
	buf_free(&path);
}

/* In single quotes nothing is special but the quote itself. */
void
ssh_quote(struct buf *out, const char *text)
{
	buf_addc(out, '\'');
	for (; *text; text++)
		if (*text == '\'')
			buf_adds(out, "'\\''");
		else
			buf_addc(out, *text);
	buf_addc(out, '\'');
}

/* In lines, so that no line of the script grows without bound. */
static void
put_base64(struct buf *out, const unsigned char *p, size_t len)
{
	unsigned char text[80];

	for (size_t n; len; p += n, len -= n) {
		n = len < 57 ? len : 57;
		buf_add(out, text, (size_t)EVP_EncodeBlock(text, p, (int)n));
		buf_addc(out, '\n');
	}
}

void
ssh_script_put(struct buf *out, const struct ssh_script *script)
{
	buf_adds(out, preamble);
	buf_adds(out, "set --");
	for (const char *const *a = script->args; a && *a; a++) {
		buf_addc(out, ' ');
		ssh_quote(out, *a);
	}
	buf_addc(out, '\n');
	if (script->payload) {
		buf_adds(out, "payload() {\nbase64 -d <<'END_OF_PAYLOAD'\n");
		put_base64(out, script->payload, script->payload_len);
		buf_adds(out, "END_OF_PAYLOAD\n}\n");
	}
	/* In a group it is read to its end before it runs, so nothing in it can eat the rest. */
	buf_adds(out, "{\n");
	buf_adds(out, script->text);
	buf_adds(out, "\nexit 0\n} </dev/null\n");
}

/* Line ends become blanks; other control characters, those of Latin-1 in UTF-8 too, question marks. */
void
ssh_make_harmless(struct buf *text)
{
	unsigned char *p = (unsigned char *)text->data;

	for (size_t i = 0; i < text->len; i++) {
		bool high = p[i] == 0xc2 && i + 1 < text->len && p[i + 1] < 0xa0;

		if (high)
			p[i + 1] = '?';
		if (high || p[i] < 0x20 || p[i] == 0x7f)
			p[i] = p[i] == '\n' || p[i] == '\r' || p[i] == '\t' ? ' ' : '?';
	}
}

/* The last lines that it said, on one. */
static const char *
said(struct buf *text)
{
	size_t from = 0;

	while (text->len && strchr("\r\n ", text->data[text->len - 1]))
		buf_cut(text, text->len - 1);
	if (text->len > 300)
		from = text->len - 300;
	ssh_make_harmless(text);
	return text->len ? text->data + from : "nothing";
}

static bool
has(const struct buf *text, const char *words)
{
	return strstr(buf_str(text), words) != NULL;
}

/* What ssh's own complaints mean for who has to do something about them. */
static const struct {
	const char *words;
	enum err_code code;
	const char *fix;
} complaints[] = {
	{ "REMOTE HOST IDENTIFICATION HAS CHANGED", ERR_DENIED, "its key is another one than before: find out why before you go on; if it "
	    "was set up anew, ssh-keygen -R forgets the former one" },
	{ "Host key verification failed", ERR_DENIED, "its key is not known yet: connect once with ssh to look at it, or give --accept-new" },
	{ "Permission denied", ERR_DENIED, "it takes none of your keys: ssh-copy-id, or ssh-add for a key with a passphrase" },
	{ "Could not resolve hostname", ERR_NETWORK, "nobody knows that name: see `ssh` of this host in houses.yaml" },
	{ "Connection refused", ERR_NETWORK, "no sshd listens there: see the port, and that it runs" },
	{ "timed out", ERR_NETWORK, "nothing answers: is the machine up, and does a firewall let you in?" },
};

static int
ssh_failed(const struct ssh *s, struct buf *text, struct err *e)
{
	for (size_t i = 0; i < sizeof complaints / sizeof *complaints; i++)
		if (has(text, complaints[i].words))
			return err_set(e, complaints[i].code, "host %s: ssh to %s: %s; ssh said: %.200s", s->name, s->at.destination,
			    complaints[i].fix, said(text));
	return err_set(e, ERR_NETWORK, "host %s: ssh to %s failed; it said: %s", s->name, s->at.destination, said(text));
}

static int
script_failed(const struct ssh *s, const struct ssh_script *script, const struct proc_end *end, struct buf *text, struct err *e)
{
	if (has(text, "sudo:"))
		return err_set(e, ERR_DENIED, "host %s: log in as root, or let this user run `sudo -n sh` without a password; it said: %s",
		    s->name, said(text));
	if (end->signal)
		return err_set(e, ERR_CRASH, "host %s: ended by signal %d", s->name, end->signal);
	return err_set(e, ERR_TOOL, "host %s: %s%sit said: %s", s->name, script->fix ? script->fix : "", script->fix ? "; " : "",
	    said(text));
}

static const char *
program(void)
{
	const char *other = getenv("UNI_WIZARD_SSH");

	return other && *other ? other : "ssh";
}

/* A path of its own in /tmp: a socket's path has little room, and it must not be anybody else's. */
static int
control_make(struct ssh *s, struct err *e)
{
	char dir[] = "/tmp/uw-ssh-XXXXXX";

	if (s->control)
		return 0;
	if (!mkdtemp(dir))
		return err_set(e, ERR_IO, "cannot make a directory in /tmp: %s", strerror(errno));
	s->control = xstrdup(dir);
	return 0;
}

struct command {
	const char *v[MAX_ARGS];
	size_t n;
	char control[64], timeout[40], port[16], persist[40];
};

static void
arg(struct command *c, const char *text)
{
	if (c->n < MAX_ARGS - 1)
		c->v[c->n++] = text;
}

static void
option(struct command *c, const char *text)
{
	arg(c, "-o");
	arg(c, text);
}

static void
ssh_command(const struct ssh *s, struct command *c)
{
	snprintf(c->control, sizeof c->control, "ControlPath=%s/s", s->control);
	snprintf(c->timeout, sizeof c->timeout, "ConnectTimeout=%d", SSH_CONNECT_S);
	snprintf(c->persist, sizeof c->persist, "ControlPersist=%d", PERSIST_S);
	snprintf(c->port, sizeof c->port, "%d", s->at.port);
	arg(c, program());
	if (s->config) {
		arg(c, "-F");
		arg(c, s->config);
	}
	arg(c, "-T");
	option(c, "BatchMode=yes");
	option(c, c->timeout);
	option(c, "ServerAliveInterval=5");
	option(c, "ServerAliveCountMax=3");
	option(c, "ControlMaster=auto");
	option(c, c->control);
	option(c, c->persist);
	if (s->accept_new)
		option(c, "StrictHostKeyChecking=accept-new");
	if (s->at.port) {
		arg(c, "-p");
		arg(c, c->port);
	}
	arg(c, "--");
	arg(c, s->at.destination);
}

/* What ssh needs of our environment, and no more. */
static void
environment(const char *out[MAX_ENV], char text[MAX_ENV][512])
{
	static const char *const names[] = { "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "TMPDIR", "PATH" };
	size_t n = 0;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *value = getenv(names[i]);

		if (value && snprintf(text[n], sizeof text[n], "%s=%s", names[i], value) < (int)sizeof text[n]) {
			out[n] = text[n];
			n++;
		}
	}
	out[n] = NULL;
}

static int
run(const struct ssh *s, const struct ssh_script *script, const struct command *c, const struct buf *in, struct buf *out,
    struct err *e)
{
	char text[MAX_ENV][512];
	const char *env[MAX_ENV];
	struct proc p = { .argv = c->v, .env = env, .in = in->data, .in_len = in->len, .grace_ms = GRACE_MS,
		.deadline_ms = clock_mono_ms() + (script->deadline_ms ? script->deadline_ms : SSH_DEADLINE_MS),
		.max_out = SSH_OUTPUT_MAX, .max_err = STDERR_MAX };
	struct proc_end end;
	int rc;

	environment(env, text);
	rc = proc_run(&p, &end, e);
	if (rc) {
		err_wrap(e, "host %s", s->name);
	} else if (end.status == SSH_FAILED && !s->at.local) {
		rc = ssh_failed(s, &end.err, e);
	} else if (end.status) {
		rc = script_failed(s, script, &end, &end.err, e);
	} else if (out) {
		while (end.out.len && end.out.data[end.out.len - 1] == '\n')
			buf_cut(&end.out, end.out.len - 1);
		buf_add(out, buf_str(&end.out), end.out.len);
	}
	proc_end_release(&end);
	return rc;
}

/* Each in a shell of its own, since it ends that. What it ended with is looked at behind it: before `||` no shell heeds set -e. */
static int
record(struct ssh *s, const struct ssh_script *script, struct err *e)
{
	buf_adds(s->record, "(\n");
	ssh_script_put(s->record, script);
	buf_adds(s->record, ")\ntest $? = 0 || exit 1\n");
	return buf_ok(s->record) ? 0 : err_set(e, ERR_TOO_BIG, "host %s: the script is too large", s->name);
}

int
ssh_run(struct ssh *s, const struct ssh_script *script, struct buf *out, struct err *e)
{
	struct buf in = { .max = 2 * SSH_PAYLOAD_MAX };
	struct command c = { .n = 0 };
	int rc = -1;

	if (script->payload_len > SSH_PAYLOAD_MAX)
		return err_set(e, ERR_TOO_BIG, "host %s: more than %u bytes to bring", s->name, SSH_PAYLOAD_MAX);
	if (s->record)
		return record(s, script, e);
	if (!s->at.local && control_make(s, e))
		return -1;
	if (!s->at.local)
		ssh_command(s, &c);
	for (const char *const *w = s->at.local ? (const char *const[]){ "sh", "-c", AS_ROOT, NULL } : (const char *const[]){ AS_ROOT, NULL };
	    *w; w++)
		arg(&c, *w);
	c.v[c.n] = NULL;
	ssh_script_put(&in, script);
	if (buf_ok(&in))
		rc = run(s, script, &c, &in, out, e);
	else
		err_set(e, ERR_TOO_BIG, "host %s: the script is too large", s->name);
	if (in.data)
		OPENSSL_cleanse(in.data, in.len);
	buf_free(&in);
	return rc;
}

int
ssh_put(struct ssh *s, const char *path, const char *mode, const char *owner, const void *data, size_t len, bool *changed,
    struct err *e)
{
	static const char text[] =
	    /* The directory may be another's, who must not lead root elsewhere: no link is followed. */
	    "new=$1.uw-new; rm -f \"$new\"; set -C; payload >\"$new\"; set +C; chown -h \"$3\" \"$new\"; chmod \"$2\" \"$new\"\n"
	    "if cmp -s \"$new\" \"$1\" && test \"$(stat -c %a:%U:%G \"$1\")\" = \"$(stat -c %a:%U:%G \"$new\")\"\n"
	    "then rm -f \"$new\"; echo same\n"
	    "else sync \"$new\"; mv -f \"$new\" \"$1\"; echo changed; fi";
	struct buf out = { 0 };
	int rc = ssh_run(s, &(struct ssh_script){ .text = text, .args = (const char *const[]){ path, mode, owner, NULL },
	    .payload = data, .payload_len = len }, &out, e);

	if (rc)
		err_wrap(e, "%s", path);
	if (changed)
		*changed = rc == 0 && strcmp(buf_str(&out), "same") != 0;
	buf_free(&out);
	return rc;
}

void
ssh_close(struct ssh *s)
{
	struct command c = { .n = 0 };
	struct buf path = { 0 };
	struct proc_end end;
	char text[MAX_ENV][512];
	const char *env[MAX_ENV];

	if (s->control) {
		buf_addf(&path, "%s/s", s->control);
		ssh_command(s, &c);
		c.n -= 2;
		for (const char *const *w = (const char *const[]){ "-O", "exit", "--", s->at.destination, NULL }; *w; w++)
			arg(&c, *w);
		environment(env, text);
		if (access(path.data, F_OK) == 0) {
			proc_run(&(struct proc){ .argv = c.v, .env = env, .deadline_ms = clock_mono_ms() + GRACE_MS, .max_err = STDERR_MAX }, &end,
			    NULL);
			proc_end_release(&end);
		}
		unlink(path.data);
		rmdir(s->control);
	}
	buf_free(&path);
	free(s->control);
	free(s->config);
	*s = (struct ssh){ .control = NULL };
}
