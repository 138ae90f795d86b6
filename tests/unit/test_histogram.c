/* daemon/core/histogram: every duration is counted once, at the first bound that it doesn't pass.
 */
#include "tests/unit/unit.h"

#include "daemon/core/histogram.h"

static void test_a_bound_is_within(void **state)
{
	struct histogram h = { 0 };
	uint64_t sum_ms = 0;

	(void)state;
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		histogram_note(&h, histogram_bounds_ms[i]);
		histogram_note(&h, histogram_bounds_ms[i] + 1);
		sum_ms += 2 * (uint64_t)histogram_bounds_ms[i] + 1;
		assert_int_equal(h.counts[i], i ? 2 : 1);
		assert_int_equal(h.counts[i + 1], 1);
		assert_true(i == 0 || histogram_bounds_ms[i] > histogram_bounds_ms[i - 1] + 1);
	}
	assert_int_equal(h.sum_ms, sum_ms);
}

static void test_nothing_is_too_short_or_too_long(void **state)
{
	struct histogram h = { 0 };

	(void)state;
	histogram_note(&h, -1);
	histogram_note(&h, 0);
	histogram_note(&h, INT64_C(1) << 40);
	assert_int_equal(h.counts[0], 2);
	assert_int_equal(h.counts[HISTOGRAM_BOUNDS], 1);
	assert_int_equal(h.sum_ms, INT64_C(1) << 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_bound_is_within),
		cmocka_unit_test(test_nothing_is_too_short_or_too_long),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
