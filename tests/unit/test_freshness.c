/* daemon/core/freshness: properties that hold for lives from a second to ten years. */
#include "tests/unit/unit.h"

#include "daemon/core/freshness.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define DAY (1440 * MINUTE)
#define TEN_YEARS (3650 * DAY)
#define DRAWS 200

static const int64_t lifetimes_ms[] = {
	SECOND,	      2 * SECOND,  5 * SECOND, 11 * SECOND, 30 * SECOND,
	60 * SECOND,  90 * SECOND, 5 * MINUTE, 10 * MINUTE, 60 * MINUTE,
	720 * MINUTE, DAY,	   30 * DAY,   365 * DAY,   TEN_YEARS,
};

static const int64_t slowest_ms[] = { 0, 50, 250, SECOND, 5 * SECOND, 10 * SECOND, DAY };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct freshness automatic(int64_t min_ttl_ms)
{
	return (struct freshness){ .min_ttl_ms = min_ttl_ms, .renew_idle_ms = -1 };
}

/* The least and the most of many draws. */
static void draw(const struct freshness *f, int64_t lifetime_ms, int64_t slow_ms,
		 int64_t *ret_least, int64_t *ret_most)
{
	struct random random = { 21 };

	*ret_least = INT64_MAX;
	*ret_most = INT64_MIN;
	for (int i = 0; i < DRAWS; i++) {
		int64_t lead_ms = freshness_lead_ms(f, lifetime_ms, slow_ms, &random);

		*ret_least = lead_ms < *ret_least ? lead_ms : *ret_least;
		*ret_most = lead_ms > *ret_most ? lead_ms : *ret_most;
	}
}

static void for_each_case(const struct freshness *f,
			  void (*check)(const struct freshness *, int64_t, int64_t))
{
	for (size_t i = 0; i < COUNT(lifetimes_ms); i++)
		for (size_t k = 0; k < COUNT(slowest_ms); k++)
			check(f, lifetimes_ms[i], slowest_ms[k]);
}

static int64_t cap_ms(const struct freshness *f, int64_t lifetime_ms)
{
	return f->refresh_percent ? lifetime_ms / 2 : lifetime_ms / 4 * 3;
}

static void assert_a_pause(const struct freshness *f, int64_t lifetime_ms, int64_t slow_ms)
{
	int64_t least_ms, most_ms;

	draw(f, lifetime_ms, slow_ms, &least_ms, &most_ms);
	assert_true(least_ms >= 0);
	assert_true(most_ms <= cap_ms(f, lifetime_ms));
}

static void test_a_pause_between_renewals(void **state)
{
	struct freshness f;

	(void)state;
	for (int64_t min_ttl_ms = 0; min_ttl_ms <= DAY; min_ttl_ms = min_ttl_ms * 7 + SECOND) {
		f = automatic(min_ttl_ms);
		for_each_case(&f, assert_a_pause);
		for (f.refresh_percent = 1; f.refresh_percent < 100; f.refresh_percent++)
			for_each_case(&f, assert_a_pause);
	}
}

/* An attempt as slow as the slowest leaves callers what they expect. */
static void assert_leaves_enough(const struct freshness *f, int64_t lifetime_ms, int64_t slow_ms)
{
	int64_t needed_ms = f->min_ttl_ms + slow_ms;
	int64_t least_ms, most_ms;

	draw(f, lifetime_ms, slow_ms, &least_ms, &most_ms);
	if (needed_ms + SECOND <= cap_ms(f, lifetime_ms))
		assert_true(least_ms > needed_ms);
	else
		assert_true(least_ms >= cap_ms(f, lifetime_ms) - SECOND);
}

static void test_leaves_what_callers_expect(void **state)
{
	(void)state;
	for (int64_t min_ttl_ms = 0; min_ttl_ms <= DAY; min_ttl_ms = min_ttl_ms * 7 + SECOND) {
		struct freshness f = automatic(min_ttl_ms);

		for_each_case(&f, assert_leaves_enough);
	}
}

/* As late as is safe: a token of ten years is not renewed years early. */
static void assert_not_early(const struct freshness *f, int64_t lifetime_ms, int64_t slow_ms)
{
	int64_t least_ms, most_ms;

	draw(f, lifetime_ms, slow_ms, &least_ms, &most_ms);
	assert_true(most_ms <= f->min_ttl_ms + slow_ms + SECOND + 10 * MINUTE);
}

static void test_as_late_as_is_safe(void **state)
{
	struct freshness f = automatic(5 * SECOND);

	(void)state;
	for_each_case(&f, assert_not_early);
}

static size_t draws_of(const struct freshness *f, int64_t lifetime_ms, int64_t slow_ms,
		       int64_t wanted_ms)
{
	struct random random = { 21 };
	size_t n = 0;

	for (int i = 0; i < DRAWS; i++)
		n += freshness_lead_ms(f, lifetime_ms, slow_ms, &random) == wanted_ms;
	return n;
}

