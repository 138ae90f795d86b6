/* daemon/core/quota: nobody is starved by somebody who came before. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/core/quota.h"

#define KIND QUOTA_CONNECTIONS
#define MAX 6400
#define RESERVE (MAX / 64)

static struct quota *quota_of(size_t max)
{
	static struct quota q; /* large */

	assert_int_equal(quota_init(&q), 0);
	q.max[KIND] = max;
	return &q;
}

/* Takes one by one until there is no more for that user. */
static size_t take_all(struct quota *q, struct account *a, bool admin)
{
	size_t n = 0;

	while (quota_take(q, a, KIND, 1, admin) == 0)
		n++;
	return n;
}

static void give_back_all(struct quota *q, struct account *a)
{
	quota_release(q, a, KIND, a->held[KIND]);
}

static void test_one_user_alone_has_half(void **state)
{
	struct quota *q = quota_of(MAX);
	struct account *a = quota_account(q, 1000);

	(void)state;
	assert_in_range(take_all(q, a, false), (MAX - RESERVE) / 2 - 1, (MAX - RESERVE) / 2);
	give_back_all(q, a);
	quota_deinit(q);
}

/* In whatever order they take, each ends with the same part and one part stays free. */
static void test_users_in_turns_share_equally(void **state)
{
	(void)state;
	for (size_t n = 2; n <= 20; n++) {
		struct quota *q = quota_of(MAX);
		struct account *a[20];
		size_t share = (MAX - RESERVE) / (n + 1);

		for (size_t i = 0; i < n; i++)
			a[i] = quota_account(q, (uid_t)(1000 + i));
		for (int round = 0; round < MAX; round++)
			for (size_t i = 0; i < n; i++)
				(void)quota_take(q, a[i], KIND, 1, false);
		for (size_t i = 0; i < n; i++)
			assert_in_range(a[i]->held[KIND], share - 1, share + 1);
		for (size_t i = 0; i < n; i++)
			give_back_all(q, a[i]);
		quota_deinit(q);
	}
}

/* One after the other, each takes all it can: who comes later still gets half of what is left. */
static void test_who_comes_later_gets_something(void **state)
{
	struct quota *q = quota_of(MAX);
	struct account *a[10];
	size_t left = MAX - RESERVE;

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		size_t taken;

		a[i] = quota_account(q, (uid_t)i + 1);
		taken = take_all(q, a[i], false);
		assert_true(taken >= 1);
		assert_in_range(taken, (left - 1) / 2, left / 2 + 1);
		left -= taken;
	}
	for (size_t i = 0; i < 10; i++)
		give_back_all(q, a[i]);
	quota_deinit(q);
}

static void test_more_than_one_at_a_time(void **state)
{
	struct quota *q = quota_of(128);
	struct account *a = quota_account(q, 1000);

	(void)state;
	assert_int_equal(quota_take(q, a, KIND, 127, false), 1);
	assert_int_equal(quota_take(q, a, KIND, SIZE_MAX, true), 1);
	assert_int_equal(quota_take(q, a, KIND, 63, false), 0);
	assert_int_equal(a->held[KIND], 63);
	assert_int_equal(quota_take(q, a, KIND, 32, false), 1);
	quota_release(q, a, KIND, 63);
	quota_deinit(q);
}

static void test_administrators_find_room(void **state)
{
	struct quota *q = quota_of(MAX);
	struct account *users[200], *root;

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		users[i] = quota_account(q, (uid_t)(1000 + i));
		(void)take_all(q, users[i], false);
	}
	assert_int_equal(q->held[KIND], MAX - RESERVE);
	root = quota_account(q, 0);
	assert_int_equal(take_all(q, root, false), 0);
	assert_int_equal(take_all(q, root, true), RESERVE);
	assert_int_equal(q->held[KIND], MAX);
	for (size_t i = 0; i < 200; i++)
		if (users[i]->held[KIND])
			give_back_all(q, users[i]);
		else
			quota_forget(q, users[i]);
	assert_true(take_all(q, root, true) > MAX / 2);
	give_back_all(q, root);
	assert_int_equal(q->count, 0);
	quota_deinit(q);
}

