#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken apart is put together as it was; what is not is refused with a reason. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[1024], again[TOPIC_MAX];
	struct err e = { 0 };
	struct topic t;

	if (size >= sizeof text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	name_ok(text);
	if (topic_parse(text, "home", &t, &e)) {
		if (e.code != ERR_PARSE || !e.msg[0])
			abort();
		return 0;
	}
	topic_format(again, "home", t.kind, t.name, t.id);
	if (strcmp(again, text) != 0)
		abort();
	return 0;
}
