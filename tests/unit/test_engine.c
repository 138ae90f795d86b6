/* daemon/core/engine: what the timelines don't reach: limits, turns, memory that runs out, and
 * every state of a fetch that something happens in.
 */
#include "tests/unit/unit.h"
#include "tests/unit/test_engine_world.h"

#include "daemon/core/state.h"
#include "daemon/core/waiter.h"

#define DAY INT64_C(86400000)

static int setup(void **state)
{
	(void)state;
	set_config();
	return begin() < 0 || !join(0, 1000) || !join(1, 1001) || !join(2, ROOT);
}

static void test_each_waiter_has_its_own_deadline(void **state)
{
	struct asked *a[300];

	(void)state;
	for (size_t i = 0; i < 300; i++)
		a[i] = ask(i % 2, VERB_GET, "s", (i * 7919) % 300);
	pass_to(100);
	assert_int_equal(under_way("s"), 1);
	assert_true(land("s", "h.t.s", 60));
	for (size_t i = 0; i < 300; i++) {
		if ((i * 7919) % 300 > 100) {
			assert_token(a[i], "h.t.s");
			assert_int_equal(a[i]->at_ms, 100);
		} else {
			assert_error(a[i], CODE_TIMEOUT);
			assert_int_equal(a[i]->at_ms, (i * 7919) % 300);
		}
	}
	end();
}

/* Waits that are taken until there is no more; they all join one fetch. */
static size_t wait_until_full(size_t client)
{
	size_t n = 0;

	while (!ask(client, VERB_GET, "s", 60000)->answered)
		n++;
	assert_error(&world.asked[world.asked_count - 1], CODE_OVERLOADED);
	return n;
}

static void test_one_user_fills_half_of_the_waiters(void **state)
{
	size_t first = wait_until_full(0), second;

	(void)state;
	assert_in_range(first, 7000, 8192);
	second = wait_until_full(1);
	assert_in_range(second, first / 2 - 1, first / 2 + 1);
	assert_int_equal(engine_pending(world.engine), first + second);
	assert_false(ask(2, VERB_GET, "s", 60000)->answered);
	leave(0);
	assert_false(ask(1, VERB_GET, "s", 60000)->answered);
	end();
}

/* By many connections, each with a few. */
static void test_one_user_fills_half_of_the_watches(void **state)
{
	size_t watches = 0, client = 3;
	bool full = false;

	(void)state;
	config.max_memory = 64 << 20;
	assert_int_equal(engine_configure(world.engine, &config), 0);
	for (size_t i = 0; i < 100; i++) {
		char session[NAME_SIZE];

		(void)ask_number(0, VERB_WATCH, i, 1000);
		(void)snprintf(session, sizeof(session), "n%zu", i);
		assert_true(land(session, "h.t.s", 3600));
	}
	for (watches = 100; !full; client++) {
		assert_true(join(client, 1000));
		for (size_t i = 0; i < 100 && !full; i++) {
			world.asked_count = 0;
			full = ask_number(client, VERB_WATCH, i, 1000)->code == CODE_OVERLOADED;
			watches += !full;
		}
	}
	assert_in_range(watches, 30000, 32768);
	assert_int_equal(ask_number(1, VERB_WATCH, 0, 1000)->code, CODE_OK);
	assert_int_equal(ask_number(client - 1, VERB_GET, 0, 1000)->code, CODE_OK);
	end();
}

static void test_one_user_fills_half_of_the_connections(void **state)
{
	size_t n = 3;

	(void)state;
	while (n < CLIENTS - 3 && join(n, 1000))
		n++;
	assert_in_range(n, 450, 503);
	assert_true(join(n, 1001));
	assert_true(join(n + 1, ROOT));
	for (size_t i = 5; i < 8; i++)
		leave(i);
	assert_true(join(5, 1000)); /* the others have two more */
	end();
}

/* Who has queued a lot doesn't stand before who asks for a little. */
static void test_users_take_turns(void **state)
{
	size_t answered = 0;

	(void)state;
	config.budget = 10;
	assert_int_equal(engine_configure(world.engine, &config), 0);
	for (size_t i = 0; i < 100; i++)
		assert_false(ask_number(0, VERB_GET, i, 3600000)->answered);
	assert_int_equal(under_way(NULL), 10);
	for (size_t i = 1000; i < 1005; i++)
		assert_false(ask_number(1, VERB_GET, i, 15001)->answered);
	/* in turns, the sixth would be sent a window later */
	assert_error(ask_number(1, VERB_GET, 1005, 15000), CODE_RATE_LIMITED);
	pass_to(15000);
	assert_int_equal(under_way(NULL), 20);
	for (size_t i = 10; i < 20; i++)
		answered += strlen(world.flights[i].session) == 5; /* n1000 and more */
	assert_int_equal(answered, 5);
	end();
}