static void test_a_smaller_maximum_takes_nothing_away(void **state)
{
	struct quota *q = quota_of(1000);
	struct account *a = quota_account(q, 1000);

	(void)state;
	assert_int_equal(quota_take(q, a, KIND, 400, false), 0);
	q->max[KIND] = 100;
	assert_int_equal(quota_take(q, a, KIND, 1, false), 1);
	assert_int_equal(quota_take(q, a, KIND, 1, true), 1);
	quota_release(q, a, KIND, 395);
	assert_int_equal(quota_take(q, a, KIND, 1, false), 0);
	give_back_all(q, a);
	quota_deinit(q);
}

static void test_accounts_live_while_they_hold_something(void **state)
{
	size_t held = mem_held();
	struct quota *q = quota_of(MAX);
	struct account *a = quota_account(q, 1000);

	(void)state;
	assert_ptr_equal(quota_account(q, 1000), a);
	quota_charge(q, a, QUOTA_CACHE_BYTES, 100);
	quota_charge(q, a, QUOTA_WATCHES, 1);
	quota_release(q, a, QUOTA_CACHE_BYTES, 100);
	assert_int_equal(q->count, 1);
	a->queued_count = 1;
	quota_release(q, a, QUOTA_WATCHES, 1);
	assert_int_equal(q->count, 1); /* its queue */
	a->queued_count = 0;
	quota_forget(q, a);
	assert_int_equal(q->count, 0);
	quota_deinit(q);
	assert_int_equal(mem_held(), held);
}

static void test_the_table_of_accounts_has_an_end(void **state)
{
	size_t held = mem_held();
	struct quota *q = quota_of(MAX);
	struct account *a;

	(void)state;
	for (uid_t uid = 0; uid < QUOTA_MAX_ACCOUNTS; uid++) {
		a = quota_account(q, uid * 7);
		assert_non_null(a);
		quota_charge(q, a, KIND, 1);
	}
	assert_null(quota_account(q, 1));
	a = quota_account(q, 700);
	assert_int_equal(a->uid, 700);
	assert_ptr_equal(q->accounts[a->index], a);
	quota_release(q, a, KIND, 1);
	a = quota_account(q, 1); /* takes the place that became free */
	assert_non_null(a);
	assert_ptr_equal(q->accounts[a->index], a);
	quota_deinit(q);
	assert_int_equal(mem_held(), held);
}

static void test_without_memory_there_is_no_account(void **state)
{
	struct quota *q = quota_of(MAX);
	struct quota other;

	(void)state;
	mem_fail_after(0);
	assert_null(quota_account(q, 1000));
	assert_int_equal(q->count, 0);
	mem_fail_after(0);
	assert_true(quota_init(&other) < 0);
	quota_deinit(&other);
	quota_deinit(q);
}

static void test_over_share(void **state)
{
	struct quota *q = quota_of(MAX);
	struct account *a = quota_account(q, 1), *b, *c;

	(void)state;
	quota_charge(q, a, QUOTA_CACHE_BYTES, 1000);
	assert_false(quota_is_over_share(q, a->index, QUOTA_CACHE_BYTES)); /* there is no other */
	b = quota_account(q, 2);
	c = quota_account(q, 3);
	quota_charge(q, b, QUOTA_CACHE_BYTES, 100);
	quota_charge(q, c, QUOTA_CACHE_BYTES, 100);
	assert_true(quota_is_over_share(q, a->index, QUOTA_CACHE_BYTES));
	assert_false(quota_is_over_share(q, b->index, QUOTA_CACHE_BYTES));
	quota_charge(q, b, QUOTA_CACHE_BYTES, 900);
	quota_charge(q, c, QUOTA_CACHE_BYTES, 900);
	assert_false(quota_is_over_share(q, a->index, QUOTA_CACHE_BYTES)); /* all the same */
	quota_deinit(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_user_alone_has_half),
		cmocka_unit_test(test_users_in_turns_share_equally),
		cmocka_unit_test(test_who_comes_later_gets_something),
		cmocka_unit_test(test_more_than_one_at_a_time),
		cmocka_unit_test(test_administrators_find_room),
		cmocka_unit_test(test_a_smaller_maximum_takes_nothing_away),
		cmocka_unit_test(test_accounts_live_while_they_hold_something),
		cmocka_unit_test(test_the_table_of_accounts_has_an_end),
		cmocka_unit_test(test_without_memory_there_is_no_account),
		cmocka_unit_test(test_over_share),
	};

	return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
