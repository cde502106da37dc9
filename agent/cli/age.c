#include "age.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <string.h>

#include "age_impl.h"
#include "base64.h"
#include "buf.h"
#include "err.h"

#define SCRYPT_LABEL "age-encryption.org/v1/scrypt"
#define X25519_LABEL "age-encryption.org/v1/X25519"

/* ---- what both sides do ---- */

bool
age_box(EVP_CIPHER_CTX *ctx, bool seal, const unsigned char key[AGE_KEY], const unsigned char nonce[12],
    const unsigned char *in, size_t len, unsigned char *out)
{
	size_t text = seal ? len : len - AGE_TAG;
	int n = 0, end = 0;

	if (EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, key, nonce, seal) != 1 ||
	    (!seal && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AGE_TAG, (void *)(uintptr_t)(in + text)) != 1) ||
	    (text && EVP_CipherUpdate(ctx, out, &n, in, (int)text) != 1) || EVP_CipherFinal_ex(ctx, out + n, &end) != 1)
		return false;
	return !seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AGE_TAG, out + text) == 1;
}

bool
age_hkdf(const void *secret, size_t len, const void *salt, size_t salt_len, const char *info, unsigned char out[AGE_KEY])
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret, len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, salt_len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info, strlen(info)),
		OSSL_PARAM_construct_end(),
	};
	bool good = ctx && EVP_KDF_derive(ctx, out, AGE_KEY, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return good;
}

bool
age_mac(const unsigned char file_key[AGE_FILE_KEY], const char *header, size_t len, unsigned char out[AGE_MAC])
{
	unsigned char key[AGE_KEY];
	bool good = age_hkdf(file_key, AGE_FILE_KEY, "", 0, "header", key) &&
	    HMAC(EVP_sha256(), key, sizeof key, (const unsigned char *)header, len, out, NULL);

	OPENSSL_cleanse(key, sizeof key);
	return good;
}

bool
age_wrap_key_of(const unsigned char secret[AGE_KEY], const unsigned char other[AGE_KEY], const unsigned char share[AGE_KEY],
    const unsigned char to[AGE_KEY], unsigned char out[AGE_KEY])
{
	EVP_PKEY *ours = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, AGE_KEY);
	EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, other, AGE_KEY);
	EVP_PKEY_CTX *ctx = ours ? EVP_PKEY_CTX_new(ours, NULL) : NULL;
	unsigned char shared[AGE_KEY], salt[2 * AGE_KEY];
	size_t n = sizeof shared;
	/* OpenSSL refuses what comes to nothing but zeros. */
	bool good = ctx && theirs && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, theirs) == 1 &&
	    EVP_PKEY_derive(ctx, shared, &n) == 1 && n == sizeof shared;

	memcpy(salt, share, AGE_KEY);
	memcpy(salt + AGE_KEY, to, AGE_KEY);
	good = good && age_hkdf(shared, sizeof shared, salt, sizeof salt, X25519_LABEL, out);
	OPENSSL_cleanse(shared, sizeof shared);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(ours);
	EVP_PKEY_free(theirs);
	return good;
}

bool
age_scrypt(const char *passphrase, const unsigned char salt[AGE_SALT], int log_n, unsigned char out[AGE_KEY])
{
	unsigned char labelled[sizeof SCRYPT_LABEL - 1 + AGE_SALT];

	memcpy(labelled, SCRYPT_LABEL, sizeof SCRYPT_LABEL - 1);
	memcpy(labelled + sizeof SCRYPT_LABEL - 1, salt, AGE_SALT);
	return EVP_PBE_scrypt(passphrase, strlen(passphrase), labelled, sizeof labelled, UINT64_C(1) << log_n, 8, 1,
	    (UINT64_C(1) << (AGE_SCRYPT_LOG_N_MAX + 10)) + (1 << 20), out, AGE_KEY) == 1;
}

void
age_nonce(unsigned char nonce[12], uint64_t piece, bool last)
{
	memset(nonce, 0, 12);
	for (int i = 0; i < 8; i++)
		nonce[10 - i] = (unsigned char)(piece >> 8 * i);
	nonce[11] = last;
}

void
age_put_base64(struct buf *b, const void *p, size_t len)
{
	base64_put(b, p, len);
	while (b->len && b->data[b->len - 1] == '=')
		buf_cut(b, b->len - 1);
}

int
age_get_base64(void *out, size_t size, const char *text, size_t len)
{
	char padded[100];
	size_t pad = (4 - len % 4) % 4;

	if (len != (size * 4 + 2) / 3 || len + pad >= sizeof padded)
		return -1;
	memcpy(padded, text, len);
	memset(padded + len, '=', pad);
	padded[len + pad] = '\0';
	return base64_decode_exactly(out, size, padded, NULL);
}

/* ---- writing ---- */

struct age_writer {
	struct sink to;
	EVP_CIPHER_CTX *ctx;
	unsigned char key[AGE_KEY];
	uint64_t piece;
	size_t len;                     /* of the open piece */
	unsigned char text[AGE_PIECE], sealed[AGE_PIECE + AGE_TAG];
};

static int
no_crypto(struct err *e)
{
	return err_set(e, ERR_INTERNAL, "OpenSSL cannot encrypt: it lacks X25519, scrypt or ChaCha20-Poly1305, or memory");
}

