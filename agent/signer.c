#include "signer.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base64.h"
#include "canonical.h"
#include "clock.h"
#include "config.h"
#include "dsse.h"
#include "json.h"
#include "save.h"

#define TYPE "application/vnd.uni-wizard.audit-key+json"
#define KIND "audit-key"
#define FILE_MAX (64u << 10)
#define AUTHORITIES_MAX 8

struct signer {
	struct sign_key *key;
	char *binding;                          /* NULL: none */
};

/* ---- making ---- */

static EVP_PKEY *
read_key(const char *path, struct err *e)
{
	FILE *f = fopen(path, "r");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, (void *)"") : NULL;

	if (f)
		fclose(f);
	if (!key)
		err_set(e, ERR_NOT_FOUND, "%s: not a private key that can be read", path);
	return key;
}

static X509 *
read_certificate(const char *path, struct err *e)
{
	FILE *f = fopen(path, "r");
	X509 *x = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	if (!x)
		err_set(e, ERR_NOT_FOUND, "%s: not a certificate that can be read", path);
	return x;
}

static void
put_certificate(struct buf *b, X509 *x)
{
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);

	if (len > 0)
		base64_put(b, der, (size_t)len);
	OPENSSL_free(der);
}

static void
put_payload(struct buf *b, const struct signer *s, const struct config *f, const char *agent, X509 *x)
{
	char key[SIGN_TEXT];

	sign_public_format(sign_key_public(s->key), key);
	json_put_open(b, '{');
	json_kv_str(b, "agent", agent);
	json_put_key(b, "certificate");
	buf_addc(b, '"');
	put_certificate(b, x);
	buf_addc(b, '"');
	json_kv_str(b, "cluster", f->cluster);
	json_kv_str(b, "key", key);
	json_kv_str(b, "kind", KIND);
	json_kv_int(b, "time", clock_wall_ms());
	json_put_close(b, '}');
}

static int
make_signature(EVP_PKEY *key, const struct buf *payload, struct buf *out, struct err *e)
{
	struct buf encoded = { 0 };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char sig[512];
	size_t len = sizeof sig;
	int rc = -1;

	dsse_encode(&encoded, TYPE, payload->data, payload->len);
	if (ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestSign(ctx, sig, &len, (const unsigned char *)encoded.data, encoded.len) == 1) {
		base64_put(out, sig, len);
		rc = 0;
	}
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	buf_free(&encoded);
	return rc ? err_set(e, ERR_INTERNAL, "the certificate's key cannot sign") : 0;
}

static void
put_envelope(struct buf *b, const struct buf *payload, const struct buf *sig, X509 *x)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	char hex[CANONICAL_HASH] = "";
	unsigned n = 0;

	X509_digest(x, EVP_sha256(), md, &n);
	for (unsigned i = 0; i < 8 && i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
	json_put_open(b, '{');
	json_put_key(b, "payload");
	buf_addc(b, '"');
	base64_put(b, payload->data, payload->len);
	buf_addc(b, '"');
	json_kv_str(b, "payloadType", TYPE);
	json_put_key(b, "signatures");
	json_put_open(b, '[');
	json_put_open(b, '{');
	json_kv_str(b, "keyid", hex);
	json_kv_str(b, "sig", buf_str(sig));
	json_put_close(b, '}');
	json_put_close(b, ']');
	json_put_close(b, '}');
}

static int
bind_key(struct signer *s, const struct config *f, const char *agent, X509 *x, struct err *e)
{
	struct buf path = { 0 }, payload = { 0 }, sig = { 0 }, out = { 0 };
	EVP_PKEY *key;
	int rc = -1;

	buf_addf(&path, "%s/%s.key", f->pki_dir, agent);
	key = read_key(buf_str(&path), e);
	put_payload(&payload, s, f, agent, x);
	if (key && make_signature(key, &payload, &sig, e) == 0) {
		put_envelope(&out, &payload, &sig, x);
		s->binding = buf_take(&out);
		rc = 0;
	}
	EVP_PKEY_free(key);
	buf_free(&path);
	buf_free(&payload);
	buf_free(&sig);
	return rc;
}

/* ---- checking ---- */

struct envelope {
	char payloadType[DSSE_TYPE_MAX + 1];
	const cJSON *signatures;
};

static const struct json_field envelope_fields[] = {
	JSON_FIELD(struct envelope, payloadType, JSON_TEXT, true),
	JSON_FIELD(struct envelope, signatures, JSON_ARRAY, true),
	JSON_END
};

struct payload {
	char agent[64], cluster[64], key[SIGN_TEXT], kind[16];
	int64_t time;
};

