#include "mqtt.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "buf.h"
#include "clock.h"
#include "err.h"

#define GOODBYE_MS 400

#define BUDGET_BYTES 4096               /* of a payload that count as one more message */

/* A broker that is being stopped closes too; so it is asked more than once before a session is made in the older
 * version. Where nothing is kept, a wrong guess costs nothing. */
#define CLOSED_MAX 3
#define CLOSED_MAX_CLEAN 1

struct mqtt {
	struct mosquitto *mosq;
	struct mqtt_opts o;
	SSL_CTX *ssl;
	bool v5;
	bool up, dead;
	bool refused;           /* there was a CONNACK */
	bool greeted;           /* TLS is through: the broker has our CONNECT, or will at once */
	bool held;              /* messages were read that are not yet committed */
	unsigned long events;   /* callbacks so far: tells whether a read brought anything */
	int messages;           /* in the read that is going on */
	int connect_errno;      /* why the socket failed before it was up */
};

static unsigned char
closed_max(const struct mqtt *m)
{
	return m->o.clean ? CLOSED_MAX_CLEAN : CLOSED_MAX;
}

/* It said itself which version it wants. */
static void
note_refusal(struct mqtt *m)
{
	if (!m->o.known)
		return;
	*m->o.known = (struct mqtt_known){ .old = m->v5, .again = m->v5 };
}

/* The connection ended before its CONNACK. */
static void
note_silence(struct mqtt *m)
{
	struct mqtt_known *k = m->o.known;

	if (!k || !m->greeted)
		return;
	k->closed = m->v5 ? (unsigned char)(k->closed + 1) : 0;
	k->again = m->v5 && k->closed >= closed_max(m);
}

/* What was only guessed is asked again the next time, once. */
static void
note_success(struct mqtt *m)
{
	struct mqtt_known *k = m->o.known;

	if (k)
		k->closed = m->v5 || k->old ? 0 : (unsigned char)(closed_max(m) - 1);
}

static void
go_down(struct mqtt *m, const char *why)
{
	if (m->dead)
		return;
	m->dead = true;
	if (!m->up && !m->refused)
		note_silence(m);
	m->up = false;
	m->o.on_down(m->o.arg, why);
}

static int
refusal_of_version(const struct mqtt *m)
{
	return m->v5 ? MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION : CONNACK_REFUSED_PROTOCOL_VERSION;
}

static void
connected(struct mosquitto *mosq, void *arg, int rc, int flags, const mosquitto_property *props)
{
	struct mqtt *m = arg;

	(void)mosq;
	(void)props;
	m->events++;
	if (rc) {
		m->refused = true;
		if (rc == refusal_of_version(m))
			note_refusal(m);
		go_down(m, m->v5 ? mosquitto_reason_string(rc) : mosquitto_connack_string(rc));
	} else {
		m->up = true;
		note_success(m);
		m->o.on_up(m->o.arg, flags & 1);
	}
	errno = 0;
}

static void
disconnected(struct mosquitto *mosq, void *arg, int rc, const mosquitto_property *props)
{
	(void)mosq;
	(void)props;
	go_down(arg, rc == MOSQ_ERR_ERRNO && errno ? strerror(errno) : mosquitto_strerror(rc));
	errno = 0;
}

static void
received(struct mosquitto *mosq, void *arg, const struct mosquitto_message *in, const mosquitto_property *props)
{
	struct mqtt *m = arg;
	struct mqtt_msg msg = { .topic = in->topic, .payload = in->payload ? in->payload : "",
		.len = (size_t)in->payloadlen, .mid = in->qos ? in->mid : 0, .qos = in->qos,
		.retained = in->retain };
	char *response = NULL;
	void *correlation = NULL;
	uint16_t n = 0;

	(void)mosq;
	mosquitto_property_read_string(props, MQTT_PROP_RESPONSE_TOPIC, &response, false);
	mosquitto_property_read_binary(props, MQTT_PROP_CORRELATION_DATA, &correlation, &n, false);
	msg.response_topic = response;
	msg.correlation = correlation;
	msg.correlation_len = n;
	m->events++;
	m->messages += 1 + in->payloadlen / BUDGET_BYTES;
	m->held = true;
	m->o.on_message(m->o.arg, &msg);
	free(response);
	free(correlation);
	errno = 0;
}

