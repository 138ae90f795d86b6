/* daemon/core/latency: a slow answer counts for five minutes at least, and ten at most; how many
 * were slower than what. */
#include "tests/unit/unit.h"

#include "daemon/core/latency.h"

#define MINUTE INT64_C(60000)

static int64_t slowest_after(struct latency *l, int64_t now_ms, int64_t took_ms)
{
	latency_note(l, (struct mono){ now_ms }, took_ms);
	return latency_slowest_ms(l);
}

static void test_nothing_is_known_at_first(void **state)
{
	struct latency l = { 0 };

	(void)state;
	assert_int_equal(latency_slowest_ms(&l), 0);
	assert_int_equal(slowest_after(&l, 5 * MINUTE, 230), 230);
}

static void test_many_fast_answers_do_not_hide_a_slow_one(void **state)
{
	struct latency l = { 0 };

	(void)state;
	assert_int_equal(slowest_after(&l, 0, 2000), 2000);
	for (int64_t ms = 0; ms < 5 * MINUTE; ms += 10)
		assert_int_equal(slowest_after(&l, ms, 200), 2000);
}

static void test_a_slow_answer_is_forgotten(void **state)
{
	(void)state;
	for (int64_t at_ms = 0; at_ms < 5 * MINUTE; at_ms += MINUTE / 7) {
		struct latency l = { 0 };
		int64_t ms = at_ms;

		(void)slowest_after(&l, 0, 200);
		(void)slowest_after(&l, at_ms, 2000);
		for (; ms < at_ms + 5 * MINUTE; ms += 1000)
			assert_int_equal(slowest_after(&l, ms, 200), 2000);
		for (; ms < at_ms + 10 * MINUTE; ms += 1000)
			(void)slowest_after(&l, ms, 200);
		assert_int_equal(slowest_after(&l, ms, 200), 200);
	}
}

static void test_a_pause_forgets_all(void **state)
{
	struct latency l = { 0 };

	(void)state;
	(void)slowest_after(&l, 0, 2000);
	assert_int_equal(slowest_after(&l, 10 * MINUTE, 200), 200);
}

/* Half of the answers take 100 to 300 ms, all but one in a hundred less than a second. */
static void test_how_many_are_slower(void **state)
{
	struct latency l = { 0 };

	(void)state;
	for (int64_t i = 0; i < 10000; i++)
		latency_note(&l, (struct mono){ i * 20 },
			     i % 100 == 0 ? 3000
			     : i % 2	  ? 100 + i % 200
					  : 500 + i % 400);
	assert_in_range(latency_exceeded_ms(&l, 0), 3000, 3000);
	assert_in_range(latency_exceeded_ms(&l, 9000), 3000, 3000);
	assert_in_range(latency_exceeded_ms(&l, 11000), 900, 1125);
	assert_in_range(latency_exceeded_ms(&l, 500000), 300, 375);
	assert_in_range(latency_exceeded_ms(&l, 1000000), 0, 125);
}

static void test_few_answers_say_no_more_than_the_slowest(void **state)
{
	struct latency l = { 0 };

	(void)state;
	assert_int_equal(latency_exceeded_ms(&l, 100000), 0);
	for (int64_t i = 0; i < 9; i++)
		latency_note(&l, (struct mono){ i }, 200 + i);
	assert_int_equal(latency_exceeded_ms(&l, 100000), 208);
}

static void test_how_many_were_slower_is_forgotten(void **state)
{
	struct latency l = { 0 };

	(void)state;
	for (int64_t ms = 0; ms < 4 * MINUTE; ms += 100)
		latency_note(&l, (struct mono){ ms }, 3000);
	for (int64_t ms = 5 * MINUTE; ms < 16 * MINUTE; ms += 100)
		latency_note(&l, (struct mono){ ms }, 200);
	assert_int_equal(latency_exceeded_ms(&l, 1), 200);
}

/* Whatever was measured: no more than the slowest, and less the more may be slower. */
static void test_any_times(void **state)
{
	struct unit_random random = { 3 };
	struct latency l = { 0 };
	int64_t last_ms = INT64_MAX;

	(void)state;
	for (int i = 0; i < 1000; i++)
		latency_note(&l, (struct mono){ i },
			     (int64_t)(unit_random(&random) >> (1 + unit_below(&random, 63))));
	for (int64_t per_million = 0; per_million <= 1000000; per_million += 1000) {
		int64_t ms = latency_exceeded_ms(&l, per_million);

		assert_true(ms <= last_ms && ms <= latency_slowest_ms(&l));
		last_ms = ms;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_known_at_first),
		cmocka_unit_test(test_many_fast_answers_do_not_hide_a_slow_one),
		cmocka_unit_test(test_a_slow_answer_is_forgotten),
		cmocka_unit_test(test_a_pause_forgets_all),
		cmocka_unit_test(test_how_many_are_slower),
		cmocka_unit_test(test_few_answers_say_no_more_than_the_slowest),
		cmocka_unit_test(test_how_many_were_slower_is_forgotten),
		cmocka_unit_test(test_any_times),
	};

	return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
