#include "dsse.h"

#include "base64.h"
#include "canonical.h"
#include "json.h"

void
dsse_encode(struct buf *out, const char *type, const void *payload, size_t len)
{
	buf_addf(out, "DSSEv1 %zu %s %zu ", strlen(type), type, len);
	buf_add(out, payload, len);
}

static void
put_signature(struct buf *out, const struct sign_key *key, const struct buf *encoded)
{
	unsigned char raw[SIGN_SIZE];
	struct buf text = { 0 };

	sign_make(key, buf_str(encoded), encoded->len, raw);
	base64_put(&text, raw, sizeof raw);
	json_put_open(out, '{');
	json_kv_str(out, "keyid", sign_key_public(key)->id);
	json_kv_str(out, "sig", buf_str(&text));
	json_put_close(out, '}');
	buf_free(&text);
}

void
dsse_make(struct buf *out, const char *type, const void *payload, size_t len, const struct sign_key *key)
{
	struct buf encoded = { 0 }, text = { 0 };

	dsse_encode(&encoded, type, payload, len);
	base64_put(&text, payload, len);
	json_put_open(out, '{');
	json_kv_str(out, "payload", buf_str(&text));
	json_kv_str(out, "payloadType", type);
	json_put_key(out, "signatures");
	json_put_open(out, '[');
	put_signature(out, key, &encoded);
	json_put_close(out, ']');
	json_put_close(out, '}');
	buf_free(&encoded);
	buf_free(&text);
}

struct envelope {
	const cJSON *signatures;
	char payloadType[DSSE_TYPE_MAX + 1];
};
static const struct json_field envelope_fields[] = {
	JSON_FIELD(struct envelope, payloadType, JSON_TEXT, true),
	JSON_FIELD(struct envelope, signatures, JSON_ARRAY, true),
	JSON_END
};

struct signature {
	char keyid[SIGN_ID];
	char sig[(SIGN_SIZE + 2) / 3 * 4 + 1];
};
static const struct json_field signature_fields[] = {
	JSON_FIELD(struct signature, keyid, JSON_TEXT, true),
	JSON_FIELD(struct signature, sig, JSON_TEXT, true),
	JSON_END
};

static int
signature_read(struct dsse_signature *to, const cJSON *v, struct err *e)
{
	struct signature s;

	if (!cJSON_IsObject(v))
		return err_field(e, ERR_INVALID, "signatures", NULL, "objects with keyid and sig");
	if (json_read(v, signature_fields, &s, e))
		return err_in(e, "signatures");
	if (json_unknown(v, signature_fields))
		return err_field(e, ERR_INVALID, json_unknown(v, signature_fields), NULL, "no such member");
	if (base64_decode_exactly(to->bytes, sizeof to->bytes, s.sig, NULL))
		return err_field(e, ERR_INVALID, "signatures.sig", NULL, "base64 of %d bytes", SIGN_SIZE);
	memcpy(to->keyid, s.keyid, sizeof to->keyid);
	return 0;
}

static int
signatures_read(struct dsse *d, const cJSON *list, struct err *e)
{
	const cJSON *v;
	int n = cJSON_GetArraySize(list);

	if (n < 1 || n > DSSE_MAX_SIGNATURES)
		return err_field(e, ERR_INVALID, "signatures", NULL, "1 to %d of them", DSSE_MAX_SIGNATURES);
	cJSON_ArrayForEach(v, list)
		if (signature_read(&d->signatures[d->nsignatures++], v, e))
			return -1;
	return 0;
}

/* May be long, so it stands in no fixed place of a struct. */
static int
payload_read(struct dsse *d, const cJSON *v, struct err *e)
{
	if (!cJSON_IsString(v) || base64_decode(&d->payload, v->valuestring, strlen(v->valuestring), NULL))
		return err_field(e, ERR_INVALID, "payload", NULL, "base64");
	return 0;
}

static int
envelope_read(struct dsse *d, const cJSON *obj, struct err *e)
{
	struct envelope env;

	if (!cJSON_IsObject(obj))
		return err_set(e, ERR_INVALID, "expected an object");
	if (json_read(obj, envelope_fields, &env, e) ||
	    payload_read(d, cJSON_GetObjectItemCaseSensitive(obj, "payload"), e) || signatures_read(d, env.signatures, e))
		return -1;
	memcpy(d->type, env.payloadType, sizeof d->type);
	return cJSON_GetArraySize(obj) == 3
	    ? 0 : err_set(e, ERR_INVALID, "expected payload, payloadType and signatures, and nothing else");
}

int
dsse_open(struct dsse *d, const char *text, size_t len, struct err *e)
{
	cJSON *obj;
	int rc;

	*d = (struct dsse){ 0 };
	if (len > DSSE_MAX)
		return err_set(e, ERR_TOO_BIG, "envelope: %zu bytes, at most %u are taken", len, DSSE_MAX);
	obj = canonical_parse(text, len, e);
	rc = obj ? envelope_read(d, obj, e) : -1;
	cJSON_Delete(obj);
	if (rc) {
		dsse_release(d);
		return err_wrap(e, "envelope");
	}
	return 0;
}

void
dsse_release(struct dsse *d)
{
	buf_free(&d->payload);
	*d = (struct dsse){ 0 };
}

const struct sign_public *
dsse_verify(const struct dsse *d, const struct sign_public *keys, size_t nkeys)
{
	const struct sign_public *by = NULL;
	struct buf encoded = { 0 };

	dsse_encode(&encoded, d->type, buf_str(&d->payload), d->payload.len);
	for (size_t k = 0; k < nkeys && !by; k++)
		for (size_t i = 0; i < d->nsignatures && !by; i++)
			if (strcmp(d->signatures[i].keyid, keys[k].id) == 0 &&
			    sign_check(&keys[k], encoded.data, encoded.len, d->signatures[i].bytes))
				by = &keys[k];
	buf_free(&encoded);
	return by;
}
