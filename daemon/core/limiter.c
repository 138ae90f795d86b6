/* See limiter.h. */
#include "daemon/core/limiter.h"

#include "base/mem.h"
#include "daemon/core/backoff.h"

#include <assert.h>
#include <errno.h>

#define HOLD_BASE_MS 1000
#define HOLD_MAX_MS 60000
#define BACKOFF_NUMERATOR 17 /* what is left of the ceiling, as in CUBIC */
#define BACKOFF_DENOMINATOR 20
#define LEAST_PARTS 10 /* a tenth of the budget in use is no cause of a 429 */
#define PAUSE_PARTS 10 /* the rate grows so often in a window */
#define STEP_PARTS 100
#define PACE_PARTS 10
#define CROWDED_WINDOWS 6 /* since the first of two users was there */

int limiter_init(struct limiter *l, size_t limit, int64_t window_ms)
{
	*l = (struct limiter){ .regrow_at = MONO_NEVER,
			       .hold_until = { INT64_MIN },
			       .reduced_at = { INT64_MIN },
			       .pace_from = { INT64_MIN },
			       .crowded_until = { INT64_MIN },
			       .last_user_at = { INT64_MIN } };
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

/* The tenth of a window, from boot on, in which that is; when it begins. */
static uint64_t tenth_of(const struct limiter *l, struct mono at)
{
	return (uint64_t)(at.ms / l->window_ms * TURNS_TENTHS +
			  at.ms % l->window_ms * TURNS_TENTHS / l->window_ms);
}

static struct mono tenth_begins(const struct limiter *l, uint64_t tenth)
{
	int64_t windows = (int64_t)(tenth / TURNS_TENTHS), rest = (int64_t)(tenth % TURNS_TENTHS);

	return (struct mono){ windows * l->window_ms +
			      (rest * l->window_ms + TURNS_TENTHS - 1) / TURNS_TENTHS };
}

static void note_turn(struct limiter *l, struct mono at)
{
	turns_move(&l->turns, tenth_of(l, at));
	turns_take(&l->turns);
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
	if (l->allowed == l->limit || l->allowed >= limit) {
		l->allowed = limit;
		l->regrow_at = MONO_NEVER;
	}
	l->limit = limit;
	l->window_ms = window_ms;
	l->turns = (struct turns){ 0 };
	for (size_t i = 0; i < l->count; i++)
		note_turn(l, *nth_sent(l, i));
	return 0;
}

static void forget_old(struct limiter *l, struct mono now)
{
	while (l->count && mono_is_due(mono_add_ms(*nth_sent(l, 0), l->window_ms), now)) {
		l->first = (l->first + 1) % l->size;
		l->count--;
	}
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t first_step(const struct limiter *l)
{
	return (l->limit + STEP_PARTS - 1) / STEP_PARTS;
}

/* One step of growth; the time until the next. */
static int64_t grow(struct limiter *l)
{
	size_t ceiling = min_size(l->ceiling, l->limit);

	if (l->allowed >= ceiling) {
		l->allowed = min_size(l->allowed + l->step, l->limit);
		l->step *= 2;
		return l->window_ms / PAUSE_PARTS;
	}
	if ((ceiling - l->allowed) / 2 > first_step(l)) {
		l->allowed += (ceiling - l->allowed) / 2;
		return l->window_ms / PAUSE_PARTS;
	}
	l->allowed = ceiling;
	return l->window_ms;
}

static void regrow(struct limiter *l, struct mono now)
{
	while (mono_is_due(l->regrow_at, now)) {
		struct mono next = mono_add_ms(l->regrow_at, grow(l));

		l->regrow_at = l->allowed == l->limit ? MONO_NEVER : next;
	}
}

size_t limiter_allowed(struct limiter *l, struct mono now)
{
	regrow(l, now);
	return l->allowed;
}

struct mono limiter_when(struct limiter *l, struct mono now, size_t ahead, size_t reserve)
{
	size_t allowed = limiter_allowed(l, now);
	size_t usable = allowed > reserve ? allowed - reserve : 1;
	size_t windows = ahead / usable; /* that those ahead fill */
	struct mono start = mono_max(now, l->hold_until);
	struct mono when = mono_add_ms(start, (int64_t)windows * l->window_ms);
	size_t number;

	forget_old(l, now);
	/* It goes when the one `usable` places before it has left the window, that one likewise,
	 * and so on to one that was sent. */
	number = l->count + ahead;
	if (number < (windows + 1) * usable)
		return when;
	number -= (windows + 1) * usable;
	return mono_max(when,
			mono_add_ms(*nth_sent(l, number), (int64_t)(windows + 1) * l->window_ms));
}

bool limiter_is_crowded(const struct limiter *l, struct mono now)
{
	return !mono_is_due(l->crowded_until, now);
}

struct lineup limiter_line(const struct limiter *l, struct mono now)
{
	struct lineup line = { .turns = l->turns };

	turns_move(&line.turns, tenth_of(l, mono_max(now, l->hold_until)));
	return line;
}

void limiter_line_up(struct limiter *l, struct lineup *line, size_t count)
{
	(void)turns_give(&line->turns, l->allowed, count); /* the next one's is asked for later */
	line->count += count;
}

struct mono limiter_line_turn(struct limiter *l, struct mono now, struct lineup *line)
{
	struct mono when = limiter_when(l, now, line->count, 0);

	if (!limiter_is_crowded(l, now))
		return when;
	return mono_max(when, tenth_begins(l, turns_give(&line->turns, l->allowed, 0)));
}

struct mono limiter_turn(struct limiter *l, struct mono now, size_t ahead)
{
	struct lineup line = limiter_line(l, now);

	if (!limiter_is_crowded(l, now))
		return limiter_when(l, now, ahead, 0);
	limiter_line_up(l, &line, ahead);
	return limiter_line_turn(l, now, &line);
}

void limiter_take(struct limiter *l, struct mono now)
{
	forget_old(l, now);
	assert(l->count < l->size);
	*nth_sent(l, l->count++) = now;
	note_turn(l, now);
}

void limiter_note_user(struct limiter *l, struct mono now, uint32_t user)
{
	if (user != l->last_user)
		l->crowded_until = mono_max(
		    l->crowded_until, mono_add_ms(l->last_user_at, CROWDED_WINDOWS * l->window_ms));
	l->last_user = user;
	l->last_user_at = now;
}

struct mono limiter_pace(struct limiter *l, struct mono now, size_t reserve)
{
	size_t allowed = limiter_allowed(l, now);
	size_t usable = allowed > reserve ? allowed - reserve : 1;
	struct mono next = mono_add_ms(l->pace_from, l->window_ms / PACE_PARTS);

	if (mono_is_due(next, now)) {
		l->pace_from = now;
		l->paced = 0;
	}
	return l->paced < (usable + PACE_PARTS - 1) / PACE_PARTS ? now : next;
}

void limiter_take_pace(struct limiter *l)
{
	l->paced++;
}

struct mono limiter_hint(struct limiter *l, struct mono now, struct hints *hints, struct mono when)
{
	size_t allowed = limiter_allowed(l, now);
	size_t place = mono_is_due(hints->until, now) ? 0 : hints->count % allowed;

	when = mono_add_ms(when, (int64_t)place * l->window_ms / (int64_t)allowed);
	hints->until = mono_max(hints->until, when);
	hints->count = place + 1;
	return when;
}

size_t limiter_used(struct limiter *l, struct mono now)
{
	forget_old(l, now);
	return l->count;
}

static void reduce(struct limiter *l, struct mono now)
{
	size_t used = max_size(limiter_used(l, now), max_size(l->limit / LEAST_PARTS, 1));
	size_t in_use = min_size(limiter_allowed(l, now), used);
	bool is_less = l->allowed < l->limit && in_use < l->ceiling;

	l->allowed = max_size(in_use * BACKOFF_NUMERATOR / BACKOFF_DENOMINATOR, 1);
	/* Less than last time: somebody has come. */
	l->ceiling = is_less ? (in_use + l->allowed) / 2 : in_use;
	l->step = first_step(l);
	l->reduced_at = now;
	l->regrow_at.ms = INT64_MIN;
	l->objections++;
}

void limiter_throttle(struct limiter *l, struct mono now, struct mono sent_at,
		      int64_t retry_after_ms)
{
	/* What was sent before the rate was reduced says nothing of the rate it was reduced to, but
	 * that one more of those in use was one too many. */
	if (mono_diff_ms(sent_at, l->reduced_at) > 0)
		reduce(l, now);
	else if (l->ceiling > l->allowed)
		l->ceiling--;
	if (retry_after_ms < 0)
		retry_after_ms =
		    backoff_ms(HOLD_BASE_MS, HOLD_MAX_MS, l->objections ? l->objections - 1 : 0);
	l->hold_until = mono_max(l->hold_until, mono_add_ms(now, retry_after_ms));
	l->regrow_at =
	    mono_max(l->regrow_at, mono_add_ms(l->hold_until, l->window_ms / PAUSE_PARTS));
}

void limiter_accepted(struct limiter *l, struct mono sent_at)
{
	if (mono_diff_ms(sent_at, l->reduced_at) > 0)
		l->objections = 0;
}
