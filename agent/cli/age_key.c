#include "age_key.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "buf.h"
#include "err.h"
#include "save.h"

#define FILE_MAX_BYTES 65536
#define SUM 6                   /* of Bech32, in letters */
#define LETTERS 52              /* 32 bytes, five bits each */

static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
static const char public_name[] = "age", secret_name[] = "age-secret-key-";

/* ---- Bech32, BIP 173 ---- */

static uint32_t
sum_add(uint32_t sum, unsigned value)
{
	static const uint32_t generator[5] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3 };
	uint32_t top = sum >> 25;

	sum = (sum & 0x1ffffff) << 5 ^ value;
	for (int i = 0; i < 5; i++)
		if (top >> i & 1)
			sum ^= generator[i];
	return sum;
}

static uint32_t
sum_of(const char *name, const unsigned char *values, size_t n)
{
	uint32_t sum = 1;

	for (const char *p = name; *p; p++)
		sum = sum_add(sum, (unsigned char)*p >> 5);
	sum = sum_add(sum, 0);
	for (const char *p = name; *p; p++)
		sum = sum_add(sum, (unsigned char)*p & 31);
	for (size_t i = 0; i < n; i++)
		sum = sum_add(sum, values[i]);
	return sum;
}

static void
format(const char *name, const unsigned char key[AGE_KEY], char out[AGE_TEXT])
{
	unsigned char values[LETTERS + SUM] = { 0 };
	uint32_t sum;
	size_t n;

	for (size_t bit = 0; bit < AGE_KEY * 8; bit++)
		if (key[bit / 8] >> (7 - bit % 8) & 1)
			values[bit / 5] |= (unsigned char)(16u >> bit % 5);
	sum = sum_of(name, values, sizeof values) ^ 1;
	for (size_t i = 0; i < SUM; i++)
		values[LETTERS + i] = sum >> (5 * (SUM - 1 - i)) & 31;
	n = (size_t)snprintf(out, AGE_TEXT, "%s1", name);
	for (size_t i = 0; i < sizeof values; i++)
		out[n++] = alphabet[values[i]];
	out[n] = '\0';
	OPENSSL_cleanse(values, sizeof values);
}

/* text in small letters. */
static bool
parse(const char *name, const char *text, unsigned char key[AGE_KEY])
{
	unsigned char values[LETTERS + SUM];
	size_t n = strlen(name);

	if (strncmp(text, name, n) != 0 || text[n] != '1' || strlen(text) != n + 1 + sizeof values)
		return false;
	for (size_t i = 0; i < sizeof values; i++) {
		const char *at = strchr(alphabet, text[n + 1 + i]);

		if (!at)
			return false;
		values[i] = (unsigned char)(at - alphabet);
	}
	/* 260 bits of which 256 count. */
	if (sum_of(name, values, sizeof values) != 1 || (values[LETTERS - 1] & 15))
		return false;
	memset(key, 0, AGE_KEY);
	for (size_t bit = 0; bit < AGE_KEY * 8; bit++)
		if (values[bit / 5] & 16u >> bit % 5)
			key[bit / 8] |= (unsigned char)(128u >> bit % 8);
	OPENSSL_cleanse(values, sizeof values);
	return true;
}

/* ---- keys ---- */

int
age_key_make(unsigned char secret[AGE_KEY], struct err *e)
{
	return RAND_priv_bytes(secret, AGE_KEY) == 1 ? 0 : err_set(e, ERR_INTERNAL, "no random numbers");
}

int
age_key_public(const unsigned char secret[AGE_KEY], unsigned char out[AGE_KEY], struct err *e)
{
	EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, AGE_KEY);
	size_t n = AGE_KEY;
	int rc = k && EVP_PKEY_get_raw_public_key(k, out, &n) == 1 ? 0 : err_set(e, ERR_INTERNAL, "OpenSSL has no X25519");

	EVP_PKEY_free(k);
	return rc;
}

void
age_key_format(const unsigned char key[AGE_KEY], char out[AGE_TEXT])
{
	format(public_name, key, out);
}

void
age_key_format_secret(const unsigned char key[AGE_KEY], char out[AGE_TEXT])
{
	format(secret_name, key, out);
	for (char *p = out; *p; p++)
		*p = (char)toupper((unsigned char)*p);
}

int
age_key_parse(const char *text, unsigned char out[AGE_KEY], struct err *e)
{
	if (parse(public_name, text, out))
		return 0;
	/* The secret half is easily taken for it, and must not be told. */
	return err_set(e, ERR_INVALID, "expected a public key of age, age1..., as `uni-wizard backup key` prints it, got %.40s",
	    strncasecmp(text, secret_name, strlen(secret_name)) == 0 ? "a secret one" : text);
}

/* In capitals only, as the format wants it. The text itself is not told. */
int
age_key_parse_secret(const char *text, unsigned char out[AGE_KEY], struct err *e)
{
	char small[AGE_TEXT] = "";
	bool good = strlen(text) < sizeof small;

	for (size_t i = 0; good && text[i]; i++) {
		good = !islower((unsigned char)text[i]);
		small[i] = (char)tolower((unsigned char)text[i]);
	}
	good = good && parse(secret_name, small, out);
	OPENSSL_cleanse(small, sizeof small);
	return good ? 0 : err_set(e, ERR_INVALID, "expected a secret key of age, AGE-SECRET-KEY-1...");
}

/* ---- files of them ---- */

static int
read_lines(char *text, int (*read)(const char *text, unsigned char out[AGE_KEY], struct err *e), struct age_keys *out,
    struct err *e)
{
	char *rest = NULL;
	int line = 0;

	out->n = 0;
	for (char *p = strtok_r(text, "\n", &rest); p; p = strtok_r(NULL, "\n", &rest)) {
		line++;
		p[strcspn(p, "\r")] = '\0';
		if (!*p || *p == '#')
			continue;
		if (out->n == AGE_KEYS_MAX)
			return err_set(e, ERR_TOO_BIG, "more than %d keys", AGE_KEYS_MAX);
		if (read(p, out->key[out->n], e))
			return err_wrap(e, "line %d", line);
		out->n++;
	}
	return out->n ? 0 : err_set(e, ERR_MISSING, "there is no key in it");
}

int
age_key_recipients(const char *text, struct age_keys *out, struct err *e)
{
	struct buf b = { .max = FILE_MAX_BYTES };
	int rc = -1;

	out->n = 1;
	if (strncmp(text, "age1", 4) == 0)
		return age_key_parse(text, out->key[0], e);
	if (save_read(text, &b, e) == 0 && (rc = b.len ? read_lines(b.data, age_key_parse, out, e) : err_set(e, ERR_MISSING, "is empty")))
		err_wrap(e, "%s", text);
	buf_free(&b);
	return rc;
}

int
age_key_identities(const char *path, struct age_keys *out, struct err *e)
{
	struct buf b = { .max = FILE_MAX_BYTES };
	struct stat st;
	int rc = -1;

	buf_reserve(&b, FILE_MAX_BYTES);
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
		err_set(e, ERR_DENIED, "%s: others can read it; chmod 600", path);
	else if (save_read(path, &b, e) == 0 &&
	    (rc = b.len ? read_lines(b.data, age_key_parse_secret, out, e) : err_set(e, ERR_MISSING, "is empty")))
		err_wrap(e, "%s", path);
	if (b.data)
		OPENSSL_cleanse(b.data, b.cap);
	buf_free(&b);
	return rc;
}
