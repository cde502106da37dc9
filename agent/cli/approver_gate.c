/*
 * approver_gate.c - whom the sovereign's signer lets in, and what it reads.
 */
#include <ctype.h>
#include <openssl/crypto.h>
#include <string.h>

#include "approver.h"
#include "json.h"

/* ---- headers ---- */

static bool
token_fits(const struct approver_gate *g, const char *authorization)
{
	unsigned char digest[DIGEST_SIZE];
	struct digest *d = digest_new();

	digest_of(d, authorization, strlen(authorization), digest);
	digest_free(d);
	return CRYPTO_memcmp(digest, g->token, sizeof digest) == 0;
}

unsigned
approver_admits(const struct approver_gate *g, const char *host, const char *origin, const char *authorization, bool preflight,
    struct err *e)
{
	/* A name that somebody lets point here is no reason to answer. */
	if (!host || strcmp(host, g->host) != 0)
		return err_field(e, ERR_DENIED, "Host", host, "%s", g->host), 403;
	if (!origin || strcmp(origin, g->origin) != 0)
		return err_field(e, ERR_DENIED, "Origin", origin, "%.100s, the page that this signer is for", g->origin), 403;
	if (preflight)
		return 0;
	if (!authorization || strncmp(authorization, "Bearer ", 7) != 0)
		return err_field(e, ERR_DENIED, "Authorization", authorization ? "something else" : NULL, "Bearer and the token of the link"), 401;
	if (!token_fits(g, authorization + 7))
		return err_field(e, ERR_DENIED, "Authorization", "another token", "the token of this signer's link"), 401;
	return 0;
}

/* ---- what is asked ---- */

struct body {
	char task[ULID_TEXT], hash[CANONICAL_HASH], decision[16], reason[SOVEREIGN_WHY];
};

static const struct json_field fields[] = {
	JSON_FIELD(struct body, task, JSON_TEXT, true),
	JSON_FIELD(struct body, hash, JSON_TEXT, true),
	JSON_FIELD(struct body, decision, JSON_TEXT, true),
	JSON_FIELD(struct body, reason, JSON_TEXT, false),
	JSON_END
};

static int
check_body(const struct body *b, struct err *e)
{
	unsigned char digest[DIGEST_SIZE];
	struct ulid id;

	if (!ulid_parse(b->task, &id))
		return err_field(e, ERR_INVALID, "task", b->task, "the id of a task");
	if (digest_parse(b->hash, digest))
		return err_field(e, ERR_INVALID, "hash", b->hash, "the whole hash that is shown, 64 hexadecimal digits");
	if (strcmp(b->decision, "approve") != 0 && strcmp(b->decision, "deny") != 0)
		return err_field(e, ERR_INVALID, "decision", b->decision, "approve or deny");
	if (b->decision[0] == 'd' && !b->reason[strspn(b->reason, " \t\r\n")])
		return err_field(e, ERR_MISSING, "reason", NULL, "why it is denied: whoever asked is told it");
	return 0;
}

int
approver_parse(struct approver_ask *out, const char *body, size_t len, struct err *e)
{
	struct body b = { .reason = "" };
	cJSON *o = json_parse_object(body, len, e);
	const char *unknown = o ? json_unknown(o, fields) : NULL;
	struct ulid id;
	int rc = -1;

	*out = (struct approver_ask){ .approve = false };
	if (!o)
		return err_wrap(e, "the body");
	if (unknown)
		err_field(e, ERR_INVALID, unknown, "something", "task, hash, decision or reason");
	else if (json_read(o, fields, &b, e) == 0 && check_body(&b, e) == 0)
		rc = 0;
	cJSON_Delete(o);
	if (rc)
		return rc;
	ulid_parse(b.task, &id);
	ulid_format(&id, out->task);
	memcpy(out->hash, b.hash, sizeof out->hash);
	memcpy(out->reason, b.reason, sizeof out->reason);
	out->approve = b.decision[0] == 'a';
	return 0;
}

/* ---- the page ---- */

static bool
is_loopback(const char *host, size_t n)
{
	return (n == 9 && memcmp(host, "127.0.0.1", n) == 0) || (n == 9 && memcmp(host, "localhost", n) == 0) ||
	    (n == 5 && memcmp(host, "[::1]", n) == 0);
}

/* What follows the host: nothing, or a port; 0: it is something else. */
static int
port_of(const char *p, int usual)
{
	char *end = (char *)p;
	long n = usual;

	if (*p == ':' && isdigit((unsigned char)p[1]))
		n = strtol(p + 1, &end, 10);
	end += *end == '/';
	return *end || n < 1 || n > 65535 ? 0 : (int)n;
}

int
approver_origin(char out[APPROVER_ORIGIN], const char *address, struct err *e)
{
	bool tls = strncmp(address, "https://", 8) == 0;
	const char *host = address + (tls ? 8 : 7);
	size_t n, at;
	int port, usual = tls ? 443 : 80;

	if (!tls && strncmp(address, "http://", 7) != 0)
		return err_field(e, ERR_INVALID, "address", address, "https://HOST[:PORT]");
	n = *host == '[' ? strspn(host + 1, "0123456789abcdefABCDEF:") + 2 : strspn(host, "0123456789abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-");
	if (n == 0 || n > 128 || strnlen(host, n) < n || (*host == '[' && host[n - 1] != ']') || !(port = port_of(host + n, usual)))
		return err_field(e, ERR_INVALID, "address", address, "https://HOST[:PORT], and no more");
	if ((n == 7 && memcmp(host, "0.0.0.0", n) == 0) || (n == 4 && memcmp(host, "[::]", n) == 0))
		return err_field(e, ERR_INVALID, "address", address, "a name that its certificate has, for it listens on all addresses: --url");
	if (!tls && !is_loopback(host, n))
		return err_field(e, ERR_DENIED, "address", address, "https, for it is not on this machine");
	at = (size_t)snprintf(out, APPROVER_ORIGIN, "http%s://%.*s", tls ? "s" : "", (int)n, host);
	for (char *p = out; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (port != usual)
		snprintf(out + at, APPROVER_ORIGIN - at, ":%d", port);
	return 0;
}
