/* daemon/core/cache: what is resident stays within the bound, whatever sizes come and go. */
#include "tests/unit/resident.h"
#include "tests/unit/unit.h"
#include "tests/unit/test_cache_world.h"

#define MAX_BYTES (16u << 20)
#define BEYOND (1u << 19) /* what may be resident beside the bound, the test's own among it */

/* `count` new keys with tokens of that size or up to `more` more; the most that was resident. */
static size_t come(struct world *w, struct unit_random *random, size_t *session, size_t count,
		   size_t size, size_t more)
{
	size_t most = 0, now;

	for (size_t i = 0; i < count; i++) {
		w->now.ms++;
		assert_true(fetch(w, ++*session, 0, size + unit_below(random, more + 1)));
		if (i % 256 == 0 && (now = resident()) > most)
			most = now;
	}
	return most;
}

/* The bytes of tokens that are held. */
static void add_tokens(void *arg, struct entry *e)
{
	*(size_t *)arg += e->token_len;
}

static void test_while_sizes_shift(void **state)
{
	const size_t sizes[] = { 700,  900,  1300, 400,	 2000,	720,   3000, 100,
				 1000, 5000, 9000, 6000, 20000, 12000, 700,  8000 };
	struct unit_random random = { 3 };
	size_t before = resident(), session = 0;
	struct world *w;

	(void)state;
	unit_skip_where_sanitized();
	w = world_of(MAX_BYTES);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t count = 2 * MAX_BYTES / sizes[i], tokens = 0, most;

		if (count > 40000)
			count = 40000;
		most = come(w, &random, &session, count, sizes[i], 50 + sizes[i] / 20);
		if (most > before + MAX_BYTES + BEYOND)
			fail_msg("%zu KiB beyond the bound at %zu",
				 (most - before - MAX_BYTES) / 1024, sizes[i]);
		cache_visit_all(&w->cache, add_tokens, &tokens);
		if (sizes[i] >= 400 && tokens < MAX_BYTES / 10 * 7) /* and it is put to use */
			fail_msg("only %zu KiB of tokens of %zu", tokens / 1024, sizes[i]);
		assert_consistent(w);
	}
	world_end(w);
}

static void test_while_sizes_are_any(void **state)
{
	struct unit_random random = { 4 };
	size_t before = resident(), session = 0;
	struct world *w;

	(void)state;
	unit_skip_where_sanitized();
	w = world_of(MAX_BYTES);
	for (size_t i = 0; i < 10; i++) {
		size_t most = come(w, &random, &session, 5000, 1, 200u << (i % 5));

		if (most > before + MAX_BYTES + BEYOND)
			fail_msg("%zu KiB beyond the bound", (most - before - MAX_BYTES) / 1024);
		assert_consistent(w);
	}
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_while_sizes_shift),
		cmocka_unit_test(test_while_sizes_are_any),
	};

	return cmocka_run_group_tests_name("cache_resident", tests, NULL, NULL);
}
