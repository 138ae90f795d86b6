/* daemon/core/limiter: never more than the budget in any window, and what is promised is kept. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/core/limiter.h"

#include <errno.h>

#define LOG_MAX 4096

/* The model: everything that was ever sent, looked at as a whole. */
struct model {
	int64_t sent_ms[LOG_MAX];
	size_t count;
	size_t limit;
	int64_t window_ms;
};

static struct mono at(int64_t ms)
{
	return (struct mono){ ms };
}

static size_t sent_within(const struct model *m, int64_t now_ms)
{
	size_t n = 0;

	for (size_t i = 0; i < m->count; i++)
		n += m->sent_ms[i] > now_ms - m->window_ms && m->sent_ms[i] <= now_ms;
	return n;
}

/* The first moment from now on at which one more, beside what is left free, fits. */
static int64_t model_when(const struct model *m, int64_t now_ms, size_t reserve)
{
	size_t usable = m->limit > reserve ? m->limit - reserve : 1;
	int64_t when_ms = now_ms;

	for (size_t i = 0; i < m->count && sent_within(m, when_ms) >= usable; i++)
		if (m->sent_ms[i] + m->window_ms > when_ms)
			when_ms = m->sent_ms[i] + m->window_ms;
	return when_ms;
}

static void assert_promise_kept(const struct model *m)
{
	for (size_t i = m->limit; i < m->count; i++)
		assert_true(m->sent_ms[i] - m->sent_ms[i - m->limit] >= m->window_ms);
}

static void take(struct limiter *l, struct model *m, int64_t now_ms)
{
	assert_true(m->count < LOG_MAX);
	limiter_take(l, at(now_ms));
	m->sent_ms[m->count++] = now_ms;
}

static void assert_when(struct limiter *l, int64_t now_ms, size_t ahead, size_t reserve,
			int64_t expected_ms)
{
	assert_true(limiter_when(l, at(now_ms), ahead, reserve).ms == expected_ms);
}

/* What a caller that asks at any moment may send at once. */
static size_t send_all(struct limiter *l, int64_t now_ms, size_t reserve)
{
	size_t n = 0;

	for (; limiter_when(l, at(now_ms), 0, reserve).ms == now_ms; n++)
		limiter_take(l, at(now_ms));
	return n;
}

static void test_the_budget_may_go_at_once(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 3, 1000), 0);
	assert_int_equal(send_all(&l, 50, 0), 3);
	assert_when(&l, 50, 0, 0, 1050);
	assert_when(&l, 1049, 0, 0, 1050);
	assert_int_equal(limiter_used(&l, at(1049)), 3);
	assert_int_equal(limiter_used(&l, at(1050)), 0);
	assert_int_equal(send_all(&l, 1050, 0), 3);
	limiter_deinit(&l);
	limiter_deinit(&l);
}

static void arrive(struct limiter *l, struct model *m, struct unit_random *random, int64_t *now_ms)
{
	int64_t when_ms;

	*now_ms += (int64_t)unit_below(random, (size_t)(m->window_ms / (int64_t)m->limit) + 2);
	when_ms = limiter_when(l, at(*now_ms), 0, 0).ms;
	assert_true(when_ms == model_when(m, *now_ms, 0));
	if (when_ms > *now_ms && unit_below(random, 3))
		return;
	if (when_ms > *now_ms) {
		assert_when(l, when_ms - 1, 0, 0, when_ms);
		assert_when(l, when_ms, 0, 0, when_ms);
		*now_ms = when_ms;
	}
	take(l, m, *now_ms);
	assert_int_equal(limiter_used(l, at(*now_ms)), sent_within(m, *now_ms));
}

static void test_never_more_than_the_budget_in_any_window(void **state)
{
	struct unit_random random = { 11 };

	(void)state;
	for (int round = 0; round < 60; round++) {
		static struct model m;
		struct limiter l;
		int64_t now_ms = (int64_t)unit_below(&random, 1000);

		m = (struct model){ .limit = 1 + unit_below(&random, 20),
				    .window_ms = 1 + (int64_t)unit_below(&random, 5000) };
		assert_int_equal(limiter_init(&l, m.limit, m.window_ms), 0);
		for (int i = 0; i < 400; i++)
			arrive(&l, &m, &random, &now_ms);
		assert_promise_kept(&m);
		limiter_deinit(&l);
	}
}

