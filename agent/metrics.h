/*
 * metrics.h - GET /metrics: what an agent counts and measures, for Prometheus.
 *
 * The table in metrics.c is the master copy: names, units and help of all. Its values come from the agent's health, as
 * everybody hears it, and from here.
 */
#ifndef UW_METRICS_H
#define UW_METRICS_H

#include "histogram.h"

/* Of the loop. */
struct metrics {
	struct histogram commits;       /* that wrote something */
	struct histogram turns;
	struct histogram attempts;      /* time in the tool */
};

#endif
