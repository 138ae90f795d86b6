/* daemon/core/cache: the bound on memory holds, what is used stays, and what goes is wiped. */
#include "tests/unit/unit.h"
#include "tests/unit/test_cache_world.h"
#include "tests/unit/wiped.h"

static void test_keys_are_apart(void **state)
{
	struct world *w = world_of(1 << 20);
	struct key keys[] = {
		{ SPAN_LITERAL("ab"), SPAN_LITERAL("c"), 0 },
		{ SPAN_LITERAL("a"), SPAN_LITERAL("bc"), 0 },
		{ SPAN_LITERAL("abc"), SPAN_NONE, 0 },
		{ SPAN_LITERAL("ab"), SPAN_LITERAL("c"), 60 },
		{ SPAN_LITERAL("ab"), SPAN_NONE, 0 },
	};
	struct entry *e[5];

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		assert_null(cache_find(&w->cache, &keys[i]));
		e[i] = cache_obtain(&w->cache, &keys[i], w->users[0]);
		assert_non_null(e[i]);
	}
	for (size_t i = 0; i < 5; i++) {
		assert_ptr_equal(cache_find(&w->cache, &keys[i]), e[i]);
		assert_ptr_equal(cache_obtain(&w->cache, &keys[i], w->users[1]), e[i]);
		assert_true(span_equal(entry_key(e[i]).session, keys[i].session));
		assert_true(span_equal(entry_key(e[i]).template, keys[i].template));
		assert_int_equal(entry_key(e[i]).expires_in_s, keys[i].expires_in_s);
	}
	assert_consistent(w);
	world_end(w);
}

static void step(struct world *w, struct unit_random *random)
{
	size_t session = unit_below(random, 400), user = unit_below(random, 3);
	size_t len =
	    1 + (unit_random(random) & 0xffff) % (unit_below(random, 4) ? 2000 : TOKEN_MAX);
	struct entry *e = find(w, session);

	w->now.ms++;
	switch (unit_below(random, 8)) {
	case 0:
		if (e)
			cache_remove(&w->cache, e);
		break;
	case 1:
		if (e)
			(void)cache_store_negative(&w->cache, e, CODE_NOT_FOUND,
						   span_of(token_bytes, len % 1024),
						   mono_add_ms(w->now, 9));
		break;
	case 2:
		if (e)
			use(w, e);
		break;
	case 3:
		cache_bury(&w->cache);
		break;
	default:
		(void)fetch(w, session, user, len);
	}
}

static void test_the_bound_on_memory_holds(void **state)
{
	struct unit_random random = { 31 };

	(void)state;
	for (size_t max_bytes = 4096; max_bytes <= 1 << 20; max_bytes *= 4) {
		struct world *w = world_of(max_bytes);

		for (int i = 0; i < 12000; i++) {
			step(w, &random);
			assert_true(w->cache.bytes <= max_bytes);
			if (i % 50 == 0)
				assert_consistent(w);
		}
		assert_consistent(w);
		assert_true(w->cache.evictions > 0);
		world_end(w);
	}
}

/* What the C library adds to a block counts too. */
static void test_the_bound_holds_for_small_blocks(void **state)
{
	struct unit_random random = { 32 };

	(void)state;
	for (size_t max_bytes = 5000; max_bytes < 5050; max_bytes++) {
		struct world *w = world_of(max_bytes);

		for (size_t i = 0; i < 100; i++) {
			struct entry *e = obtain(w, unit_below(&random, 1 << (i % 30)), 0);

			assert_true(w->cache.bytes <= max_bytes);
			if (e)
				(void)cache_store_negative(&w->cache, e, CODE_NOT_FOUND, SPAN_NONE,
							   w->now);
			cache_bury(&w->cache);
		}
		world_end(w);
	}
}

static void test_what_is_larger_than_all_is_refused(void **state)
{
	struct world *w = world_of(16384);
	struct entry *e;

	(void)state;
	assert_false(fetch(w, 1, 0, 20000));
	assert_null(find(w, 1));
	assert_true(fetch(w, 1, 0, 100));
	e = find(w, 1);
	assert_null(store(w, e, 20000));
	assert_ptr_equal(find(w, 1), e); /* and nothing is changed */
	assert_int_equal(e->token_len, 100);
	assert_consistent(w);
	world_end(w);
}

