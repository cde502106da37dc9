#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

#include "age.h"
#include "age_impl.h"
#include "buf.h"
#include "err.h"

#define STANZAS_MAX 64

struct age_reader {
	struct source from;
	EVP_CIPHER_CTX *ctx;
	unsigned char key[AGE_KEY];
	uint64_t piece;
	bool last;                      /* the piece in text is the last */
	size_t have;                    /* bytes in sealed */
	size_t at, len;                 /* of text: given out, in all */
	unsigned char sealed[AGE_PIECE + AGE_TAG + 1], text[AGE_PIECE];
};

/* A header as it is read: all of it, for its MAC, and the line that came last. */
struct header {
	struct age_reader *r;
	const struct age_for *by;
	struct buf text;
	size_t line;                    /* where it begins */
	int stanzas, of_passphrase;
	bool ours;                      /* file_key is known */
	unsigned char file_key[AGE_FILE_KEY];
};

static int
damaged(struct err *e)
{
	return err_set(e, ERR_PARSE, "the header of the encryption is damaged");
}

/* Byte by byte: what follows the header is not text. */
static int
next_line(struct header *h, struct err *e)
{
	char c = '\0';
	ssize_t n;

	h->line = h->text.len;
	while ((n = h->r->from.get(h->r->from.arg, &c, 1, e)) == 1 && c != '\n')
		buf_addc(&h->text, c);
	if (n < 0)
		return -1;
	if (n == 0 || !buf_ok(&h->text) || memchr(buf_str(&h->text) + h->line, '\0', h->text.len - h->line))
		return damaged(e);
	return 0;
}

static const char *
line_of(const struct header *h)
{
	return buf_str(&h->text) + h->line;
}

/* The words of a line, at most max; -1: not written as it must be. */
static int
split(const char *line, const char *words[], size_t lens[], int max)
{
	int n = 0;

	for (const char *p = line;; p++) {
		size_t len = strcspn(p, " ");

		if (!len || n == max)
			return -1;
		words[n] = p;
		lens[n++] = len;
		p += len;
		if (!*p)
			return n;
	}
}

static bool
open_wrapped(struct header *h, const unsigned char wrap[AGE_KEY], const unsigned char body[AGE_WRAPPED])
{
	static const unsigned char nonce[12];

	return age_box(h->r->ctx, false, wrap, nonce, body, AGE_WRAPPED, h->file_key);
}

static void
try_keys(struct header *h, const unsigned char share[AGE_KEY], const unsigned char body[AGE_WRAPPED])
{
	const struct age_keys *k = h->by->keys;
	unsigned char to[AGE_KEY], wrap[AGE_KEY];

	for (size_t i = 0; k && !h->ours && i < k->n; i++)
		h->ours = age_key_public(k->key[i], to, NULL) == 0 && age_wrap_key_of(k->key[i], share, share, to, wrap) &&
		    open_wrapped(h, wrap, body);
	OPENSSL_cleanse(wrap, sizeof wrap);
}

static int
try_passphrase(struct header *h, const unsigned char salt[AGE_SALT], int log_n, const unsigned char body[AGE_WRAPPED],
    struct err *e)
{
	unsigned char wrap[AGE_KEY];

	h->of_passphrase++;
	if (log_n > AGE_SCRYPT_LOG_N_MAX)
		return err_set(e, ERR_TOO_BIG, "the passphrase's work factor is %d, at most %d is taken", log_n, AGE_SCRYPT_LOG_N_MAX);
	if (!h->by->passphrase)
		return 0;
	if (!age_scrypt(h->by->passphrase, salt, log_n, wrap))
		return err_set(e, ERR_INTERNAL, "not enough memory for the passphrase's work factor %d", log_n);
	h->ours = open_wrapped(h, wrap, body);
	OPENSSL_cleanse(wrap, sizeof wrap);
	return 0;
}

static bool
is_word(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(word, name, len) == 0;
}

static int
small_number(const char *word, size_t len)
{
	return len == 1 && word[0] >= '1' && word[0] <= '9' ? word[0] - '0' :
	    len == 2 && word[0] >= '1' && word[0] <= '9' && word[1] >= '0' && word[1] <= '9' ? (word[0] - '0') * 10 + word[1] - '0' : 0;
}

/* The body's lines: full ones, and one that is shorter. *body has what it is if it may be a wrapped key. */
static int
read_body(struct header *h, unsigned char body[AGE_WRAPPED], bool *fits, struct err *e)
{
	int lines = 0;
	size_t len;

	do {
		buf_addc(&h->text, '\n');
		if (next_line(h, e))
			return -1;
		len = h->text.len - h->line;
		if (len > 64)
			return damaged(e);
		lines++;
	} while (len == 64);
	*fits = lines == 1 && age_get_base64(body, AGE_WRAPPED, line_of(h), len) == 0;
	return 0;
}

