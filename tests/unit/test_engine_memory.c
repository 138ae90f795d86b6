/* daemon/core/engine: what a client makes us hold counts, and is bounded. */
#include "tests/unit/unit.h"
#include "tests/unit/test_engine_world.h"

#include "daemon/core/state.h"

#define MAX_MEMORY ((size_t)1 << 20)
#define LONG_MS 3600000
#define LARGE 3000

static int setup(void **state)
{
	(void)state;
	set_config();
	config.max_memory = MAX_MEMORY;
	config.budget = 4000;
	assert_int_equal(begin(), 0);
	for (size_t i = 0; i < 3; i++)
		assert_true(join(i, (uid_t)(1000 + i)));
	return 0;
}

static size_t session_of(char *to, size_t number)
{
	return (size_t)snprintf(to, NAME_SIZE, "n%zu", number);
}

/* Clerk's answer with a token of that many bytes. */
static bool land_large(size_t number, size_t len, int64_t life_s)
{
	static char jwt[LARGE + 1];
	static uint64_t id;
	char session[NAME_SIZE];
	struct outcome outcome = { .kind = OUTCOME_TOKEN, .jwt = { jwt, len } };

	memset(jwt, 'x', len);
	jwt[1] = jwt[len - 2] = '.';
	outcome.id = ++id;
	outcome.lifetime_ms = life_s * MS_PER_S;
	outcome.exp_s = (uint64_t)(world.now_ms / MS_PER_S + life_s);
	(void)session_of(session, number);
	return answer(session, &outcome);
}

/* What waits, and what it waits for, is held within the bound. */
static void test_those_who_wait_count(void **state)
{
	size_t before = world.held, refused = 0;

	(void)state;
	config.budget = 1;
	config.budget_window_ms = 100;
	assert_int_equal(engine_configure(world.engine, &config), 0);
	for (size_t i = 0; i < 7000; i++) {
		struct asked *a = ask_number(i % 3, VERB_GET, i, LONG_MS);

		refused += a->answered && a->code == CODE_OVERLOADED;
		assert_true(mem_held() - before < MAX_MEMORY + (MAX_MEMORY >> 3));
	}
	assert_true(refused > 0);
	end();
}

static void test_watches_count(void **state)
{
	size_t before = mem_held(), client = 3;
	struct asked *a;

	(void)state;
	(void)ask(0, VERB_WATCH, "s", 1000);
	assert_true(land("s", "h.t.s", 3600));
	do {
		assert_true(join(client, 1000));
		a = ask(client++, VERB_WATCH, "s", 1000);
		world.asked_count = 0;
		assert_true(mem_held() - before < MAX_MEMORY + (MAX_MEMORY >> 3));
	} while (a->code == CODE_OK && client < 400);
	assert_true(world.engine->cache.beside > 400 * sizeof(struct watch));
	end();
}

/* Watched, entries stay; but not so many that there is no room for others. */
static size_t watch_until_refused(size_t client, size_t from)
{
	size_t n = from;

	for (;; n++) {
		struct asked *a = ask_number(client, VERB_WATCH, n, LONG_MS);

		if (!a->answered)
			assert_true(land_large(n, LARGE, 3600));
		if (a->code != CODE_OK || world.gone)
			break;
		assert_true(n - from < 300);
	}
	return n - from;
}

static void test_one_user_pins_a_quarter(void **state)
{
	size_t first = watch_until_refused(0, 0), second;

	(void)state;
	assert_in_range(first * LARGE, MAX_MEMORY / 5, MAX_MEMORY / 4);
	world.gone = 0;
	second = watch_until_refused(1, 1000);
	assert_in_range(second * LARGE, MAX_MEMORY / 12, MAX_MEMORY / 8);
	for (size_t i = 2000; i < 2300; i++) {
		assert_false(ask_number(2, VERB_GET, i, 1000)->answered);
		assert_true(land_large(i, LARGE, 3600));
		assert_int_equal(ask_number(2, VERB_GET, i, 1000)->code, CODE_OK);
	}
	leave(0);
	world.gone = 0;
	assert_true(watch_until_refused(2, 3000) > second);
	end();
}

