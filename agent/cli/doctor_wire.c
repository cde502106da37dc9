#include "doctor_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "address.h"
#include "buf.h"
#include "clock.h"
#include "doctor_packet.h"
#include "ulid.h"

#define PACKET_MAX (4u << 20)           /* larger ones end the connection */

enum { CONNECT = 0x10, CONNACK = 0x20, PUBLISH = 0x30, PUBREC = 0x50, SUBSCRIBE = 0x82, SUBACK = 0x90, DISCONNECT = 0xe0 };
struct wire {
	int fd, limit_ms;
	SSL_CTX *ctx;
	SSL *ssl;
	int64_t until_ms;               /* of the step that goes on */
	struct wire_connack connack;
	uint16_t mid;
	struct buf in;                  /* read and not used */
	size_t used;
};

static int64_t
left_ms(const struct wire *w)
{
	int64_t left = w->until_ms - clock_mono_ms();

	return left > 0 ? left : 0;
}

static void
begin_step(struct wire *w)
{
	w->until_ms = clock_mono_ms() + w->limit_ms;
}

/* ---- TCP ---- */

static int
look_up(struct wire *w, struct address *a, struct err *e)
{
	address_look(a);
	while (a->looking && left_ms(w)) {
		poll(&(struct pollfd){ .fd = a->fd, .events = POLLIN }, 1, (int)left_ms(w));
		address_read(a);
	}
	if (a->n)
		return 0;
	return err_set(e, ERR_NETWORK, "%s: %s", a->host, a->looking ? "the name is not resolved in time"
	    : a->why[0] ? a->why : "no address");
}