static void test_only_administrators_flush(void **state)
{
	struct asked *a;

	(void)state;
	assert_true(join(3, OWN_UID));
	(void)ask(0, VERB_GET, "s", 1000);
	assert_true(land("s", "h.t.s", 60));
	assert_error(ask(0, VERB_FLUSH, "", 0), CODE_DENIED);
	assert_int_equal(ask(0, VERB_GET, "s", 0)->code, CODE_OK);
	assert_int_equal(world.dropped, 0);
	assert_int_equal(ask(3, VERB_FLUSH, "", 0)->code, CODE_OK);
	a = ask(0, VERB_GET, "s", 1000);
	assert_false(a->answered);
	assert_int_equal(ask(2, VERB_FLUSH, "", 0)->code, CODE_OK);
	assert_int_equal(world.dropped, 2);
	assert_int_equal(world.cancelled, 1);
	assert_int_equal(under_way("s"), 1);
	assert_true(land("s", "h.u.s", 60));
	assert_token(a, "h.u.s");
	end();
}

static void test_watching_twice_is_watching_once(void **state)
{
	(void)state;
	(void)ask(0, VERB_WATCH, "s", 1000);
	(void)ask(0, VERB_WATCH, "s", 1000);
	assert_true(land("s", "h.t1.s", 60));
	assert_token(ask(0, VERB_WATCH, "s", 1000), "h.t1.s");
	assert_int_equal(world.pushes, 0);
	pass_to(56000);
	assert_true(land("s", "h.t2.s", 60));
	assert_int_equal(world.pushes, 1);
	assert_int_equal(ask(0, VERB_UNWATCH, "s", 0)->code, CODE_OK);
	pass_to(112000);
	(void)land("s", "h.t3.s", 60);
	assert_int_equal(world.pushes, 1);
	end();
}

static void test_a_watcher_that_leaves_before_the_answer(void **state)
{
	(void)state;
	(void)ask(0, VERB_WATCH, "s", 1000);
	leave(0);
	assert_int_equal(engine_pending(world.engine), 0);
	assert_true(land("s", "h.t.s", 60)); /* the fetch goes on */
	assert_token(ask(1, VERB_GET, "s", 0), "h.t.s");
	assert_int_equal(world.pushes, 0);
	end();
}

/* A waiter and a watcher of one key, whose fetch then is in the state that the test wants. */
static struct asked *waiter_and_watcher(void)
{
	(void)ask(1, VERB_WATCH, "s", 1000);
	assert_true(land("s", "h.old.s", 60));
	world.now_ms += 1000;
	(void)ask(1, VERB_DROP, "s", 0); /* the watcher's fetch */
	assert_int_equal(under_way("s"), 1);
	pass_to(world.now_ms + 300); /* drops in a row are not fetches in a row */
	return ask(0, VERB_GET, "s", 5000);
}

static void assert_both_get(const struct asked *a, const char *jwt)
{
	assert_int_equal(under_way("s"), 1);
	assert_true(land("s", jwt, 60));
	assert_token(a, jwt);
	assert_int_equal(world.pushes, 1);
	assert_token(ask(0, VERB_GET, "s", 0), jwt);
}

static void test_drop_while_it_is_under_way(void **state)
{
	struct asked *a = waiter_and_watcher();

	(void)state;
	(void)ask(0, VERB_DROP, "s", 0);
	assert_int_equal(world.cancelled, 1);
	assert_false(a->answered);
	assert_both_get(a, "h.new.s");
	end();
}

static void test_drop_while_it_is_to_be_tried_again(void **state)
{
	struct asked *a = waiter_and_watcher();

	(void)state;
	assert_true(fall("s", OUTCOME_TRANSIENT, CODE_UNAVAILABLE, 2000));
	assert_int_equal(under_way("s"), 0);
	(void)ask(0, VERB_DROP, "s", 0);
	assert_int_equal(world.cancelled, 0);
	assert_both_get(a, "h.new.s");
	pass_to(10000);
	assert_int_equal(under_way("s"), 0);
	end();
}

