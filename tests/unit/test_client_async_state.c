/* What an asynchronous connection keeps beyond one call: watches, through restarts and forks, and
 * the library's own copies. */
#include "tests/unit/test_client_async.h"

#include <sys/wait.h>

static void expect_silence(struct fixture *f)
{
	turn(f, 20);
	assert_false(clerktoken_async_next(f->async, &f->event));
}

#define PUSH(id)                                                                                   \
	"* TOKEN sess_ok1 t aa." #id ".cc id=000000000000000" #id                                  \
	" exp=2000000000 ttl=60000 reuse=1 state=due\n"

static void test_watch(void **state)
{
	struct fixture *f = *state;
	uint64_t id = watch(f, "sess_ok1");

	assert_int_equal(
	    clerktoken_async_watch(f->async, "sess_ok1", "t", NULL, 1, NULL, NULL, &f->failure),
	    CLERKTOKEN_INVALID_ARGUMENT);
	expect_token(f, "0000000000000001", false);
	assert_int_equal(f->event.id, id);
	assert_ptr_equal(f->event.userdata, f);
	assert_int_equal(clerktoken_async_timeout_ms(f->async), -1);
	daemon_push(f->daemon, "* TOKEN sess_ok9 t a.b.c id=0000000000000009 exp=1 ttl=1 reuse=1 "
			       "state=due\n");
	expect_silence(f);
	/* The token is asked for, and it is the one that the caller has. */
	assert_int_equal(daemon_requests(f->daemon), 1);
	daemon_push(f->daemon, PUSH(1));
	turn(f, ENOUGH_MS);
	turn(f, ENOUGH_MS);
	expect_silence(f);
	assert_int_equal(daemon_requests(f->daemon), 1);
	daemon_renew(f->daemon, 5);
	daemon_push(f->daemon, PUSH(5));
	expect_token(f, "0000000000000005", false);
	assert_int_equal(f->event.id, id);
	daemon_push(f->daemon, "* GONE sess_ok1 t not_found\n");
	assert_int_equal(next(f), CLERKTOKEN_NOT_FOUND);
	assert_true(f->event.is_over);
	assert_false(clerktoken_async_cancel(f->async, id));
}

static void test_watch_is_asked_again(void **state)
{
	struct fixture *f = *state;
	uint64_t id = watch(f, "sess_ok1");

	expect_token(f, "0000000000000001", false);
	daemon_stop(f->daemon);
	for (int i = 0; i < 4; i++)
		turn(f, ENOUGH_MS);
	daemon_renew(f->daemon, 6);
	daemon_run(f->daemon);
	expect_token(f, "0000000000000006", false);
	assert_true(daemon_heard(f->daemon, "#1 WATCH sess_ok1 t"));
	assert_true(clerktoken_async_cancel(f->async, id));
	while (!daemon_heard(f->daemon, "#2 UNWATCH sess_ok1 t"))
		turn(f, 10);
	id = watch(f, "sess_ok1");
	expect_token(f, "0000000000000006", false);
}

static void test_watch_that_fails(void **state)
{
	struct fixture *f = *state;

	(void)watch(f, "sess_missing");
	assert_int_equal(next(f), CLERKTOKEN_NOT_FOUND);
	assert_true(f->event.is_over);
	assert_int_equal(
	    clerktoken_async_watch(f->async, "sess_silent", NULL, NULL, 30, f, NULL, NULL),
	    CLERKTOKEN_OK);
	assert_int_equal(next(f), CLERKTOKEN_DEADLINE);
	assert_true(f->event.is_over);
	while (!daemon_heard(f->daemon, "#3 UNWATCH sess_silent -"))
		turn(f, 10);
}

/* A daemon that answers and hangs up is asked again with growing pauses. */
static void test_watch_that_is_hung_up_on(void **state)
{
	struct fixture *f = *state;
	int64_t begin = now_ms();

	(void)watch(f, "sess_last");
	expect_token(f, "0000000000000001", false);
	while (daemon_accepted(f->daemon) < 6)
		turn(f, ENOUGH_MS);
	assert_true(now_ms() - begin >= 100); /* 155 at least, but for how clocks are read */
}

