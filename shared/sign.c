#include "sign.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <sys/stat.h>

#include "base64.h"
#include "buf.h"
#include "canonical.h"
#include "err.h"

#define PREFIX "ed25519:"
#define FILE_MAX_BYTES 16384
#define SCRYPT_N 16384          /* with r = 8: 16 MiB and some 50 ms a guess */

struct sign_key {
	EVP_PKEY *pkey;
	struct sign_public public;
};

static void
id_make(struct sign_public *p)
{
	char hex[CANONICAL_HASH];

	hash_hex(p->bytes, sizeof p->bytes, hex);
	memcpy(p->id, hex, SIGN_ID - 1);
	p->id[SIGN_ID - 1] = '\0';
}

int
sign_public_parse(struct sign_public *out, const char *text, struct err *e)
{
	static const char expected[] = "a public key, " PREFIX "<base64 of 32 bytes>";

	*out = (struct sign_public){ 0 };
	if (strncmp(text, PREFIX, sizeof PREFIX - 1) != 0 ||
	    base64_decode_exactly(out->bytes, sizeof out->bytes, text + sizeof PREFIX - 1, NULL))
		return err_set(e, ERR_INVALID, "expected %s", expected);
	id_make(out);
	return 0;
}

void
sign_public_format(const struct sign_public *p, char out[SIGN_TEXT])
{
	struct buf b = { 0 };

	base64_put(&b, p->bytes, sizeof p->bytes);
	snprintf(out, SIGN_TEXT, PREFIX "%s", buf_str(&b));
	buf_free(&b);
}

bool
sign_public_equal(const struct sign_public *a, const struct sign_public *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* Takes pkey. NULL if it is no Ed25519 key. */
static struct sign_key *
key_of(EVP_PKEY *pkey)
{
	struct sign_key *k = xcalloc(1, sizeof *k);
	size_t len = sizeof k->public.bytes;

	if (EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519 || EVP_PKEY_get_raw_public_key(pkey, k->public.bytes, &len) != 1) {
		EVP_PKEY_free(pkey);
		free(k);
		return NULL;
	}
	k->pkey = pkey;
	id_make(&k->public);
	return k;
}

struct sign_key *
sign_key_new(void)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	if (!pkey)
		abort();
	return key_of(pkey);
}

struct sign_key *
sign_key_from_seed(const unsigned char seed[SIGN_KEY_SIZE])
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SIGN_KEY_SIZE);

	if (!pkey)
		abort();
	return key_of(pkey);
}

void
sign_key_free(struct sign_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

const struct sign_public *
sign_key_public(const struct sign_key *k)
{
	return &k->public;
}

/* Files */

static int
write_new(const char *path, const char *text, size_t len, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), bad;

	if (fd < 0)
		return err_set(e, errno == EEXIST ? ERR_CONFLICT : ERR_IO, "%s: %s", path,
		    errno == EEXIST ? "is there already" : strerror(errno));
	bad = fchmod(fd, 0600) || write(fd, text, len) != (ssize_t)len || fsync(fd);
	if (bad)
		err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	if (close(fd) && !bad)
		bad = err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
	if (bad)
		unlink(path);
	return bad ? -1 : 0;
}

/* What OpenSSL does by default, 2,048 rounds of PBKDF2, is little against somebody who has the file. */
static X509_SIG *
lock(const struct sign_key *k, const char *passphrase)
{
	PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(k->pkey);
	X509_ALGOR *how = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, 0, NULL, SCRYPT_N, 8, 1);
	X509_SIG *locked = plain && how ? PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), plain, how) : NULL;

	if (!locked)
		X509_ALGOR_free(how);
	PKCS8_PRIV_KEY_INFO_free(plain);
	return locked;
}

static int
pem_put(BIO *out, const struct sign_key *k, const char *passphrase)
{
	X509_SIG *locked;
	int rc;

	if (!passphrase)
		return PEM_write_bio_PKCS8PrivateKey(out, k->pkey, NULL, NULL, 0, NULL, NULL);
	locked = lock(k, passphrase);
	rc = locked ? PEM_write_bio_PKCS8(out, locked) : 0;
	X509_SIG_free(locked);
	return rc;
}

