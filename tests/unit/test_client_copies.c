/* The table of the library's own copies: client/copies.c. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "client/copies.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define MIB ((size_t)1 << 20)

static const struct mono now = { 1000000 };

static struct token_key key_of(const char *session, const char *template, uint64_t expires_in_s)
{
	return (struct token_key){ span_str(session), span_str(template), expires_in_s };
}

static struct clerktoken_token *token_of(const struct token_key *key, uint64_t id, size_t len,
					 int64_t ttl_ms, int64_t reuse_ms)
{
	static const char jwt[8192] = { [0 ... 8191] = 'x' };
	struct token_view view = {
		.jwt = span_of(jwt, len),
		.id = id,
		.ttl_ms = ttl_ms,
		.reuse_ms = reuse_ms,
	};
	struct clerktoken_token *token;

	assert_int_equal(token_new_for(key, &view, now, CLERKTOKEN_SOURCE_CACHE, &token), 0);
	return token;
}

/* As a call does it: asks, keeps, and is done with its own reference. */
static void keep(struct copies *c, const struct token_key *key, uint64_t id)
{
	uint32_t stamp = copies_stamp(c, key);
	struct clerktoken_token *token = token_of(key, id, 900, 60000, 50000);

	copies_keep(c, token, stamp, now);
	clerktoken_token_unref(token);
}

/* The id of what is found, or 0. */
static uint64_t find(struct copies *c, const struct token_key *key, struct mono at)
{
	struct clerktoken_token *token = copies_find(c, key, at, 0, NULL);
	uint64_t id = token ? token->number : 0;

	clerktoken_token_unref(token);
	return id;
}

static void test_found_by_its_key(void **state)
{
	struct token_key keys[] = {
		key_of("sess_1", "", 0),   key_of("sess_1", "t", 0),	 key_of("sess_1", "t", 60),
		key_of("sess_1", "t2", 0), key_of("sess_1t", "", 0),	 key_of("sess_2", "t", 0),
		key_of("sess_", "1t", 0),  key_of("sess_12345", "t", 0),
	};
	size_t n = sizeof(keys) / sizeof(keys[0]);
	size_t held = mem_held();
	struct copies c;

	(void)state;
	assert_int_equal(copies_init(&c, MIB), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(find(&c, &keys[i], now), 0);
		keep(&c, &keys[i], i + 1);
	}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(find(&c, &keys[i], now), i + 1);
	keep(&c, &keys[3], 99); /* takes the place of the older one */
	assert_int_equal(find(&c, &keys[3], now), 99);
	copies_deinit(&c);
	assert_int_equal(mem_held(), held);
}

static void test_time(void **state)
{
	struct token_key key = key_of("sess_1", "t", 0);
	struct copies c;

	(void)state;
	assert_int_equal(copies_init(&c, MIB), 0);
	keep(&c, &key, 1);
	assert_int_equal(find(&c, &key, mono_add_ms(now, 49999)), 1);
	assert_null(copies_find(&c, &key, now, 60001, NULL));
	assert_null(copies_find(&c, &key, mono_add_ms(now, 1), 60000, NULL));
	assert_int_equal(find(&c, &key, now), 1); /* for others it is still good */
	assert_int_equal(find(&c, &key, mono_add_ms(now, 50000)), 0);
	assert_int_equal(c.bytes, 0); /* and gone */
	copies_deinit(&c);
}

static void test_refused(void **state)
{
	struct token_key key = key_of("sess_1", "t", 0);
	struct clerktoken_token *token;
	uint64_t other = 2, same = 1;
	struct copies c;

	(void)state;
	assert_int_equal(copies_init(&c, MIB), 0);
	keep(&c, &key, 1);
	token = copies_find(&c, &key, now, 0, &other);
	assert_non_null(token);
	assert_null(copies_find(&c, &key, now, 0, &same));
	assert_int_equal(find(&c, &key, now), 0);
	assert_int_equal(clerktoken_token_length(token), 900); /* lives on with its reference */
	clerktoken_token_unref(token);
	copies_deinit(&c);
}

static void test_drop_and_forget(void **state)
{
	struct token_key a = key_of("sess_a", "t", 0), b = key_of("sess_b", "t", 0);
	struct copies c;

	(void)state;
	assert_int_equal(copies_init(&c, MIB), 0);
	keep(&c, &a, 1);
	keep(&c, &b, 2);
	copies_drop(&c, a.session);
	assert_int_equal(find(&c, &a, now), 0);
	assert_int_equal(find(&c, &b, now), 2);
	keep(&c, &a, 3);
	assert_int_equal(find(&c, &a, now), 3);
	copies_forget(&c);
	assert_int_equal(find(&c, &a, now), 0);
	assert_int_equal(find(&c, &b, now), 0);
	assert_int_equal(c.bytes, 0);
	copies_deinit(&c);
}