static void test_a_session_has_so_many_keys(void **state)
{
	struct world *w = world_of(1 << 20);
	struct entry *e;
	struct key key;

	(void)state;
	for (size_t i = 1; i <= 3 * CACHE_MAX_PER_SESSION; i++) {
		w->now.ms = (int64_t)i;
		key = key_of(w, 1, i);
		e = cache_obtain(&w->cache, &key, w->users[0]);
		assert_non_null(store(w, e, 10));
		use(w, cache_find(&w->cache, &key));
		assert_true(w->cache.map.count <= CACHE_MAX_PER_SESSION);
	}
	for (size_t i = 1; i <= 3 * CACHE_MAX_PER_SESSION; i++) {
		key = key_of(w, 1, i);
		e = cache_find(&w->cache, &key);
		assert_int_equal(e != NULL, i > 2 * CACHE_MAX_PER_SESSION); /* the oldest went */
		if (e)
			e->demand = WANTED;
	}
	key = key_of(w, 1, 999);
	assert_null(cache_obtain(&w->cache, &key, w->users[0])); /* all are wanted */
	key = key_of(w, 2, 1);
	assert_non_null(cache_obtain(&w->cache, &key, w->users[0]));
	for (size_t i = 1; i <= 3 * CACHE_MAX_PER_SESSION; i++) {
		key = key_of(w, 1, i);
		if ((e = cache_find(&w->cache, &key)))
			e->demand = NULL;
	}
	assert_consistent(w);
	world_end(w);
}

static void test_what_somebody_wants_stays(void **state)
{
	struct world *w = world_of(64000);

	(void)state;
	fill(w, 0, 0, 20, 0);
	for (size_t i = 0; i < 20; i++)
		find(w, i)->demand = WANTED;
	for (size_t i = 0; i < 5000; i++)
		(void)fetch(w, 1000 + i, 1, MEDIUM);
	assert_int_equal(left_of(w, 0, 20), 20);
	for (size_t i = 0; i < 100; i++) /* until all are wanted: then there is no room */
		if (fetch(w, 9000 + i, 0, MEDIUM))
			find(w, 9000 + i)->demand = WANTED;
	assert_int_equal(left_of(w, 0, 20), 20);
	assert_false(fetch(w, 9999, 0, MEDIUM));
	assert_consistent(w);
	for (size_t i = 0; i < 10000; i++)
		if (find(w, i))
			find(w, i)->demand = NULL;
	world_end(w);
}

static void test_what_goes_is_wiped(void **state)
{
	struct world *w = world_of(1 << 20);
	struct entry *e = fetched(w, 1, 0, MEDIUM), *other;
	uintptr_t first, second;

	(void)state;
	first = (uintptr_t)entry_token_text(e).ptr;
	wiped_reset();
	other = store(w, e, 2 * MEDIUM);
	second = (uintptr_t)entry_token_text(other).ptr;
	assert_false(wiped_all(first, MEDIUM)); /* somebody may still borrow from it */
	cache_bury(&w->cache);
	assert_true(wiped_all(first, MEDIUM));
	cache_remove(&w->cache, other);
	assert_null(find(w, 1));
	assert_false(wiped_all(second, 2 * MEDIUM));
	wiped_reset();
	cache_bury(&w->cache);
	assert_true(wiped_all(second, 2 * MEDIUM));
	world_end(w);
}

static void test_emptied_in_place(void **state)
{
	struct world *w = world_of(1 << 20);
	struct entry *e = fetched(w, 1, 0, MEDIUM);
	struct span token = entry_token_text(e);

	(void)state;
	e->flags = ENTRY_FAILING;
	cache_empty(&w->cache, e);
	assert_true(entry_is_empty(e));
	assert_int_equal(e->flags, 0);
	assert_int_equal(w->cache.tokens, 0);
	assert_int_equal(e->timer.slot, HEAP_NOWHERE);
	for (size_t i = 0; i < token.len; i++)
		assert_int_equal(token.ptr[i], 0);
	assert_ptr_equal(find(w, 1), e);
	assert_non_null(store(w, e, 10));
	assert_int_equal(find(w, 1)->token_len, 10);
	assert_consistent(w);
	world_end(w);
}