/* All that are ahead go as early as they can: then the moment that was told is the moment. */
static void play_queue(struct limiter *l, struct model *m, int64_t now_ms, size_t ahead,
		       size_t reserve)
{
	int64_t told_ms = limiter_when(l, at(now_ms), ahead, reserve).ms;

	for (size_t i = 0; i <= ahead; i++) {
		now_ms = model_when(m, now_ms, reserve);
		assert_when(l, now_ms, 0, reserve, now_ms);
		if (i < ahead)
			take(l, m, now_ms);
	}
	assert_true(now_ms == told_ms);
}

static void test_when_knows_who_is_ahead(void **state)
{
	struct unit_random random = { 12 };

	(void)state;
	for (int round = 0; round < 400; round++) {
		static struct model m;
		struct limiter l;
		int64_t now_ms = 0;

		m = (struct model){ .limit = 1 + unit_below(&random, 10), .window_ms = 1000 };
		assert_int_equal(limiter_init(&l, m.limit, m.window_ms), 0);
		for (size_t i = unit_below(&random, 30); i > 0; i--)
			arrive(&l, &m, &random, &now_ms);
		play_queue(&l, &m, now_ms, unit_below(&random, 40), 0);
		limiter_deinit(&l);
	}
}

static void test_a_reserve_is_left_free(void **state)
{
	struct unit_random random = { 13 };
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 10, 1000), 0);
	assert_int_equal(send_all(&l, 0, 3), 7);
	assert_int_equal(send_all(&l, 0, 0), 3);
	assert_when(&l, 0, 0, 3, 1000);
	limiter_deinit(&l);
	assert_int_equal(limiter_init(&l, 2, 1000), 0);
	assert_int_equal(send_all(&l, 0, 5), 1);
	assert_int_equal(send_all(&l, 0, 0), 1);
	limiter_deinit(&l);
	for (int round = 0; round < 200; round++) {
		static struct model m;
		int64_t now_ms = 0;

		m = (struct model){ .limit = 4 + unit_below(&random, 10), .window_ms = 1000 };
		assert_int_equal(limiter_init(&l, m.limit, m.window_ms), 0);
		for (size_t i = unit_below(&random, 30); i > 0; i--)
			arrive(&l, &m, &random, &now_ms);
		play_queue(&l, &m, now_ms, unit_below(&random, 30), 1 + unit_below(&random, 3));
		limiter_deinit(&l);
	}
}

static void test_a_larger_budget_counts_what_was_sent(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 3, 1000), 0);
	assert_int_equal(send_all(&l, 0, 0), 3);
	assert_int_equal(limiter_configure(&l, 5, 1000), 0);
	assert_int_equal(send_all(&l, 10, 0), 2);
	assert_when(&l, 10, 0, 0, 1000);
	assert_int_equal(send_all(&l, 1000, 0), 3);
	assert_when(&l, 1000, 0, 0, 1010);
	limiter_deinit(&l);
}

static void test_a_smaller_budget_counts_what_was_sent(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 5, 1000), 0);
	for (int64_t ms = 0; ms < 50; ms += 10)
		limiter_take(&l, at(ms));
	assert_int_equal(limiter_configure(&l, 2, 1000), 0);
	assert_when(&l, 50, 0, 0, 1030);
	assert_int_equal(send_all(&l, 1030, 0), 1);
	assert_when(&l, 1030, 0, 0, 1040);
	limiter_deinit(&l);
}

/* Two reloads within one window must not make room. */
static void test_a_budget_that_comes_back_counts_what_was_sent(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 10, 1000), 0);
	assert_int_equal(send_all(&l, 0, 0), 10);
	assert_int_equal(limiter_configure(&l, 2, 1000), 0);
	assert_int_equal(limiter_configure(&l, 10, 1000), 0);
	assert_when(&l, 10, 0, 0, 1000);
	limiter_deinit(&l);
}