/* What was asked for before a drop is not kept after it. */
static void test_stamps(void **state)
{
	struct token_key key = key_of("sess_a", "t", 0);
	struct clerktoken_token *token = token_of(&key, 1, 900, 60000, 50000);
	struct copies c;
	uint32_t stamp;

	(void)state;
	assert_int_equal(copies_init(&c, MIB), 0);
	for (int i = 0; i < 3; i++) {
		stamp = copies_stamp(&c, &key);
		if (i == 0)
			copies_drop(&c, key.session);
		if (i == 1)
			copies_forget(&c);
		copies_keep(&c, token, stamp, now);
		assert_int_equal(find(&c, &key, now), i == 2 ? 1 : 0);
	}
	clerktoken_token_unref(token);
	copies_deinit(&c);
}

/* References through the slot are more than it can count. */
static void test_many_references(void **state)
{
	struct token_key key = key_of("sess_a", "t", 0);
	size_t held = mem_held();
	struct clerktoken_token *token = NULL;
	struct copies c;

	(void)state;
	assert_int_equal(copies_init(&c, MIB), 0);
	keep(&c, &key, 1);
	for (unsigned i = 0; i < 200000; i++)
		token = copies_find(&c, &key, now, 0, NULL);
	for (unsigned i = 0; i < 150000; i++)
		clerktoken_token_unref(token);
	copies_forget(&c);
	assert_int_equal(token->refs, 50000);
	for (unsigned i = 0; i < 50000; i++)
		clerktoken_token_unref(token);
	copies_deinit(&c);
	assert_int_equal(mem_held(), held);
}

/* However many there are, the bound holds, and most of what fits is there. */
static void test_bound(void **state)
{
	struct copies c;
	unsigned found = 0;

	(void)state;
	assert_int_equal(copies_init(&c, MIB), 0);
	for (unsigned i = 0; i < 5000; i++) {
		char session[16];
		struct token_key key;

		(void)snprintf(session, sizeof(session), "sess_%u", i);
		key = key_of(session, "t", 0);
		keep(&c, &key, i + 1);
		assert_in_range(c.bytes, 1, MIB);
		assert_int_equal(find(&c, &key, now), i + 1);
	}
	for (unsigned i = 0; i < 5000; i++) {
		char session[16];
		struct token_key key;

		(void)snprintf(session, sizeof(session), "sess_%u", i);
		key = key_of(session, "t", 0);
		found += find(&c, &key, now) == i + 1;
	}
	assert_in_range(found, MIB / 1100, MIB / 900);
	copies_deinit(&c);

	/* One that doesn't fit at all. */
	assert_int_equal(copies_init(&c, 4096), 0);
	{
		struct token_key key = key_of("sess_large", "t", 0);
		struct clerktoken_token *token = token_of(&key, 1, 8000, 60000, 50000);

		copies_keep(&c, token, copies_stamp(&c, &key), now);
		clerktoken_token_unref(token);
		assert_int_equal(find(&c, &key, now), 0);
		assert_int_equal(c.bytes, 0);
	}
	copies_deinit(&c);
}

#define TEMPLATES 40

static bool keep_numbered(struct copies *c, unsigned i, int64_t reuse_ms, struct mono at)
{
	char template[8];
	struct clerktoken_token *token;
	struct token_key key;

	(void)snprintf(template, sizeof(template), "t%u", i);
	key = key_of("sess_a", template, 0);
	token = token_of(&key, i + 1, 900, 60000, reuse_ms);
	copies_keep(c, token, copies_stamp(c, &key), at);
	clerktoken_token_unref(token);
	return find(c, &key, at) == i + 1;
}

static unsigned count_numbered(struct copies *c, unsigned first, unsigned end)
{
	unsigned found = 0;

	for (unsigned i = first; i < end; i++) {
		char template[8];
		struct token_key key;

		(void)snprintf(template, sizeof(template), "t%u", i);
		key = key_of("sess_a", template, 0);
		found += find(c, &key, now) == i + 1;
	}
	return found;
}

/* One session has four buckets. In each of them what ends first gives way. */
static void test_replacement(void **state)
{
	struct copies c;

	(void)state;
	assert_int_equal(copies_init(&c, MIB), 0);
	for (unsigned i = 0; i < TEMPLATES; i++)
		assert_true(keep_numbered(&c, i, 1000 * (i + 1), now));
	assert_int_equal(count_numbered(&c, 0, TEMPLATES), 4 * COPIES_WAYS);
	assert_int_equal(count_numbered(&c, 0, COPIES_WAYS), 0);
	assert_int_equal(count_numbered(&c, TEMPLATES - COPIES_WAYS, TEMPLATES), COPIES_WAYS);
	for (unsigned i = TEMPLATES; i < 2 * TEMPLATES; i++)
		assert_true(keep_numbered(&c, i, 500, now)); /* short: they replace each other */
	assert_in_range(count_numbered(&c, 0, TEMPLATES), 3 * COPIES_WAYS, 4 * COPIES_WAYS);
	assert_int_equal(count_numbered(&c, TEMPLATES - 1, TEMPLATES), 1);
	for (unsigned i = 0; i < TEMPLATES; i++)
		assert_true(keep_numbered(&c, i, INT64_MAX, now)); /* whatever a daemon says */
	copies_deinit(&c);
}

