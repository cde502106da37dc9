#include <errno.h>
#include <poll.h>

#include "base64.h"
#include "clock.h"
#include "file.h"
#include "http.h"
#include "net.h"
#include "param.h"
#include "secret.h"
#include "tls.h"
#include "tool.h"

#define BANNER_MAX 512
#define SPARE_MS 500            /* to report before the worker is stopped */

struct check {
	struct tool_run *r;
	const char *host;
	struct buf ca;
	struct net_addrs addrs;
	struct net_dial dials[NET_MAX_DIALS];
	size_t n;
	size_t count[NET_OPEN + 1];
};

static void
add_port(struct check *c, int64_t port)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->dials[i].port == (int)port)
			return;
	c->dials[c->n++] = (struct net_dial){ .addrs = &c->addrs, .port = (int)port };
}

static int
read_ports(struct check *c, struct err *e)
{
	const cJSON *ports = cJSON_GetObjectItemCaseSensitive(c->r->params, "ports"), *one;
	int64_t port = param_int(c->r, "port");

	cJSON_ArrayForEach(one, ports)
		if (json_int(one, &port))
			add_port(c, port);
	if (!ports && port)
		add_port(c, port);
	if (ports && param_int(c->r, "port"))
		return err_field(e, ERR_INVALID, "params.port", NULL, "either port or ports");
	return c->n ? 0 : err_field(e, ERR_MISSING, "params.port", NULL, "port or ports");
}

/* How long the next step may take: what was asked for, within what the task has left. */
static int64_t
step_deadline(const struct check *c)
{
	int64_t until = clock_mono_ms() + param_int(c->r, "timeout_ms");
	int64_t last = run_deadline(c->r, SPARE_MS);

	return until < last ? until : last;
}

/* What a server says of its own accord, in its first packet. */
static void
put_banner(const struct check *c, int fd, struct buf *result)
{
	struct buf b = { .max = 4 * BANNER_MAX };
	char *to = buf_reserve(&b, BANNER_MAX);
	ssize_t n = net_wait(fd, POLLIN, step_deadline(c)) ? recv(fd, to, BANNER_MAX, 0) : -1;
	bool text;

	if (n <= 0) {
		json_kv_str(result, "banner", NULL);
		buf_free(&b);
		return;
	}
	b.len = (size_t)n;
	secret_mask(c->r->env->config, &b);
	text = file_text_fits(b.data, b.len, 24 * BANNER_MAX, &text) == b.len;
	json_put_key(result, text ? "banner" : "banner_base64");
	if (text) {
		json_put_strn(result, b.data, b.len);
	} else {
		buf_addc(result, '"');
		base64_put(result, b.data, b.len);
		buf_addc(result, '"');
	}
	buf_free(&b);
}

static void
put_tls(const struct check *c, int fd, struct buf *result)
{
	struct buf b = { .max = 32768 };
	struct err e = { 0 };

	if (tls_inspect(fd, c->host, &c->ca, step_deadline(c), &b, &e) == 0)
		json_kv_raw(result, "tls", b.data, b.len);
	else
		json_kv_str(result, "tls_error", e.msg);
	buf_free(&b);
}

static void
put_port(const struct check *c, const struct net_dial *d, struct buf *result)
{
	json_put_open(result, '{');
	json_kv_int(result, "port", d->port);
	json_kv_str(result, "state", net_state_name(d->state));
	json_kv_str(result, "address", d->address);
	json_kv_num(result, "ms", (double)d->us / 1000);
	if (d->state == NET_UNREACHABLE)
		json_kv_str(result, "reason", strerror(d->error));
	if (d->state == NET_OPEN && param_bool(c->r, "tls"))
		put_tls(c, d->fd, result);
	else if (d->state == NET_OPEN && param_bool(c->r, "banner"))
		put_banner(c, d->fd, result);
	json_put_close(result, '}');
}

static void
put_check(const struct check *c, struct buf *result)
{
	bool cut = false;
	size_t listed = 0;

	json_put_open(result, '{');
	json_kv_str(result, "host", c->host);
	for (int s = NET_OPEN; s >= 0; s--)
		json_kv_int(result, net_state_name((enum net_state)s), (int64_t)c->count[s]);
	json_put_key(result, "ports");
	json_put_open(result, '[');
	for (; listed < c->n && !cut; listed++) {
		size_t before = result->len;

		put_port(c, &c->dials[listed], result);
		cut = result->len + 64 > c->r->max_output;
		if (cut)
			buf_cut(result, before);
	}
	json_put_close(result, ']');
	json_kv_bool(result, "truncated", cut);
	json_put_close(result, '}');
}

/* The task fails if one port is not as it was said it has to be. */
static int
check_expected(const struct check *c, struct err *e)
{
	const char *expect = param_str(c->r, "expect");
	bool any = strcmp(expect, "any") == 0, open = strcmp(expect, "open") == 0;

	for (size_t i = 0; i < c->n && !any; i++) {
		const struct net_dial *d = &c->dials[i];

		if ((d->state == NET_OPEN) != open)
			return err_set(e, ERR_TOOL, "port %d of %s is %s, expected %s", d->port, c->host,
			    net_state_name(d->state), expect);
	}
	return 0;
}

static int
port_check_run(struct tool_run *r, struct buf *result, struct err *e)
{
	struct check c = { .r = r, .host = param_str(r, "host") };
	int rc;

	if (read_ports(&c, e))
		return -1;
	if (net_resolve(c.host, &c.addrs, e))
		return err_wrap(e, "params.host");
	if (http_ca_read(r, &c.ca, e))
		return -1;
	net_dial(c.dials, c.n, step_deadline(&c));
	for (size_t i = 0; i < c.n; i++)
		c.count[c.dials[i].state]++;
	rc = check_expected(&c, e);
	if (rc == 0)
		put_check(&c, result);
	for (size_t i = 0; i < c.n; i++)
		if (c.dials[i].fd >= 0)
			close(c.dials[i].fd);
	buf_free(&c.ca);
	return rc;
}

const struct tool tool_port_check = {
	.name = "port_check",
	.summary = "Tries TCP ports; on request shows the TLS certificate or what the server says first",
	.schema = "{\"type\":\"object\",\"required\":[\"host\"],\"properties\":{"
	    "\"host\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9_.:%-]+$\",\"maxLength\":253,"
	    "\"description\":\"A name or a numeric address.\"},"
	    "\"port\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535,"
	    "\"description\":\"One port; give this or ports.\"},"
	    "\"ports\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":64,"
	    "\"items\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535},"
	    "\"description\":\"Several, tried side by side.\"},"
	    "\"timeout_ms\":{\"type\":\"integer\",\"minimum\":10,\"maximum\":30000,\"default\":3000,"
	    "\"description\":\"For connecting, and again for TLS or the banner of each port.\"},"
	    "\"tls\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Shake hands: protocol, certificate, names, expiry, whether it is trusted.\"},"
	    "\"ca_file\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
	    "\"description\":\"PEM file beneath a root: trust these authorities instead of the system's.\"},"
	    "\"banner\":{\"type\":\"boolean\",\"default\":false,"
	    "\"description\":\"Read what the server says first, up to 512 bytes.\"},"
	    "\"expect\":{\"enum\":[\"any\",\"open\",\"closed\"],\"default\":\"any\","
	    "\"description\":\"The task fails unless every port is open, or none is.\"}}}",
	.effect = TOOL_READ,
	.timeout_s = 60,
	.run = port_check_run,
};