static void
sent(struct mosquitto *mosq, void *arg, int mid, int reason, const mosquitto_property *props)
{
	struct mqtt *m = arg;

	(void)mosq;
	(void)props;
	m->events++;
	if (m->o.on_sent)
		m->o.on_sent(m->o.arg, mid, reason);
	errno = 0;
}

static void
subscribed(struct mosquitto *mosq, void *arg, int mid, int n, const int *granted, const mosquitto_property *props)
{
	struct mqtt *m = arg;

	(void)mosq;
	(void)props;
	m->events++;
	if (m->o.on_subscribed)
		m->o.on_subscribed(m->o.arg, mid, n ? granted[0] : 0x80);
	errno = 0;
}

static int
tls_error(struct err *e, const char *what, const char *path)
{
	char text[160];

	ERR_error_string_n(ERR_get_error(), text, sizeof text);
	ERR_clear_error();
	return err_set(e, ERR_CONFIG, "%s %s: %s", what, path, text);
}

/* The name is checked against the certificate by OpenSSL itself: libmosquitto would check the
 * numeric address that we resolved. */
static int
make_ssl(struct mqtt *m, struct err *e)
{
	SSL_CTX *c = m->ssl = SSL_CTX_new(TLS_client_method());
	X509_VERIFY_PARAM *p;

	if (!c)
		return tls_error(e, "TLS", "");
	p = SSL_CTX_get0_param(c);
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_mode(c, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(c, 1);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_load_verify_locations(c, m->o.cafile, NULL) != 1)
		return tls_error(e, "cannot use the CA file", m->o.cafile);
	if (SSL_CTX_use_certificate_chain_file(c, m->o.certfile) != 1)
		return tls_error(e, "cannot use the certificate", m->o.certfile);
	if (SSL_CTX_use_PrivateKey_file(c, m->o.keyfile, SSL_FILETYPE_PEM) != 1)
		return tls_error(e, "cannot use the key", m->o.keyfile);
	if (X509_VERIFY_PARAM_set1_ip_asc(p, m->o.host) != 1 && X509_VERIFY_PARAM_set1_host(p, m->o.host, 0) != 1)
		return tls_error(e, "bad host name", m->o.host);
	return 0;
}

