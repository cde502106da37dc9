#include "meter.h"

#include <stdio.h>
#include <unistd.h>

#include "json.h"

static bool shown;

bool
meter_is_on(void)
{
	return isatty(2);
}

void
meter_show(const cJSON *o)
{
	int64_t percent = json_number(o, "percent", -1);

	if (!meter_is_on())
		return;
	fputs("\r\033[K", stderr);
	if (percent >= 0)
		fprintf(stderr, "%3lld %% ", (long long)percent);
	for (const char *p = json_text(o, "note"); *p; p++)
		if ((unsigned char)*p >= ' ' && *p != 0x7f)
			fputc(*p, stderr);
	fflush(stderr);
	shown = true;
}

void
meter_clear(void)
{
	if (shown)
		fputs("\r\033[K", stderr);
	shown = false;
}
