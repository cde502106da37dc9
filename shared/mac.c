#include "mac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "log.h"

void
mac_of(const char *key, const void *p, size_t len, char hex[DIGEST_HEX])
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned n = sizeof mac;

	if (!HMAC(EVP_sha256(), key, (int)strlen(key), p, len, mac, &n))
		fatalx("no HMAC");
	digest_format(mac, hex);
}

bool
mac_is(const char *key, const void *p, size_t len, const char *hex)
{
	char right[DIGEST_HEX];

	mac_of(key, p, len, right);
	return hex && strlen(hex) == DIGEST_HEX - 1 && CRYPTO_memcmp(hex, right, DIGEST_HEX - 1) == 0;
}
