/*
 * http_alert.h - GET /v1/alerts: what is raised in the cluster, what people said of it, and what was cleared lately.
 *
 * As this agent hears it, since it began. In the loop alone.
 */
#ifndef UW_HTTP_ALERT_H
#define UW_HTTP_ALERT_H

#include <stdbool.h>
#include <stddef.h>

struct agent;
struct alerts;

void alerts_init(struct agent *a);
/* True if it is about an alert or a mute. Each change goes to who listens to events, as "alert". */
bool alerts_take(struct agent *a, const char *topic, const char *payload, size_t len);
void alerts_link_up(struct agent *a);   /* before it subscribes */
void alerts_second(struct agent *a);    /* what was not said again is over */
void alerts_release(struct agent *a);

#endif
