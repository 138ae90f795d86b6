/* daemon/core/latency: a slow answer counts for five minutes at least, and ten at most; the usual
 * follows what most of them take. */
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

/* Half of it is still unsure at first, as in RFC 6298. */
static void test_what_is_usual(void **state)
{
	struct latency l = { 0 };

	(void)state;
	assert_int_equal(latency_usual_ms(&l), 0);
	latency_note(&l, (struct mono){ 0 }, 200);
	assert_int_equal(latency_usual_ms(&l), 400);
	for (int64_t ms = 1000; ms < 60000; ms += 1000)
		latency_note(&l, (struct mono){ ms }, ms % 2000 ? 180 : 220);
	assert_in_range(latency_usual_ms(&l), 220, 260);
	latency_note(&l, (struct mono){ 20 * MINUTE }, 200); /* no pause forgets it */
	assert_in_range(latency_usual_ms(&l), 220, 260);
	for (int64_t ms = 0; ms < 60000; ms += 1000)
		latency_note(&l, (struct mono){ 21 * MINUTE + ms }, 1000);
	assert_in_range(latency_usual_ms(&l), 990, 1020);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_known_at_first),
		cmocka_unit_test(test_many_fast_answers_do_not_hide_a_slow_one),
		cmocka_unit_test(test_a_slow_answer_is_forgotten),
		cmocka_unit_test(test_a_pause_forgets_all),
		cmocka_unit_test(test_what_is_usual),
	};

	return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