/* Where half of the life leaves room for it: over a good part of a hundredth of the life, or
 * minutes, and not nearly all at one end. */
static void assert_spread(const struct freshness *f, int64_t lifetime_ms, int64_t slow_ms)
{
	int64_t spread_ms = lifetime_ms / 200 < 2 * MINUTE ? lifetime_ms / 200 : 2 * MINUTE;
	int64_t least_ms, most_ms;

	draw(f, lifetime_ms, slow_ms, &least_ms, &most_ms);
	if (most_ms >= cap_ms(f, lifetime_ms) || lifetime_ms < 30 * SECOND)
		return;
	assert_true(most_ms - least_ms >= spread_ms);
	assert_true(draws_of(f, lifetime_ms, slow_ms, most_ms) <= DRAWS / 10);
	assert_true(draws_of(f, lifetime_ms, slow_ms, least_ms) <= DRAWS / 10);
}

static void test_renewals_are_spread(void **state)
{
	struct freshness f = automatic(5 * SECOND);

	(void)state;
	for_each_case(&f, assert_spread);
	for (f.refresh_percent = 1; f.refresh_percent < 100; f.refresh_percent++)
		for_each_case(&f, assert_spread);
}

static void test_a_percentage_of_the_life(void **state)
{
	struct freshness f = { .refresh_percent = 80, .min_ttl_ms = 5 * SECOND };
	int64_t least_ms, most_ms;

	(void)state;
	draw(&f, 60 * SECOND, 0, &least_ms, &most_ms);
	assert_in_range(least_ms, 12 * SECOND, 13 * SECOND);
	assert_in_range(most_ms, least_ms + SECOND / 4, 15 * SECOND);
	f.refresh_percent = 99; /* what has less than min_ttl left is of no use */
	draw(&f, 60 * SECOND, 0, &least_ms, &most_ms);
	assert_int_equal(least_ms, 5 * SECOND);
	f.refresh_percent = 10; /* sooner than at half is never */
	draw(&f, 60 * SECOND, 0, &least_ms, &most_ms);
	assert_int_equal(most_ms, 30 * SECOND);
}

/* Never before a key in use, given the same draw, and never too late for the answer. */
static void test_an_idle_key_is_renewed_later(void **state)
{
	struct freshness f = automatic(5 * SECOND);

	(void)state;
	for (size_t i = 0; i < COUNT(lifetimes_ms); i++) {
		struct random a = { 21 }, b = { 21 };
		int64_t lead_ms = freshness_lead_ms(&f, lifetimes_ms[i], 2 * SECOND, &a);
		int64_t idle_ms = freshness_idle_lead_ms(&f, lifetimes_ms[i], SECOND / 2, &b);

		assert_true(idle_ms <= lead_ms);
		assert_true(idle_ms > 5 * SECOND + SECOND / 2 ||
			    idle_ms == cap_ms(&f, lifetimes_ms[i]));
	}
}

static void test_nonsense_does_no_harm(void **state)
{
	struct freshness f = automatic(5 * SECOND);
	struct random random = { 1 };

	(void)state;
	for (int64_t lifetime_ms = 0; lifetime_ms < 30; lifetime_ms++)
		assert_in_range(freshness_lead_ms(&f, lifetime_ms, 0, &random), 0,
				lifetime_ms / 4 * 3);
}

static void test_foreseen_uses_leave_time_for_an_attempt(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(slowest_ms); i++)
		assert_in_range(freshness_ahead_ms(slowest_ms[i]), slowest_ms[i] + 1,
				slowest_ms[i] + SECOND);
}

static void test_a_call_costs_more_as_the_budget_runs_out(void **state)
{
	unsigned last = 0;

	(void)state;
	for (unsigned used = 0; used <= 2000; used++) {
		unsigned chance = freshness_least_chance(used);

		assert_true(chance >= last && chance <= 1000);
		last = chance;
	}
	assert_true(freshness_least_chance(0) < 50);
	assert_true(freshness_least_chance(900) >= 900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pause_between_renewals),
		cmocka_unit_test(test_leaves_what_callers_expect),
		cmocka_unit_test(test_as_late_as_is_safe),
		cmocka_unit_test(test_renewals_are_spread),
		cmocka_unit_test(test_a_percentage_of_the_life),
		cmocka_unit_test(test_an_idle_key_is_renewed_later),
		cmocka_unit_test(test_nonsense_does_no_harm),
		cmocka_unit_test(test_foreseen_uses_leave_time_for_an_attempt),
		cmocka_unit_test(test_a_call_costs_more_as_the_budget_runs_out),
	};

	return cmocka_run_group_tests_name("freshness", tests, NULL, NULL);
}