static void test_without_memory_the_budget_stays(void **state)
{
	struct limiter l;

	(void)state;
	mem_fail_after(0);
	assert_int_equal(limiter_init(&l, 3, 1000), -ENOMEM);
	limiter_deinit(&l);
	assert_int_equal(limiter_init(&l, 3, 1000), 0);
	limiter_take(&l, at(0));
	mem_fail_after(0);
	assert_int_equal(limiter_configure(&l, 5, 500), -ENOMEM);
	assert_int_equal(l.limit, 3);
	assert_true(l.window_ms == 1000);
	assert_int_equal(send_all(&l, 0, 0), 2);
	limiter_deinit(&l);
}

static void test_an_objection_holds_everything_back(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 100, 1000), 0);
	assert_int_equal(send_all(&l, 50, 0), 100);
	limiter_throttle(&l, at(100), at(50), 5000);
	assert_when(&l, 100, 0, 0, 5100);
	assert_when(&l, 5099, 0, 0, 5100);
	assert_int_equal(send_all(&l, 5100, 0), 85);
	limiter_deinit(&l);
}

/* Who stands so far back that the first window after the hold is full waits for the next. */
static void test_the_queue_behind_a_hold_is_known(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 20, 1000), 0);
	for (int i = 0; i < 3; i++)
		limiter_take(&l, at(0));
	limiter_throttle(&l, at(0), at(0), 5000);
	assert_int_equal(l.allowed, 2);
	assert_when(&l, 0, 1, 0, 5000);
	assert_when(&l, 0, 2, 0, 6000);
	assert_when(&l, 0, 4, 0, 7000);
	limiter_deinit(&l);
}

/* All that was sent before the first answer is one objection, whatever else comes in between. */
static void test_a_round_of_requests_is_one_objection(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 100, 1000), 0);
	assert_int_equal(send_all(&l, 0, 0), 100);
	for (int64_t ms = 100; ms < 150; ms += 2) {
		limiter_throttle(&l, at(ms), at(0), 2000);
		limiter_accepted(&l, at(0));
	}
	assert_int_equal(l.allowed, 85);
	assert_when(&l, 150, 0, 0, 2148);
	limiter_take(&l, at(2148));
	limiter_throttle(&l, at(2150), at(2148), 2000);
	assert_true(l.allowed < 85);
	limiter_deinit(&l);
}

/* "Retry-After: 0" to a whole burst. */
static void test_a_round_that_may_retry_at_once_is_one_objection(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 20, 1000), 0);
	assert_int_equal(send_all(&l, 0, 0), 20);
	for (int i = 0; i < 8; i++)
		limiter_throttle(&l, at(100), at(0), 0);
	assert_int_equal(l.allowed, 17);
	limiter_deinit(&l);
}

/* What was in use is what Clerk objected to, not what might have been. */
static void test_the_ceiling_is_what_was_in_use(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 1000, 1000), 0);
	for (int i = 0; i < 400; i++)
		limiter_take(&l, at(i));
	limiter_throttle(&l, at(400), at(399), 0);
	assert_int_equal(l.ceiling, 400);
	assert_int_equal(l.allowed, 340);
	limiter_deinit(&l);
	/* a daemon that hardly asks is not the one whom Clerk means */
	assert_int_equal(limiter_init(&l, 1000, 1000), 0);
	limiter_take(&l, at(0));
	limiter_throttle(&l, at(100), at(0), 0);
	assert_int_equal(l.allowed, 85);
	limiter_deinit(&l);
}

/* So that who has just come finds room. */
static void test_an_objection_below_the_ceiling_lowers_it_further(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 1000, 1000), 0);
	for (int i = 0; i < 500; i++)
		limiter_take(&l, at(0));
	limiter_throttle(&l, at(10), at(0), 1000);
	assert_int_equal(l.ceiling, 500);
	assert_int_equal(send_all(&l, 1110, 0), 425 + 37);
	limiter_throttle(&l, at(1150), at(1110), 0);
	assert_int_equal(l.allowed, 392);
	assert_int_equal(l.ceiling, (462 + 392) / 2);
	limiter_deinit(&l);
}