static const struct json_field payload_fields[] = {
	JSON_FIELD(struct payload, agent, JSON_TEXT, true),
	JSON_FIELD(struct payload, cluster, JSON_TEXT, true),
	JSON_FIELD(struct payload, key, JSON_TEXT, true),
	JSON_FIELD(struct payload, kind, JSON_TEXT, true),
	JSON_FIELD_INT(struct payload, time, 0, JSON_INT_MAX, true),
	JSON_END
};

/* Taken apart, and nothing of it believed yet. */
struct opened {
	struct payload p;
	struct buf text, sig, der;
	X509 *x;
};

static int
decode_member(struct buf *out, const cJSON *o, const char *name, struct err *e)
{
	const char *text = json_text(o, name);

	return base64_decode(out, text, strlen(text), e);
}

static int
open_payload(struct opened *o, struct err *e)
{
	cJSON *v = canonical_parse(buf_str(&o->text), o->text.len, e);
	const unsigned char *p;
	int rc = -1;

	if (v && json_read(v, payload_fields, &o->p, e) == 0 && decode_member(&o->der, v, "certificate", e) == 0) {
		p = (const unsigned char *)buf_str(&o->der);
		o->x = d2i_X509(NULL, &p, (long)o->der.len);
		if (strcmp(o->p.kind, KIND) != 0)
			err_field(e, ERR_INVALID, "kind", o->p.kind, KIND);
		else if (!o->x)
			err_set(e, ERR_PARSE, "its certificate cannot be read");
		else
			rc = 0;
	}
	ERR_clear_error();
	cJSON_Delete(v);
	return rc;
}

/* Nothing is in it that is not looked at: made anew it is the same. */
static int
check_form(const struct opened *o, const char *text, struct err *e)
{
	struct buf sig = { 0 }, again = { 0 };
	int rc;

	base64_put(&sig, buf_str(&o->sig), o->sig.len);
	put_envelope(&again, &o->text, &sig, o->x);
	rc = strcmp(buf_str(&again), text) == 0 ? 0 : err_set(e, ERR_INVALID, "not in the form that it must have");
	buf_free(&sig);
	buf_free(&again);
	return rc;
}

static int
open_binding(struct opened *o, const char *text, struct err *e)
{
	cJSON *v = canonical_parse(text, strlen(text), e);
	struct envelope m = { .payloadType = "" };
	int rc = -1;

	if (v && json_read(v, envelope_fields, &m, e) == 0) {
		if (strcmp(m.payloadType, TYPE) != 0 || cJSON_GetArraySize(m.signatures) != 1)
			err_set(e, ERR_INVALID, "not a binding of a key");
		else
			rc = decode_member(&o->text, v, "payload", e) || open_payload(o, e) ||
			    decode_member(&o->sig, cJSON_GetArrayItem(m.signatures, 0), "sig", e) || check_form(o, text, e) ? -1 : 0;
	}
	cJSON_Delete(v);
	return rc;
}

static void
release_opened(struct opened *o)
{
	X509_free(o->x);
	buf_free(&o->text);
	buf_free(&o->sig);
	buf_free(&o->der);
}

static int
check_signature(const struct opened *o, struct err *e)
{
	struct buf encoded = { 0 };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key = X509_get_pubkey(o->x);
	bool good;

	dsse_encode(&encoded, TYPE, o->text.data, o->text.len);
	good = ctx && key && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestVerify(ctx, (const unsigned char *)buf_str(&o->sig), o->sig.len, (const unsigned char *)encoded.data,
	        encoded.len) == 1;
	EVP_PKEY_free(key);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	buf_free(&encoded);
	return good ? 0 : err_set(e, ERR_DENIED, "it is not signed with its certificate's key");
}

static int
read_authorities(X509_STORE *store, const char *pki_dir, struct err *e)
{
	struct buf path = { 0 };
	X509 *x;
	FILE *f;
	int n = 0;

	buf_addf(&path, "%s/ca.crt", pki_dir);
	f = fopen(buf_str(&path), "r");
	while (f && n < AUTHORITIES_MAX && (x = PEM_read_X509(f, NULL, NULL, NULL))) {
		X509_STORE_add_cert(store, x);
		X509_free(x);
		n++;
	}
	if (f)
		fclose(f);
	ERR_clear_error();
	if (!n)
		err_set(e, ERR_NOT_FOUND, "%s: no authority that can be read", buf_str(&path));
	buf_free(&path);
	return n ? 0 : -1;
}