static void test_sweep(void **state)
{
	struct copies c;

	(void)state;
	assert_int_equal(copies_init(&c, MIB), 0);
	assert_true(keep_numbered(&c, 1, 1000, now));
	assert_true(keep_numbered(&c, 2, 3000, now));
	for (int i = 0; i < 4; i++) /* a quarter of the table each time */
		copies_sweep(&c, mono_add_ms(now, 2000), COPIES_SWEEP_MS / 4);
	assert_int_equal(count_numbered(&c, 1, 2), 0);
	assert_int_equal(count_numbered(&c, 2, 3), 1);
	for (int i = 0; i < 4; i++) /* however long it wasn't looked at: no more at a time */
		copies_sweep(&c, mono_add_ms(now, 3000), INT64_MAX);
	assert_int_equal(c.bytes, 0);
	copies_sweep(&c, now, INT64_MAX);
	copies_deinit(&c);
}

static void test_out_of_memory(void **state)
{
	struct copies c;

	(void)state;
	mem_fail_after(0);
	assert_int_equal(copies_init(&c, MIB), -ENOMEM);
	copies_deinit(&c);
}

/* ---- many threads */

#define THREADS 4
#define KEYS 24
#define ROUNDS 20000

struct crowd {
	struct copies copies;
	/* Of each key: the number of the token that a daemon would answer with, and that of the
	 * first one that is good, since the drop of those before has returned. */
	_Atomic uint64_t made[KEYS], good[KEYS];
	_Atomic unsigned wrong, found, seed;
};

static void drop(struct crowd *crowd, size_t i, const struct token_key *key)
{
	uint64_t number = ++crowd->made[i], good = crowd->good[i];

	copies_drop(&crowd->copies, key->session);
	while (good < number && !atomic_compare_exchange_weak(&crowd->good[i], &good, number))
		;
}

static void ask(struct crowd *crowd, size_t i, const struct token_key *key)
{
	uint32_t stamp = copies_stamp(&crowd->copies, key);
	struct clerktoken_token *token = token_of(key, crowd->made[i], 20 + i, 60000, 50000);

	copies_keep(&crowd->copies, token, stamp, now);
	clerktoken_token_unref(token);
}

static void work_once(struct crowd *crowd, struct unit_random *random)
{
	size_t i = unit_below(random, KEYS);
	uint64_t good = crowd->good[i];
	char session[16];
	struct token_key key;
	struct clerktoken_token *token;

	(void)snprintf(session, sizeof(session), "sess_%zu", i);
	key = key_of(session, "t", 0);
	token = copies_find(&crowd->copies, &key, now, 0, NULL);
	if (token) {
		crowd->found++;
		crowd->wrong += token->number < good || !token_is_for(token, &key) ||
				clerktoken_token_length(token) != 20 + i ||
				clerktoken_token_jwt(token)[19 + i] != 'x';
		clerktoken_token_unref(token);
	} else {
		ask(crowd, i, &key);
	}
	if (unit_below(random, 50) == 0)
		drop(crowd, i, &key);
	if (unit_below(random, 1000) == 0)
		copies_forget(&crowd->copies);
	if (unit_below(random, 100) == 0)
		copies_sweep(&crowd->copies, now, 200);
}

static void *work(void *argument)
{
	struct crowd *crowd = argument;
	struct unit_random random = { ++crowd->seed };

	for (int i = 0; i < ROUNDS; i++)
		work_once(crowd, &random);
	return NULL;
}

static void test_threads(void **state)
{
	static struct crowd crowd;
	size_t held = mem_held();
	pthread_t threads[THREADS];

	(void)state;
	/* So small that they are in each other's way. */
	assert_int_equal(copies_init(&crowd.copies, 2048), 0);
	for (size_t i = 0; i < KEYS; i++)
		crowd.made[i] = crowd.good[i] = 1;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &crowd), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(crowd.wrong, 0);
	assert_in_range(crowd.found, 1000, THREADS * ROUNDS);
	copies_deinit(&crowd.copies);
	assert_int_equal(mem_held(), held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_by_its_key),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_drop_and_forget),
		cmocka_unit_test(test_stamps),
		cmocka_unit_test(test_many_references),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_replacement),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
