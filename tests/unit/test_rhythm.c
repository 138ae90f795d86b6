/* daemon/core/rhythm: chances come to what was seen; steady keys are told from the others. */
#include "tests/unit/unit.h"

#include "daemon/core/rhythm.h"

#define SECOND INT64_C(1000)
#define DAY (86400 * SECOND)
#define TEN_YEARS (3650 * DAY)
#define OFTEN 10
#define CLOSE 40 /* per mille */

static struct beat beat_of(struct rhythm *r, const int64_t gaps_ms[], size_t count)
{
	struct beat beat = { 0 };

	for (size_t i = 0; i < count; i++)
		rhythm_used(r, &beat, OFTEN, gaps_ms[i]);
	return beat;
}

static bool is_steady(const struct beat *beat)
{
	int64_t from_ms, to_ms;

	return rhythm_foretell(beat, &from_ms, &to_ms);
}

static void test_steady_after_two_gaps_alike(void **state)
{
	struct rhythm r = { 0 };
	int64_t from_ms, to_ms;

	(void)state;
	for (int64_t gap_ms = 2 * RHYTHM_VISIT_MS; gap_ms <= 1000 * SECOND; gap_ms += 777) {
		struct beat beat = { 0 };

		assert_false(is_steady(&beat));
		rhythm_used(&r, &beat, OFTEN, gap_ms);
		assert_false(is_steady(&beat));
		rhythm_used(&r, &beat, OFTEN, gap_ms + gap_ms / 100);
		rhythm_used(&r, &beat, OFTEN, gap_ms - gap_ms / 100);
		assert_true(rhythm_foretell(&beat, &from_ms, &to_ms));
		assert_in_range(gap_ms, from_ms, to_ms);
		assert_true(from_ms > 0 && to_ms < 2 * gap_ms);
	}
}

static void test_one_gap_unlike_ends_it(void **state)
{
	static const int64_t others_ms[] = { RHYTHM_GAP_MS, 5 * SECOND,	 30 * SECOND,
					     50 * SECOND,   80 * SECOND, 120 * SECOND,
					     3600 * SECOND, TEN_YEARS };
	static const int64_t alike_ms[] = { 60 * SECOND, 60 * SECOND, 60 * SECOND, 60 * SECOND };
	struct rhythm r = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(others_ms) / sizeof(others_ms[0]); i++) {
		struct beat beat = beat_of(&r, alike_ms, 4);

		assert_true(is_steady(&beat));
		rhythm_used(&r, &beat, OFTEN, others_ms[i]);
		assert_false(is_steady(&beat));
	}
}

/* A narrow window, once the gaps have been alike for long. */
static void test_the_window_narrows(void **state)
{
	struct rhythm r = { 0 };
	struct beat beat = { 0 };
	int64_t from_ms, to_ms;

	(void)state;
	for (int i = 0; i < 20; i++)
		rhythm_used(&r, &beat, OFTEN, 120 * SECOND);
	assert_true(rhythm_foretell(&beat, &from_ms, &to_ms));
	assert_in_range(from_ms, 119 * SECOND, 120 * SECOND);
	assert_in_range(to_ms, 120 * SECOND, 121 * SECOND);
}

/* Gaps evenly spread over 10 to 110 s, and as many keys that never come back. */
static void test_chances_come_to_what_was_seen(void **state)
{
	const struct beat beat = { .gap = 40 * SECOND / RHYTHM_UNIT_MS, .spread = 1000 };
	struct unit_random random = { 5 };
	struct rhythm r = { 0 };

	(void)state;
	for (int i = 0; i < 8000; i++) {
		struct beat key = beat;

		rhythm_used(&r, &key, OFTEN,
			    10 * SECOND + (int64_t)unit_below(&random, 100 * SECOND));
		rhythm_lost(&r, &beat, OFTEN, RHYTHM_KEEP_MS);
	}
	/* At 10 s, half are to come in 100 s; at 60 s, a third of those left in 50 s. */
	assert_in_range(rhythm_chance(&r, &beat, OFTEN, 10 * SECOND, 100 * SECOND), 500 - CLOSE,
			500 + CLOSE);
	assert_in_range(rhythm_chance(&r, &beat, OFTEN, 10 * SECOND, 50 * SECOND), 250 - CLOSE,
			250 + CLOSE);
	assert_in_range(rhythm_chance(&r, &beat, OFTEN, 60 * SECOND, 50 * SECOND), 333 - CLOSE,
			333 + CLOSE);
	assert_true(rhythm_chance(&r, &beat, OFTEN, 200 * SECOND, 50 * SECOND) < CLOSE);
}