static int
set_options(struct mqtt *m, struct err *e)
{
	int rc = mosquitto_int_option(m->mosq, MOSQ_OPT_PROTOCOL_VERSION, m->v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);

	if (!rc)
		rc = mosquitto_int_option(m->mosq, MOSQ_OPT_RECEIVE_MAXIMUM, m->o.receive_max);
	if (!rc)
		rc = mosquitto_int_option(m->mosq, MOSQ_OPT_SEND_MAXIMUM, UINT16_MAX);
	if (!rc)
		rc = mosquitto_int_option(m->mosq, MOSQ_OPT_TCP_NODELAY, 1);
	if (!rc)
		rc = mosquitto_int_option(m->mosq, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
	if (!rc)
		rc = mosquitto_void_option(m->mosq, MOSQ_OPT_SSL_CTX, m->ssl);
	if (!rc)
		rc = mosquitto_threaded_set(m->mosq, true);
	if (!rc && m->o.will_topic)
		rc = mosquitto_will_set_v5(m->mosq, m->o.will_topic, (int)m->o.will_len, m->o.will, 1, true, NULL);
	return rc ? err_set(e, ERR_INTERNAL, "libmosquitto: %s", mosquitto_strerror(rc)) : 0;
}

/* CONNECT properties can only be given to the blocking call, which keeps them for later ones. So it is
 * made to fail before it touches the network, by a keepalive that it refuses. (A bind address that does not
 * exist would do too, but version 2.0.11 cannot be rid of one again: it frees the text and goes on using it.) */
static int
prime_properties(struct mqtt *m, struct err *e)
{
	mosquitto_property *props = NULL;
	int rc = mosquitto_property_add_int32(&props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, m->o.session_expiry_s);

	if (!rc)
		rc = mosquitto_property_add_int16(&props, MQTT_PROP_RECEIVE_MAXIMUM, m->o.receive_max);
	if (!rc)
		rc = mosquitto_property_add_int32(&props, MQTT_PROP_MAXIMUM_PACKET_SIZE, m->o.max_packet);
	if (!rc)
		mosquitto_connect_bind_v5(m->mosq, m->o.address, m->o.port, 1, NULL, props);
	mosquitto_property_free_all(&props);
	return rc ? err_set(e, ERR_INTERNAL, "libmosquitto: %s", mosquitto_strerror(rc)) : 0;
}

static void
set_callbacks(struct mqtt *m)
{
	mosquitto_connect_v5_callback_set(m->mosq, connected);
	mosquitto_disconnect_v5_callback_set(m->mosq, disconnected);
	mosquitto_message_v5_callback_set(m->mosq, received);
	mosquitto_publish_v5_callback_set(m->mosq, sent);
	mosquitto_subscribe_v5_callback_set(m->mosq, subscribed);
}

/* libmosquitto takes a socket that failed during the TLS handshake for one that is not ready yet, and would
 * ask for the next try at once, for ever. */
static bool
note_connect_errno(struct mqtt *m)
{
	static const int fatal[] = { ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH };

	for (size_t i = 0; !m->up && i < sizeof fatal / sizeof *fatal; i++)
		if (errno == fatal[i] && !m->connect_errno)
			m->connect_errno = errno;
	return !m->up && m->connect_errno;
}

static bool
speaks_v5(const struct mqtt *m)
{
	const struct mqtt_known *k = m->o.known;

	return !k || (!k->old && k->closed < closed_max(m));
}

struct mqtt *
mqtt_connect(const struct mqtt_opts *o, struct err *e)
{
	static bool ready;
	struct mqtt *m = xcalloc(1, sizeof *m);
	int rc;

	if (!ready) {
		mosquitto_lib_init();
		ready = true;
	}
	m->o = *o;
	m->v5 = speaks_v5(m);
	if (o->known)
		o->known->again = false;
	if (make_ssl(m, e))
		goto fail;
	m->mosq = mosquitto_new(o->client_id, o->clean, m);
	if (!m->mosq) {
		err_set(e, ERR_INTERNAL, "libmosquitto: cannot make a client %s", o->client_id);
		goto fail;
	}
	if (set_options(m, e) || (m->v5 && prime_properties(m, e)))
		goto fail;
	set_callbacks(m);
	errno = 0;
	rc = mosquitto_connect_async(m->mosq, o->address, o->port, o->keepalive_s);
	if (rc) {
		err_set(e, ERR_NETWORK, "%s", rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
		goto fail;
	}
	note_connect_errno(m);
	return m;
fail:
	mqtt_close(m, false);
	return NULL;
}

/* A socket that is closed with unread bytes in it is reset, and the broker may never read what was sent last: then
 * it publishes the will of a client that said goodbye. So a second descriptor keeps it open until the broker
 * has closed its side. */
static void
say_goodbye(struct mqtt *m)
{
	int fd = dup(mosquitto_socket(m->mosq));
	int64_t end = clock_mono_ms() + GOODBYE_MS;
	char unread[4096];

	mosquitto_disconnect(m->mosq);
	mosquitto_loop_write(m->mosq, 1);
	if (fd < 0)
		return;
	shutdown(fd, SHUT_WR);
	while (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, GOODBYE_MS / 4) > 0 &&
	    read(fd, unread, sizeof unread) > 0 && clock_mono_ms() < end)
		;
	close(fd);
}

void
mqtt_close(struct mqtt *m, bool polite)
{
	if (!m)
		return;
	m->dead = true;
	if (m->mosq) {
		mosquitto_disconnect_v5_callback_set(m->mosq, NULL);
		if (polite && m->up)
			say_goodbye(m);
		mosquitto_destroy(m->mosq);
	}
	SSL_CTX_free(m->ssl);
	free(m);
}

int
mqtt_fd(const struct mqtt *m)
{
	return m->dead ? -1 : mosquitto_socket(m->mosq);
}

bool
mqtt_want_write(const struct mqtt *m)
{
	return !m->dead && !m->held && mosquitto_want_write(m->mosq);
}

bool
mqtt_is_up(const struct mqtt *m)
{
	return m && m->up && !m->dead;
}

bool
mqtt_is_v5(const struct mqtt *m)
{
	return m && m->v5;
}

/* Asked before each call, for when one fails, nothing is left to ask. */
static void
look_at_handshake(struct mqtt *m)
{
	const SSL *ssl = m->up || m->greeted ? NULL : mosquitto_ssl_get(m->mosq);

	m->greeted |= ssl && SSL_is_init_finished(ssl);
}

static bool
tls_has_more(const struct mqtt *m)
{
	SSL *ssl = m->dead ? NULL : mosquitto_ssl_get(m->mosq);

	return ssl && SSL_has_pending(ssl);
}

/* A call may stop early with bytes left inside OpenSSL, where poll() cannot see them: go on until a
 * call brings nothing. A record that is only half here also counts as pending, hence the two tries. */
bool
mqtt_read(struct mqtt *m, int budget)
{
	int idle = 0;

	m->messages = 0;
	while (!m->dead && idle < 2) {
		unsigned long before = m->events;
		int rc;

		if (m->messages >= budget)
			return true;
		look_at_handshake(m);
		errno = 0;
		rc = mosquitto_loop_read(m->mosq, 1);
		if (rc) {
			go_down(m, rc == MOSQ_ERR_ERRNO && errno ? strerror(errno) : mosquitto_strerror(rc));
			break;
		}
		if (note_connect_errno(m)) {
			go_down(m, strerror(m->connect_errno));
			break;
		}
		if (m->events != before)
			idle = 0;
		else if (tls_has_more(m))
			idle++;
		else
			break;
	}
	return false;
}

/* Writing to a broker that is gone fails, and libmosquitto then closes the socket with all that the broker had
 * sent and we have not read: tasks that their senders know to be taken. So it is read first, to its end. */
static bool
peer_is_gone(const struct mqtt *m)
{
#ifdef POLLRDHUP
	struct pollfd p = { .fd = mosquitto_socket(m->mosq), .events = POLLRDHUP };
#else
	struct pollfd p = { .fd = mosquitto_socket(m->mosq), .events = POLLIN };
#endif

	return poll(&p, 1, 0) > 0 && (p.revents & ~POLLIN);
}

void
mqtt_write(struct mqtt *m)
{
	m->held = false;
	if (!m->dead && mosquitto_want_write(m->mosq) && !peer_is_gone(m)) {
		int rc;

		look_at_handshake(m);
		rc = mosquitto_loop_write(m->mosq, 1);
		if (rc)
			go_down(m, mosquitto_strerror(rc));
	}
}

void
mqtt_tick(struct mqtt *m)
{
	int rc;

	if (!m->dead && (rc = mosquitto_loop_misc(m->mosq)))
		go_down(m, mosquitto_strerror(rc));
}

static bool
is_hopeless(int rc)
{
	return rc == MOSQ_ERR_OVERSIZE_PACKET || rc == MOSQ_ERR_PAYLOAD_SIZE || rc == MOSQ_ERR_MALFORMED_UTF8 ||
	    rc == MOSQ_ERR_INVAL;
}

int
mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t len, int qos, bool retain,
    const char *response_topic, const void *correlation, size_t correlation_len, uint32_t expiry_s,
    struct err *e)
{
	mosquitto_property *props = NULL;
	int rc = 0, mid = 0;

