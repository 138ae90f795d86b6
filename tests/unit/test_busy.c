/* daemon/core/busy: which keys are asked for most, from nothing but when each was last used. */
#include "tests/unit/test_engine_world.h"

#include "daemon/core/state.h"

#define KEYS 300

static struct unit_random chance;

static void use(size_t number)
{
	assert_int_equal(ask_number(ROOT, VERB_GET, number, 0)->code, CODE_OK);
	world.asked_count--; /* there are more uses than places */
}

static void fill(size_t keys)
{
	char name[NAME_SIZE];

	world.now_ms = 1000000;
	for (size_t i = 0; i < keys; i++) {
		(void)ask_number(ROOT, VERB_GET, i, 100);
		(void)snprintf(name, sizeof(name), "n%zu", i);
		assert_true(land(name, name, 3600));
		world.asked_count = world.flight_count = 0;
	}
}

static size_t number_of(const struct busy_key *k)
{
	size_t number = 0;

	assert_int_equal(k->names[0], 'n');
	for (size_t i = 1; i < k->session_len; i++)
		number = number * 10 + (size_t)(k->names[i] - '0');
	return number;
}

/* Key i is asked for rate(i) times a minute, at random; looks each second. */
static void live(size_t keys, unsigned seconds, unsigned (*rate)(size_t))
{
	struct engine *e = world.engine;

	for (unsigned s = 0; s < seconds; s++) {
		for (unsigned ms = 0; ms < 1000; ms++) {
			pass_to(world.now_ms + 1);
			for (size_t i = 0; i < keys; i++)
				if (unit_random(&chance) % 60000 < rate(i))
					use(i);
		}
		busy_look(&e->busy, &e->cache, now());
	}
}

static unsigned some_are_busy(size_t i)
{
	return i == 7 ? 12000 : i == 70 ? 1200 : i < 100 ? 12 : 0;
}

static void test_the_busiest_are_found(void **state)
{
	const struct busy_key *keys;

	(void)state;
	set_config();
	assert_int_equal(begin(), 0);
	assert_true(join(ROOT, 0));
	fill(KEYS);
	live(KEYS, 20, some_are_busy);
	keys = world.engine->busy.keys;
	assert_int_equal(number_of(&keys[0]), 7);
	assert_in_range(busy_uses_per_minute(&keys[0]), 4000, 36000);
	assert_int_equal(number_of(&keys[1]), 70);
	assert_in_range(busy_uses_per_minute(&keys[1]), 400, 3600);
	end();
}

static unsigned all_the_same(size_t i)
{
	(void)i;
	return 60;
}

/* Of many equal keys some were used just now: that doesn't make them busy. */
static void test_chance_makes_nobody_busy(void **state)
{
	const struct busy *b;
	size_t wild = 0;

	(void)state;
	set_config();
	assert_int_equal(begin(), 0);
	assert_true(join(ROOT, 0));
	fill(KEYS);
	live(KEYS, 20, all_the_same);
	b = &world.engine->busy;
	for (size_t i = 0; i < b->count && i < 10; i++)
		wild += busy_uses_per_minute(&b->keys[i]) > 60 * 10;
	assert_in_range(wild, 0, 1);
	end();
}

static unsigned only_the_first(size_t i)
{
	return i == 0 ? 6000 : 0;
}

static unsigned only_the_second(size_t i)
{
	return i == 1 ? 6000 : 0;
}

static void test_what_is_over_goes(void **state)
{
	const struct busy *b;

	(void)state;
	set_config();
	assert_int_equal(begin(), 0);
	assert_true(join(ROOT, 0));
	fill(2);
	live(2, 10, only_the_first);
	b = &world.engine->busy;
	assert_int_equal(number_of(&b->keys[0]), 0);
	live(2, 10, only_the_second);
	assert_int_equal(number_of(&b->keys[0]), 1);
	(void)ask(ROOT, VERB_FLUSH, "", 0);
	live(0, 1, NULL);
	assert_int_equal(b->count, 0);
	end();
}

/* More keys than one look passes. */
static void test_a_large_cache_takes_some_looks(void **state)
{
	size_t keys = 2 * BUSY_PASS + 1000;

	(void)state;
	set_config();
	config.max_memory = 64 << 20;
	config.budget = 1 << 20;
	assert_int_equal(begin(), 0);
	assert_true(join(ROOT, 0));
	fill(keys);
	for (unsigned s = 0; s < 6; s++) {
		pass_to(world.now_ms + 1000);
		use(5000);
		busy_look(&world.engine->busy, &world.engine->cache, now());
	}
	assert_int_equal(number_of(&world.engine->busy.keys[0]), 5000);
	assert_true(world.engine->busy.keys[0].looks >= 2);
	end();
}

static void test_at_most_one_look_a_second(void **state)
{
	struct busy *b;

	(void)state;
	set_config();
	assert_int_equal(begin(), 0);
	assert_true(join(ROOT, 0));
	fill(1);
	use(0);
	use(0);
	b = &world.engine->busy;
	for (unsigned i = 0; i < 100; i++)
		busy_look(b, &world.engine->cache, now());
	assert_int_equal(b->count, 1);
	assert_int_equal(b->keys[0].looks, 0);
	pass_to(world.now_ms + 1000);
	busy_look(b, &world.engine->cache, now());
	assert_int_equal(b->keys[0].looks, 1);
	pass_to(world.now_ms + 30000);
	busy_look(b, &world.engine->cache, now());
	assert_int_equal(b->keys[0].looks, 0); /* what was long ago says nothing */
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_busiest_are_found),
		cmocka_unit_test(test_chance_makes_nobody_busy),
		cmocka_unit_test(test_what_is_over_goes),
		cmocka_unit_test(test_a_large_cache_takes_some_looks),
		cmocka_unit_test(test_at_most_one_look_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