int
sign_key_save(const struct sign_key *k, const char *path, const char *passphrase, struct err *e)
{
	BIO *out = BIO_new(BIO_s_secmem());
	char *text;
	long len;
	int rc;

	if (pem_put(out, k, passphrase) != 1) {
		rc = err_set(e, ERR_INTERNAL, "%s: OpenSSL cannot write the key", path);
	} else {
		len = BIO_get_mem_data(out, &text);
		rc = write_new(path, text, (size_t)len, e);
	}
	BIO_free(out);
	return rc;
}

static int
read_private(const char *path, char *text, size_t size, struct err *e)
{
	struct stat st;
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st))
		err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		err_set(e, ERR_INVALID, "%s: is not a regular file", path);
	else if (st.st_mode & 077)
		err_set(e, ERR_DENIED, "%s: mode %03o lets others use the key; chmod 600 it", path,
		    (unsigned)st.st_mode & 0777);
	else if ((n = read(fd, text, size - 1)) < 0 || n == (ssize_t)size - 1)
		n = err_set(e, ERR_INVALID, "%s: cannot be read, or is no key", path);
	if (fd >= 0)
		close(fd);
	if (n >= 0)
		text[n] = '\0';
	return n < 0 ? -1 : 0;
}

static bool
is_locked(const char *pem)
{
	return strstr(pem, "BEGIN ENCRYPTED PRIVATE KEY") != NULL;
}

/* OpenSSL would ask on the terminal by itself. */
static int
passphrase_give(char *out, int size, int writing, void *arg)
{
	const char *passphrase = arg;
	size_t len = passphrase ? strlen(passphrase) : 0;

	(void)writing;
	if (!len || len > (size_t)size)
		return -1;
	memcpy(out, passphrase, len);
	return (int)len;
}

static struct sign_key *
pem_read(const char *path, const char *text, const char *passphrase, struct err *e)
{
	BIO *in = BIO_new_mem_buf(text, -1);
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(in, NULL, passphrase_give, (void *)(uintptr_t)passphrase);
	struct sign_key *k = pkey ? key_of(pkey) : NULL;

	BIO_free(in);
	ERR_clear_error();
	if (!k && !pkey && is_locked(text))
		err_set(e, ERR_DENIED, "%s: wrong passphrase", path);
	else if (!k)
		err_set(e, ERR_INVALID, "%s: no Ed25519 key in PEM", path);
	return k;
}

struct sign_key *
sign_key_load(const char *path, const char *passphrase, struct err *e)
{
	char text[FILE_MAX_BYTES];
	struct sign_key *k = NULL;

	if (read_private(path, text, sizeof text, e) == 0) {
		if (!passphrase && is_locked(text))
			err_set(e, ERR_DENIED, "%s: needs its passphrase", path);
		else
			k = pem_read(path, text, passphrase, e);
	}
	OPENSSL_cleanse(text, sizeof text);
	return k;
}

bool
sign_key_is_locked(const char *path)
{
	char text[FILE_MAX_BYTES];
	bool locked = read_private(path, text, sizeof text, NULL) == 0 && is_locked(text);

	OPENSSL_cleanse(text, sizeof text);
	return locked;
}

/* Signatures */

void
sign_make(const struct sign_key *k, const void *p, size_t len, unsigned char out[SIGN_SIZE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = SIGN_SIZE;

	if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) != 1 || EVP_DigestSign(ctx, out, &n, p, len) != 1)
		abort();
	EVP_MD_CTX_free(ctx);
}

bool
sign_check(const struct sign_public *by, const void *p, size_t len, const unsigned char signature[SIGN_SIZE])
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, by->bytes, sizeof by->bytes);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
	    EVP_DigestVerify(ctx, signature, SIGN_SIZE, p, len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	if (!good)
		ERR_clear_error();
	return good;
}
