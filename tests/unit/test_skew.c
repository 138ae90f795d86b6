/* daemon/core/skew: reported when the clocks come apart, and when they are together again. */
#include "tests/unit/unit.h"

#include "daemon/core/skew.h"

#define DATE 1800000000

static bool note(struct skew *k, int64_t ahead_ms)
{
	return skew_note(k, (struct wall){ DATE * INT64_C(1000) + ahead_ms }, DATE);
}

static void test_the_seconds_of_a_date_are_no_skew(void **state)
{
	struct skew k = { 0 };

	(void)state;
	for (int64_t ms = -4000; ms < 5000; ms += 100)
		assert_false(note(&k, ms));
	assert_int_equal(k.s, 4);
}

static void test_reported_once(void **state)
{
	struct skew k = { 0 };

	(void)state;
	assert_true(note(&k, 50000));
	assert_int_equal(k.s, 50);
	assert_true(k.is_wide);
	assert_false(note(&k, 51000));
	assert_false(note(&k, 4000));
	assert_true(note(&k, 2999));
	assert_false(k.is_wide);
	assert_false(note(&k, 4999));
	assert_true(note(&k, -5000));
	assert_int_equal(k.s, -5);
	assert_false(note(&k, 86400000)); /* apart is apart */
	assert_int_equal(k.s, 86400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_seconds_of_a_date_are_no_skew),
		cmocka_unit_test(test_reported_once),
	};

	return cmocka_run_group_tests_name("skew", tests, NULL, NULL);
}
