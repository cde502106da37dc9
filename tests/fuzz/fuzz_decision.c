/* What the page sends to the sovereign's signer: what is let through is whole, and an address makes an origin that has nothing
 * in it that would end it. */
#include <stddef.h>
#include <stdint.h>

#include "approver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct approver_gate gate = { .host = "127.0.0.1:1", .origin = "http://127.0.0.1:2" };
	struct approver_ask k;
	char origin[APPROVER_ORIGIN];
	char *text = malloc(size + 1);

	if (!text)
		abort();
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (approver_parse(&k, text, size, NULL) == 0 && (strlen(k.task) != ULID_TEXT - 1 || strlen(k.hash) != CANONICAL_HASH - 1 ||
	    strlen(k.reason) >= SOVEREIGN_WHY || (!k.approve && !k.reason[0])))
		abort();
	if (approver_origin(origin, text, NULL) == 0 && (strlen(origin) >= sizeof origin - 1 || strpbrk(origin + 8, "/\"'<> \\#?@")))
		abort();
	if (approver_admits(&gate, text, text, text, false, NULL) == 0 || approver_admits(&gate, gate.host, gate.origin, text, false, NULL) == 0)
		abort();
	free(text);
	return 0;
}
