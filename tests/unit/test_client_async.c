/* The asynchronous interface against a daemon that misbehaves on request: client/{async,flow,
 * pending}.c. */
#include "tests/unit/test_client_async.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static void test_calls(void **state)
{
	struct fixture *f = *state;
	struct clerktoken_async *a = f->async;
	int fd = clerktoken_async_fd(a);
	uint64_t id;

	assert_true(fd > STDERR_FILENO);
	assert_int_equal(clerktoken_async_timeout_ms(a), -1);
	assert_int_equal(
	    clerktoken_async_get(a, "sess_ok7", "hasura", NULL, ENOUGH_MS, &id, &id, NULL), 0);
	assert_int_equal(next(f), CLERKTOKEN_OK);
	assert_ptr_equal(f->event.userdata, &id);
	assert_int_equal(f->event.id, id);
	assert_true(f->event.is_over);
	assert_string_equal(clerktoken_token_jwt(f->event.token), "aa.7.cc");
	assert_int_equal(clerktoken_token_source(f->event.token), CLERKTOKEN_SOURCE_CACHE);
	assert_in_range(clerktoken_token_ttl_ms(f->event.token), 60000 - ENOUGH_MS, 60000);
	clerktoken_token_unref(f->event.token);

	assert_int_equal(clerktoken_async_drop(a, "s", "t", ENOUGH_MS, NULL, NULL, NULL), 0);
	assert_int_equal(next(f), CLERKTOKEN_OK);
	assert_int_equal(f->event.dropped, 3);
	assert_true(daemon_heard(f->daemon, "#2 DROP s t"));
	assert_int_equal(clerktoken_async_drop_session(a, "s", ENOUGH_MS, NULL, NULL, NULL), 0);
	assert_int_equal(next(f), CLERKTOKEN_OK);
	assert_true(daemon_heard(f->daemon, "#3 DROP s"));
	assert_int_equal(clerktoken_async_ping(a, ENOUGH_MS, NULL, NULL, NULL), 0);
	assert_int_equal(next(f), CLERKTOKEN_OK);
	assert_int_equal(clerktoken_async_stats(a, ENOUGH_MS, NULL, NULL, NULL), 0);
	assert_int_equal(next(f), CLERKTOKEN_OK);
	assert_string_equal(f->event.text, "{\"tokens\": 3}");
	clerktoken_string_free(f->event.text);
	assert_int_equal(clerktoken_async_timeout_ms(a), -1);
	assert_int_equal(clerktoken_async_fd(a), fd);
	assert_int_equal(daemon_accepted(f->daemon), 1);
}

static void test_arguments(void **state)
{
	struct fixture *f = *state;
	struct clerktoken_get_options options = { .size = sizeof(options), .expires_in_s = 1 };
	uint64_t id = 0;

	assert_int_equal(clerktoken_async_get(f->async, "a b", NULL, NULL, 1, NULL, &id, NULL),
			 CLERKTOKEN_INVALID_ARGUMENT);
	assert_int_equal(clerktoken_async_get(f->async, "s", NULL, &options, 1, NULL, &id, NULL),
			 CLERKTOKEN_INVALID_ARGUMENT);
	assert_int_equal(clerktoken_async_drop_session(f->async, "", 1, NULL, &id, NULL),
			 CLERKTOKEN_INVALID_ARGUMENT);
	assert_int_equal(id, 0);
	assert_false(clerktoken_async_cancel(f->async, 0));
	assert_false(clerktoken_async_next(f->async, &f->event));
	assert_int_equal(daemon_accepted(f->daemon), 0);
}

/* Answers come when they are there, whatever was asked before. */
static void test_many(void **state)
{
	struct fixture *f = *state;
	bool seen[500] = { false };
	char session[32];

	(void)get(f, "sess_silent", 1000);
	for (size_t i = 0; i < 500; i++) {
		(void)snprintf(session, sizeof(session), "sess_ok%zu", i);
		assert_int_equal(clerktoken_async_get(f->async, session, NULL, NULL, ENOUGH_MS,
						      &seen[i], NULL, NULL),
				 CLERKTOKEN_OK);
	}
	for (size_t i = 0; i < 500; i++) {
		assert_int_equal(next(f), CLERKTOKEN_OK);
		assert_false(*(bool *)f->event.userdata);
		*(bool *)f->event.userdata = true;
		assert_int_equal(strtoul(clerktoken_token_id(f->event.token), NULL, 16),
				 (bool *)f->event.userdata - seen);
		clerktoken_token_unref(f->event.token);
	}
	assert_int_equal(next(f), CLERKTOKEN_DEADLINE);
	assert_int_equal(daemon_accepted(f->daemon), 1);
}

