#include "beat.h"

#include <stdlib.h>
#include <string.h>

const char *
beat_text(const cJSON *o, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

	return text ? text : "";
}

const cJSON *
beat_house(const cJSON *beat, const char *house)
{
	const cJSON *p;

	if (strcmp(beat_text(beat, "state"), "offline") == 0)
		return NULL;
	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(beat, "houses"))
		if (strcmp(beat_text(p, "house"), house) == 0)
			return p;
	return NULL;
}

bool
beat_owns(const cJSON *entry)
{
	const char *role = beat_text(entry, "role");

	return entry && (!*role || strcmp(role, "owner") == 0);
}

int64_t
beat_term(const cJSON *entry)
{
	return strtoll(beat_text(entry, "term"), NULL, 10);
}
