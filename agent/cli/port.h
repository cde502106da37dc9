/*
 * port.h - TCP ports of this machine: which are free, and whether somebody listens on one.
 */
#ifndef UW_PORT_H
#define UW_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORT_HOST "127.0.0.1"

bool port_is_free(int port);

/* The same, waited for: who was killed keeps his ports until the system has cleared him away. */
bool port_gets_free(int port, int64_t limit_ms);

/* A free one that is none of these n; 0: none was found. */
int port_choose(const int *except, size_t n);

/* Somebody listens there. */
bool port_answers(int port);

#endif
