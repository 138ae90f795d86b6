/* daemon/core/turns, and the limiter's use of it: all of the budget is used and no more, a clump
 * dissolves, there is always a turn soon, and nothing that goes earlier makes a turn later.
 */
#include "tests/unit/unit.h"

#include "daemon/core/limiter.h"

#define ROUNDS 2000
#define TENTHS 400

/* What has gone in each tenth, from the first to `last`, which is the present one. */
struct history {
	size_t gone[TENTHS];
	uint64_t last;
};

static size_t sum(const size_t *gone, size_t from, size_t to)
{
	size_t n = 0;

	for (size_t i = from; i < to; i++)
		n += gone[i];
	return n;
}

static struct turns turns_of(const struct history *h)
{
	struct turns t = { 0 };

	for (uint64_t i = 0; i <= h->last; i++) {
		turns_move(&t, i);
		for (size_t n = 0; n < h->gone[i]; n++)
			turns_take(&t);
	}
	return t;
}

/* Two windows in any way that the budget allows. */
static struct history draw(struct unit_random *random, size_t usable)
{
	struct history h = { .last = 2 * TURNS_TENTHS };

	for (size_t i = 0; i < h.last; i++) {
		size_t room = usable - sum(h.gone, i < 9 ? 0 : i - 9, i);
		size_t kind = unit_below(random, 4);

		h.gone[i] = kind == 0	? 0
			    : kind == 1 ? room
					: unit_below(random, room + 1) / (kind == 2 ? 1 : 10);
	}
	return h;
}

/* Somebody always waits: what goes until `tenths` have gone by. */
static void run(struct history *h, size_t usable, size_t tenths)
{
	struct turns t = turns_of(h);

	for (size_t i = 0; i < tenths; i++) {
		while (turns_give(&t, usable, 0) == h->last) {
			turns_take(&t);
			h->gone[h->last]++;
		}
		t = turns_of(h);
		turns_move(&t, ++h->last);
	}
}

static size_t draw_usable(struct unit_random *random)
{
	return 1 + unit_below(random, unit_below(random, 2) ? 30 : 300);
}

static void test_all_is_used_and_no_more(void **state)
{
	struct unit_random random = { 31 };

	(void)state;
	for (int round = 0; round < 100; round++) {
		size_t usable = draw_usable(&random);
		struct history h = draw(&random, usable);

		run(&h, usable, 15 * TURNS_TENTHS);
		for (size_t i = TURNS_TENTHS; i <= h.last; i++)
			assert_true(sum(h.gone, i - TURNS_TENTHS, i) <= usable);
		assert_int_equal(sum(h.gone, h.last - TURNS_TENTHS, h.last), usable);
	}
}

static void test_half_goes_at_once_and_there_is_a_turn_in_each_tenth(void **state)
{
	struct history h = { .last = 3 };

	(void)state;
	run(&h, 80, 5 * TURNS_TENTHS);
	assert_int_equal(h.gone[3], 40);
	for (size_t i = 4; i < h.last; i++)
		assert_true(h.gone[i] >= 3);
	for (size_t i = h.last - TURNS_TENTHS; i < h.last; i++)
		assert_in_range(h.gone[i], 7, 9);
}

/* Whose turn is foreseen has it then, however deep the queue. */
static void test_turns_are_foreseen(void **state)
{
	struct unit_random random = { 32 };

	(void)state;
	for (int round = 0; round < 300; round++) {
		size_t usable = draw_usable(&random), ahead;
		struct history h = draw(&random, usable);
		uint64_t began = h.last, foreseen;
		struct turns t;

		run(&h, usable, TENTHS - 2 * TURNS_TENTHS - 1);
		ahead = unit_below(&random, sum(h.gone, began, h.last));
		memset(&h.gone[began + 1], 0, sizeof(size_t) * (TENTHS - began - 1));
		h.last = began;
		h.gone[began] = 0;
		t = turns_of(&h);
		foreseen = turns_give(&t, usable, ahead);
		run(&h, usable, TENTHS - 2 * TURNS_TENTHS - 1);
		assert_true(sum(h.gone, began, foreseen) <= ahead);
		assert_true(sum(h.gone, began, foreseen + 1) > ahead);
	}
}

/* That one more went before, or that one more is allowed, makes nobody's turn later. */
static void test_what_goes_earlier_delays_nobody(void **state)
{
	struct unit_random random = { 33 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		size_t usable = draw_usable(&random), ahead = unit_below(&random, 4 * usable);
		size_t more = unit_below(&random, 20), early = unit_below(&random, ahead + 1);
		struct history h = draw(&random, usable);
		struct turns t = turns_of(&h), sooner = t, larger = t;
		uint64_t then = turns_give(&t, usable, ahead);

		if (turns_give(&sooner, usable, early) > h.last)
			continue;
		assert_true(turns_give(&sooner, usable, ahead - early) == then);
		assert_true(turns_give(&larger, usable + more, ahead) <= then);
	}
}