static int
connect_one(struct wire *w, const char *address, int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	bool is_4 = inet_pton(AF_INET, address, &in.sin_addr) == 1;
	int error = 0;
	socklen_t size = sizeof error;

	inet_pton(AF_INET6, address, &in6.sin6_addr);
	w->fd = socket(is_4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
	if (w->fd < 0 || fcntl(w->fd, F_SETFL, O_NONBLOCK))
		return errno;
	if (connect(w->fd, is_4 ? (const struct sockaddr *)&in : (const struct sockaddr *)&in6,
	    is_4 ? sizeof in : sizeof in6) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (poll(&(struct pollfd){ .fd = w->fd, .events = POLLOUT }, 1, (int)left_ms(w)) <= 0)
		return ETIMEDOUT;
	return getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &size) ? errno : error;
}

static int
connect_any(struct wire *w, const struct address *a, int port, struct err *e)
{
	int error = 0;

	for (size_t i = 0; i < a->n; i++) {
		begin_step(w);
		if ((error = connect_one(w, a->text[i], port)) == 0)
			return 0;
		if (w->fd >= 0)
			close(w->fd);
		w->fd = -1;
	}
	return err_set(e, ERR_NETWORK, "%s port %d: %s", a->text[a->n - 1], port, strerror(error));
}

/* ---- TLS ---- */

static const char *
tls_why(void)
{
	unsigned long n = ERR_peek_last_error();
	const char *why = n ? ERR_reason_error_string(n) : NULL;

	ERR_clear_error();
	return why ? why : errno ? strerror(errno) : "the other side closed the connection";
}

/* 1: go on, 0: time is over, -1: failed. */
static int
tls_wait(struct wire *w, int rc)
{
	int want = SSL_get_error(w->ssl, rc);
	short events = want == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;

	if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
		return -1;
	return poll(&(struct pollfd){ .fd = w->fd, .events = events }, 1, (int)left_ms(w)) > 0;
}

static int
tls_files(struct wire *w, const struct wire_opts *o, struct err *e)
{
	w->ctx = SSL_CTX_new(TLS_client_method());
	if (!w->ctx || SSL_CTX_load_verify_locations(w->ctx, o->cafile, NULL) != 1)
		return err_set(e, ERR_CONFIG, "%s: %s", o->cafile, tls_why());
	SSL_CTX_set_min_proto_version(w->ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(w->ctx, SSL_VERIFY_PEER, NULL);
	if (o->certfile && SSL_CTX_use_certificate_chain_file(w->ctx, o->certfile) != 1)
		return err_set(e, ERR_CONFIG, "%s: %s", o->certfile, tls_why());
	if (o->certfile && SSL_CTX_use_PrivateKey_file(w->ctx, o->keyfile, SSL_FILETYPE_PEM) != 1)
		return err_set(e, ERR_CONFIG, "%s: %s", o->keyfile, tls_why());
	return 0;
}

static bool
is_alert(unsigned long n)
{
	return ERR_GET_LIB(n) == ERR_LIB_SSL && ERR_GET_REASON(n) >= SSL_AD_REASON_OFFSET;
}

/* Who did not like whose certificate. */
static enum wire_step
tls_blame(const struct wire *w)
{
	long verdict = SSL_get_verify_result(w->ssl);

	if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
		return WIRE_SAN;
	return verdict == X509_V_OK && is_alert(ERR_peek_last_error()) ? WIRE_CLIENT : WIRE_TLS;
}

static int
tls_connect(struct wire *w, const struct wire_opts *o, enum wire_step *step, struct err *e)
{
	X509_VERIFY_PARAM *p;
	long verdict;
	int rc, go = 1;

	w->ssl = SSL_new(w->ctx);
	p = SSL_get0_param(w->ssl);
	if (X509_VERIFY_PARAM_set1_ip_asc(p, o->host) != 1)
		X509_VERIFY_PARAM_set1_host(p, o->host, 0);
	ERR_clear_error();
	SSL_set_fd(w->ssl, w->fd);
	begin_step(w);
	errno = 0;
	while ((rc = SSL_connect(w->ssl)) != 1 && (go = tls_wait(w, rc)) == 1)
		;
	if (rc == 1)
		return 0;
	*step = tls_blame(w);
	verdict = SSL_get_verify_result(w->ssl);
	return err_set(e, ERR_NETWORK, "%s", go == 0 ? "no answer in TLS" : verdict != X509_V_OK
	    ? X509_verify_cert_error_string(verdict) : tls_why());
}

static int
send_all(struct wire *w, const struct buf *b, struct err *e)
{
	size_t done = 0;

	while (done < b->len) {
		int rc = SSL_write(w->ssl, b->data + done, (int)(b->len - done));

		if (rc > 0)
			done += (size_t)rc;
		else if (tls_wait(w, rc) != 1)
			return err_set(e, ERR_NETWORK, "the connection was lost: %s", tls_why());
	}
	return 0;
}

/* At least so many bytes from w->used on. 1: there are, 0: not in time, -1: gone. */
static int
fill(struct wire *w, size_t n, struct err *e)
{
	while (w->in.len - w->used < n) {
		char *at = buf_reserve(&w->in, 16384);
		int rc = at ? SSL_read(w->ssl, at, 16384) : -1, go;

		if (rc > 0) {
			w->in.len += (size_t)rc;
			continue;
		}
		go = at ? tls_wait(w, rc) : -1;
		if (go < 0) {
			unsigned long why = ERR_peek_last_error();

			return err_set(e, is_alert(why) ? ERR_DENIED : ERR_NETWORK, "%s", tls_why());
		}
		if (go == 0)
			return 0;
	}
	return 1;
}

/* ---- MQTT ---- */

static void
put_u16(struct buf *b, size_t n)
{
	buf_addc(b, (char)(n >> 8 & 0xff));
	buf_addc(b, (char)(n & 0xff));
}

static void
put_text(struct buf *b, const char *s)
{
	put_u16(b, strlen(s));
	buf_adds(b, s);
}

static int
send_packet(struct wire *w, int type, const struct buf *body, struct err *e)
{
	struct buf b = { 0 };
	size_t n = body->len;
	int rc;

	buf_addc(&b, (char)type);
	do {
		buf_addc(&b, (char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0)));
		n >>= 7;
	} while (n);
	buf_add(&b, body->data, body->len);
	rc = send_all(w, &b, e);
	buf_free(&b);
	return rc;
}

struct packet {
	int type;
	const unsigned char *p;
	size_t len;
};

/* 1, 0, -1 as wire_read(). */
static int
read_packet(struct wire *w, struct packet *k, struct err *e)
{
	size_t len = 0, head = 1;
	int rc, shift = 0;
	unsigned char c;

	if (w->used) {
		memmove(w->in.data, w->in.data + w->used, w->in.len - w->used);
		buf_cut(&w->in, w->in.len - w->used);
		w->used = 0;
	}
	do {
		if ((rc = fill(w, head + 1, e)) != 1)
			return rc;
		c = (unsigned char)w->in.data[head++];
		len |= (size_t)(c & 0x7f) << shift;
		shift += 7;
	} while (c & 0x80 && shift < 28);
	if (len > PACKET_MAX)
		return err_set(e, ERR_TOO_BIG, "a packet of %zu bytes", len);
	if ((rc = fill(w, head + len, e)) != 1)
		return rc;
	*k = (struct packet){ (unsigned char)w->in.data[0], (const unsigned char *)w->in.data + head, len };
	w->used = head + len;
	return 1;
}

static const char *
reason_text(int reason)
{
	static const struct {
		int reason;
		const char *text;
	} texts[] = {
		{ 0x84, "unsupported protocol version" }, { 0x85, "client identifier not valid" }, { 0x86, "bad user name or password" },
		{ 0x87, "not authorised" }, { 0x88, "server unavailable" }, { 0x89, "server busy" }, { 0x8a, "banned" },
		{ 0x8c, "bad authentication method" }, { 0x95, "packet too large" }, { 0x97, "quota exceeded" }, { 0x9d, "server moved" },
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i].reason == reason)
			return texts[i].text;
	return "refused";
}