/* A watched token may be followed by a larger one: beyond the user's part, the watch ends. */
static void test_what_is_watched_grows(void **state)
{
	const size_t count = 80;
	char session[NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < count; i++) {
		(void)ask_number(0, VERB_WATCH, i, 1000);
		assert_true(land_large(i, 10, 60));
	}
	assert_int_equal(world.gone, 0);
	pass_to(58000);
	for (size_t i = 0; i < count; i++) {
		(void)session_of(session, i);
		assert_int_equal(under_way(session), 1);
		assert_true(land_large(i, LARGE, 60));
	}
	assert_int_equal(world.gone + world.pushes, count);
	assert_in_range(world.pushes * LARGE, MAX_MEMORY / 6, MAX_MEMORY / 4);
	assert_int_equal(ask_number(0, VERB_GET, count - 1, 0)->code, CODE_OK);
	end();
}

static void test_nothing_is_left_counted(void **state)
{
	size_t before = world.engine->cache.beside;

	(void)state;
	for (size_t i = 0; i < 60; i++)
		(void)ask_number(i % 3, i % 2 ? VERB_WATCH : VERB_GET, i, 1000);
	assert_true(world.engine->cache.beside > before + 60 * sizeof(struct waiter));
	for (size_t i = 0; i < 60; i += 3)
		assert_true(land_large(i, 100, 60));
	(void)ask_number(1, VERB_DROP, 1, 0);
	pass_to(LONG_MS);
	for (size_t i = 0; i < 3; i++)
		leave(i);
	pass_to(2 * LONG_MS);
	for (size_t i = 0; i < FLIGHTS; i++)
		if (world.flights[i].demand)
			(void)fall(world.flights[i].session, OUTCOME_DEFINITE, CODE_FORBIDDEN, -1);
	pass_to(3 * LONG_MS);
	assert_int_equal(world.engine->cache.map.count, 0);
	assert_int_equal(world.engine->quota.count, 0);
	assert_in_range(world.engine->cache.beside, before, before + 4096); /* heaps */
	end();
}

/* So many keys with tokens. */
static void fill(size_t count, int64_t life_s)
{
	for (size_t i = 0; i < count; i++) {
		world.flight_count = world.asked_count = 0;
		(void)ask_number(0, VERB_GET, i, 1000);
		assert_true(land_large(i, 10, life_s));
		world.now_ms += i % 50 == 0; /* half of the budget goes at once */
	}
	assert_int_equal(world.engine->cache.tokens, count);
}

static void configure(size_t max_memory)
{
	config.max_memory = max_memory;
	config.budget = 200;
	config.budget_window_ms = 1;
	assert_int_equal(engine_configure(world.engine, &config), 0);
	drain();
}

static bool is_due(void)
{
	return engine_next_deadline(world.engine).ms <= world.now_ms;
}

/* Ticks until nothing is due; how many it took. */
static size_t tick_on(void)
{
	size_t n;

	for (n = 0; is_due(); n++) {
		engine_tick(world.engine, now());
		drain();
		assert_true(n < 1000);
	}
	return n;
}

/* What was forgotten is found no more at once, and freed in turns with others' requests. */
static void test_forgetting_a_lot(void **state)
{
	const size_t count = 4000;
	const struct cache *cache = &world.engine->cache;
	size_t before, empty;

	(void)state;
	configure(4 << 20);
	empty = mem_held();
	fill(count, 3600);
	assert_true(join(3, ROOT));
	(void)ask_number(1, VERB_WATCH, 7, 1000);
	before = cache->bytes;
	(void)ask(3, VERB_FLUSH, "", 0);
	assert_int_equal(cache->tokens, 0);
	assert_int_equal(cache->map.count, 1); /* what is watched, and is asked for anew */
	assert_int_equal(under_way("n7"), 1);
	assert_true(cache->bytes > before / 2);
	assert_true(is_due());
	assert_false(ask_number(0, VERB_GET, 8, 1000)->answered);
	assert_true(land_large(8, 20, 3600));
	(void)ask(3, VERB_FLUSH, "", 0); /* again, before all was freed */
	assert_int_equal(cache->map.count, 1);
	assert_false(ask_number(0, VERB_GET, 8, 1000)->answered);
	assert_in_range(tick_on(), 2, 100);
	assert_int_equal(cache->map.count, 2);
	assert_true(cache->bytes < 1000);
	pass_to(world.now_ms + 300); /* it is asked for anew a while after the second */
	assert_true(land_large(7, 30, 3600));
	assert_int_equal(world.pushes, 1);
	leave(3);
	assert_in_range(mem_held(), empty, empty + 100000); /* heaps */
	end();
}