static void test_drop_while_it_waits_for_its_turn(void **state)
{
	struct asked *a = waiter_and_watcher();

	(void)state;
	assert_true(fall("s", OUTCOME_THROTTLED, CODE_RATE_LIMITED, 2000));
	assert_int_equal(under_way("s"), 0);
	(void)ask(0, VERB_DROP, "s", 0);
	assert_int_equal(under_way("s"), 0); /* nothing goes before Clerk said */
	pass_to(4000);
	assert_both_get(a, "h.new.s");
	end();
}

static void test_drop_of_what_only_its_fetch_remembers(void **state)
{
	(void)state;
	(void)ask(0, VERB_GET, "s", 1000);
	leave(0);
	(void)ask(1, VERB_DROP, "s", 0);
	assert_int_equal(world.cancelled, 1);
	assert_int_equal(under_way(NULL), 0);
	assert_false(ask(1, VERB_GET, "s", 1000)->answered);
	assert_int_equal(under_way(NULL), 1);
	end();
}

static void test_stopping(void **state)
{
	struct asked *running, *queued;

	(void)state;
	config.budget = 1;
	assert_int_equal(engine_configure(world.engine, &config), 0);
	running = ask(0, VERB_GET, "s", 20000);
	queued = ask(0, VERB_GET, "q", 20000);
	engine_stop(world.engine, now());
	drain();
	assert_error(queued, CODE_SHUTTING_DOWN);
	assert_false(running->answered);
	assert_int_equal(engine_pending(world.engine), 1);
	assert_error(ask(0, VERB_GET, "r", 20000), CODE_SHUTTING_DOWN);
	assert_error(ask(0, VERB_WATCH, "s", 20000), CODE_SHUTTING_DOWN);
	assert_true(fall("s", OUTCOME_TRANSIENT, CODE_UNAVAILABLE, -1)); /* and no second attempt */
	assert_error(running, CODE_UNAVAILABLE);
	pass_to(100000);
	assert_int_equal(world.flight_count, 1);
	end();
}

/* Over HTTP/1.1 there are as many as there are connections; what is more waits here. */
static void test_no_more_than_there_are_connections(void **state)
{
	struct outcome outcome = { .kind = OUTCOME_DEFINITE,
				   .code = CODE_FORBIDDEN,
				   .retry_after_ms = -1,
				   .is_exclusive = true };

	(void)state;
	config.max_connections = 3;
	assert_int_equal(engine_configure(world.engine, &config), 0);
	for (size_t i = 0; i < 20; i++)
		(void)ask_number(0, VERB_GET, i, 3000);
	assert_int_equal(under_way(NULL), 12); /* nothing was answered yet */
	for (size_t i = 0; i < 10; i++) {
		assert_true(answer(world.flights[i].session, &outcome));
		assert_int_equal(under_way(NULL), i < 9 ? 11 - i : 3);
	}
	outcome.is_exclusive = false;
	assert_true(answer(world.flights[10].session, &outcome));
	assert_int_equal(under_way(NULL), 9);
	end();
}

/* A request that never left says nothing of Clerk. */
static void test_own_congestion_is_no_outage(void **state)
{
	char session[NAME_SIZE];

	(void)state;
	for (size_t i = 0; i < 20; i++) {
		(void)ask_number(0, VERB_GET, i, 0);
		(void)snprintf(session, sizeof(session), "n%zu", i);
		assert_true(fall(session, OUTCOME_TRANSIENT, CODE_OVERLOADED, -1));
	}
	assert_true(engine_is_ready(world.engine));
	assert_false(ask(0, VERB_GET, "s", 1000)->answered);
	end();
}

static void test_another_key_is_another_chance(void **state)
{
	struct asked *a;

	(void)state;
	(void)ask(0, VERB_GET, "s", 1000);
	assert_true(fall("s", OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED, -1));
	assert_error(ask(0, VERB_GET, "s", 1000), CODE_UNAUTHORIZED);
	assert_false(engine_is_ready(world.engine));
	engine_key_changed(world.engine, now());
	drain();
	assert_true(engine_is_ready(world.engine));
	a = ask(0, VERB_GET, "s", 1000);
	assert_true(land("s", "h.t.s", 60));
	assert_token(a, "h.t.s");
	end();
}

/* What was sent with the old one says nothing of the new one. */
static void test_the_old_key_is_refused_late(void **state)
{
	struct asked *a = ask(0, VERB_GET, "s", 1000);

	(void)state;
	world.now_ms += 50;
	engine_key_changed(world.engine, now());
	drain();
	world.now_ms += 50;
	assert_true(fall("s", OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED, -1));
	assert_true(engine_is_ready(world.engine));
	assert_false(a->answered); /* it is asked for again */
	pass_to(500);
	assert_true(land("s", "h.t.s", 60));
	assert_token(a, "h.t.s");
	end();
}