/* "-> type args" and the wrapped key. */
static bool
put_wrapped(struct buf *h, struct age_writer *w, const unsigned char wrap[AGE_KEY], const unsigned char file_key[AGE_FILE_KEY])
{
	static const unsigned char nonce[12];
	unsigned char body[AGE_WRAPPED];
	bool good = age_box(w->ctx, true, wrap, nonce, file_key, AGE_FILE_KEY, body);

	buf_addc(h, '\n');
	age_put_base64(h, body, sizeof body);
	buf_addc(h, '\n');
	return good;
}

static bool
put_passphrase(struct buf *h, struct age_writer *w, const char *passphrase, const unsigned char file_key[AGE_FILE_KEY])
{
	unsigned char salt[AGE_SALT], wrap[AGE_KEY];
	bool good = RAND_bytes(salt, sizeof salt) == 1 && age_scrypt(passphrase, salt, AGE_SCRYPT_LOG_N, wrap);

	buf_adds(h, "-> scrypt ");
	age_put_base64(h, salt, sizeof salt);
	buf_addf(h, " %d", AGE_SCRYPT_LOG_N);
	good = good && put_wrapped(h, w, wrap, file_key);
	OPENSSL_cleanse(wrap, sizeof wrap);
	return good;
}

static bool
put_key(struct buf *h, struct age_writer *w, const unsigned char to[AGE_KEY], const unsigned char file_key[AGE_FILE_KEY])
{
	unsigned char once[AGE_KEY], share[AGE_KEY], wrap[AGE_KEY];
	bool good = age_key_make(once, NULL) == 0 && age_key_public(once, share, NULL) == 0 &&
	    age_wrap_key_of(once, to, share, to, wrap);

	buf_adds(h, "-> X25519 ");
	age_put_base64(h, share, sizeof share);
	good = good && put_wrapped(h, w, wrap, file_key);
	OPENSSL_cleanse(once, sizeof once);
	OPENSSL_cleanse(wrap, sizeof wrap);
	return good;
}

static bool
put_header(struct buf *h, struct age_writer *w, const struct age_for *to, const unsigned char file_key[AGE_FILE_KEY])
{
	unsigned char mac[AGE_MAC];
	bool good = true;

	buf_adds(h, AGE_MAGIC);
	if (to->passphrase)
		good = put_passphrase(h, w, to->passphrase, file_key);
	for (size_t i = 0; good && !to->passphrase && i < to->keys->n; i++)
		good = put_key(h, w, to->keys->key[i], file_key);
	buf_adds(h, "---");
	good = good && age_mac(file_key, h->data, h->len, mac);
	buf_addc(h, ' ');
	if (good)
		age_put_base64(h, mac, sizeof mac);
	buf_addc(h, '\n');
	return good;
}

int
age_writer_new(struct age_writer **out, const struct age_for *to, struct sink to_file, struct err *e)
{
	struct age_writer *w = xcalloc(1, sizeof *w);
	unsigned char file_key[AGE_FILE_KEY], nonce[AGE_NONCE];
	struct buf h = { 0 };
	int rc = -1;

	assert(to->passphrase || to->keys);
	w->to = to_file;
	w->ctx = EVP_CIPHER_CTX_new();
	if (!w->ctx || RAND_priv_bytes(file_key, sizeof file_key) != 1 || RAND_bytes(nonce, sizeof nonce) != 1 ||
	    !put_header(&h, w, to, file_key) || !age_hkdf(file_key, sizeof file_key, nonce, sizeof nonce, "payload", w->key))
		no_crypto(e);
	else
		rc = to_file.put(to_file.arg, h.data, h.len, e) || to_file.put(to_file.arg, nonce, sizeof nonce, e) ? -1 : 0;
	OPENSSL_cleanse(file_key, sizeof file_key);
	buf_free(&h);
	if (rc == 0)
		*out = w;
	else
		age_writer_free(w);
	return rc;
}

static int
piece_out(struct age_writer *w, bool last, struct err *e)
{
	unsigned char nonce[12];

	age_nonce(nonce, w->piece++, last);
	if (!age_box(w->ctx, true, w->key, nonce, w->text, w->len, w->sealed))
		return no_crypto(e);
	if (w->to.put(w->to.arg, w->sealed, w->len + AGE_TAG, e))
		return -1;
	w->len = 0;
	return 0;
}

/* A full piece stays until it is known whether it is the last. */
int
age_write(void *writer, const void *p, size_t len, struct err *e)
{
	struct age_writer *w = writer;
	const unsigned char *at = p;

	while (len) {
		size_t n = AGE_PIECE - w->len < len ? AGE_PIECE - w->len : len;

		if (!n) {
			if (piece_out(w, false, e))
				return -1;
			continue;
		}
		memcpy(w->text + w->len, at, n);
		w->len += n;
		at += n;
		len -= n;
	}
	return 0;
}

int
age_writer_end(struct age_writer *w, struct err *e)
{
	return piece_out(w, true, e);
}

void
age_writer_free(struct age_writer *w)
{
	if (!w)
		return;
	EVP_CIPHER_CTX_free(w->ctx);
	OPENSSL_cleanse(w, sizeof *w);
	free(w);
}
