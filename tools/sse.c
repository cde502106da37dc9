#include "sse.h"

#include <string.h>

static void
event_end(struct sse *s)
{
	if (s->too_long)
		s->left_out++;
	else if (s->has_data)
		s->on_event(s->arg, s->event, buf_str(&s->data), s->data.len);
	buf_clear(&s->data);
	s->data.full = false;
	s->event[0] = '\0';
	s->has_data = s->too_long = false;
}

static void
data_add(struct sse *s, const char *value, size_t len)
{
	s->data.max = SSE_EVENT_MAX;
	if (s->has_data)
		buf_addc(&s->data, '\n');
	buf_add(&s->data, value, len);
	s->has_data = true;
	s->too_long |= !buf_ok(&s->data);
}

static void
line_end(struct sse *s)
{
	const char *line = buf_str(&s->line), *colon = memchr(line, ':', s->line.len), *value = line + s->line.len;
	size_t name = colon ? (size_t)(colon - line) : s->line.len;

	s->too_long |= !buf_ok(&s->line);
	if (colon)
		value = colon[1] == ' ' ? colon + 2 : colon + 1;
	if (!s->line.len && buf_ok(&s->line))
		event_end(s);
	else if (name == 4 && memcmp(line, "data", 4) == 0)
		data_add(s, value, s->line.len - (size_t)(value - line));
	else if (name == 5 && memcmp(line, "event", 5) == 0)
		snprintf(s->event, sizeof s->event, "%s", value);
	buf_clear(&s->line);
	s->line.full = false;
}

void
sse_add(struct sse *s, const char *p, size_t len)
{
	const char *end = p + len;

	s->line.max = SSE_EVENT_MAX;
	while (p < end) {
		size_t n = 0;

		if (s->after_cr && *p == '\n')
			p++;
		s->after_cr = false;
		while (p + n < end && p[n] != '\n' && p[n] != '\r')
			n++;
		buf_add(&s->line, p, n);
		p += n;
		if (p == end)
			break;
		s->after_cr = *p++ == '\r';
		line_end(s);
	}
}

void
sse_release(struct sse *s)
{
	buf_free(&s->line);
	buf_free(&s->data);
}