	if (m->dead || !m->up)
		return err_set(e, ERR_NETWORK, "not connected");
	if (m->v5 && response_topic)
		rc = mosquitto_property_add_string(&props, MQTT_PROP_RESPONSE_TOPIC, response_topic);
	if (!rc && m->v5 && correlation_len)
		rc = mosquitto_property_add_binary(&props, MQTT_PROP_CORRELATION_DATA, correlation,
		    (uint16_t)correlation_len);
	if (!rc && m->v5 && expiry_s)
		rc = mosquitto_property_add_int32(&props, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, expiry_s);
	if (!rc)
		rc = mosquitto_publish_v5(m->mosq, &mid, topic, (int)len, payload, qos, retain, props);
	mosquitto_property_free_all(&props);
	if (rc)
		return err_set(e, is_hopeless(rc) ? ERR_INVALID : ERR_NETWORK, "publish to %s: %s", topic,
		    mosquitto_strerror(rc));
	return mid;
}

int
mqtt_subscribe(struct mqtt *m, const char *filter, int qos, struct err *e)
{
	int mid = 0, rc = mosquitto_subscribe_v5(m->mosq, &mid, filter, qos, 0, NULL);

	return rc ? err_set(e, ERR_NETWORK, "subscribe to %s: %s", filter, mosquitto_strerror(rc)) : mid;
}

void
mqtt_unsubscribe(struct mqtt *m, const char *filter)
{
	mosquitto_unsubscribe(m->mosq, NULL, filter);
}
