#include "doctor_packet.h"

#include <string.h>

enum { PROP_KEEPALIVE = 0x13, PROP_RECEIVE_MAX = 0x21, PROP_MAX_QOS = 0x24, PROP_MAX_PACKET = 0x27 };

int64_t
packet_number(const unsigned char *p, size_t n)
{
	int64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

/* A length of one to four bytes; what follows it, NULL if it is not whole. */
static const unsigned char *
varint(const unsigned char *p, const unsigned char *end, size_t *v)
{
	int shift = 0;

	*v = 0;
	while (p && p < end && shift < 28) {
		*v |= (size_t)(*p & 0x7f) << shift;
		shift += 7;
		if (!(*p++ & 0x80))
			return p;
	}
	return NULL;
}

/* Sizes of the values of CONNACK's properties: bytes; 0: text with its length, -2: two of those. */
static int
property_size(int id)
{
	static const struct {
		int id, size;
	} sizes[] = {
		{ 0x11, 4 }, { 0x12, 0 }, { PROP_KEEPALIVE, 2 }, { 0x15, 0 }, { 0x16, 0 }, { 0x1a, 0 }, { 0x1c, 0 }, { 0x1f, 0 },
		{ PROP_RECEIVE_MAX, 2 }, { 0x22, 2 }, { PROP_MAX_QOS, 1 }, { 0x25, 1 }, { 0x26, -2 },
		{ PROP_MAX_PACKET, 4 }, { 0x28, 1 }, { 0x29, 1 }, { 0x2a, 1 },
	};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		if (sizes[i].id == id)
			return sizes[i].size;
	return -1;
}

static void
take_property(struct wire_connack *c, int id, int64_t value)
{
	if (id == PROP_KEEPALIVE)
		c->keepalive_s = value;
	else if (id == PROP_RECEIVE_MAX)
		c->receive_max = value;
	else if (id == PROP_MAX_QOS)
		c->max_qos = value;
	else if (id == PROP_MAX_PACKET)
		c->max_packet = value;
}

static void
read_properties(const unsigned char *p, const unsigned char *end, struct wire_connack *c)
{
	while (p < end) {
		int id = *p++, size = property_size(id);
		int texts = size == 0 ? 1 : size == -2 ? 2 : 0;

		if (size == -1)
			return;
		if (size > 0) {
			if (end - p < size)
				return;
			take_property(c, id, packet_number(p, (size_t)size));
			p += size;
		}
		for (; texts > 0; texts--) {
			if (end - p < 2 || end - p - 2 < packet_number(p, 2))
				return;
			p += 2 + packet_number(p, 2);
		}
	}
}

int
packet_connack(const unsigned char *p, size_t len, struct wire_connack *out)
{
	const unsigned char *at, *end = p + len;
	size_t props;

	*out = (struct wire_connack){ .receive_max = -1, .max_packet = -1, .keepalive_s = -1, .max_qos = -1 };
	if (len < 2)
		return -1;
	at = varint(p + 2, end, &props);
	if (at && (size_t)(end - at) >= props)
		read_properties(at, at + props, out);
	return p[1];
}

int
packet_suback(const unsigned char *p, size_t len)
{
	size_t props;
	const unsigned char *end = p + len, *at = len < 2 ? NULL : varint(p + 2, end, &props);

	return at && (size_t)(end - at) > props ? at[props] : -1;
}

bool
packet_message(int type, const unsigned char *p, size_t len, struct wire_message *m)
{
	const unsigned char *end = p + len;
	size_t n, props;

	if (len < 2)
		return false;
	n = (size_t)packet_number(p, 2);
	p += 2;
	if (n >= sizeof m->topic || (size_t)(end - p) < n)
		return false;
	memcpy(m->topic, p, n);
	m->topic[n] = '\0';
	p += n;
	if (type >> 1 & 3) {
		if (end - p < 2)
			return false;
		p += 2;
	}
	p = varint(p, end, &props);
	if (!p || (size_t)(end - p) < props)
		return false;
	m->payload = (const char *)p + props;
	m->len = (size_t)(end - p) - props;
	m->retained = type & 1;
	return true;
}