static void test_without_memory_all_is_forgotten(void **state)
{
	(void)state;
	configure(4 << 20);
	fill(500, 3600);
	assert_true(join(3, ROOT));
	mem_fail_after(0);
	(void)ask(3, VERB_FLUSH, "", 0);
	mem_fail_after(SIZE_MAX);
	assert_int_equal(world.engine->cache.map.count, 0);
	assert_int_equal(world.engine->cache.bytes, 0);
	end();
}

/* The table of a large cache takes long to pass, however little is in it. */
static void test_forgetting_a_little(void **state)
{
	(void)state;
	configure(1 << 30);
	assert_true(join(3, ROOT));
	(void)ask(3, VERB_FLUSH, "", 0);
	assert_in_range(tick_on(), 10, 100);
	end();
}

/* Where it is needed, what was forgotten makes room before anything else goes. */
static void test_room_among_what_is_forgotten(void **state)
{
	(void)state;
	configure(1 << 20);
	fill(3000, 3600);
	assert_true(join(3, ROOT));
	(void)ask(3, VERB_FLUSH, "", 0);
	for (size_t i = 0; i < 200; i++) {
		world.flight_count = world.asked_count = 0;
		(void)ask_number(0, VERB_GET, i, 1000);
		assert_true(land_large(i, LARGE, 3600));
		world.now_ms++;
	}
	assert_int_equal(world.engine->cache.tokens, 200);
	assert_int_equal(world.engine->cache.evictions, 0);
	end();
}

static void test_another_bound(void **state)
{
	const struct cache *cache = &world.engine->cache;
	size_t mask;

	(void)state;
	configure(4 << 20);
	mask = cache->map.mask;
	fill(4000, 3600);
	configure(32 << 20);
	assert_int_equal(cache->map.mask, 8 * mask + 7);
	for (size_t i = 0; i < 4000; i += 100)
		assert_int_equal(ask_number(0, VERB_GET, i, 0)->code, CODE_OK);
	configure(256 << 10);
	assert_false(ask_number(0, VERB_GET, 5000, 1000)->answered); /* it needn't wait for that */
	assert_true(land_large(5000, LARGE, 3600));
	assert_true(cache->map.count > 3000);
	assert_in_range(tick_on(), 2, 200);
	assert_true(cache->bytes + cache->beside <= 256 << 10);
	assert_in_range(cache->map.count, 200, 2000);
	end();
}

#define WANTED 100

static const struct entry *entry_of(size_t number)
{
	char session[NAME_SIZE];
	struct key key = { .session = span_of(session, session_of(session, number)) };

	return cache_find(&world.engine->cache, &key);
}

/* Whoever waits for an entry, or watches it, is where it goes: of many such, side by side, most are
 * answered, and the holes that these leave are needed for others. */
static void test_what_is_wanted_moves_too(void **state)
{
	const struct entry *at[WANTED];
	size_t moved = 0;

	(void)state;
	configure(5 << 18);
	for (size_t i = 0; i < 10 * WANTED; i++) {
		(void)ask_number(0, i % 20 ? VERB_GET : VERB_WATCH, i, LONG_MS);
		world.now_ms += i % 50 == 0;
		if (i % 10 == 0)
			at[i / 10] = entry_of(i);
	}
	for (size_t i = 0; i < 20 * WANTED; i++) {
		if (i % 10 == 0 && i < 10 * WANTED)
			continue;
		if (i >= 10 * WANTED)
			(void)ask_number(1, VERB_GET, i, LONG_MS);
		assert_true(land_large(i, 1500, 3600));
		world.now_ms += i % 50 == 0;
	}
	for (size_t i = 0; i < 10 * WANTED; i += 10) {
		moved += entry_of(i) != at[i / 10];
		assert_false(world.asked[i].answered);
		assert_true(land_large(i, 100, 3600));
		assert_int_equal(world.asked[i].code, CODE_OK);
	}
	if (world.engine->cache.slab.run_count) /* under AddressSanitizer nothing moves */
		assert_true(moved > WANTED / 3);
	end();
}

