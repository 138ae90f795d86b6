/* daemon/core/handover.h: an engine goes on where the last one stopped. */
#include "tests/unit/test_engine_world.h"

#include "daemon/core/handover.h"

#include <errno.h>
#include <stdlib.h>

#define JWT "a.b.c"
#define LONG_JWT "a.bbbbbbbb.c"
#define START_MS 1000000
#define IMAGE_ROOM (1 << 20)
#define MAX_TOKEN 65536

static const unsigned char boot[IMAGE_BOOT_SIZE] = { 1 }, salt[IMAGE_SALT_SIZE] = { 2 };
static char image[IMAGE_ROOM], plain[IMAGE_ROOM];

static struct image_owner us(void)
{
	struct image_owner owner;

	image_owner_set(&owner, SPAN_LITERAL("sk_test_1"), SPAN_LITERAL("https://x"), boot);
	return owner;
}

static void set_up(void)
{
	set_config();
	assert_int_equal(begin(), 0);
	world.now_ms = START_MS;
	assert_true(join(0, 1000) && join(1, 1001));
}

static size_t write_image(void)
{
	struct image_owner owner = us();
	int64_t counted = handover_write(world.engine, now(), &owner, salt, NULL, 0);
	int64_t size = handover_write(world.engine, now(), &owner, salt, image, IMAGE_ROOM);

	assert_true(size > 0);
	assert_int_equal(size, counted);
	return (size_t)size;
}

static int read_image(size_t size, size_t max_token_size, struct handover *ret)
{
	struct image_owner owner = us();

	return handover_read(world.engine, now(), &owner, span_of(image, size), max_token_size,
			     ret);
}

/* The daemon stops and starts again, `away_ms` later. */
static struct handover restart(int64_t away_ms)
{
	struct handover handover;
	int64_t now_ms = world.now_ms;
	size_t size = write_image();

	end();
	assert_int_equal(begin(), 0);
	world.now_ms = now_ms + away_ms;
	assert_int_equal(read_image(size, MAX_TOKEN, &handover), 0);
	assert_true(join(0, 1000) && join(1, 1001));
	return handover;
}

static void bring(const char *session, const char *jwt, int64_t life_s)
{
	(void)ask(0, VERB_GET, session, 3000);
	assert_true(land(session, jwt, life_s));
}

static uint64_t number(const char *name)
{
	struct request request = { .verb = VERB_STATS };
	struct reply reply;
	struct waiter *waiter;
	char member[64];
	const char *at;

	(void)snprintf(member, sizeof(member), "\"%s\":", name);
	assert_int_equal(engine_submit(world.engine, now(), &world.clients[0], &request,
				       &world.scratch, &reply, &waiter),
			 SUBMIT_REPLIED);
	assert_int_equal(buf_append(&world.scratch, "", 1), 0);
	at = strstr(world.scratch.ptr, member);
	assert_non_null(at);
	return strtoull(at + strlen(member), NULL, 10);
}

static void test_what_is_valid_is_answered_from_memory(void **state)
{
	struct handover handover;

	(void)state;
	set_up();
	bring("s1", JWT, 60);
	bring("s2", LONG_JWT, 3600);
	handover = restart(500);
	assert_int_equal(handover.tokens, 2);
	assert_int_equal(handover.left, 0);
	assert_int_equal(handover.age_ms, 500);
	assert_token(ask(1, VERB_GET, "s1", 0), JWT);
	assert_token(ask(1, VERB_GET, "s2", 0), LONG_JWT);
	assert_int_equal(world.flight_count, 0);
	end();
}

static void test_what_has_ended_is_not(void **state)
{
	(void)state;
	set_up();
	bring("s1", JWT, 60);
	assert_int_equal(restart(60000).tokens, 0);
	(void)ask(0, VERB_GET, "s1", 3000);
	assert_int_equal(under_way("s1"), 1);
	end();
}

static void test_the_end_is_where_it_was(void **state)
{
	struct request request = {
		.verb = VERB_GET,
		.session = SPAN_LITERAL("s1"),
		.has_min_ttl = true,
		.min_ttl_s = 0,
		.has_wait = true,
	};

	(void)state;
	set_up();
	bring("s1", JWT, 60);
	(void)restart(20000);
	world.now_ms = START_MS + 60000 - 1;
	assert_token(submit(0, &request), JWT);
	world.now_ms = START_MS + 60000;
	assert_false(submit(0, &request)->answered);
	assert_int_equal(under_way("s1"), 1);
	end();
}

