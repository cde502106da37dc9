#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "doctor_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte is the packet's type. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_connack c;
	struct wire_message m;

	if (size == 0)
		return 0;
	packet_connack(data + 1, size - 1, &c);
	assert(c.receive_max >= -1 && c.receive_max < 65536 && c.max_qos >= -1 && c.max_qos < 256);
	assert(packet_suback(data + 1, size - 1) < 256);
	if (packet_message(data[0], data + 1, size - 1, &m)) {
		assert(strlen(m.topic) < sizeof m.topic);
		assert((const uint8_t *)m.payload >= data && (const uint8_t *)m.payload + m.len == data + size);
	}
	return 0;
}
