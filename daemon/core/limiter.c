/* See limiter.h. */
#include "daemon/core/limiter.h"

#include "base/mem.h"
#include "daemon/core/backoff.h"

#include <assert.h>
#include <errno.h>

#define HOLD_BASE_MS 1000
#define HOLD_MAX_MS 60000
#define REGROW_PARTS 10

int limiter_init(struct limiter *l, size_t limit, int64_t window_ms)
{
	*l = (struct limiter){ .regrow_at = MONO_NEVER, .hold_until = { INT64_MIN } };
	return limiter_configure(l, limit, window_ms);
}

void limiter_deinit(struct limiter *l)
{
	mem_free(l->sent);
	*l = (struct limiter){ 0 };
}

static struct mono *nth_sent(const struct limiter *l, size_t n)
{
	return &l->sent[(l->first + n) % l->size];
}

int limiter_configure(struct limiter *l, size_t limit, int64_t window_ms)
{
	/* What was sent counts, even where it is more than the new budget. */
	size_t size = l->count > limit ? l->count : limit;
	struct mono *sent;

	assert(limit > 0 && window_ms > 0);
	if (size != l->size) {
		sent = mem_calloc(size, sizeof(*sent));
		if (!sent)
			return -ENOMEM;
		for (size_t i = 0; i < l->count; i++)
			sent[i] = *nth_sent(l, i);
		mem_free(l->sent);
		l->sent = sent;
		l->size = size;
		l->first = 0;
	}
	l->limit = limit;
	l->allowed = limit;
	l->window_ms = window_ms;
	return 0;
}

static void forget_old(struct limiter *l, struct mono now)
{
	while (l->count && mono_is_due(mono_add_ms(*nth_sent(l, 0), l->window_ms), now)) {
		l->first = (l->first + 1) % l->size;
		l->count--;
	}
}

static void regrow(struct limiter *l, struct mono now)
{
	size_t step = l->limit / REGROW_PARTS ? l->limit / REGROW_PARTS : 1;

	while (mono_is_due(l->regrow_at, now)) {
		l->allowed = l->limit - l->allowed > step ? l->allowed + step : l->limit;
		l->regrow_at =
		    l->allowed == l->limit ? MONO_NEVER : mono_add_ms(l->regrow_at, l->window_ms);
	}
}

struct mono limiter_when(struct limiter *l, struct mono now, size_t ahead, size_t reserve)
{
	size_t usable = l->allowed > reserve ? l->allowed - reserve : 1;
	size_t windows = ahead / usable; /* that those ahead fill */
	struct mono start = mono_max(now, l->hold_until);
	struct mono when = mono_add_ms(start, (int64_t)windows * l->window_ms);
	size_t number;

	forget_old(l, now);
	regrow(l, now);
	/* It goes when the one `usable` places before it has left the window, that one likewise,
	 * and so on to one that was sent. */
	number = l->count + ahead;
	if (number < (windows + 1) * usable)
		return when;
	number -= (windows + 1) * usable;
	return mono_max(when,
			mono_add_ms(*nth_sent(l, number), (int64_t)(windows + 1) * l->window_ms));
}

void limiter_take(struct limiter *l, struct mono now)
{
	forget_old(l, now);
	assert(l->count < l->size);
	*nth_sent(l, l->count++) = now;
	l->sent_since_objection = true;
}

size_t limiter_used(struct limiter *l, struct mono now)
{
	forget_old(l, now);
	return l->count;
}

void limiter_throttle(struct limiter *l, struct mono now, int64_t retry_after_ms)
{
	/* All answers to what was sent before the first objection are one objection. */
	if (l->sent_since_objection || l->objections == 0) {
		l->allowed = l->allowed / 2 ? l->allowed / 2 : 1;
		l->objections++;
	}
	l->sent_since_objection = false;
	if (retry_after_ms < 0)
		retry_after_ms = backoff_ms(HOLD_BASE_MS, HOLD_MAX_MS, l->objections - 1);
	l->hold_until = mono_max(l->hold_until, mono_add_ms(now, retry_after_ms));
	l->regrow_at = mono_add_ms(l->hold_until, l->window_ms);
}

void limiter_accepted(struct limiter *l)
{
	l->objections = 0;
}
