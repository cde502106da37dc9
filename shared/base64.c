#include "base64.h"

#include <openssl/evp.h>

#include "buf.h"
#include "err.h"

void
base64_put(struct buf *b, const void *p, size_t len)
{
	size_t need = (len + 2) / 3 * 4;
	char *to = buf_reserve(b, need);

	if (to)
		b->len += (size_t)EVP_EncodeBlock((unsigned char *)to, p, (int)len);
}

static int
digit_of(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* What is left after the last whole group of four: bits of the last byte, then zeros. */
static int
put_rest(struct buf *out, unsigned bits, size_t pad, struct err *e)
{
	if (pad == 1 && (bits & 3) == 0)
		buf_add(out, (char[]){ (char)(bits >> 10), (char)(bits >> 2) }, 2);
	else if (pad == 2 && (bits & 15) == 0)
		buf_addc(out, (char)(bits >> 4));
	else if (pad)
		return err_set(e, ERR_INVALID, "not base64 as it must be: the last character has bits that mean nothing");
	return 0;
}

int
base64_decode(struct buf *out, const char *text, size_t len, struct err *e)
{
	size_t pad = len && text[len - 1] == '=' ? len > 1 && text[len - 2] == '=' ? 2 : 1 : 0, before = out->len;
	unsigned bits = 0;

	if (len % 4)
		return err_set(e, ERR_INVALID, "base64 has a multiple of 4 characters, this has %zu", len);
	for (size_t i = 0; i < len - pad; i++) {
		int d = digit_of(text[i]);

		if (d < 0) {
			buf_cut(out, before);
			return err_set(e, ERR_INVALID, "not base64 at character %zu", i);
		}
		bits = bits << 6 | (unsigned)d;
		if (i % 4 == 3)
			buf_add(out, (char[]){ (char)(bits >> 16), (char)(bits >> 8), (char)bits }, 3);
	}
	if (put_rest(out, bits, pad, e) == 0)
		return 0;
	buf_cut(out, before);
	return -1;
}

int
base64_decode_exactly(void *out, size_t size, const char *text, struct err *e)
{
	size_t len = strlen(text);
	struct buf b = { .max = size + 8 };
	int rc = -1;

	if (len != (size + 2) / 3 * 4)
		err_set(e, ERR_INVALID, "expected base64 of %zu bytes, got %zu characters", size, len);
	else if (base64_decode(&b, text, len, e) == 0 && b.len != size)
		err_set(e, ERR_INVALID, "expected base64 of %zu bytes, got %zu", size, b.len);
	else if (b.len == size)
		rc = 0;
	if (rc == 0)
		memcpy(out, b.data, size);
	buf_free(&b);
	return rc;
}
