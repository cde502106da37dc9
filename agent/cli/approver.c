#include "approver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "approvals.h"
#include "clock.h"
#include "json.h"
#include "mhd.h"
#include "request.h"

#define CONNECTIONS_MAX 8
#define SILENCE_S 10
#define HEAD_BYTES 8192
#define BODY_BYTES 2048
#define STACK_BYTES (1u << 20)          /* a decision is made in its connection's thread */
#define SECRET_BYTES 65536              /* memory that is not swapped */
#define DECISIONS_MAX 500
#define COMPLAINTS_MAX 20               /* refusals that are told */

struct approver {
	const struct cmd_args *a;
	const struct mhd_api *lib;
	struct MHD_Daemon *daemon;
	struct approver_gate gate;
	char token[DIGEST_HEX], name[NAME_MAX_LEN + 1], cluster[NAME_MAX_LEN + 1];
	int fd, port;
	int64_t until_ms;               /* wall */
	int64_t end_ms;                 /* mono */
	struct sign_key *key;

	pthread_mutex_t deciding;       /* held by who decides: over the key, and what was decided */
	char (*decided)[CANONICAL_HASH];
	size_t ndecided;

	pthread_mutex_t telling;        /* over the terminal */
	int complaints;
};

/* ---- telling ---- */

static void
put_clock(char out[32])
{
	clock_format(clock_wall_ms(), out, 32);
}

static void
complain(struct approver *s, const struct err *e)
{
	char when[32];

	pthread_mutex_lock(&s->telling);
	if (s->complaints++ < COMPLAINTS_MAX && !s->a->json) {
		put_clock(when);
		printf("%.19s refused: ", when);
		print_foreign(e->msg, "");
		if (s->complaints == COMPLAINTS_MAX)
			puts("further refusals are not told");
		fflush(stdout);
	}
	pthread_mutex_unlock(&s->telling);
}

static void
show(struct approver *s, const struct known_request *r, const char *hash)
{
	pthread_mutex_lock(&s->telling);
	if (!s->a->json)
		approvals_print(r, hash);
	fflush(stdout);
	pthread_mutex_unlock(&s->telling);
}

static void
put_decision(struct buf *b, const struct approver_ask *k, bool taken)
{
	json_put_open(b, '{');
	json_kv_str(b, "task", k->task);
	json_kv_str(b, "hash", k->hash);
	json_kv_str(b, "decision", k->approve ? "approve" : "deny");
	json_kv_bool(b, "taken", taken);
	json_put_close(b, '}');
}

static void
tell(struct approver *s, const struct approver_ask *k, bool taken)
{
	struct buf b = { 0 };
	char when[32];

	pthread_mutex_lock(&s->telling);
	put_clock(when);
	put_decision(&b, k, taken);
	if (s->a->json)
		puts(buf_str(&b));
	else
		printf("%.19s %s %s as %s%s", when, k->approve ? "approved" : "denied", k->task, s->name, k->reason[0] ? ": " : "\n");
	if (!s->a->json && k->reason[0])
		print_foreign(k->reason, "");
	if (!s->a->json && !taken)
		puts("  the owner of its house has not taken it yet; it will when it comes back");
	fflush(stdout);
	pthread_mutex_unlock(&s->telling);
	buf_free(&b);
}

/* ---- deciding ---- */

static bool
was_decided(const struct approver *s, const char *hash)
{
	for (size_t i = 0; i < s->ndecided; i++)
		if (strcmp(s->decided[i], hash) == 0)
			return true;
	return false;
}

/* The request as the broker has it now, if it is the one that was shown. */
static const struct known_request *
find(const struct edict *x, const struct approver_ask *k, struct err *e)
{
	const struct known_request *r = known_request(&x->known, k->task);
	char hash[CANONICAL_HASH];

	if (!r)
		err_set(e, ERR_NOT_FOUND, "task %s does not wait for approval any more", k->task);
	else if (request_check(x, r, hash, e))
		err_wrap(e, "task %s", k->task);
	else if (strcmp(hash, k->hash) != 0)
		err_set(e, ERR_CONFLICT, "task %s: the request has the hash %.16s... now, so it is not the one that was shown (%.16s...)",
		    k->task, hash, k->hash);
	else
		return r;
	return NULL;
}