/* The same, refused within the millisecond in which the key changes. */
static void test_the_old_key_is_refused_just_now(void **state)
{
	struct asked *a = ask(0, VERB_GET, "s", 1000);

	(void)state;
	engine_key_changed(world.engine, now());
	drain();
	assert_true(fall("s", OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED, -1));
	assert_false(a->answered);
	pass_to(500);
	assert_true(land("s", "h.t.s", 60));
	assert_token(a, "h.t.s");
	end();
}

/* The road that tells nobody who asked is closed; the others name the key. */
static void test_an_audit_sees_each_token(void **state)
{
	struct span args = SPAN_LITERAL("session -");
	struct token_view view;

	(void)state;
	(void)ask(0, VERB_GET, "session", 1000);
	assert_true(land("session", "h.t.s", 60));
	assert_int_equal(world.replied_for, strlen("session"));
	assert_true(
	    engine_lookup(world.engine, now(), args, engine_hash(world.engine, args), &view));
	config.audit = true;
	assert_int_equal(engine_configure(world.engine, &config), 0);
	assert_false(
	    engine_lookup(world.engine, now(), args, engine_hash(world.engine, args), &view));
	assert_token(ask(0, VERB_GET, "session", 1000), "h.t.s");
	end();
}

/* As when the host slept: one tick, and nothing of before is served. */
static void test_after_a_long_sleep(void **state)
{
	struct asked *a = ask(0, VERB_GET, "s", 1000);

	(void)state;
	assert_true(land("s", "h.t1.s", 3600));
	assert_token(a, "h.t1.s");
	(void)ask(1, VERB_WATCH, "s", 1000);
	a = ask(0, VERB_GET, "r", 1000);
	world.now_ms += 3 * DAY;
	assert_false(ask(0, VERB_GET, "s", 1000)->answered);
	engine_tick(world.engine, now());
	drain();
	assert_error(a, CODE_TIMEOUT);
	assert_true(engine_next_deadline(world.engine).ms > world.now_ms);
	assert_true(land("s", "h.t2.s", 3600));
	assert_int_equal(world.pushes, 1);
	assert_true(land("r", "h.r.s", 3600)); /* asked for before the sleep: three days old */
	assert_false(ask(0, VERB_GET, "r", 1000)->answered);
	end();
}

/* Nobody gets it, but a push may be on its way when it ends. */
static void test_the_life_of_what_has_ended_is_nothing(void **state)
{
	struct entry entry = { .expires_at = { 5000 } };
	struct token_view view = entry_view(&entry, (struct mono){ 5001 }, SOURCE_CACHE);

	(void)state;
	assert_int_equal(view.ttl_ms, 0);
	assert_int_equal(view.reuse_ms, 0);
}

static void test_a_smaller_memory(void **state)
{
	(void)state;
	for (size_t i = 0; i < 100; i++) {
		(void)ask_number(0, VERB_GET, i, 1000);
		(void)land(world.flights[world.flight_count - 1].session, "h.t.s", 3600);
	}
	config.max_memory = 4000;
	assert_int_equal(engine_configure(world.engine, &config), 0);
	pass_to(world.now_ms);
	assert_true(world.engine->cache.bytes <= 4000);
	end();
}

/* Whoever watches is not forgotten because once there was no memory to keep what came. */
static void test_a_token_that_there_is_no_room_for(void **state)
{
	(void)state;
	(void)ask(0, VERB_WATCH, "s", 1000);
	assert_true(land("s", "h.t1.s", 60));
	pass_to(61000); /* its renewal is under way, and the token has ended */
	assert_int_equal(under_way("s"), 1);
	mem_fail_after(0); /* of its block */
	assert_true(land("s", "h.t2.s", 60));
	mem_fail_after(SIZE_MAX);
	pass_to(65000);
	assert_int_equal(under_way("s"), 1);
	assert_true(land("s", "h.t3.s", 60));
	assert_int_equal(world.pushes, 1);
	end();
}