/* The same idle time, the same chance: keys are told apart only where they are different. */
static void test_the_gaps_of_all_tell_of_each(void **state)
{
	const struct beat often = { .gap = 6 * SECOND / RHYTHM_UNIT_MS, .spread = 1000 };
	const struct beat seldom = { .gap = 90 * SECOND / RHYTHM_UNIT_MS, .spread = 5000 };
	struct rhythm r = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct beat key = often;

		rhythm_used(&r, &key, OFTEN, 30 * SECOND);
		rhythm_lost(&r, &often, OFTEN, RHYTHM_KEEP_MS);
	}
	assert_int_equal(rhythm_chance(&r, &seldom, OFTEN, 10 * SECOND, 53 * SECOND),
			 rhythm_chance(&r, &often, OFTEN, 10 * SECOND, 53 * SECOND));
}

static void test_a_steady_key_comes_when_it_is_foreseen(void **state)
{
	struct rhythm r = { 0 };
	struct beat beat = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		rhythm_used(&r, &beat, OFTEN, 99 * SECOND + i % 3 * SECOND);
	for (int i = 0; i < 100; i++)
		rhythm_lost(&r, &beat, OFTEN, RHYTHM_KEEP_MS);
	assert_true(rhythm_chance(&r, &beat, OFTEN, 98 * SECOND, 53 * SECOND) > 850);
	assert_true(rhythm_chance(&r, &beat, OFTEN, 20 * SECOND, 53 * SECOND) < CLOSE);
	assert_true(rhythm_chance(&r, &beat, OFTEN, 150 * SECOND, 53 * SECOND) < CLOSE);
}

/* Before anything was seen: less and less, and never out of bounds. */
static void test_presumed_chances_fall(void **state)
{
	const struct rhythm r = { 0 };
	const struct beat beat = { 0 };
	unsigned last = RHYTHM_CERTAIN;

	(void)state;
	for (int64_t idle_ms = RHYTHM_GAP_MS; idle_ms < TEN_YEARS; idle_ms *= 2) {
		unsigned chance = rhythm_chance(&r, &beat, 1, idle_ms, 53 * SECOND);

		assert_true(chance <= last);
		last = chance;
	}
	assert_int_equal(last, 0);
}

/* What was seen long ago is forgotten: a class that changes its ways is believed. */
static void test_curves_forget(void **state)
{
	const struct beat beat = { .gap = 40 * SECOND / RHYTHM_UNIT_MS, .spread = 1000 };
	struct rhythm r = { 0 };

	(void)state;
	for (int i = 0; i < 200000; i++) {
		struct beat key = beat;

		rhythm_used(&r, &key, OFTEN, 50 * SECOND);
	}
	assert_true(rhythm_chance(&r, &beat, OFTEN, 30 * SECOND, 53 * SECOND) > 950);
	for (int i = 0; i < 200000; i++)
		rhythm_lost(&r, &beat, OFTEN, RHYTHM_KEEP_MS);
	assert_true(rhythm_chance(&r, &beat, OFTEN, 30 * SECOND, 53 * SECOND) < 50);
}

/* Whatever times come, an answer does. */
static void test_any_times(void **state)
{
	struct unit_random random = { 9 };
	struct rhythm r = { 0 };
	struct beat beat = { 0 };

	(void)state;
	for (int i = 0; i < 100000; i++) {
		int64_t a_ms = (int64_t)(unit_random(&random) >> (2 + unit_below(&random, 60)));
		int64_t b_ms = (int64_t)(unit_random(&random) >> (2 + unit_below(&random, 60)));
		unsigned uses = (unsigned)unit_below(&random, 256);

		if (a_ms >= RHYTHM_GAP_MS)
			rhythm_used(&r, &beat, uses, a_ms);
		rhythm_lost(&r, &beat, uses, b_ms);
		assert_true(rhythm_chance(&r, &beat, uses, a_ms, b_ms) <= RHYTHM_CERTAIN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steady_after_two_gaps_alike),
		cmocka_unit_test(test_one_gap_unlike_ends_it),
		cmocka_unit_test(test_the_window_narrows),
		cmocka_unit_test(test_chances_come_to_what_was_seen),
		cmocka_unit_test(test_the_gaps_of_all_tell_of_each),
		cmocka_unit_test(test_a_steady_key_comes_when_it_is_foreseen),
		cmocka_unit_test(test_presumed_chances_fall),
		cmocka_unit_test(test_curves_forget),
		cmocka_unit_test(test_any_times),
	};

	return cmocka_run_group_tests_name("rhythm", tests, NULL, NULL);
}