/* As after a sleep: what is due is looked at in turns with others' requests. */
static void test_much_is_due_at_once(void **state)
{
	(void)state;
	configure(4 << 20);
	fill(1900, 60);
	world.now_ms += 10 * LONG_MS;
	world.flight_count = 0;
	engine_tick(world.engine, now());
	drain();
	assert_in_range(world.engine->cache.map.count, 1900 / 2, 1899);
	assert_true(is_due());
	assert_in_range(tick_on(), 5, 20);
	assert_int_equal(world.engine->cache.map.count, 0);
	end();
}

static enum code track(size_t client, bool on)
{
	world.asked_count = 0;
	return submit(client, &(struct request){ .verb = VERB_TRACK, .on = on })->code;
}

/* Each of them costs a line for each drop. */
static void test_so_many_track(void **state)
{
	size_t n = 3;

	(void)state;
	config.max_clients = 2 * CLIENTS;
	assert_int_equal(engine_configure(world.engine, &config), 0);
	while (join(n, 1000) && track(n, true) == CODE_OK)
		n++;
	assert_in_range(n, 500, 515);
	assert_int_equal(track(n - 1, true), CODE_OK); /* it does already */
	assert_int_equal(track(1, true), CODE_OK);
	assert_int_equal(track(3, false), CODE_OK);
	assert_int_equal(track(3, false), CODE_OK);
	leave(4);
	assert_int_equal(track(n, true), CODE_OK);
	end();
}

/* By many on one connection, each is found, and ends when it should. */
static void test_many_watches_of_a_client(void **state)
{
	(void)state;
	configure(64 << 20);
	for (size_t i = 0; i < 5000; i++) {
		world.flight_count = world.asked_count = 0;
		(void)ask_number(0, VERB_WATCH, i, 1000);
		assert_true(land_large(i, 10, 3600));
		world.now_ms += i % 50 == 0;
	}
	world.asked_count = 0;
	for (size_t i = 0; i < 5000; i += 2)
		(void)ask_number(0, VERB_UNWATCH, i, 0);
	assert_int_equal(world.engine->quota.held[QUOTA_WATCHES], 2500);
	assert_int_equal(world.engine->watches.count, 2500);
	for (size_t i = 0; i < 5000; i += 2)
		(void)ask_number(1, VERB_UNWATCH, i + 1, 0);
	assert_int_equal(world.engine->watches.count, 2500); /* they are another client's */
	leave(0);
	assert_int_equal(world.engine->watches.count, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_those_who_wait_count, setup),
		cmocka_unit_test_setup(test_watches_count, setup),
		cmocka_unit_test_setup(test_one_user_pins_a_quarter, setup),
		cmocka_unit_test_setup(test_what_is_watched_grows, setup),
		cmocka_unit_test_setup(test_nothing_is_left_counted, setup),
		cmocka_unit_test_setup(test_forgetting_a_lot, setup),
		cmocka_unit_test_setup(test_forgetting_a_little, setup),
		cmocka_unit_test_setup(test_without_memory_all_is_forgotten, setup),
		cmocka_unit_test_setup(test_room_among_what_is_forgotten, setup),
		cmocka_unit_test_setup(test_another_bound, setup),
		cmocka_unit_test_setup(test_what_is_wanted_moves_too, setup),
		cmocka_unit_test_setup(test_much_is_due_at_once, setup),
		cmocka_unit_test_setup(test_so_many_track, setup),
		cmocka_unit_test_setup(test_many_watches_of_a_client, setup),
	};

	return cmocka_run_group_tests_name("engine_memory", tests, NULL, NULL);
}
