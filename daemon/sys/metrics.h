/* The metrics endpoint: GET /metrics, /livez and /readyz over HTTP, at a loopback port or a Unix
 * socket. It tells numbers, no secrets, sessions or templates, so it asks nobody who they are.
 *
 * A connection is one request, is closed after the answer, and has METRICS_DEADLINE_MS for each
 * step. No more than METRICS_CONNECTIONS_MAX are open: one more takes the place of the oldest, so
 * that nobody can keep others out by being slow.
 */
#pragma once

#include "daemon/core/config.h"

#define METRICS_CONNECTIONS_MAX 32
#define METRICS_DEADLINE_MS 5000

struct activation_sockets;
struct engine;
struct event_base;
struct metrics;

/* Serves at what was handed over, or where [listen] metrics says; a socket has the mode and the
 * group of the clients'. 0, *ret being NULL where it is off, or negative errno after having said
 * why. */
int metrics_new(struct event_base *base, struct engine *engine, const struct config *config,
		const struct activation_sockets *handed, struct metrics **ret);
void metrics_free(struct metrics *m);