static void
put_connect(struct buf *b, const struct wire_opts *o)
{
	char id[ULID_TEXT], client[48];
	struct ulid u;

	ulid_now(&u);
	ulid_format(&u, id);
	snprintf(client, sizeof client, "uw-doctor-%s", id);
	put_text(b, "MQTT");
	buf_addc(b, 5);
	buf_addc(b, 2);                 /* a clean start; and the session ends with the connection */
	put_u16(b, (size_t)o->keepalive_s);
	buf_addc(b, 0);
	put_text(b, client);
}

/* In TLS 1.3 the broker looks at our certificate when we are through already, so its alert comes here. */
static int
mqtt_connect(struct wire *w, const struct wire_opts *o, enum wire_step *step, struct err *e)
{
	struct buf b = { 0 };
	struct packet k;
	int rc, reason;

	begin_step(w);
	put_connect(&b, o);
	rc = send_packet(w, CONNECT, &b, e);
	buf_free(&b);
	if (rc == 0)
		rc = read_packet(w, &k, e);
	else
		rc = fill(w, 2, e) < 0 ? -1 : 0;
	*step = rc < 0 && e->code == ERR_DENIED ? WIRE_CLIENT : WIRE_MQTT;
	if (rc <= 0)
		return rc < 0 ? err_wrap(e, "no CONNACK") : err_set(e, ERR_TIMEOUT, "no CONNACK in time");
	if (k.type != CONNACK || k.len < 2)
		return err_set(e, ERR_PARSE, "what answers is no MQTT broker");
	if (k.len == 2) {
		*step = k.p[1] == 1 ? WIRE_OLD : WIRE_MQTT;
		return err_set(e, ERR_NETWORK, "CONNACK code %d", k.p[1]);
	}
	reason = packet_connack(k.p, k.len, &w->connack);
	if (reason) {
		*step = reason == 0x84 ? WIRE_OLD : WIRE_MQTT;
		return err_set(e, ERR_NETWORK, "CONNACK reason 0x%02x: %s", (unsigned)reason, reason_text(reason));
	}
	return 0;
}

