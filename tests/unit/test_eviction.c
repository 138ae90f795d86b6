/* daemon/core/eviction: what is in use stays, whoever floods the cache with what is not. */
#include "tests/unit/unit.h"
#include "tests/unit/test_cache_world.h"

#include "daemon/core/eviction.h"

#include <math.h>

static void put(struct world *w, size_t session, size_t user, size_t len, uint8_t frequency)
{
	fetched(w, session, user, len)->frequency = frequency;
	w->now.ms++;
}

/* Of each kind, the latter in this list go before the former; few enough to be seen in one pass. */
static void test_in_this_order(void **state)
{
	struct world *w = world_of(1 << 20);
	struct entry *e;

	(void)state;
	put(w, 7, 1, 200, 9);
	put(w, 6, 0, 3000, 200);
	put(w, 5, 0, 3000, 100);
	put(w, 3, 1, 200, 0);
	put(w, 4, 1, 200, 0);
	put(w, 1, 0, 3000, 0);
	put(w, 2, 0, 3000, 0);
	e = obtain(w, 0, 1);
	e->frequency = UINT8_MAX;
	e->last_use = w->now;
	(void)cache_store_negative(&w->cache, e, CODE_NOT_FOUND, SPAN_NONE,
				   mono_add_ms(w->now, 1000));
	for (size_t i = 0; i < 8; i++) {
		e = eviction_choose(&w->cache, NULL);
		assert_ptr_equal(e, find(w, i));
		cache_remove(&w->cache, e);
	}
	assert_null(eviction_choose(&w->cache, NULL));
	world_end(w);
}

static void test_what_was_never_used_again_goes_first(void **state)
{
	struct world *w = world_of(13000);

	(void)state;
	fill(w, 0, 0, 5, 200);
	fill(w, 0, 100, 5, 1);
	fill(w, 0, 200, 1, 1);
	assert_int_equal(left_of(w, 0, 5), 5);
	world_end(w);
}

static void test_then_the_oldest(void **state)
{
	struct world *w = world_of(13000);

	(void)state;
	fill(w, 0, 0, 10, 1);
	assert_int_equal(left_of(w, 0, 10), 10);
	fill(w, 0, 100, 2, 1);
	assert_true(left_of(w, 0, 2) <= 1);
	assert_int_equal(left_of(w, 4, 6), 6);
	world_end(w);
}

static void test_negative_answers_go_before_tokens(void **state)
{
	struct world *w = world_of(13000);
	struct entry *e;

	(void)state;
	fill(w, 0, 0, 9, 1);
	e = obtain(w, 50, 0);
	e->frequency = 100;
	e->last_use = w->now;
	(void)cache_store_negative(&w->cache, e, CODE_NOT_FOUND, SPAN_NONE,
				   mono_add_ms(w->now, 10000));
	fill(w, 0, 100, 6, 1);
	assert_null(find(w, 50));
	world_end(w);
}

#define HOT 1000
#define FLOOD 100000

/* Half of the cache is in use when a flood of keys comes that are asked for once; the share of
 * what was in use that is still there, in percent. Each of the hot keys is used once in `per_use`
 * times HOT new keys. */
static size_t flood(size_t by_user, size_t per_use)
{
	struct world *w = world_of(2 * HOT * (MEDIUM + 150));
	size_t left;

	fill(w, 0, 0, HOT, 0);
	for (size_t i = 0; i < 8 * HOT; i++)
		use(w, find(w, i % HOT));
	for (size_t i = 0; i < FLOOD; i++) {
		struct entry *e = i % per_use == 0 ? find(w, i / per_use % HOT) : NULL;

		if (e)
			use(w, e);
		assert_true(fetch(w, HOT + i, by_user, MEDIUM));
		w->now.ms++;
	}
	left = left_of(w, 0, HOT);
	assert_consistent(w);
	world_end(w);
	return left * 100 / HOT;
}

/* Measured: all of the hot keys outlive each of these. The bounds leave room for ways of aging that
 * give more weight to the present: what is used once while the cache is filled anew stays, and of
 * what is used less the flood of another user, who is over its share, leaves most. */
static void test_a_flood_leaves_what_is_in_use(void **state)
{
	(void)state;
	assert_true(flood(1, 1) >= 95);
	assert_true(flood(0, 1) >= 95);
	assert_true(flood(1, 10) >= 60);
}

/* Nearly all of it is in use by one user, each key once while as many new ones come: the share of
 * those uses that find the key, in a thousand. */
static size_t hits_beside_a_flood(size_t hot, size_t new_keys, size_t users)
{
	struct world *w = world_of(hot * slab_footprint(MEDIUM + 140) * 100 / 95);
	size_t hits = 0;

	fill(w, 0, 0, hot, 1);
	for (size_t i = 0; i < 3 * hot; i++)
		use(w, find(w, i % hot));
	for (size_t i = 0; i < new_keys; i++) {
		struct entry *e = find(w, i % hot);

		w->now.ms++;
		hits += e != NULL;
		if (e)
			use(w, e);
		else
			assert_true(fetch(w, i % hot, 0, MEDIUM));
		assert_true(fetch(w, hot + i, 1 + i % users, MEDIUM));
	}
	assert_consistent(w);
	world_end(w);
	return hits * 1000 / new_keys;
}