static void test_renewals_keep_their_times(void **state)
{
	struct mono planned[2];

	(void)state;
	set_up();
	bring("s1", JWT, 60);
	pass_to(START_MS + 2000);
	bring("s2", JWT, 60);
	planned[0] = engine_next_deadline(world.engine);
	(void)restart(3000);
	planned[1] = engine_next_deadline(world.engine);
	assert_int_equal(planned[0].ms, planned[1].ms);
	pass_to(planned[1].ms - 1);
	assert_int_equal(world.flight_count, 0);
	(void)ask(0, VERB_GET, "s1", 0);
	pass_to(planned[1].ms);
	assert_int_equal(under_way("s1"), 1);
	assert_int_equal(under_way("s2"), 0);
	end();
}

/* The renewal that was under way is decided again, not forgotten. */
static void test_a_renewal_under_way_is_taken_up(void **state)
{
	(void)state;
	set_up();
	bring("s1", JWT, 60);
	while (!under_way("s1")) {
		pass_to(engine_next_deadline(world.engine).ms);
		(void)ask(0, VERB_GET, "s1", 0);
	}
	engine_stop(world.engine, now());
	(void)restart(100);
	assert_int_equal(under_way("s1"), 0);
	pass_to(world.now_ms);
	assert_int_equal(under_way("s1"), 1);
	end();
}

static void test_what_was_due_meanwhile_goes_at_a_pace(void **state)
{
	char session[NAME_SIZE];

	(void)state;
	set_up();
	for (size_t i = 0; i < 600; i++) {
		(void)snprintf(session, sizeof(session), "n%zu", i);
		bring(session, JWT, 60);
	}
	pass_to(START_MS + 20000);
	for (size_t i = 0; i < 600; i++)
		assert_token(ask_number(0, VERB_GET, i, 0), JWT);
	assert_int_equal(restart(36000).tokens, 600);
	pass_to(world.now_ms + 1);
	assert_in_range(world.flight_count, 1, 100);
	end();
}

static void test_the_budget_that_was_used_is_used(void **state)
{
	char session[NAME_SIZE];

	(void)state;
	set_up();
	for (size_t i = 0; i < 700; i++) {
		(void)snprintf(session, sizeof(session), "n%zu", i);
		bring(session, JWT, 60);
	}
	(void)restart(1000);
	assert_int_equal(number("budget_used"), 700);
	for (size_t i = 0; i < 200; i++)
		(void)ask_number(0, VERB_GET, 1000 + i, 2000);
	assert_int_equal(world.flight_count, 100);
	pass_to(START_MS + 10000);
	assert_int_equal(number("budget_used"), 100);
	end();
}

static void test_a_smaller_budget(void **state)
{
	struct handover handover;
	size_t size;

	(void)state;
	set_up();
	for (size_t i = 0; i < 100; i++)
		(void)ask_number(0, VERB_GET, i, 3000);
	size = write_image();
	end();
	config.budget = 10;
	assert_int_equal(begin(), 0);
	world.now_ms = START_MS + 1;
	assert_int_equal(read_image(size, MAX_TOKEN, &handover), 0);
	assert_true(join(0, 1000));
	assert_error(ask(0, VERB_GET, "s1", 3000), CODE_RATE_LIMITED);
	end();
}

static void test_clerks_429_holds(void **state)
{
	(void)state;
	set_up();
	(void)ask(0, VERB_GET, "s1", 3000);
	assert_true(fall("s1", OUTCOME_THROTTLED, CODE_RATE_LIMITED, 30000));
	(void)restart(1000);
	assert_error(ask(0, VERB_GET, "s1", 3000), CODE_RATE_LIMITED);
	world.now_ms = START_MS + 30001;
	(void)ask(0, VERB_GET, "s1", 3000);
	assert_int_equal(under_way("s1"), 1);
	end();
}

static void test_a_negative_answer_stays_behind(void **state)
{
	(void)state;
	set_up();
	(void)ask(0, VERB_GET, "s1", 3000);
	assert_true(fall("s1", OUTCOME_DEFINITE, CODE_FORBIDDEN, -1));
	(void)restart(1);
	(void)ask(0, VERB_GET, "s1", 3000);
	assert_int_equal(under_way("s1"), 1);
	end();
}

