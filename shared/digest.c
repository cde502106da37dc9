#include "digest.h"

#include <openssl/evp.h>
#include <string.h>

#include "buf.h"

struct digest {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
};

struct digest *
digest_new(void)
{
	struct digest *d = xcalloc(1, sizeof *d);

	d->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	d->ctx = EVP_MD_CTX_new();
	if (!d->md || !d->ctx || EVP_DigestInit_ex2(d->ctx, d->md, NULL) != 1)
		abort();
	return d;
}

void
digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	EVP_MD_free(d->md);
	free(d);
}

void
digest_add(struct digest *d, const void *p, size_t len)
{
	if (EVP_DigestUpdate(d->ctx, p, len) != 1)
		abort();
}

void
digest_end(struct digest *d, unsigned char out[DIGEST_SIZE])
{
	if (EVP_DigestFinal_ex(d->ctx, out, NULL) != 1 || EVP_DigestInit_ex2(d->ctx, NULL, NULL) != 1)
		abort();
}

void
digest_of(struct digest *d, const void *p, size_t len, unsigned char out[DIGEST_SIZE])
{
	digest_add(d, p, len);
	digest_end(d, out);
}

void
digest_format(const unsigned char in[DIGEST_SIZE], char out[DIGEST_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < DIGEST_SIZE; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[DIGEST_HEX - 1] = '\0';
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
digest_parse(const char *text, unsigned char out[DIGEST_SIZE])
{
	if (!text || strlen(text) != DIGEST_HEX - 1)
		return -1;
	for (int i = 0; i < DIGEST_SIZE; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		out[i] = (unsigned char)(high << 4 | low);
	}
	return 0;
}