static void test_bound(void **state)
{
	struct fixture *f = *state;
	uint64_t id = 0;

	for (size_t i = 0; i < CLERKTOKEN_ASYNC_MAX; i++)
		id = get(f, "sess_silent", 50);
	assert_int_equal(clerktoken_async_ping(f->async, 1, NULL, NULL, &f->failure),
			 CLERKTOKEN_OVERLOADED);
	assert_int_equal(f->failure.retry_ms, 0);
	assert_true(clerktoken_async_cancel(f->async, id));
	assert_false(clerktoken_async_cancel(f->async, id));
	assert_int_equal(clerktoken_async_ping(f->async, 1, NULL, NULL, NULL), CLERKTOKEN_OK);
	for (size_t i = 0; i < CLERKTOKEN_ASYNC_MAX; i++)
		(void)next(f);
	assert_false(clerktoken_async_next(f->async, &f->event));
	(void)get(f, "sess_ok7", ENOUGH_MS);
	expect_token(f, "0000000000000007", true);
	assert_int_equal(daemon_accepted(f->daemon), 1);
}

static void test_deadline(void **state)
{
	struct fixture *f = *state;
	int64_t begin = now_ms();
	uint64_t id = get(f, "sess_silent", 60);

	assert_in_range(clerktoken_async_timeout_ms(f->async), 1, 60);
	assert_int_equal(next(f), CLERKTOKEN_DEADLINE);
	assert_int_equal(f->event.id, id);
	assert_in_range(now_ms() - begin, 59, ENOUGH_MS);
	(void)get(f, "sess_silent", 0);
	assert_int_equal(next(f), CLERKTOKEN_DEADLINE);
	(void)get(f, "sess_ok1", ENOUGH_MS);
	expect_token(f, "0000000000000001", true);
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;
	uint64_t first = get(f, "sess_ok1", ENOUGH_MS);

	(void)get(f, "sess_ok2", ENOUGH_MS);
	assert_true(clerktoken_async_cancel(f->async, first));
	expect_token(f, "0000000000000002", true);
	first = get(f, "sess_ok3", ENOUGH_MS);
	while (clerktoken_async_timeout_ms(f->async) != 0) /* until its event is there */
		turn(f, ENOUGH_MS);
	assert_true(clerktoken_async_cancel(f->async, first));
	assert_false(clerktoken_async_next(f->async, &f->event));
	assert_int_equal(clerktoken_async_timeout_ms(f->async), -1);
}

static void test_daemon_errors(void **state)
{
	struct fixture *f = *state;

	(void)get(f, "sess_missing", ENOUGH_MS);
	assert_int_equal(next(f), CLERKTOKEN_NOT_FOUND);
	assert_int_equal(f->event.failure.retry_ms, 9000);
	assert_string_equal(f->event.failure.text, "no such");
	assert_null(f->event.token);
	(void)get(f, "sess_refuse", ENOUGH_MS);
	assert_int_equal(next(f), CLERKTOKEN_OVERLOADED);
	assert_int_equal(f->event.failure.retry_ms, 70);
	(void)get(f, "sess_ok7", ENOUGH_MS);
	expect_token(f, "0000000000000007", true);
	assert_int_equal(daemon_accepted(f->daemon), 2);
}

/* What is no reply ends the connection and what waits on it; nothing of it shows later. */
static void test_malformed(void **state)
{
	static const char *const sessions[] = { "sess_garbage", "sess_binary", "sess_untagged",
						"sess_other", "sess_huge" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++) {
		(void)get(f, sessions[i], ENOUGH_MS);
		assert_int_equal(next(f), CLERKTOKEN_PROTOCOL);
		(void)get(f, "sess_ok7", ENOUGH_MS);
		expect_token(f, "0000000000000007", true);
	}
	(void)get(f, "sess_noise", ENOUGH_MS);
	expect_token(f, "0000000000000001", true);
	(void)get(f, "sess_drip", ENOUGH_MS);
	expect_token(f, "00000000000000aa", true);
}

/* What never ends leaves the loop its turns, and its deadline. */
static void test_endless(void **state)
{
	struct fixture *f = *state;

	(void)get(f, "sess_pushes", 60);
	assert_int_equal(next(f), CLERKTOKEN_DEADLINE);
}

static void test_no_daemon(void **state)
{
	struct fixture *f = *state;

	daemon_stop(f->daemon);
	(void)get(f, "sess_ok7", ENOUGH_MS);
	assert_int_equal(next(f), CLERKTOKEN_NO_DAEMON);
	assert_int_equal(f->event.failure.system_error, ENOENT);
	daemon_run(f->daemon);
	(void)get(f, "sess_ok7", ENOUGH_MS);
	expect_token(f, "0000000000000007", true);
}

