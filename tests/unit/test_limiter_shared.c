/* daemon/core/limiter: a Clerk with one limit for all who share the key, and how daemons fare that
 * are told no more of it than 429. */
#include "tests/unit/unit.h"

#include "daemon/core/limiter.h"

#define ANSWERS_MAX 4096
#define SHARED_LIMIT 1000
#define SHARED_WINDOW_MS 10000
#define BUDGET 800
#define REFUSED_AFTER_MS 50
#define ANSWERED_AFTER_MS 230
#define BUCKETS 160  /* windows that a play takes at most */
#define PERIOD_MS 20 /* of demand: at each, so many come */
#define BACKLOG 200

static struct mono at(int64_t ms)
{
	return (struct mono){ ms };
}

struct shared {
	struct limiter accepted; /* used as a log */
	enum { SAYS_NOTHING, SAYS_ONE_SECOND, SAYS_AT_ONCE, SAYS_WHEN } says;
};

static bool is_accepted(struct shared *s, int64_t now_ms)
{
	if (limiter_when(&s->accepted, at(now_ms), 0, 0).ms > now_ms)
		return false;
	limiter_take(&s->accepted, at(now_ms));
	return true;
}

static int64_t retry_after_ms(struct shared *s, int64_t now_ms)
{
	switch (s->says) {
	case SAYS_ONE_SECOND:
		return 1000;
	case SAYS_AT_ONCE:
		return 0;
	case SAYS_WHEN:
		return limiter_when(&s->accepted, at(now_ms), 0, 0).ms - now_ms;
	default:
		return -1;
	}
}

struct answer {
	int64_t sent_ms, due_ms, retry_after_ms;
	bool accepted;
};

struct daemon {
	struct limiter limiter;
	struct answer answers[ANSWERS_MAX]; /* a ring */
	size_t asked, answered;
	size_t demand;	 /* a window */
	int64_t backlog; /* times the window */
	struct unit_random random;
	size_t accepted[BUCKETS], refused[BUCKETS];
};

static void hear(struct daemon *d, int64_t now_ms)
{
	/* Refusals are faster than tokens, so the ring is not in order. */
	for (size_t i = d->answered; i < d->asked; i++) {
		struct answer *a = &d->answers[i % ANSWERS_MAX];

		if (!a->due_ms || a->due_ms > now_ms)
			continue;
		a->due_ms = 0;
		if (a->accepted) {
			limiter_accepted(&d->limiter, at(a->sent_ms));
		} else {
			limiter_throttle(&d->limiter, at(now_ms), at(a->sent_ms),
					 a->retry_after_ms);
			d->backlog += SHARED_WINDOW_MS;
		}
	}
	while (d->answered < d->asked && !d->answers[d->answered % ANSWERS_MAX].due_ms)
		d->answered++;
}

static void say(struct daemon *d, struct shared *s, int64_t now_ms)
{
	struct answer *a = &d->answers[d->asked++ % ANSWERS_MAX];
	size_t bucket = (size_t)(now_ms / SHARED_WINDOW_MS);

	limiter_take(&d->limiter, at(now_ms));
	a->sent_ms = now_ms;
	a->accepted = is_accepted(s, now_ms);
	a->due_ms = now_ms + (a->accepted ? ANSWERED_AFTER_MS : REFUSED_AFTER_MS);
	a->retry_after_ms = a->accepted ? 0 : retry_after_ms(s, now_ms);
	(a->accepted ? d->accepted : d->refused)[bucket]++;
	d->backlog -= SHARED_WINDOW_MS;
}

/* What is wanted comes as it comes; what can't be had is given up. */
static void play(struct daemon *d, struct shared *s, int64_t now_ms)
{
	hear(d, now_ms);
	d->backlog += (int64_t)d->demand * (int64_t)unit_below(&d->random, 2 * PERIOD_MS + 1);
	if (d->backlog > BACKLOG * SHARED_WINDOW_MS)
		d->backlog = BACKLOG * SHARED_WINDOW_MS;
	while (d->backlog >= SHARED_WINDOW_MS &&
	       limiter_when(&d->limiter, at(now_ms), 0, 0).ms == now_ms)
		say(d, s, now_ms);
}