struct wire *
wire_open(const struct wire_opts *o, enum wire_step *step, struct err *e)
{
	struct wire *w = xcalloc(1, sizeof *w);
	struct address a = { .host = o->host };
	int rc;

	signal(SIGPIPE, SIG_IGN);
	*w = (struct wire){ .fd = -1, .limit_ms = o->limit_ms, .in = { .max = PACKET_MAX + 65536 } };
	begin_step(w);
	*step = WIRE_FILES;
	rc = tls_files(w, o, e);
	if (rc == 0) {
		*step = WIRE_NAME;
		rc = look_up(w, &a, e);
	}
	if (rc == 0) {
		*step = WIRE_TCP;
		rc = connect_any(w, &a, o->port, e);
	}
	address_release(&a);
	if (rc == 0)
		rc = tls_connect(w, o, step, e);
	if (rc == 0)
		rc = mqtt_connect(w, o, step, e);
	if (rc == 0)
		return w;
	wire_close(w);
	return NULL;
}

void
wire_close(struct wire *w)
{
	static const struct buf nothing = { 0 };

	if (!w)
		return;
	if (w->ssl && SSL_is_init_finished(w->ssl)) {
		begin_step(w);
		send_packet(w, DISCONNECT, &nothing, NULL);
	}
	SSL_free(w->ssl);
	SSL_CTX_free(w->ctx);
	if (w->fd >= 0)
		close(w->fd);
	buf_free(&w->in);
	free(w);
}

const struct wire_connack *
wire_connack(const struct wire *w)
{
	return &w->connack;
}

int
wire_cert_days(const struct wire *w)
{
	X509 *x = SSL_get1_peer_certificate(w->ssl);
	int days = 0, seconds;

	if (x)
		ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x));
	X509_free(x);
	return days;
}

/* The answer of that type to the latest packet; messages that come meanwhile are passed over. */
static int
await(struct wire *w, int type, struct packet *k, struct err *e)
{
	int rc;

	while ((rc = read_packet(w, k, e)) == 1) {
		if ((k->type & 0xf0) == DISCONNECT)
			return err_set(e, ERR_NETWORK, "the broker disconnects: reason 0x%02x", k->len ? (unsigned)k->p[0] : 0);
		if (k->type == type && k->len >= 2 && packet_number(k->p, 2) == w->mid)
			return 0;
	}
	return rc == 0 ? err_set(e, ERR_TIMEOUT, "no answer in time") : -1;
}

int
wire_try(struct wire *w, const char *topic, struct err *e)
{
	struct buf b = { 0 };
	struct packet k;
	int rc;

	put_text(&b, topic);
	put_u16(&b, ++w->mid);
	buf_addc(&b, 0);
	begin_step(w);
	rc = send_packet(w, PUBLISH | 2 << 1, &b, e);
	buf_free(&b);
	return rc || await(w, PUBREC, &k, e) ? -1 : k.len > 2 ? k.p[2] : 0;
}

int
wire_publish(struct wire *w, const char *topic, const char *text, struct err *e)
{
	struct buf b = { 0 };
	int rc;

	put_text(&b, topic);
	buf_addc(&b, 0);
	buf_adds(&b, text);
	begin_step(w);
	rc = send_packet(w, PUBLISH, &b, e);
	buf_free(&b);
	return rc;
}

int
wire_subscribe(struct wire *w, const char *filter, struct err *e)
{
	struct buf b = { 0 };
	struct packet k;
	int rc;

	put_u16(&b, ++w->mid);
	buf_addc(&b, 0);
	put_text(&b, filter);
	buf_addc(&b, 0);
	begin_step(w);
	rc = send_packet(w, SUBSCRIBE, &b, e);
	buf_free(&b);
	return rc || await(w, SUBACK, &k, e) ? -1 : packet_suback(k.p, k.len);
}

int
wire_read(struct wire *w, int limit_ms, struct wire_message *m, struct err *e)
{
	struct packet k;
	int rc;

	w->until_ms = clock_mono_ms() + limit_ms;
	while ((rc = read_packet(w, &k, e)) == 1)
		if ((k.type & 0xf0) == PUBLISH && packet_message(k.type, k.p, k.len, m))
			return 1;
	return rc;
}
