/* daemon/core/breaker and backoff: when Clerk is not worth asking, and for how long. */
#include "tests/unit/unit.h"

#include "daemon/core/backoff.h"
#include "daemon/core/breaker.h"

#define ROUNDS 200

static struct mono at(int64_t ms)
{
	return (struct mono){ ms };
}

static void fails(struct breaker *b, struct random *r, int64_t now_ms, enum code code, int times)
{
	for (int i = 0; i < times; i++)
		breaker_failed(b, at(now_ms), code, b->state == BREAKER_PROBING, r);
}

static void test_backoff_doubles_up_to_its_maximum(void **state)
{
	(void)state;
	assert_int_equal(backoff_ms(200, 2000, 0), 200);
	assert_int_equal(backoff_ms(200, 2000, 1), 400);
	assert_int_equal(backoff_ms(200, 2000, 3), 1600);
	assert_int_equal(backoff_ms(200, 2000, 4), 2000);
	assert_int_equal(backoff_ms(200, 2000, UINT32_MAX), 2000);
	assert_int_equal(backoff_ms(5000, 2000, 0), 2000);
	assert_int_equal(backoff_ms(0, 2000, 20), 0);
}

static void test_closed_lets_everything_through(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	assert_true(breaker_wait_ms(&b, at(0)) == 0);
	for (int i = 0; i < 100; i++)
		assert_false(breaker_sent(&b));
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_true(breaker_wait_ms(&b, at(INT64_MAX)) == 0);
}

static void test_five_failures_in_a_row_open_it(void **state)
{
	struct random random = { 1 };
	struct breaker b = { 0 };

	(void)state;
	fails(&b, &random, 1000, CODE_UNAVAILABLE, 4);
	breaker_succeeded(&b);
	fails(&b, &random, 1000, CODE_UNAVAILABLE, 4);
	assert_true(breaker_wait_ms(&b, at(1000)) == 0);
	fails(&b, &random, 1000, CODE_UNAVAILABLE, 1);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(b.reason, CODE_UNAVAILABLE);
	assert_true(breaker_wait_ms(&b, at(1000)) > 0);
}

static void test_a_refused_key_opens_it_at_once(void **state)
{
	struct random random = { 1 };
	struct breaker b = { 0 };

	(void)state;
	fails(&b, &random, 0, CODE_UNAUTHORIZED, 1);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(b.reason, CODE_UNAUTHORIZED);
	assert_in_range(breaker_wait_ms(&b, at(0)), 2500, 4999);
}

/* The wait that is told is the time to the probe, to the millisecond. */
static void test_the_wait_is_true(void **state)
{
	struct random random = { 2 };
	struct breaker b = { 0 };
	int64_t wait_ms;

	(void)state;
	fails(&b, &random, 1000, CODE_UNAVAILABLE, 5);
	wait_ms = breaker_wait_ms(&b, at(1000));
	assert_true(breaker_wait_ms(&b, at(1000 + wait_ms - 1)) == 1);
	assert_true(breaker_wait_ms(&b, at(1000 + wait_ms)) == 0);
	assert_true(breaker_wait_ms(&b, at(9000000)) == 0);
	assert_int_equal(b.state, BREAKER_OPEN); /* until something is sent */
}

static void open_and_probe(struct breaker *b, struct random *random)
{
	*b = (struct breaker){ 0 };
	fails(b, random, 0, CODE_UNAVAILABLE, 5);
	assert_true(breaker_sent(b));
	assert_int_equal(b->state, BREAKER_PROBING);
}