static void test_at_least_one_is_left(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 3, 1000), 0);
	for (int64_t ms = 0; ms < 10000; ms += 1000) {
		limiter_take(&l, at(ms));
		limiter_throttle(&l, at(ms), at(ms), 950);
		assert_true(l.allowed >= 1);
	}
	assert_int_equal(send_all(&l, 10000, 0), 1);
	limiter_deinit(&l);
}

static void test_the_rate_grows_back(void **state)
{
	/* from the end of the hold, by tenths of a window */
	static const size_t allowed[] = { 425, 462, 481, 500, 500, 500, 500, 500, 500, 500,
					  500, 500, 500, 510, 530, 570, 650, 810, 1000 };
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 1000, 1000), 0);
	for (int i = 0; i < 500; i++)
		limiter_take(&l, at(0));
	limiter_throttle(&l, at(0), at(0), 500);
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		assert_int_equal(limiter_allowed(&l, at(500 + (int64_t)i * 100)), allowed[i]);
		assert_int_equal(limiter_allowed(&l, at(599 + (int64_t)i * 100)), allowed[i]);
	}
	limiter_take(&l, at(30000));
	limiter_throttle(&l, at(30000), at(30000), 500);
	assert_int_equal(limiter_allowed(&l, at(1000000)), 1000); /* however late it is read */
	limiter_deinit(&l);
}

/* Whatever was in use, of whatever budget. */
static void test_it_is_full_again_in_less_than_two_windows(void **state)
{
	(void)state;
	for (size_t limit = 1; limit <= 1000; limit += limit < 100 ? 1 : 37) {
		for (size_t used = 1; used <= limit; used += 1 + limit / 50) {
			struct limiter l;

			assert_int_equal(limiter_init(&l, limit, 10000), 0);
			for (size_t i = 0; i < used; i++)
				limiter_take(&l, at(0));
			limiter_throttle(&l, at(0), at(0), 3000);
			assert_true(l.allowed < limit || limit == 1);
			assert_int_equal(limiter_allowed(&l, at(3000 + 19999)), limit);
			limiter_deinit(&l);
		}
	}
}

/* What is left free is so of what is allowed now, not of what was when it was last looked at. */
static void test_growth_is_seen_at_once(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 100, 1000), 0);
	assert_int_equal(send_all(&l, 0, 0), 100);
	limiter_throttle(&l, at(0), at(0), 0);
	for (int i = 0; i < 85; i++)
		limiter_take(&l, at(1000));
	assert_when(&l, 1999, 0, 0, 1999);
	limiter_deinit(&l);
}

static void test_a_reload_forgets_no_objection(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 100, 1000), 0);
	assert_int_equal(send_all(&l, 0, 0), 100);
	limiter_throttle(&l, at(0), at(0), 5000);
	assert_int_equal(limiter_configure(&l, 100, 1000), 0);
	assert_int_equal(l.allowed, 85);
	assert_int_equal(limiter_configure(&l, 200, 1000), 0);
	assert_int_equal(l.allowed, 85);
	assert_when(&l, 0, 0, 0, 5000);
	assert_int_equal(limiter_configure(&l, 50, 1000), 0);
	assert_int_equal(l.allowed, 50);
	assert_int_equal(limiter_configure(&l, 60, 1000), 0);
	assert_int_equal(l.allowed, 60);
	limiter_deinit(&l);
}