static int
decide_open(struct approver *s, struct edict *x, const struct approver_ask *k, bool *taken, struct err *e)
{
	const struct known_request *r;
	struct word w = { .approve = k->approve, .for_ms = duration_ms(REQUEST_FOR), .note = k->reason };
	int rc;

	if (x->local)
		return err_busy(e, 5, "no connection to the broker, so nothing was signed");
	if (!(r = find(x, k, e)))
		return -1;
	show(s, r, k->hash);
	rc = request_decide(x, r, k->hash, &w, e);
	if (!rc)
		*taken = !known_request(&x->known, k->task);
	else if (!e->code)
		err_set(e, ERR_TIMEOUT, "it was signed, but the broker did not say that it has it; the terminal of the signer says more, and "
		    "if the task still waits, decide again");
	return rc ? -1 : 0;
}

/* A connection of its own, as `uni-wizard approve` has: what it hears is what is there now. */
static int
decide(struct approver *s, const struct approver_ask *k, bool *taken, struct err *e)
{
	struct edict x;
	int rc;

	if (was_decided(s, k->hash))
		return err_set(e, ERR_CONFLICT, "task %s: this signer has decided exactly that already", k->task);
	if (s->ndecided == DECISIONS_MAX)
		return err_set(e, ERR_BUSY, "this signer has decided %d times; end it and start another", DECISIONS_MAX);
	if (edict_open(&x, s->a, false))
		return err_busy(e, 5, "nothing was signed; the terminal of the signer says why");
	x.key = s->key;
	rc = decide_open(s, &x, k, taken, e);
	x.key = NULL;
	edict_close(&x);
	if (rc == 0)
		memcpy(s->decided[s->ndecided++], k->hash, sizeof k->hash);
	return rc;
}

static int
decide_alone(struct approver *s, const struct approver_ask *k, bool *taken, struct err *e)
{
	int rc;

	if (pthread_mutex_trylock(&s->deciding))
		return err_busy(e, 1, "another decision is being signed");
	rc = decide(s, k, taken, e);
	pthread_mutex_unlock(&s->deciding);
	return rc;
}

/* ---- HTTP ---- */

static const struct {
	enum err_code code;
	unsigned status;
} statuses[] = {
	{ ERR_DENIED, 403 },
	{ ERR_NOT_FOUND, 404 },
	{ ERR_CONFLICT, 409 },
	{ ERR_STALE, 409 },
	{ ERR_TOO_BIG, 413 },
	{ ERR_BUSY, 503 },
	{ ERR_TIMEOUT, 504 },
};

/* Takes the body. What is not admitted gets no word that its page could read. */
static enum MHD_Result
reply(struct approver *s, struct MHD_Connection *c, unsigned status, struct buf *body, bool admitted)
{
	const char *const always[][2] = {
		{ "Content-Type", "application/json" },
		{ "Cache-Control", "no-store" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'" },
		{ "Vary", "Origin" },
		{ "Connection", "close" },
	};
	const char *const for_page[][2] = {
		{ "Access-Control-Allow-Origin", s->gate.origin },
		{ "Access-Control-Allow-Methods", "GET, POST" },
		{ "Access-Control-Allow-Headers", "Authorization, Content-Type" },
		{ "Access-Control-Allow-Private-Network", "true" },
		{ "Access-Control-Max-Age", "600" },
	};
	size_t len = body->len;
	char *text = buf_take(body);
	struct MHD_Response *m = s->lib->create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result rc;

	if (!m) {
		free(text);
		return MHD_NO;
	}
	for (size_t i = 0; i < sizeof always / sizeof *always; i++)
		s->lib->add_response_header(m, always[i][0], always[i][1]);
	for (size_t i = 0; admitted && i < sizeof for_page / sizeof *for_page; i++)
		s->lib->add_response_header(m, for_page[i][0], for_page[i][1]);
	rc = s->lib->queue_response(c, status, m);
	s->lib->destroy_response(m);
	return rc;
}

/* status 0: that of the error's code. */
static enum MHD_Result
refuse(struct approver *s, struct MHD_Connection *c, unsigned status, const struct err *e, bool admitted)
{
	struct buf body = { 0 };

	complain(s, e);
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses && !status; i++)
		if (statuses[i].code == e->code)
			status = statuses[i].status;
	json_put_open(&body, '{');
	json_put_key(&body, "error");
	json_put_err(&body, e);
	json_put_close(&body, '}');
	return reply(s, c, status ? status : 400, &body, admitted);
}

static enum MHD_Result
describe(struct approver *s, struct MHD_Connection *c)
{
	struct buf body = { 0 };

	json_put_open(&body, '{');
	json_kv_str(&body, "sovereign", s->name);
	json_kv_str(&body, "cluster", s->cluster);
	json_kv_str(&body, "key", approver_key_id(s));
	json_kv_time(&body, "until", s->until_ms);
	json_put_close(&body, '}');
	return reply(s, c, 200, &body, true);
}

