/* daemon/core/status: the state in a line for people. */
#include "tests/unit/test_engine_world.h"

#include "daemon/core/status.h"

#include <errno.h>

static void assert_status(const char *expected)
{
	struct buf text = BUF_INIT(STATUS_MAX);

	assert_int_equal(status_write(world.engine, now(), &text), 0);
	for (size_t i = 0; i < buf_len(&text); i++)
		assert_in_range(text.ptr[i], ' ', '~');
	assert_int_equal(buf_append(&text, "", 1), 0);
	if (!strstr(text.ptr, expected))
		fail_msg("\"%s\" is not in \"%s\"", expected, text.ptr);
	buf_deinit(&text);
}

static void test_of_a_new_engine(void **state)
{
	(void)state;
	set_config();
	assert_int_equal(begin(), 0);
	assert_status("Clerk not asked yet; 0 tokens in ");
	assert_status(" of 8.0 MiB; nothing asked yet; 0 clients; 0 of 800 calls in 10 s");
	end();
}

static void test_of_one_at_work(void **state)
{
	(void)state;
	set_config();
	assert_int_equal(begin(), 0);
	assert_true(join(0, ROOT));
	assert_true(join(1, ROOT));
	ask(0, VERB_GET, "s", 1000);
	assert_status(" MiB; 0.0% hits; 2 clients; 1 waiting; 1 of 800 calls in 10 s");
	assert_true(land("s", "a.b.c", 60));
	ask(0, VERB_GET, "s", 1000);
	ask(1, VERB_GET, "s", 1000);
	assert_status("Clerk up; 1 tokens in ");
	assert_status(" MiB; 66.6% hits; 2 clients; 1 of 800 calls");
	end();
}

static void test_of_clerk_in_trouble(void **state)
{
	(void)state;
	set_config();
	assert_int_equal(begin(), 0);
	assert_true(join(0, ROOT));
	ask(0, VERB_GET, "s", 1000);
	assert_true(fall("s", OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED, -1));
	assert_status("Clerk down: ");
	end();
}

static void test_a_window_of_less_than_seconds(void **state)
{
	(void)state;
	set_config();
	config.budget_window_ms = 1500;
	assert_int_equal(begin(), 0);
	assert_status("calls in 1500 ms");
	end();
}

static void test_without_memory(void **state)
{
	struct buf text;
	int result = -1;

	(void)state;
	set_config();
	assert_int_equal(begin(), 0);
	for (size_t n = 0; result < 0; n++) {
		text = BUF_INIT(STATUS_MAX);
		mem_fail_after(n);
		result = status_write(world.engine, now(), &text);
		mem_fail_after(SIZE_MAX);
		assert_true(result == 0 || result == -ENOMEM);
		buf_deinit(&text);
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_a_new_engine),
		cmocka_unit_test(test_of_one_at_work),
		cmocka_unit_test(test_of_clerk_in_trouble),
		cmocka_unit_test(test_a_window_of_less_than_seconds),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