static void test_a_new_place_keeps_demand_timer_and_uses(void **state)
{
	struct world *w = world_of(1 << 20);
	struct entry *e = fetched(w, 1, 2, MEDIUM), *before = fetched(w, 2, 0, 10);
	struct entry *moved;

	(void)state;
	e->demand = WANTED;
	e->failures = 3;
	e->flags = ENTRY_FAILING;
	e->frequency = 9;
	cache_arm(&w->cache, e, (struct mono){ 77 });
	cache_arm(&w->cache, before, (struct mono){ 78 });
	moved =
	    cache_store(&w->cache, e,
			&(struct token){ .jwt = span_of(token_bytes, 5000), .id = 4, .exp_s = 5 });
	assert_non_null(moved);
	assert_ptr_equal(moved->demand, WANTED);
	assert_null(e->demand);
	assert_true(moved->timer.at.ms == 77);
	assert_ptr_equal(heap_first(&w->cache.timers), &moved->timer);
	assert_int_equal(e->timer.slot, HEAP_NOWHERE);
	assert_int_equal(moved->frequency, 9);
	assert_int_equal(moved->failures, 0);
	assert_int_equal(moved->flags, 0);
	assert_int_equal(entry_token_id(moved), 4);
	assert_int_equal(w->quota.accounts[moved->account]->uid, 1002);
	assert_ptr_equal(find(w, 1), moved);
	assert_consistent(w);
	moved->demand = NULL;
	world_end(w);
}

static void remove_some(void *arg, struct entry *e)
{
	if (entry_template(e).len % 2)
		cache_remove(arg, e);
}

static void test_visitors_may_remove_what_they_visit(void **state)
{
	struct world *w = world_of(1 << 20);
	struct key key;

	(void)state;
	for (size_t i = 1; i <= 40; i++) {
		key = key_of(w, 1 + i % 2, i);
		assert_non_null(cache_obtain(&w->cache, &key, w->users[0]));
	}
	cache_visit_session(&w->cache, SPAN_LITERAL("sess_1"), remove_some, &w->cache);
	assert_int_equal(w->cache.map.count, 40 - 16); /* "t10" to "t40", the even ones */
	cache_visit_all(&w->cache, remove_some, &w->cache);
	assert_int_equal(w->cache.map.count, 9);
	assert_consistent(w);
	world_end(w);
}

/* 0: the failure was not reached, so the script has been through all of its allocations. */
static bool script_fails_at(size_t n)
{
	struct world *w = world_of(32768);
	bool reached = false;

	fill(w, 0, 0, 5, 1);
	mem_fail_after(n);
	for (size_t i = 0; i < 100; i++) {
		bool had = find(w, i) != NULL;

		reached |= !fetch(w, i, i % 3, 10 + i * 100);
		/* What was there before is there still: no room is made in vain. */
		assert_true(!had || find(w, i));
	}
	mem_fail_after(SIZE_MAX);
	assert_consistent(w);
	assert_true(fetch(w, 500, 0, MEDIUM));
	world_end(w);
	return reached;
}

static void test_without_memory_it_stays_consistent(void **state)
{
	struct hash_key hash_key = { 0 };
	struct cache cache;
	size_t n = 0;

	(void)state;
	mem_fail_after(0);
	assert_true(cache_init(&cache, 1 << 20, &hash_key, NULL) < 0);
	cache_deinit(&cache);
	while (script_fails_at(n))
		n++;
	assert_true(n >= 190);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_apart),
		cmocka_unit_test(test_the_bound_on_memory_holds),
		cmocka_unit_test(test_the_bound_holds_for_small_blocks),
		cmocka_unit_test(test_what_is_larger_than_all_is_refused),
		cmocka_unit_test(test_a_session_has_so_many_keys),
		cmocka_unit_test(test_what_somebody_wants_stays),
		cmocka_unit_test(test_what_goes_is_wiped),
		cmocka_unit_test(test_emptied_in_place),
		cmocka_unit_test(test_a_new_place_keeps_demand_timer_and_uses),
		cmocka_unit_test(test_visitors_may_remove_what_they_visit),
		cmocka_unit_test(test_without_memory_it_stays_consistent),
	};

	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
