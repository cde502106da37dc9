/*
 * wire.h - where the benchmark's broker is and who it speaks as, from the environment: UW_HOST, UW_PORT,
 * UW_CAFILE, and UW_PKI, the directory with <identity>.crt and <identity>.key.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt.h"

struct wire {
	char address[64], client_id[80], crt[512], key[512];
	struct mqtt_opts opts;          /* the caller adds arg, the callbacks and a session, then connects */
};

/* Ends the program if a variable is missing or the host has no address. */
void wire_init(struct wire *w, const char *identity);

/* Waits for the socket until deadline_us (clock_mono_us()), then reads what is there. */
void wire_read(struct mqtt *m, int64_t deadline_us);

#endif