static void begin_sharing(struct shared *s, struct daemon daemons[], size_t count)
{
	assert_int_equal(limiter_init(&s->accepted, SHARED_LIMIT, SHARED_WINDOW_MS), 0);
	memset(daemons, 0, count * sizeof(*daemons));
	for (size_t i = 0; i < count; i++) {
		daemons[i].random.state = i;
		assert_int_equal(limiter_init(&daemons[i].limiter, BUDGET, SHARED_WINDOW_MS), 0);
	}
}

static void end_sharing(struct shared *s, struct daemon daemons[], size_t count)
{
	limiter_deinit(&s->accepted);
	for (size_t i = 0; i < count; i++)
		limiter_deinit(&daemons[i].limiter);
}

/* Four fifths of the limit are wanted; a stranger takes half of it, in the windows 5 to 20. */
static void live_with_a_stranger(struct shared *s, struct daemon *d)
{
	for (int64_t now_ms = 0; now_ms < 30 * SHARED_WINDOW_MS; now_ms += PERIOD_MS) {
		size_t window = (size_t)(now_ms / SHARED_WINDOW_MS);

		if (window >= 5 && window < 20)
			(void)is_accepted(s, now_ms);
		play(d, s, now_ms);
	}
}

static void test_a_stranger_takes_half_of_the_limit(void **state)
{
	static struct daemon d;

	(void)state;
	for (int says = SAYS_NOTHING; says <= SAYS_WHEN; says++) {
		struct shared s = { .says = says };
		size_t refused = 0, accepted = 0;

		begin_sharing(&s, &d, 1);
		d.demand = BUDGET;
		live_with_a_stranger(&s, &d);
		for (size_t i = 0; i < 30; i++) {
			refused += d.refused[i];
			accepted += i >= 7 && i < 20 ? d.accepted[i] : 0;
			if (i < 5 || i >= 22)
				assert_true(d.accepted[i] >= BUDGET - 50 && d.refused[i] == 0);
			else if (i >= 7 && i < 20)
				assert_in_range(d.accepted[i], 400, 525);
		}
		assert_true(accepted >= 13 * 450);
		assert_true(refused * 40 < accepted);
		end_sharing(&s, &d, 1);
	}
}

/* Whoever came first, in the end they share alike. */
static void test_daemons_share_alike(void **state)
{
	static struct daemon daemons[2];

	(void)state;
	for (int says = SAYS_NOTHING; says <= SAYS_WHEN; says++) {
		struct shared s = { .says = says };
		size_t sums[2] = { 0 };

		begin_sharing(&s, daemons, 2);
		daemons[0].demand = daemons[1].demand = BUDGET;
		for (int64_t now_ms = 0; now_ms < BUCKETS * SHARED_WINDOW_MS; now_ms += PERIOD_MS) {
			play(&daemons[0], &s, now_ms);
			if (now_ms >= 5 * SHARED_WINDOW_MS)
				play(&daemons[1], &s, now_ms);
		}
		for (size_t i = BUCKETS - 20; i < BUCKETS; i++)
			for (size_t k = 0; k < 2; k++)
				sums[k] += daemons[k].accepted[i];
		for (size_t k = 0; k < 2; k++)
			assert_true(sums[k] * 5 > (sums[0] + sums[1]) * 2);
		assert_true(sums[0] + sums[1] > (size_t)20 * SHARED_LIMIT * 9 / 10);
		end_sharing(&s, daemons, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_stranger_takes_half_of_the_limit),
		cmocka_unit_test(test_daemons_share_alike),
	};

	return cmocka_run_group_tests_name("limiter_shared", tests, NULL, NULL);
}