/* What had no answer is asked again, also of a daemon that comes later. */
static void test_restart(void **state)
{
	struct fixture *f = *state;
	int fd = clerktoken_async_fd(f->async);

	(void)get(f, "sess_ok1", ENOUGH_MS);
	expect_token(f, "0000000000000001", true);
	(void)get(f, "sess_silent", 1000);
	turn(f, 20);
	daemon_stop(f->daemon);
	(void)get(f, "sess_ok2", ENOUGH_MS);
	for (int i = 0; i < 5; i++)
		turn(f, ENOUGH_MS);
	assert_false(clerktoken_async_next(f->async, &f->event));
	assert_in_range(clerktoken_async_timeout_ms(f->async), 0, 500);
	daemon_run(f->daemon);
	expect_token(f, "0000000000000002", true);
	assert_int_equal(clerktoken_async_fd(f->async), fd);
	assert_int_equal(next(f), CLERKTOKEN_DEADLINE);
	daemon_stop(f->daemon);
	(void)get(f, "sess_ok3", 50);
	assert_int_equal(next(f), CLERKTOKEN_NO_DAEMON);
}

static void test_stopping(void **state)
{
	struct fixture *f = *state;

	(void)get(f, "sess_restart", ENOUGH_MS); /* shutting_down the first time */
	expect_token(f, "0000000000000000", true);
	assert_int_equal(daemon_accepted(f->daemon), 2);
	(void)get(f, "sess_stopping", ENOUGH_MS); /* each time */
	assert_int_equal(next(f), CLERKTOKEN_SHUTTING_DOWN);
	(void)get(f, "sess_close", ENOUGH_MS);
	assert_int_equal(next(f), CLERKTOKEN_IO);
}

/* A backlog that is full is tried again by time, and never waited for. */
static void test_full_backlog(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct clerktoken_options options = { .size = sizeof(options) };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int64_t begin;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/full", f->daemon->directory);
	options.socket = address.sun_path;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	clerktoken_async_free(f->async);
	clerktoken_free(f->client);
	assert_int_equal(clerktoken_new(&options, &f->client, NULL), CLERKTOKEN_OK);
	assert_int_equal(clerktoken_async_new(f->client, &f->async, NULL), CLERKTOKEN_OK);
	(void)get(f, "sess_ok1", 100);
	assert_int_equal(next(f), CLERKTOKEN_DEADLINE);
	(void)get(f, "sess_ok2", ENOUGH_MS);
	(void)close(accept(listener, NULL, NULL));
	begin = now_ms();
	while (poll(&(struct pollfd){ .fd = listener, .events = POLLIN }, 1, 0) == 0) {
		assert_true(now_ms() < begin + ENOUGH_MS);
		turn(f, ENOUGH_MS);
	}
	(void)unlink(address.sun_path);
	(void)close(listener);
	(void)close(fd);
}

static bool is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* A program that closes what it doesn't know, and opens a file in its place. */
static void test_closed_descriptor(void **state)
{
	struct fixture *f = *state;
	int epoll = clerktoken_async_fd(f->async);
	int ours = epoll + 1, file;

	(void)get(f, "sess_ok1", ENOUGH_MS);
	expect_token(f, "0000000000000001", true);
	while (!is_socket(ours))
		ours++;
	file = open("/dev/zero", O_RDWR);
	assert_int_equal(dup2(file, ours), ours);
	(void)get(f, "sess_ok2", ENOUGH_MS);
	expect_token(f, "0000000000000002", true);
	clerktoken_async_free(f->async);
	f->async = NULL;
	assert_true(fcntl(ours, F_GETFD) >= 0); /* theirs: still open */
	(void)close(ours);
	(void)close(file);
}

static void test_no_memory(void **state)
{
	struct fixture *f = *state;
	struct clerktoken_async *other = NULL;

	for (size_t n = 0; n < 2; n++) {
		mem_fail_after(n);
		assert_int_equal(clerktoken_async_new(f->client, &other, NULL),
				 CLERKTOKEN_NO_MEMORY);
		assert_null(other);
	}
	for (size_t n = 0; n < 12; n++) {
		enum clerktoken_error error;

		mem_fail_after(n);
		error = clerktoken_async_get(f->async, "sess_ok7", NULL, NULL, ENOUGH_MS, NULL,
					     NULL, NULL);
		if (error == CLERKTOKEN_OK) {
			error = next(f);
			clerktoken_token_unref(f->event.token);
		}
		mem_fail_after(SIZE_MAX);
		assert_true(error == CLERKTOKEN_OK || error == CLERKTOKEN_NO_MEMORY);
	}
	(void)get(f, "sess_ok7", ENOUGH_MS);
	expect_token(f, "0000000000000007", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_daemon_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_daemon, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_backlog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_descriptor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