static void test_a_flood_beside_a_hot_set_that_fills_all(void **state)
{
	(void)state;
	for (size_t users = 1; users <= 2; users++) {
		size_t hits = hits_beside_a_flood(10000, 1000000, users);

		if (hits <= 990)
			fail_msg("%zu of a thousand, %zu users", hits, users);
	}
}

/* What is used no more does not keep the room for ever: of another HOT keys, used in turns, most
 * are there before long. */
static void test_another_set_in_use_takes_over(void **state)
{
	struct world *w = world_of(HOT * (MEDIUM + 150));
	size_t hits = 0;

	(void)state;
	fill(w, 0, 0, HOT, UINT8_MAX);
	for (size_t i = 0; i < 60 * HOT; i++) {
		struct entry *e = find(w, HOT + i % HOT);

		w->now.ms++;
		hits += e && i >= 50 * HOT;
		if (e)
			use(w, e);
		else
			assert_true(fetch(w, HOT + i % HOT, 0, MEDIUM));
	}
	world_end(w);
	assert_true(hits >= 10 * HOT * 8 / 10);
}

#define ZIPF_KEYS 20000
#define ZIPF_GETS 400000

/* The share of keys up to each. */
static double zipf[ZIPF_KEYS];

static void make_zipf(double exponent)
{
	double sum = 0;

	for (size_t i = 0; i < ZIPF_KEYS; i++)
		zipf[i] = sum += pow((double)(i + 1), -exponent);
	for (size_t i = 0; i < ZIPF_KEYS; i++)
		zipf[i] /= sum;
}

static size_t draw(struct unit_random *random)
{
	double at = (double)(unit_random(random) >> 11) * 0x1p-53;
	size_t low = 0, high = ZIPF_KEYS - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (zipf[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The hits of what keeps the `room` keys that were asked for last, in a thousand: those whose last
 * get has fewer than so many other keys behind it. */
static size_t hits_of_lru(size_t room)
{
	static struct list nodes[ZIPF_KEYS];
	static bool held[ZIPF_KEYS];
	struct unit_random random = { 8 };
	size_t hits = 0, count = 0;
	struct list all;

	list_init(&all);
	memset(held, 0, sizeof(held));
	for (size_t i = 0; i < ZIPF_KEYS; i++)
		list_init(&nodes[i]);
	for (size_t i = 0; i < ZIPF_GETS; i++) {
		size_t key = draw(&random);

		hits += held[key];
		count += !held[key];
		held[key] = true;
		list_unlink(&nodes[key]);
		list_append(&all, &nodes[key]);
		if (count > room) {
			struct list *last = list_first(&all);

			list_unlink(last);
			held[last - nodes] = false;
			count--;
		}
	}
	return hits * 1000 / ZIPF_GETS;
}

static size_t hits_of_ours(size_t room)
{
	struct world *w = world_of(room * slab_footprint(MEDIUM + 140));
	struct unit_random random = { 8 };
	size_t hits = 0;

	for (size_t i = 0; i < ZIPF_GETS; i++) {
		size_t key = draw(&random);
		struct entry *e = find(w, key);

		w->now.ms++;
		hits += e != NULL;
		if (e)
			use(w, e);
		else
			assert_true(fetch(w, key, 0, MEDIUM));
	}
	world_end(w);
	return hits * 1000 / ZIPF_GETS;
}

/* Of a thousand gets: what is measured is printed. */
static void test_better_than_the_least_recently_used(void **state)
{
	const double exponents[] = { 0.7, 0.9, 1.1 };
	const size_t rooms[] = { 200, 1000, 4000 };

	(void)state;
	for (size_t i = 0; i < 9; i++) {
		size_t ours, lru;

		if (i % 3 == 0)
			make_zipf(exponents[i / 3]);
		ours = hits_of_ours(rooms[i % 3]);
		lru = hits_of_lru(rooms[i % 3]);
		print_message("zipf %.1f, room for %zu of %d: %zu, least recently used %zu\n",
			      exponents[i / 3], rooms[i % 3], ZIPF_KEYS, ours, lru);
		assert_true(ours > lru);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_this_order),
		cmocka_unit_test(test_what_was_never_used_again_goes_first),
		cmocka_unit_test(test_then_the_oldest),
		cmocka_unit_test(test_negative_answers_go_before_tokens),
		cmocka_unit_test(test_a_flood_leaves_what_is_in_use),
		cmocka_unit_test(test_a_flood_beside_a_hot_set_that_fills_all),
		cmocka_unit_test(test_another_set_in_use_takes_over),
		cmocka_unit_test(test_better_than_the_least_recently_used),
	};

	return cmocka_run_group_tests_name("eviction", tests, NULL, NULL);
}
