#include "clock.h"
#include "remote.h"
#include "spool.h"

#define LOOK_MS 1000            /* other commands may add to the outbox meanwhile */

static const struct cmd_opt opts[] = {
	{ .name = "within", .kind = OPT_INT, .arg = "S", .min = 1, .max = 604800,
	  .help = "give up after S seconds (default 60)" },
	{ .name = NULL },
};

/* What is in it may still be a running command's, which is left a few seconds to care for it. */
static bool
is_empty(struct remote *r)
{
	struct client_spooled *s;
	size_t n;

	if (client_spooled(r->client, &s, &n, NULL) == 0)
		client_spooled_free(s, n);
	return n == 0;
}

static int
drain(struct remote *r, int64_t end_ms)
{
	const bool never = false;
	struct err e;
	int n, rc;

	for (;;) {
		n = client_resume(r->client, &e);
		if (n < 0)
			return cmd_fail(EXIT_NOT_SUCCEEDED, "%s", e.msg);
		if (!n && !client_pending(r->client) && is_empty(r))
			return EXIT_OK;
		if (clock_mono_ms() >= end_ms)
			return cmd_fail(EXIT_SPOOLED, "%lld tasks still wait in the outbox: %s",
			    (long long)client_pending(r->client), client_why_down(r->client));
		rc = remote_wait(r, &never, LOOK_MS);
		if (rc != EXIT_NO_ANSWER)
			return rc;
	}
}

static int
send_run(const struct cmd_args *a)
{
	struct remote r;
	struct err e;
	int rc = remote_open(&r, a, NULL, NULL, NULL), lock;

	if (rc)
		return rc;
	lock = spool_lock(&r.config, a->identity ? a->identity : r.config.identity, &e);
	if (lock >= 0)
		rc = drain(&r, clock_mono_ms() + cmd_int(a, "within", 60) * 1000);
	else
		rc = cmd_fail(e.code == ERR_BUSY ? EXIT_OK : EXIT_NOT_SUCCEEDED, "%s", e.msg);
	remote_close(&r);
	if (lock >= 0)
		close(lock);
	return rc;
}

const struct cmd cmd_outbox_send = {
	.name = "outbox send",
	.help = "Send what waits in the local outbox, and end when all of it was accepted",
	.more = "`submit` starts this by itself when it has to leave a task in the outbox.",
	.opts = opts,
	.run = send_run,
};
