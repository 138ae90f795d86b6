/* daemon/core/queue, through the engine: that who is let in is served in time, to the millisecond,
 * and who is refused would not have been; and what a client may leave behind.
 */
#include "tests/unit/unit.h"
#include "tests/unit/test_engine_world.h"

#include "daemon/core/state.h"

#define USERS 5
#define ROUNDS 200
#define KEYS 12 /* a user's, at most */
#define FOR_EVER 3600000

static int setup(void **state)
{
	(void)state;
	set_config();
	config.budget = 7;
	config.max_clients = CLIENTS;
	if (begin() < 0)
		return -1;
	for (size_t i = 0; i < USERS; i++)
		if (!join(i, (uid_t)(1000 + i)))
			return -1;
	return 0;
}

/* The budget is used up, each user has some keys queued, and some of their turns are over. */
static size_t fill_queues(struct unit_random *random)
{
	size_t asked = 0;

	world.engine->usual_ms = (int64_t)unit_below(random, 2) * 230;
	for (size_t i = 0; i < USERS - 1; i++)
		for (size_t k = unit_below(random, KEYS); k > 0; k--)
			(void)ask_number(i, VERB_GET, asked++, FOR_EVER);
	pass_to((int64_t)unit_below(random, 30000));
	return asked;
}

/* The least `wait` with which that user is let in. */
static uint64_t least_wait(size_t client, const char *session)
{
	uint64_t refused = 0, accepted = FOR_EVER;

	while (accepted - refused > 1) {
		uint64_t wait_ms = refused + (accepted - refused) / 2;
		struct asked *a = ask(client, VERB_GET, session, wait_ms);

		if (a->answered) {
			assert_error(a, CODE_RATE_LIMITED);
			refused = wait_ms;
			continue;
		}
		accepted = wait_ms;
		engine_abandon(world.engine, a->waiter);
		a->waiter = NULL;
		drain();
	}
	return accepted;
}

/* Asks with the least wait, and sees that it is sent in the last moment that leaves Clerk its time.
 */
static void assert_served_in_time(size_t client, const char *session)
{
	int64_t wait_ms = (int64_t)least_wait(client, session), began_ms = world.now_ms;
	struct asked *a = ask(client, VERB_GET, session, (uint64_t)wait_ms);

	assert_false(a->answered);
	pass_to(began_ms + wait_ms - world.engine->usual_ms - 2);
	assert_int_equal(under_way(session), 0);
	pass_to(began_ms + wait_ms - world.engine->usual_ms - 1);
	assert_int_equal(under_way(session), 1);
	assert_false(a->answered);
	assert_true(land(session, "h.t.s", 60));
	assert_token(a, "h.t.s");
}

static void test_who_is_let_in_is_served_in_time(void **state)
{
	struct unit_random random = { 21 };

	for (int round = 0; round < ROUNDS; round++) {
		assert_int_equal(setup(state), 0);
		if (fill_queues(&random) && world.engine->queued)
			assert_served_in_time(unit_below(&random, USERS), "probe");
		end();
	}
}

/* The same for a key that is queued already, mostly somebody else's. */
static void test_who_joins_is_served_in_time(void **state)
{
	struct unit_random random = { 22 };

	for (int round = 0; round < ROUNDS; round++) {
		char session[2 * NAME_SIZE];
		size_t asked;

		assert_int_equal(setup(state), 0);
		asked = fill_queues(&random);
		if (world.engine->queued) {
			do
				(void)snprintf(session, sizeof(session), "n%zu",
					       unit_below(&random, asked));
			while (under_way(session));
			assert_served_in_time(unit_below(&random, USERS), session);
		}
		end();
	}
}

/* A client that asks for a lot and hangs up costs nobody a call. */
static void test_who_hangs_up_leaves_nothing(void **state)
{
	struct asked *a;

	assert_int_equal(setup(state), 0);
	for (size_t i = 0; i < 3000; i++)
		(void)ask_number(0, VERB_GET, i, FOR_EVER);
	a = ask(1, VERB_GET, "other", FOR_EVER);
	assert_int_equal(under_way(NULL), 7);
	leave(0);
	assert_int_equal(world.engine->queued, 1);
	assert_int_equal(world.engine->cache.map.count, 7 + 1);
	pass_to(10000);
	assert_int_equal(under_way(NULL), 8);
	assert_true(land("other", "h.t.s", 60));
	assert_token(a, "h.t.s");
	pass_to(40000);
	assert_int_equal(world.flight_count, 8);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_is_let_in_is_served_in_time),
		cmocka_unit_test(test_who_joins_is_served_in_time),
		cmocka_unit_test(test_who_hangs_up_leaves_nothing),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