/* The child goes on with what was under way, on a connection of its own. */
static void test_fork(void **state)
{
	struct fixture *f = *state;
	int status = -1;
	uint64_t id = watch(f, "sess_ok1");
	pid_t child;

	expect_token(f, "0000000000000001", false);
	(void)get(f, "sess_ok2", ENOUGH_MS);
	child = fork();
	if (child == 0) {
		assert_int_equal(clerktoken_async_timeout_ms(f->async), 0);
		expect_token(f, "0000000000000002", true);
		(void)get(f, "sess_ok3", ENOUGH_MS);
		expect_token(f, "0000000000000003", true);
		clerktoken_async_free(f->async);
		clerktoken_free(f->client);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	expect_token(f, "0000000000000002", true);
	assert_int_equal(daemon_accepted(f->daemon), 2);
	expect_silence(f);
	assert_true(clerktoken_async_cancel(f->async, id));
	while (!daemon_heard(f->daemon, "#3 UNWATCH sess_ok1 t"))
		turn(f, 10);
}

/* Reads what has come, without waiting, and counts the lines. */
static unsigned count_lines(int fd)
{
	unsigned count = 0;
	char bytes[4096];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			count += bytes[i] == '\n';
	}
	return count;
}

/* A daemon that takes connections, and reads what is sent when the test says so. */
static int listen_slowly(struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct clerktoken_options options = { .size = sizeof(options), .no_copies = true };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/slow", f->daemon->directory);
	options.socket = address.sun_path;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	clerktoken_async_free(f->async);
	clerktoken_free(f->client);
	assert_int_equal(clerktoken_new(&options, &f->client, NULL), CLERKTOKEN_OK);
	assert_int_equal(clerktoken_async_new(f->client, &f->async, NULL), CLERKTOKEN_OK);
	return listener;
}

/* The child's copy of the epoll descriptor is the parent's set of events: what a parent whose
 * socket is full waits for since is not changed by it. */
static void test_fork_of_a_blocked_one(void **state)
{
	struct fixture *f = *state;
	int listener = listen_slowly(f), status = -1, fd;
	unsigned asked = 1, heard = 0;
	int gate[2];
	pid_t child;
	char path[64];

	(void)get(f, "sess_1", ENOUGH_MS);
	fd = accept(listener, NULL, NULL);
	assert_int_equal(pipe(gate), 0);
	child = fork();
	if (child == 0) {
		assert_int_equal(read(gate[0], path, 1), 1);
		clerktoken_async_dispatch(f->async);
		_exit(0);
	}
	for (; asked < CLERKTOKEN_ASYNC_MAX; asked++)
		(void)get(f, "sess_12345678901234567890123456789012345678901234567890123456789",
			  ENOUGH_MS);
	while (clerktoken_async_timeout_ms(f->async) == 0)
		clerktoken_async_dispatch(f->async);
	assert_int_equal(write(gate[1], "", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	while ((heard += count_lines(fd)) < asked) {
		struct pollfd pollfd = { .fd = clerktoken_async_fd(f->async), .events = POLLIN };

		assert_int_equal(poll(&pollfd, 1, ENOUGH_MS / 2), 1);
		clerktoken_async_dispatch(f->async);
	}
	(void)snprintf(path, sizeof(path), "%s/slow", f->daemon->directory);
	(void)unlink(path);
	(void)close(gate[0]);
	(void)close(gate[1]);
	(void)close(fd);
	(void)close(listener);
}

static bool is_in_memory(struct fixture *f, const char *session)
{
	bool is_there = clerktoken_async_timeout_ms(f->async) == -1;

	(void)get(f, session, ENOUGH_MS);
	is_there &= clerktoken_async_timeout_ms(f->async) == 0; /* the event is there at once */
	assert_int_equal(next(f), CLERKTOKEN_OK);
	clerktoken_token_unref(f->event.token);
	return is_there;
}

/* What the library has itself needs no daemon; what was dropped is asked for. */
static void test_own_copies(void **state)
{
	struct fixture *f = *state;
	int64_t end = now_ms() + ENOUGH_MS;
	uint64_t id = 0;

	while (!is_in_memory(f, "sess_ok7")) /* once the daemon tells of drops */
		assert_true(now_ms() < end);
	(void)daemon_requests(f->daemon);
	assert_true(is_in_memory(f, "sess_ok7"));
	assert_int_equal(daemon_requests(f->daemon), 0);
	assert_int_equal(
	    clerktoken_async_drop(f->async, "sess_ok7", NULL, ENOUGH_MS, NULL, NULL, NULL),
	    CLERKTOKEN_OK);
	assert_int_equal(next(f), CLERKTOKEN_OK);
	assert_false(is_in_memory(f, "sess_ok7"));
	while (!is_in_memory(f, "sess_ok7"))
		assert_true(now_ms() < end);
	assert_int_equal(
	    clerktoken_async_drop_session(f->async, "sess_ok7", ENOUGH_MS, NULL, &id, NULL),
	    CLERKTOKEN_OK);
	assert_true(clerktoken_async_cancel(f->async, id));
	assert_false(is_in_memory(f, "sess_ok7"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch_is_asked_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch_that_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch_that_is_hung_up_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fork, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fork_of_a_blocked_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_copies, setup_with_copies, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
