/* base/instant: sums and differences stay in range. */
#include "tests/unit/unit.h"

#include "base/instant.h"

static void assert_ms(struct mono t, int64_t ms)
{
	assert_true(t.ms == ms);
}

static struct mono at(int64_t ms)
{
	return (struct mono){ ms };
}

static void test_add(void **state)
{
	(void)state;
	assert_ms(mono_add_ms(at(10), 5), 15);
	assert_ms(mono_add_ms(at(10), -15), -5);
	assert_ms(mono_add_ms(at(INT64_MAX - 5), 5), INT64_MAX);
	assert_ms(mono_add_ms(at(INT64_MAX - 5), 6), INT64_MAX);
	assert_ms(mono_add_ms(MONO_NEVER, INT64_MAX), INT64_MAX);
	assert_ms(mono_add_ms(at(INT64_MIN + 5), -6), INT64_MIN);
	assert_ms(mono_add_ms(at(INT64_MIN), INT64_MIN), INT64_MIN);
}

static void test_never_stays_never(void **state)
{
	(void)state;
	assert_ms(mono_add_ms(MONO_NEVER, 1), INT64_MAX);
	assert_ms(mono_min(MONO_NEVER, at(3)), 3);
	assert_ms(mono_max(MONO_NEVER, at(3)), INT64_MAX);
	assert_false(mono_is_due(MONO_NEVER, at(INT64_MAX - 1)));
}

static void test_diff(void **state)
{
	(void)state;
	assert_true(mono_diff_ms(at(15), at(10)) == 5);
	assert_true(mono_diff_ms(at(10), at(15)) == -5);
	assert_true(mono_diff_ms(at(INT64_MAX), at(-1)) == INT64_MAX);
	assert_true(mono_diff_ms(at(INT64_MIN), at(1)) == INT64_MIN);
	assert_true(mono_diff_ms(at(INT64_MIN), at(INT64_MAX)) == INT64_MIN);
	assert_true(mono_diff_ms(at(7), at(7)) == 0);
}

static void test_due_at_its_very_moment(void **state)
{
	(void)state;
	assert_false(mono_is_due(at(10), at(9)));
	assert_true(mono_is_due(at(10), at(10)));
	assert_true(mono_is_due(at(10), at(11)));
}

static void test_least_and_greatest(void **state)
{
	(void)state;
	assert_ms(mono_min(at(1), at(2)), 1);
	assert_ms(mono_min(at(2), at(1)), 1);
	assert_ms(mono_max(at(1), at(2)), 2);
	assert_ms(mono_max(at(2), at(1)), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_never_stays_never),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_due_at_its_very_moment),
		cmocka_unit_test(test_least_and_greatest),
	};

	return cmocka_run_group_tests_name("instant", tests, NULL, NULL);
}