static void test_a_pause_forgets_all(void **state)
{
	struct turns t = { 0 };

	(void)state;
	turns_move(&t, 7);
	assert_int_equal(turns_give(&t, 10, 9), 12);
	turns_move(&t, 7 + 1000);
	assert_int_equal(turns_give(&t, 10, 4), 1007);
	assert_int_equal(turns_give(&t, 10, 1), 1008);
}

static struct mono at(int64_t ms)
{
	return (struct mono){ ms };
}

/* Two users: the budget holds, and who is told of a turn has it then. */
static void test_turns_are_exact(void **state)
{
	struct unit_random random = { 15 };

	(void)state;
	for (int round = 0; round < 300; round++) {
		size_t limit = 1 + unit_below(&random, 20), ahead = unit_below(&random, 60);
		int64_t window_ms = 100 + (int64_t)unit_below(&random, 2000), now_ms = 0, told_ms;
		int64_t sent_ms[100];
		size_t sent = 0;
		struct limiter l;

		assert_int_equal(limiter_init(&l, limit, window_ms), 0);
		for (size_t i = unit_below(&random, 30); i > 0; i--) {
			now_ms = limiter_when(&l, at(now_ms), 0, 0).ms;
			limiter_take(&l, at(now_ms));
			sent_ms[sent++] = now_ms;
			now_ms += (int64_t)unit_below(&random, (size_t)window_ms / limit);
		}
		if (unit_below(&random, 4) == 0)
			limiter_throttle(&l, at(now_ms), at(0), (int64_t)unit_below(&random, 3000));
		l.crowded_until = l.regrow_at = MONO_NEVER;
		told_ms = limiter_turn(&l, at(now_ms), ahead).ms;
		for (size_t i = 0; i <= ahead; i++) {
			now_ms = limiter_turn(&l, at(now_ms), 0).ms;
			assert_true(limiter_turn(&l, at(now_ms), ahead - i).ms == told_ms);
			limiter_take(&l, at(now_ms));
			sent_ms[sent++] = now_ms;
		}
		assert_true(now_ms == told_ms);
		for (size_t i = limit; i < sent; i++)
			assert_true(sent_ms[i] - sent_ms[i - limit] >= window_ms);
		limiter_deinit(&l);
	}
}

static void test_a_line_is_as_its_turns(void **state)
{
	struct lineup line;
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 20, 1000), 0);
	limiter_take(&l, at(500));
	for (int crowded = 0; crowded < 2; crowded++) {
		line = limiter_line(&l, at(600));
		for (size_t i = 0; i < 100; i++) {
			assert_true(limiter_line_turn(&l, at(600), &line).ms ==
				    limiter_turn(&l, at(600), i).ms);
			limiter_line_up(&l, &line, 1);
		}
		l.crowded_until = MONO_NEVER;
	}
	limiter_deinit(&l);
}

/* One user alone may have all at once; where there is another, it has half, and others their turn
 * soon. */
static void test_where_it_is_crowded(void **state)
{
	struct limiter l;

	(void)state;
	assert_int_equal(limiter_init(&l, 100, 1000), 0);
	limiter_note_user(&l, at(0), 1);
	limiter_note_user(&l, at(10), 1);
	assert_false(limiter_is_crowded(&l, at(10)));
	assert_true(limiter_turn(&l, at(10), 99).ms == 10);
	assert_true(limiter_turn(&l, at(10), 100).ms == 1010);
	limiter_note_user(&l, at(20), 2);
	assert_true(limiter_is_crowded(&l, at(20)));
	assert_true(limiter_turn(&l, at(20), 49).ms == 20);
	assert_true(limiter_turn(&l, at(20), 50).ms == 100);
	assert_false(limiter_is_crowded(&l, at(6010)));
	limiter_note_user(&l, at(6010), 2);
	limiter_note_user(&l, at(6030), 1);
	assert_true(limiter_is_crowded(&l, at(6030)));
	assert_false(limiter_is_crowded(&l, at(12010)));
	limiter_deinit(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_is_used_and_no_more),
		cmocka_unit_test(test_half_goes_at_once_and_there_is_a_turn_in_each_tenth),
		cmocka_unit_test(test_turns_are_foreseen),
		cmocka_unit_test(test_what_goes_earlier_delays_nobody),
		cmocka_unit_test(test_a_pause_forgets_all),
		cmocka_unit_test(test_turns_are_exact),
		cmocka_unit_test(test_a_line_is_as_its_turns),
		cmocka_unit_test(test_where_it_is_crowded),
	};

	return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