static enum MHD_Result
answer(struct approver *s, struct MHD_Connection *c, const struct buf *body)
{
	struct buf out = { 0 };
	struct approver_ask k;
	struct err e = { 0 };
	bool taken = false;

	if (!buf_ok(body)) {
		err_set(&e, ERR_TOO_BIG, "the body is larger than %d bytes", BODY_BYTES);
		return refuse(s, c, 0, &e, true);
	}
	/* It is silent while it waits for us. */
	s->lib->set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
	if (approver_parse(&k, body->data ? body->data : "", body->len, &e) || decide_alone(s, &k, &taken, &e))
		return refuse(s, c, 0, &e, true);
	tell(s, &k, taken);
	put_decision(&out, &k, taken);
	return reply(s, c, 200, &out, true);
}

enum what { PREFLIGHT, DESCRIBE, DECIDE };

static const struct {
	const char *method, *path;
	enum what what;
} routes[] = {
	{ "OPTIONS", "/v1/signer", PREFLIGHT },
	{ "OPTIONS", "/v1/decisions", PREFLIGHT },
	{ "GET", "/v1/signer", DESCRIBE },
	{ "POST", "/v1/decisions", DECIDE },
};
#define NROUTES (sizeof routes / sizeof *routes)

/* Before the body is read: what needs none is answered, or refused. */
static enum MHD_Result
begin(struct approver *s, struct MHD_Connection *c, const char *path, const char *method)
{
	const char *host = s->lib->lookup_connection_value(c, MHD_HEADER_KIND, "Host");
	const char *origin = s->lib->lookup_connection_value(c, MHD_HEADER_KIND, "Origin");
	const char *authorization = s->lib->lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
	struct buf none = { 0 };
	struct err e = { 0 };
	unsigned status;
	size_t i = 0;

	status = approver_admits(&s->gate, host, origin, authorization, strcmp(method, "OPTIONS") == 0, &e);
	if (status)
		return refuse(s, c, status, &e, status == 401);
	while (i < NROUTES && (strcmp(routes[i].method, method) != 0 || strcmp(routes[i].path, path) != 0))
		i++;
	if (i == NROUTES) {
		err_field(&e, ERR_NOT_FOUND, "path", path, "GET /v1/signer or POST /v1/decisions");
		return refuse(s, c, 0, &e, true);
	}
	if (routes[i].what == DECIDE)
		return MHD_YES;
	return routes[i].what == DESCRIBE ? describe(s, c) : reply(s, c, 204, &none, true);
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *c, const char *path, const char *method, const char *version, const char *data,
    size_t *len, void **context)
{
	struct approver *s = arg;
	struct buf *body = *context;

	(void)version;
	if (!body) {
		body = *context = xcalloc(1, sizeof *body);
		body->max = BODY_BYTES;
		return begin(s, c, path, method);
	}
	if (!*len)
		return answer(s, c, body);
	buf_add(body, data, *len);
	*len = 0;
	return MHD_YES;
}

static void
on_completed(void *arg, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why)
{
	struct buf *body = *context;

	(void)arg;
	(void)c;
	(void)why;
	if (body)
		buf_free(body);
	free(body);
	*context = NULL;
}

/* ---- one session ---- */

static int stop_pipe[2] = { -1, -1 };

static void
on_signal(int signum)
{
	int saved = errno;

	(void)signum;
	if (write(stop_pipe[1], "", 1) < 0)
		errno = saved;
	errno = saved;
}

