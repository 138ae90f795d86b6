/* Whether Clerk is worth asking, for the whole instance.
 *
 * CLOSED  requests flow. FAILURES_TO_OPEN failures in a row open it; a refused secret key does so
 *         at once.
 * OPEN    nothing is sent until a moment drawn with jitter; then the next request is the probe.
 * PROBING one request is under way, the probe, and only its failure opens for longer: what was sent
 *         before says nothing new. Any success closes, whenever its request was sent.
 */
#pragma once

#include "base/instant.h"
#include "daemon/core/random.h"
#include "proto/wire.h"

enum breaker_state {
	BREAKER_CLOSED,
	BREAKER_OPEN,
	BREAKER_PROBING,
};

struct breaker {
	enum breaker_state state;
	enum code reason;     /* unavailable or unauthorized */
	unsigned failures;    /* in a row */
	unsigned openings;    /* in a row */
	struct mono probe_at; /* OPEN: when a probe may go */
};

/* 0 if a request may be sent now (it is then the probe, if one is due), else milliseconds until it
 * is worth asking again. */
int64_t breaker_wait_ms(const struct breaker *b, struct mono now);

/* A request is sent; true if it is the probe. */
bool breaker_sent(struct breaker *b);

/* Clerk answered something that shows it works. */
void breaker_succeeded(struct breaker *b);

/* `reason` CODE_UNAUTHORIZED opens at once. */
void breaker_failed(struct breaker *b, struct mono now, enum code reason, bool is_probe,
		    struct random *random);

/* Clerk takes requests and is silent: opens at once. */
void breaker_hangs(struct breaker *b, struct mono now, struct random *random);

/* The probe was given up: another may go after a pause as long as the last, or giving up would be
 * a way to send one after the other. */
void breaker_abandoned(struct breaker *b, struct mono now, struct random *random);

/* Whatever was known is void: a new key, a new address. */
void breaker_reset(struct breaker *b);
