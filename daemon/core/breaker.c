/* See breaker.h. */
#include "daemon/core/breaker.h"

#include "daemon/core/backoff.h"

#define FAILURES_TO_OPEN 5
#define OUTAGE_BASE_MS 500
#define OUTAGE_MAX_MS 3000
#define REFUSED_BASE_MS 5000
#define REFUSED_MAX_MS 60000
#define PROBE_HINT_MS 500

int64_t breaker_wait_ms(const struct breaker *b, struct mono now)
{
	switch (b->state) {
	case BREAKER_OPEN:
		return mono_is_due(b->probe_at, now) ? 0 : mono_diff_ms(b->probe_at, now);
	case BREAKER_PROBING:
		return PROBE_HINT_MS;
	default:
		return 0;
	}
}

void breaker_sent(struct breaker *b)
{
	if (b->state == BREAKER_OPEN)
		b->state = BREAKER_PROBING;
}

void breaker_reset(struct breaker *b)
{
	*b = (struct breaker){ 0 };
}

void breaker_succeeded(struct breaker *b)
{
	breaker_reset(b);
}

void breaker_failed(struct breaker *b, struct mono now, enum code reason, struct random *random)
{
	bool refused = reason == CODE_UNAUTHORIZED;
	int64_t delay;

	b->failures++;
	if (b->state == BREAKER_OPEN)
		return; /* an answer to what was sent before it opened */
	if (b->state == BREAKER_CLOSED && !refused && b->failures < FAILURES_TO_OPEN)
		return;
	delay = refused ? backoff_ms(REFUSED_BASE_MS, REFUSED_MAX_MS, b->openings)
			: backoff_ms(OUTAGE_BASE_MS, OUTAGE_MAX_MS, b->openings);
	b->state = BREAKER_OPEN;
	b->reason = reason;
	b->openings++;
	b->probe_at = mono_add_ms(now, delay / 2 + random_below(random, delay / 2));
}

void breaker_abandoned(struct breaker *b, struct mono now)
{
	if (b->state != BREAKER_PROBING)
		return;
	b->state = BREAKER_OPEN;
	b->probe_at = now;
}
