/*
 * doctor_packet.h - what a broker's packets of MQTT 5 say, from the bytes after their length. Every byte is a stranger's.
 */
#ifndef UW_DOCTOR_PACKET_H
#define UW_DOCTOR_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor_wire.h"

/* Big-endian; n at most 8. */
int64_t packet_number(const unsigned char *p, size_t n);

/* The reason, 0 if we are let in; -1 if there is none. */
int packet_connack(const unsigned char *p, size_t len, struct wire_connack *out);

/* The first reason; -1 if there is none. */
int packet_suback(const unsigned char *p, size_t len);

/* False if it is none, or its topic is longer than ours are. The payload is borrowed. */
bool packet_message(int type, const unsigned char *p, size_t len, struct wire_message *m);

#endif