static void test_without_retry_after_the_hold_doubles(void **state)
{
	static const int64_t holds_ms[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
	struct limiter l;
	int64_t now_ms = 0;

	(void)state;
	assert_int_equal(limiter_init(&l, 100, 1000), 0);
	for (size_t i = 0; i < sizeof(holds_ms) / sizeof(holds_ms[0]); i++) {
		limiter_take(&l, at(now_ms));
		limiter_throttle(&l, at(now_ms), at(now_ms), -1);
		limiter_accepted(&l, at(now_ms)); /* sent before Clerk objected */
		assert_when(&l, now_ms, 0, 0, now_ms + holds_ms[i]);
		now_ms += holds_ms[i];
	}
	limiter_take(&l, at(now_ms));
	limiter_accepted(&l, at(now_ms));
	limiter_throttle(&l, at(now_ms), at(now_ms), -1);
	assert_when(&l, now_ms, 0, 0, now_ms + 1000);
	limiter_accepted(&l, at(now_ms + 1));
	limiter_throttle(&l, at(now_ms + 500), at(now_ms), -1); /* a late one */
	assert_when(&l, now_ms + 500, 0, 0, now_ms + 1500);
	limiter_deinit(&l);
}

/* A dozen answers to what was sent before the first objection say no more than one. */
static void test_a_burst_without_retry_after_doubles_nothing(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 100, 1000), 0);
	limiter_take(&l, at(0));
	for (int64_t ms = 0; ms < 12; ms++)
		limiter_throttle(&l, at(ms), at(0), -1);
	assert_true(limiter_when(&l, at(12), 0, 0).ms <= 1012);
	limiter_deinit(&l);
}

static void test_a_shorter_hold_shortens_nothing(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 10, 1000), 0);
	limiter_throttle(&l, at(0), at(0), 5000);
	limiter_throttle(&l, at(10), at(0), 100);
	assert_when(&l, 10, 0, 0, 5000);
	limiter_deinit(&l);
}

/* Objections now and then: still the budget holds, and what is told is true. */
static void test_objections_in_between(void **state)
{
	struct unit_random random = { 14 };

	(void)state;
	for (int round = 0; round < 60; round++) {
		static struct model m;
		struct limiter l;
		int64_t now_ms = 0;

		m = (struct model){ .limit = 1 + unit_below(&random, 30), .window_ms = 1000 };
		assert_int_equal(limiter_init(&l, m.limit, m.window_ms), 0);
		for (int i = 0; i < 500; i++) {
			int64_t when_ms;

			now_ms += (int64_t)unit_below(&random, 60);
			if (unit_below(&random, 40) == 0)
				limiter_throttle(&l, at(now_ms), at(now_ms - 1),
						 (int64_t)unit_below(&random, 2000) - 1);
			when_ms = limiter_when(&l, at(now_ms), 0, 0).ms;
			assert_true(when_ms >= now_ms && when_ms >= model_when(&m, now_ms, 0));
			if (when_ms == now_ms)
				take(&l, &m, now_ms);
		}
		assert_promise_kept(&m);
		limiter_deinit(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_budget_may_go_at_once),
		cmocka_unit_test(test_never_more_than_the_budget_in_any_window),
		cmocka_unit_test(test_when_knows_who_is_ahead),
		cmocka_unit_test(test_a_reserve_is_left_free),
		cmocka_unit_test(test_a_larger_budget_counts_what_was_sent),
		cmocka_unit_test(test_a_smaller_budget_counts_what_was_sent),
		cmocka_unit_test(test_a_budget_that_comes_back_counts_what_was_sent),
		cmocka_unit_test(test_without_memory_the_budget_stays),
		cmocka_unit_test(test_an_objection_holds_everything_back),
		cmocka_unit_test(test_the_queue_behind_a_hold_is_known),
		cmocka_unit_test(test_a_round_of_requests_is_one_objection),
		cmocka_unit_test(test_a_round_that_may_retry_at_once_is_one_objection),
		cmocka_unit_test(test_the_ceiling_is_what_was_in_use),
		cmocka_unit_test(test_an_objection_below_the_ceiling_lowers_it_further),
		cmocka_unit_test(test_at_least_one_is_left),
		cmocka_unit_test(test_the_rate_grows_back),
		cmocka_unit_test(test_it_is_full_again_in_less_than_two_windows),
		cmocka_unit_test(test_growth_is_seen_at_once),
		cmocka_unit_test(test_a_reload_forgets_no_objection),
		cmocka_unit_test(test_without_retry_after_the_hold_doubles),
		cmocka_unit_test(test_a_burst_without_retry_after_doubles_nothing),
		cmocka_unit_test(test_a_shorter_hold_shortens_nothing),
		cmocka_unit_test(test_objections_in_between),
	};

	return cmocka_run_group_tests_name("limiter", tests, NULL, NULL);
}