/* At the time that the binding names: that it is not made up afterwards, the certificate's end sees to. */
static int
check_certificate(const struct opened *o, const char *pki_dir, struct err *e)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	char name[64] = "";
	int rc = -1;

	X509_NAME_get_text_by_NID(X509_get_subject_name(o->x), NID_commonName, name, sizeof name);
	if (strcmp(name, o->p.agent) != 0) {
		err_set(e, ERR_DENIED, "its certificate is %s's", name);
	} else if (store && ctx && read_authorities(store, pki_dir, e) == 0) {
		X509_STORE_CTX_init(ctx, store, o->x, NULL);
		X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), (time_t)(o->p.time / 1000));
		X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(ctx), X509_PURPOSE_SSL_CLIENT);
		rc = X509_verify_cert(ctx) == 1 ? 0 : err_set(e, ERR_DENIED, "its certificate: %s",
		    X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	}
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return rc;
}

int
binding_check(const char *text, const char *pki_dir, struct binding *out, struct err *e)
{
	struct opened o = { .x = NULL };
	int rc = open_binding(&o, text, e) || check_signature(&o, e) || check_certificate(&o, pki_dir, e) ||
	    sign_public_parse(&out->key, o.p.key, e) ? -1 : 0;

	snprintf(out->agent, sizeof out->agent, "%s", o.p.agent);
	snprintf(out->cluster, sizeof out->cluster, "%s", o.p.cluster);
	out->time = o.p.time;
	release_opened(&o);
	return rc ? err_wrap(e, "the binding of a key") : 0;
}

/* ---- the agent's own ---- */

static int
open_key(struct signer *s, const char *path, struct err *e)
{
	s->key = sign_key_load(path, NULL, e);
	if (s->key || e->code != ERR_NOT_FOUND)
		return s->key ? 0 : -1;
	*e = (struct err){ 0 };
	s->key = sign_key_new();
	return sign_key_save(s->key, path, NULL, e);
}

/* The one that was made before, if it is for this key and this certificate. */
static bool
is_still_good(const struct signer *s, const char *text, X509 *x, const char *cluster)
{
	struct opened o = { .x = NULL };
	char key[SIGN_TEXT];
	bool good;

	sign_public_format(sign_key_public(s->key), key);
	good = open_binding(&o, text, NULL) == 0 && X509_cmp(o.x, x) == 0 && strcmp(o.p.key, key) == 0 &&
	    strcmp(o.p.cluster, cluster) == 0;
	release_opened(&o);
	return good;
}

static int
open_or_bind(struct signer *s, const struct config *f, const char *agent, struct err *e)
{
	struct buf path = { 0 }, cert = { 0 }, text = { .max = FILE_MAX };
	X509 *x;
	int rc = -1;

	buf_addf(&path, "%s/%s.audit.binding", f->state_dir, agent);
	buf_addf(&cert, "%s/%s.crt", f->pki_dir, agent);
	x = read_certificate(buf_str(&cert), e);
	if (x && save_read(buf_str(&path), &text, NULL) == 0 && is_still_good(s, buf_str(&text), x, f->cluster)) {
		s->binding = buf_take(&text);
		rc = 0;
	} else if (x && bind_key(s, f, agent, x, e) == 0) {
		rc = save_file(buf_str(&path), s->binding, strlen(s->binding), 0600, e);
	}
	X509_free(x);
	ERR_clear_error();
	buf_free(&path);
	buf_free(&cert);
	buf_free(&text);
	return rc;
}

int
signer_open(struct signer **out, const struct config *f, const char *agent, struct err *e)
{
	struct signer *s = xcalloc(1, sizeof *s);
	struct buf path = { 0 };
	int rc;

	*e = (struct err){ 0 };
	buf_addf(&path, "%s/%s.audit.key", f->state_dir, agent);
	rc = open_key(s, buf_str(&path), e);
	buf_free(&path);
	if (rc) {
		signer_close(s);
		return err_wrap(e, "the key of the audit chain");
	}
	if (open_or_bind(s, f, agent, e))
		err_wrap(e, "audit: the key cannot be bound to the certificate");
	*out = s;
	return 0;
}

void
signer_close(struct signer *s)
{
	if (!s)
		return;
	sign_key_free(s->key);
	free(s->binding);
	free(s);
}

const char *
signer_binding(const struct signer *s)
{
	return s->binding;
}

int
signer_sign(void *signer, const char *type, const void *payload, size_t len, struct buf *envelope, struct err *e)
{
	const struct signer *s = signer;

	(void)e;
	dsse_make(envelope, type, payload, len, s->key);
	return 0;
}