/* Of which others may have been told; what is not known is passed over. */
static int
stanza(struct header *h, struct err *e)
{
	const char *words[16];
	size_t lens[16];
	char *line = xstrdup(line_of(h) + 3);
	unsigned char body[AGE_WRAPPED], at[AGE_KEY];
	int n = split(line, words, lens, 16), log_n, rc = -1;
	bool fits = false;

	if (n < 0 || ++h->stanzas > STANZAS_MAX) {
		damaged(e);
	} else if (read_body(h, body, &fits, e) == 0) {
		rc = 0;
		if (is_word(words[0], lens[0], "X25519")) {
			if (n != 2 || !fits || age_get_base64(at, AGE_KEY, words[1], lens[1]))
				rc = damaged(e);
			else if (!h->ours)
				try_keys(h, at, body);
		} else if (is_word(words[0], lens[0], "scrypt")) {
			if (n != 3 || !fits || age_get_base64(at, AGE_SALT, words[1], lens[1]) || !(log_n = small_number(words[2], lens[2])))
				rc = damaged(e);
			else
				rc = try_passphrase(h, at, log_n, body, e);
		}
	}
	free(line);
	return rc;
}

static int
not_ours(const struct header *h, struct err *e)
{
	if (h->of_passphrase)
		return err_set(e, ERR_DENIED, h->by->passphrase ? "the passphrase is wrong" :
		    "it is encrypted with a passphrase: give that, not a key");
	return err_set(e, ERR_DENIED, h->by->keys ? "it is encrypted for another key" :
	    "it is encrypted for a key: give its file with --identity");
}

/* line: "--- <mac>" */
static int
check_mac(struct header *h, struct err *e)
{
	unsigned char told[AGE_MAC], mac[AGE_MAC];
	const char *line = line_of(h);

	if (line[3] != ' ' || age_get_base64(told, sizeof told, line + 4, strlen(line + 4)) || !h->stanzas ||
	    (h->of_passphrase && h->stanzas > 1))
		return damaged(e);
	if (!h->ours)
		return not_ours(h, e);
	if (!age_mac(h->file_key, h->text.data, h->line + 3, mac) || CRYPTO_memcmp(told, mac, sizeof mac) != 0)
		return damaged(e);
	return 0;
}

static int
read_header(struct header *h, struct err *e)
{
	char magic[sizeof AGE_MAGIC - 1];
	ssize_t n = bytes_fill(&h->r->from, magic, sizeof magic, e);

	if (n < 0)
		return -1;
	if ((size_t)n != sizeof magic || memcmp(magic, AGE_MAGIC, sizeof magic) != 0)
		return err_set(e, ERR_PARSE, "it is not a file of age, version 1");
	buf_add(&h->text, magic, sizeof magic);
	for (;;) {
		if (next_line(h, e))
			return -1;
		if (strncmp(line_of(h), "---", 3) == 0)
			return check_mac(h, e);
		if (strncmp(line_of(h), "-> ", 3) != 0)
			return damaged(e);
		if (stanza(h, e))
			return -1;
		buf_addc(&h->text, '\n');
	}
}

int
age_reader_new(struct age_reader **out, const struct age_for *by, struct source from, struct err *e)
{
	struct age_reader *r = xcalloc(1, sizeof *r);
	struct header h = { .r = r, .by = by, .text = { .max = AGE_HEADER_MAX } };
	unsigned char nonce[AGE_NONCE];
	int rc;

	r->from = from;
	r->ctx = EVP_CIPHER_CTX_new();
	rc = r->ctx ? read_header(&h, e) : err_set(e, ERR_INTERNAL, "out of memory");
	if (rc == 0 && bytes_fill(&r->from, nonce, sizeof nonce, e) != sizeof nonce)
		rc = damaged(e);
	if (rc == 0 && !age_hkdf(h.file_key, sizeof h.file_key, nonce, sizeof nonce, "payload", r->key))
		rc = err_set(e, ERR_INTERNAL, "OpenSSL has no HKDF");
	OPENSSL_cleanse(h.file_key, sizeof h.file_key);
	buf_free(&h.text);
	if (rc == 0)
		*out = r;
	else
		age_reader_free(r);
	return rc;
}

/* One byte more than a piece tells that it is not the last. */
static int
next_piece(struct age_reader *r, struct err *e)
{
	ssize_t n = bytes_fill(&r->from, r->sealed + r->have, sizeof r->sealed - r->have, e);
	unsigned char nonce[12];
	size_t len;

	if (n < 0)
		return -1;
	r->have += (size_t)n;
	r->last = r->have < sizeof r->sealed;
	len = r->last ? r->have : sizeof r->sealed - 1;
	age_nonce(nonce, r->piece, r->last);
	if (len < AGE_TAG || (len == AGE_TAG && r->piece) ||
	    !age_box(r->ctx, false, r->key, nonce, r->sealed, len, r->text))
		return err_set(e, ERR_PARSE, "the file was cut off or changed: its piece %llu of 64 KiB is not what was written",
		    (unsigned long long)r->piece + 1);
	r->piece++;
	r->len = len - AGE_TAG;
	r->at = 0;
	r->have -= len;
	r->sealed[0] = r->sealed[len];
	return 0;
}

ssize_t
age_read(void *reader, void *p, size_t max, struct err *e)
{
	struct age_reader *r = reader;
	size_t n;

	if (r->at == r->len && !r->last && next_piece(r, e))
		return -1;
	n = r->len - r->at < max ? r->len - r->at : max;
	memcpy(p, r->text + r->at, n);
	r->at += n;
	return (ssize_t)n;
}

void
age_reader_free(struct age_reader *r)
{
	if (!r)
		return;
	EVP_CIPHER_CTX_free(r->ctx);
	OPENSSL_cleanse(r, sizeof *r);
	free(r);
}
