/* A webhook whose signature is right, whatever is in it: refused with a reason, or an event that is one line of JSON. */
#include <stddef.h>
#include <stdint.h>

#include "hermes_hook.h"
#include "json.h"
#include "mac.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY "fuzz"
#define NOW INT64_C(1795430223000)

static void
check_line(const struct hermes_event *v, enum hermes_share share)
{
	struct buf b = { 0 };
	cJSON *o = NULL;

	hermes_event_put(&b, v, share, "ezra-1", "01JDTESTTESTTESTTESTTESTTE", 1);
	if (!(o = json_parse_object(b.data, b.len, NULL)) || memchr(b.data, '\n', b.len))
		abort();
	if (share == SHARE_FACTS && (cJSON_GetObjectItemCaseSensitive(o, "preview") || cJSON_GetObjectItemCaseSensitive(o, "text")))
		abort();
	cJSON_Delete(o);
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char sign[DIGEST_HEX + 8] = "sha256=";
	struct hermes_event v;
	struct err e = { 0 };
	int rc;

	mac_of(KEY, data, size, sign + 7);
	rc = hermes_hook_read((const char *)data, size, sign, KEY, NOW, &v, &e);
	if (rc < 0 && (!e.code || !e.msg[0]))
		abort();
	if (rc > 0) {
		check_line(&v, SHARE_FACTS);
		check_line(&v, SHARE_TEXTS);
		hermes_event_release(&v);
	}
	sign[7] = sign[7] == '0' ? '1' : '0';
	if (hermes_hook_read((const char *)data, size, sign, KEY, NOW, &v, &e) >= 0)
		abort();
	return 0;
}
