/*
 * http_cluster.h - GET /v1/cluster: what an agent hears of all others, and of houses changing hands.
 *
 * The newest heartbeat of each agent, and the latest owners of each house, since this agent began. In the loop alone.
 */
#ifndef UW_HTTP_CLUSTER_H
#define UW_HTTP_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>

struct agent;
struct cluster;

void heard_init(struct agent *a);
/* A heartbeat that this agent publishes, or hears. What is none is left alone. */
void heard_take(struct agent *a, bool ours, const char *topic, const char *payload, size_t len);
void heard_release(struct agent *a);

#endif