static void
catch_signals(void)
{
	struct sigaction s = { .sa_handler = on_signal };

	for (int i = 0; i < 2; i++)
		fcntl(stop_pipe[i], F_SETFD, FD_CLOEXEC);
	sigaction(SIGINT, &s, NULL);
	sigaction(SIGTERM, &s, NULL);
	sigaction(SIGHUP, &s, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Memory that is not written to a swap or into a core, and that no other process of this user looks into. OpenSSL keeps private keys
 * in the first of these, once it is there. */
static void
guard_memory(bool on)
{
	if (on && CRYPTO_secure_malloc_init(SECRET_BYTES, 32) != 1)
		fprintf(stderr, "uni-wizard: warning: memory for the key cannot be locked (ulimit -l), so it may be swapped\n");
	if (on)
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
#ifdef __linux__
	prctl(PR_SET_DUMPABLE, on ? 0 : 1);
#endif
}

/* The broker is there, and the key is one that agents believe. */
static int
take_key(struct approver *s)
{
	struct edict x;
	int rc = edict_open(&x, s->a, false);

	if (rc)
		return rc;
	snprintf(s->name, sizeof s->name, "%s", x.r.config.sovereign);
	snprintf(s->cluster, sizeof s->cluster, "%s", x.r.config.cluster);
	rc = x.local ? cmd_fail(EXIT_NO_ANSWER, "without a connection to the broker nothing can be decided") : edict_key(&x);
	if (!rc) {
		s->key = x.key;
		x.key = NULL;
	}
	edict_close(&x);
	return rc;
}

static int
listen_on(struct approver *s, int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof at;

	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (s->fd >= 0)
		fcntl(s->fd, F_SETFD, FD_CLOEXEC);
	setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&at, len) || listen(s->fd, CONNECTIONS_MAX) ||
	    getsockname(s->fd, (struct sockaddr *)&at, &len))
		return cmd_fail(EXIT_NOT_SUCCEEDED, "127.0.0.1 port %d: %s", port, strerror(errno));
	s->port = ntohs(at.sin_port);
	snprintf(s->gate.host, sizeof s->gate.host, "127.0.0.1:%d", s->port);
	return 0;
}

static void
draw_token(struct approver *s)
{
	unsigned char random[DIGEST_SIZE];
	struct digest *d = digest_new();

	if (RAND_bytes(random, sizeof random) != 1)
		abort();
	digest_format(random, s->token);
	digest_of(d, s->token, strlen(s->token), s->gate.token);
	digest_free(d);
}

/* What libmicrohttpd has to say is about clients that went away. */
static void
on_log(void *arg, const char *fmt, va_list ap)
{
	(void)arg;
	(void)fmt;
	(void)ap;
}

/* Its threads inherit the mask: signals are for who waits. */
static int
serve(struct approver *s)
{
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG;
	sigset_t all, before;
	struct err e;

	s->lib = mhd_load(&e);
	if (!s->lib)
		return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	s->daemon = s->lib->start_daemon(flags, 0, NULL, NULL, on_request, s,
	    MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
	    MHD_OPTION_LISTEN_SOCKET, s->fd,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES,
	    MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
	    MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return s->daemon ? 0 : cmd_fail(EXIT_NOT_SUCCEEDED, "libmicrohttpd does not start");
}

int
approver_open(struct approver **out, const struct cmd_args *a, const char *origin, int port, int64_t session_ms)
{
	struct approver *s = xcalloc(1, sizeof *s);
	int rc;

	s->a = a;
	s->fd = -1;
	s->decided = xcalloc(DECISIONS_MAX, sizeof *s->decided);
	pthread_mutex_init(&s->deciding, NULL);
	pthread_mutex_init(&s->telling, NULL);
	snprintf(s->gate.origin, sizeof s->gate.origin, "%s", origin);
	guard_memory(true);
	draw_token(s);
	if (pipe(stop_pipe))
		rc = cmd_fail(EXIT_NOT_SUCCEEDED, "pipe: %s", strerror(errno));
	else if (!(rc = listen_on(s, port)))
		rc = take_key(s);
	s->until_ms = clock_wall_ms() + session_ms;
	s->end_ms = clock_mono_ms() + session_ms;
	if (!rc) {
		catch_signals();
		rc = serve(s);
	}
	if (rc) {
		approver_close(s);
		s = NULL;
	}
	*out = s;
	return rc;
}

void
approver_put(const struct approver *s, struct buf *b)
{
	buf_addf(b, "%d:%s", s->port, s->token);
}

int64_t
approver_until_ms(const struct approver *s)
{
	return s->until_ms;
}

const char *
approver_key_id(const struct approver *s)
{
	return sign_key_public(s->key)->id;
}

const char *
approver_name(const struct approver *s)
{
	return s->name;
}

void
approver_run(struct approver *s)
{
	struct pollfd p = { .fd = stop_pipe[0], .events = POLLIN };
	int64_t left;

	while ((left = s->end_ms - clock_mono_ms()) > 0 && (poll(&p, 1, left > 60000 ? 60000 : (int)left) <= 0))
		;
}

void
approver_close(struct approver *s)
{
	if (s->daemon)
		s->lib->stop_daemon(s->daemon);
	else if (s->fd >= 0)
		close(s->fd);
	sign_key_free(s->key);
	guard_memory(false);
	pthread_mutex_destroy(&s->deciding);
	pthread_mutex_destroy(&s->telling);
	free(s->decided);
	free(s);
	for (int i = 0; i < 2; i++)
		if (stop_pipe[i] >= 0)
			close(stop_pipe[i]);
}