static void test_one_probe_at_a_time(void **state)
{
	struct random random = { 3 };
	struct breaker b;

	(void)state;
	open_and_probe(&b, &random);
	assert_true(breaker_wait_ms(&b, at(3600000)) > 0);
	breaker_succeeded(&b);
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_true(breaker_wait_ms(&b, at(1)) == 0);
	fails(&b, &random, 1, CODE_UNAVAILABLE, 4); /* it has to fail five times again */
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void test_a_probe_that_fails_opens_it_again(void **state)
{
	struct random random = { 4 };
	struct breaker b;

	(void)state;
	open_and_probe(&b, &random);
	fails(&b, &random, 5000, CODE_UNAVAILABLE, 1);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_in_range(breaker_wait_ms(&b, at(5000)), 500, 999);
}

/* Or whoever can give up a probe could send as many as they like. */
static void test_a_probe_given_up_is_followed_by_another_after_a_pause(void **state)
{
	struct random random = { 5 };
	struct breaker b;

	(void)state;
	open_and_probe(&b, &random);
	for (int i = 0; i < 10; i++) {
		breaker_abandoned(&b, at(7000), &random);
		assert_int_equal(b.state, BREAKER_OPEN);
		assert_in_range(breaker_wait_ms(&b, at(7000)), 250, 499);
		assert_true(breaker_sent(&b));
	}
	breaker_succeeded(&b);
	breaker_abandoned(&b, at(7000), &random);
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void test_only_the_probe_decides(void **state)
{
	struct random random = { 5 };
	struct breaker b;

	(void)state;
	open_and_probe(&b, &random);
	for (int i = 0; i < 10; i++)
		breaker_failed(&b, at(7000), CODE_UNAVAILABLE, false, &random);
	assert_int_equal(b.state, BREAKER_PROBING);
	breaker_failed(&b, at(7000), CODE_UNAVAILABLE, true, &random);
	assert_int_equal(b.state, BREAKER_OPEN);
}

static void test_silence_opens_it_at_once(void **state)
{
	struct random random = { 5 };
	struct breaker b = { 0 };

	(void)state;
	breaker_hangs(&b, at(7000), &random);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_int_equal(b.reason, CODE_UNAVAILABLE);
	assert_in_range(breaker_wait_ms(&b, at(7000)), 250, 499);
	assert_true(breaker_sent(&b));
	breaker_hangs(&b, at(8000), &random);
	assert_int_equal(b.state, BREAKER_PROBING);
}

/* What comes late from before it opened neither prolongs the pause nor changes why. */
static void test_late_failures_change_nothing(void **state)
{
	struct random random = { 6 };
	struct breaker b = { 0 };
	int64_t wait_ms;

	(void)state;
	fails(&b, &random, 0, CODE_UNAVAILABLE, 5);
	wait_ms = breaker_wait_ms(&b, at(0));
	fails(&b, &random, 0, CODE_UNAVAILABLE, 20);
	assert_true(breaker_wait_ms(&b, at(0)) == wait_ms);
	assert_int_equal(b.openings, 1);
}

/* Within half and whole of what doubles up to `max_ms`, and not always the same. */
static void assert_pauses(enum code code, int64_t base_ms, int64_t max_ms)
{
	struct random random = { 7 };
	int64_t least[12], most[12];

	for (int round = 0; round < ROUNDS; round++) {
		struct breaker b = { 0 };

		fails(&b, &random, 0, code, 5);
		for (unsigned i = 0; i < 12; i++) {
			int64_t full_ms = backoff_ms(base_ms, max_ms, i);
			int64_t wait_ms = breaker_wait_ms(&b, at(0));

			assert_in_range(wait_ms, full_ms / 2, full_ms - 1);
			least[i] = round && least[i] < wait_ms ? least[i] : wait_ms;
			most[i] = round && most[i] > wait_ms ? most[i] : wait_ms;
			(void)breaker_sent(&b);
			fails(&b, &random, 0, code, 1);
		}
	}
	for (unsigned i = 0; i < 12; i++)
		assert_true(most[i] - least[i] > backoff_ms(base_ms, max_ms, i) * 2 / 5);
}

static void test_pauses_grow_and_differ(void **state)
{
	(void)state;
	assert_pauses(CODE_UNAVAILABLE, 500, 2500);
	assert_pauses(CODE_UNAUTHORIZED, 5000, 60000);
}

static void test_reset_forgets_all(void **state)
{
	struct random random = { 8 };
	struct breaker b = { 0 };

	(void)state;
	for (int i = 0; i < 10; i++) {
		fails(&b, &random, 0, CODE_UNAUTHORIZED, 1);
		(void)breaker_sent(&b);
	}
	breaker_reset(&b);
	assert_true(breaker_wait_ms(&b, at(0)) == 0);
	fails(&b, &random, 0, CODE_UNAUTHORIZED, 1);
	assert_in_range(breaker_wait_ms(&b, at(0)), 2500, 4999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backoff_doubles_up_to_its_maximum),
		cmocka_unit_test(test_closed_lets_everything_through),
		cmocka_unit_test(test_five_failures_in_a_row_open_it),
		cmocka_unit_test(test_a_refused_key_opens_it_at_once),
		cmocka_unit_test(test_the_wait_is_true),
		cmocka_unit_test(test_one_probe_at_a_time),
		cmocka_unit_test(test_a_probe_that_fails_opens_it_again),
		cmocka_unit_test(test_a_probe_given_up_is_followed_by_another_after_a_pause),
		cmocka_unit_test(test_only_the_probe_decides),
		cmocka_unit_test(test_silence_opens_it_at_once),
		cmocka_unit_test(test_late_failures_change_nothing),
		cmocka_unit_test(test_pauses_grow_and_differ),
		cmocka_unit_test(test_reset_forgets_all),
	};

	return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