/* A little of everything. Answers may be errors, but there is one to each. */
static void script(void)
{
	for (size_t i = 0; i < 3; i++)
		(void)join(i, i == 2 ? ROOT : (uid_t)(1000 + i));
	for (size_t i = 0; i < 9 && world.present[i % 3]; i++)
		(void)ask_number(i % 3, i % 2 ? VERB_WATCH : VERB_GET, i / 2, 2000);
	(void)land("n0", "h.t0.s", 60);
	(void)land("n1", "h.t1.s", 60);
	(void)fall("n2", OUTCOME_TRANSIENT, CODE_UNAVAILABLE, 300);
	(void)fall("n3", OUTCOME_THROTTLED, CODE_RATE_LIMITED, 500);
	(void)fall("n4", OUTCOME_DEFINITE, CODE_FORBIDDEN, -1);
	if (world.present[0] && world.present[2]) {
		(void)ask(0, VERB_STATS, "", 0);
		(void)ask(0, VERB_GET, "n0", 0);
		(void)ask(0, VERB_WATCH, "n1", 0);
		(void)ask(0, VERB_DROP, "n3", 0);
		(void)ask(0, VERB_UNWATCH, "n1", 0);
	}
	pass_to(1000);
	(void)land("n2", "h.t2.s", 60);
	(void)land("n3", "h.t3.s", 60);
	leave(0);
	pass_to(56000);
	(void)land("n0", "h.u0.s", 60);
	(void)land("n1", "h.u1.s", 60);
	if (world.present[2])
		(void)ask(2, VERB_FLUSH, "", 0);
	pass_to(59000);
	engine_stop(world.engine, now());
	drain();
	pass_to(70000);
}

/* False if the script has come to its end before the failure. */
static bool script_fails_at(size_t n)
{
	bool reached = true;

	set_config();
	assert_int_equal(begin(), 0);
	mem_fail_after(n);
	script();
	for (size_t i = 0; i <= n && reached; i++) {
		void *probe = mem_alloc(1);

		reached = probe != NULL;
		mem_free(probe);
	}
	mem_fail_after(SIZE_MAX);
	for (size_t i = 0; i < world.asked_count; i++)
		assert_true(world.asked[i].answered || !world.present[world.asked[i].client]);
	assert_int_equal(engine_pending(world.engine), 0);
	end();
	return reached;
}

static void test_memory_runs_out_anywhere(void **state)
{
	size_t n = 0;

	(void)state;
	while (script_fails_at(n))
		n++;
	assert_true(n > 30);
}

static void test_no_memory_for_the_engine(void **state)
{
	size_t held = mem_held(), n = 0;

	(void)state;
	set_config();
	for (;; n++) {
		mem_fail_after(n);
		if (begin() == 0)
			break;
		assert_int_equal(mem_held(), held);
	}
	mem_fail_after(SIZE_MAX);
	assert_true(n >= 4);
	engine_free(NULL);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_each_waiter_has_its_own_deadline, setup),
		cmocka_unit_test_setup(test_one_user_fills_half_of_the_waiters, setup),
		cmocka_unit_test_setup(test_one_user_fills_half_of_the_watches, setup),
		cmocka_unit_test_setup(test_one_user_fills_half_of_the_connections, setup),
		cmocka_unit_test_setup(test_users_take_turns, setup),
		cmocka_unit_test_setup(test_only_administrators_flush, setup),
		cmocka_unit_test_setup(test_watching_twice_is_watching_once, setup),
		cmocka_unit_test_setup(test_a_watcher_that_leaves_before_the_answer, setup),
		cmocka_unit_test_setup(test_drop_while_it_is_under_way, setup),
		cmocka_unit_test_setup(test_drop_while_it_is_to_be_tried_again, setup),
		cmocka_unit_test_setup(test_drop_while_it_waits_for_its_turn, setup),
		cmocka_unit_test_setup(test_drop_of_what_only_its_fetch_remembers, setup),
		cmocka_unit_test_setup(test_stopping, setup),
		cmocka_unit_test_setup(test_no_more_than_there_are_connections, setup),
		cmocka_unit_test_setup(test_own_congestion_is_no_outage, setup),
		cmocka_unit_test_setup(test_another_key_is_another_chance, setup),
		cmocka_unit_test_setup(test_the_old_key_is_refused_late, setup),
		cmocka_unit_test_setup(test_the_old_key_is_refused_just_now, setup),
		cmocka_unit_test_setup(test_an_audit_sees_each_token, setup),
		cmocka_unit_test_setup(test_after_a_long_sleep, setup),
		cmocka_unit_test(test_the_life_of_what_has_ended_is_nothing),
		cmocka_unit_test_setup(test_a_smaller_memory, setup),
		cmocka_unit_test_setup(test_a_token_that_there_is_no_room_for, setup),
		cmocka_unit_test(test_memory_runs_out_anywhere),
		cmocka_unit_test(test_no_memory_for_the_engine),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