static void test_a_steady_key_is_remembered_between_its_uses(void **state)
{
	(void)state;
	set_up();
	config.freshness.renew_idle_ms = 20000;
	assert_int_equal(engine_configure(world.engine, &config), 0);
	for (int64_t i = 0; i < 3; i++) {
		pass_to(START_MS + i * 100000);
		bring("s1", JWT, 60);
	}
	pass_to(START_MS + 270000); /* its token has ended */
	assert_int_equal(number("tokens"), 0);
	assert_int_equal(restart(100).tokens, 0);
	assert_int_equal(number("entries"), 1);
	pass_to(START_MS + 275000);
	assert_int_equal(under_way("s1"), 0);
	pass_to(START_MS + 300000);
	assert_int_equal(under_way("s1"), 1);
	end();
}

static void test_too_large_by_now(void **state)
{
	struct handover handover;
	size_t size;

	(void)state;
	set_up();
	bring("s1", JWT, 60);
	bring("s2", LONG_JWT, 60);
	size = write_image();
	end();
	assert_int_equal(begin(), 0);
	world.now_ms = START_MS;
	assert_int_equal(read_image(size, sizeof(JWT) - 1, &handover), 0);
	assert_int_equal(handover.tokens, 1);
	assert_int_equal(handover.left, 1);
	end();
}

/* Each allocation fails once: less comes over, or nothing, and nothing is left behind. */
static void test_without_memory(void **state)
{
	struct handover handover;
	bool all = false;
	size_t size;

	(void)state;
	set_up();
	bring("s1", JWT, 60);
	bring("s2", LONG_JWT, 60);
	size = write_image();
	end();
	for (size_t n = 0; !all; n++) {
		int result;

		assert_int_equal(begin(), 0);
		world.now_ms = START_MS;
		mem_fail_after(n);
		result = read_image(size, MAX_TOKEN, &handover);
		mem_fail_after(SIZE_MAX);
		assert_true(result == 0 || result == -ENOMEM);
		all = result == 0 && handover.tokens == 2;
		end();
	}
}

static void test_every_changed_byte_is_refused(void **state)
{
	struct handover handover;
	size_t size;

	(void)state;
	set_up();
	bring("s1", JWT, 60);
	size = write_image();
	end();
	for (size_t i = 0; i <= size; i++) {
		assert_int_equal(begin(), 0);
		world.now_ms = START_MS;
		image[i] ^= 1;
		assert_true(read_image(size + (i == size), MAX_TOKEN, &handover) > 0);
		image[i] ^= 1;
		end();
	}
}

/* What is sealed again after a change is refused too, or does no harm. */
static void test_nonsense_under_the_right_key(void **state)
{
	static struct image_reader reader;
	static struct image_writer writer;
	struct image_owner owner = us();
	struct handover handover;
	size_t len = 0, size, refused = 0;

	(void)state;
	set_up();
	bring("s1", JWT, 60);
	bring("s2", JWT, 60);
	size = write_image();
	end();
	assert_int_equal(image_open(&reader, &owner, span_of(image, size)), IMAGE_OK);
	while (!image_is_over(&reader))
		assert_true(image_get(&reader, &plain[len++], 1));
	for (size_t i = 0; i < 8 * len; i++) {
		plain[i / 8] ^= (char)(1 << i % 8);
		image_begin(&writer, &owner, salt, image, IMAGE_ROOM);
		image_put(&writer, plain, len);
		size = image_end(&writer);
		plain[i / 8] ^= (char)(1 << i % 8);
		assert_int_equal(begin(), 0);
		world.now_ms = START_MS;
		if (read_image(size, MAX_TOKEN, &handover)) {
			refused++;
		} else {
			assert_true(join(0, 1000));
			(void)ask(0, VERB_GET, "s1", 100);
			pass_to(START_MS + 100000);
		}
		end();
	}
	assert_true(refused > len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_valid_is_answered_from_memory),
		cmocka_unit_test(test_what_has_ended_is_not),
		cmocka_unit_test(test_the_end_is_where_it_was),
		cmocka_unit_test(test_renewals_keep_their_times),
		cmocka_unit_test(test_a_renewal_under_way_is_taken_up),
		cmocka_unit_test(test_what_was_due_meanwhile_goes_at_a_pace),
		cmocka_unit_test(test_the_budget_that_was_used_is_used),
		cmocka_unit_test(test_a_smaller_budget),
		cmocka_unit_test(test_clerks_429_holds),
		cmocka_unit_test(test_a_negative_answer_stays_behind),
		cmocka_unit_test(test_a_steady_key_is_remembered_between_its_uses),
		cmocka_unit_test(test_too_large_by_now),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_every_changed_byte_is_refused),
		cmocka_unit_test(test_nonsense_under_the_right_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
