/* See breaker.h. */
#include "daemon/core/breaker.h"

#include "daemon/core/backoff.h"

#define FAILURES_TO_OPEN 5
#define OUTAGE_BASE_MS 500
#define OUTAGE_MAX_MS 2500
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

bool breaker_sent(struct breaker *b)
{
	if (b->state != BREAKER_OPEN)
		return false;
	b->state = BREAKER_PROBING;
	return true;
}

void breaker_reset(struct breaker *b)
{
	*b = (struct breaker){ 0 };
}

void breaker_succeeded(struct breaker *b)
{
	breaker_reset(b);
}

/* Opens until a moment that is drawn; `step` of the growing pauses. */
static void open_until_probe(struct breaker *b, struct mono now, unsigned step,
			     struct random *random)
{
	int64_t delay = b->reason == CODE_UNAUTHORIZED
			    ? backoff_ms(REFUSED_BASE_MS, REFUSED_MAX_MS, step)
			    : backoff_ms(OUTAGE_BASE_MS, OUTAGE_MAX_MS, step);

	b->state = BREAKER_OPEN;
	b->probe_at = mono_add_ms(now, delay / 2 + random_below(random, delay / 2));
}

void breaker_failed(struct breaker *b, struct mono now, enum code reason, bool is_probe,
		    struct random *random)
{
	b->failures++;
	if (b->state != BREAKER_CLOSED && !is_probe)
		return; /* of what was sent before it opened */
	if (b->state == BREAKER_CLOSED && reason != CODE_UNAUTHORIZED &&
	    b->failures < FAILURES_TO_OPEN)
		return;
	b->reason = reason;
	open_until_probe(b, now, b->openings++, random);
}

void breaker_hangs(struct breaker *b, struct mono now, struct random *random)
{
	if (b->state != BREAKER_CLOSED)
		return;
	b->reason = CODE_UNAVAILABLE;
	open_until_probe(b, now, b->openings++, random);
}

void breaker_abandoned(struct breaker *b, struct mono now, struct random *random)
{
	if (b->state == BREAKER_PROBING)
		open_until_probe(b, now, b->openings - 1, random);
}
