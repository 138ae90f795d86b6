/* The library's calls against a daemon that misbehaves on request: client/{client,call,sync,conn,
 * pool,era}.c. */
#include "tests/unit/unit.h"

#include "client/clerktoken.h"
#include "tests/unit/test_client_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define ENOUGH_MS 10000 /* for what should take no time at all */

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static enum clerktoken_error get(struct fixture *f, const char *session, int timeout_ms)
{
	struct clerktoken_token *token = NULL;
	enum clerktoken_error error =
	    clerktoken_get(f->client, session, NULL, NULL, timeout_ms, &token, &f->failure);

	if (error == CLERKTOKEN_OK)
		assert_non_null(token);
	else
		assert_null(token);
	clerktoken_token_unref(token);
	return error;
}

static void test_token(void **state)
{
	struct fixture *f = *state;
	struct clerktoken_token *token;

	assert_int_equal(
	    clerktoken_get(f->client, "sess_ok7", "hasura", NULL, ENOUGH_MS, &token, &f->failure),
	    CLERKTOKEN_OK);
	assert_string_equal(clerktoken_token_jwt(token), "aa.7.cc");
	assert_int_equal(clerktoken_token_length(token), 7);
	assert_string_equal(clerktoken_token_id(token), "0000000000000007");
	assert_int_equal(clerktoken_token_exp(token), 2000000000);
	assert_in_range(clerktoken_token_ttl_ms(token), 60000 - ENOUGH_MS, 60000);
	assert_in_range(clerktoken_token_reuse_ms(token), 0, 1000);
	assert_int_equal(clerktoken_token_state(token), CLERKTOKEN_STATE_FRESH);
	assert_int_equal(clerktoken_token_source(token), CLERKTOKEN_SOURCE_CACHE);
	assert_ptr_equal(clerktoken_token_ref(token), token);
	clerktoken_token_unref(token);
	assert_string_equal(clerktoken_token_jwt(token), "aa.7.cc");
	clerktoken_token_unref(token);

	assert_int_equal(clerktoken_get(f->client, "sess_slow", "-", NULL, ENOUGH_MS, &token, NULL),
			 CLERKTOKEN_OK);
	assert_int_equal(clerktoken_token_source(token), CLERKTOKEN_SOURCE_CLERK);
	clerktoken_token_unref(token);
}

static void test_request_line(void **state)
{
	struct fixture *f = *state;
	struct clerktoken_get_options options = {
		.size = sizeof(options),
		.has_min_ttl = true,
		.has_wait = true,
		.min_ttl_s = 0,
		.wait_ms = 70,
		.expires_in_s = 30,
		.refused_id = "00000000000000ff",
	};
	struct clerktoken_token *token;

	assert_int_equal(
	    clerktoken_get(f->client, "sess_ok", "a.b~c", &options, ENOUGH_MS, &token, &f->failure),
	    CLERKTOKEN_OK);
	clerktoken_token_unref(token);
	assert_true(daemon_heard(f->daemon, "#1 GET sess_ok a.b~c min_ttl=0 wait=70 expires_in=30 "
					    "not=00000000000000ff"));
	assert_int_equal(get(f, "sess_ok", 1000), CLERKTOKEN_OK);
	assert_true(daemon_heard(f->daemon, "#2 GET sess_ok - wait="));
	assert_in_range(strtoul(f->daemon->last + 22, NULL, 10), 100, 900);
}

static void test_other_calls(void **state)
{
	struct fixture *f = *state;
	uint64_t dropped = 0;
	char *json;

	assert_int_equal(clerktoken_ping(f->client, ENOUGH_MS, NULL), CLERKTOKEN_OK);
	assert_int_equal(clerktoken_drop(f->client, "s", NULL, ENOUGH_MS, &dropped, NULL), 0);
	assert_int_equal(dropped, 3);
	assert_true(daemon_heard(f->daemon, "#2 DROP s -"));
	assert_int_equal(clerktoken_drop(f->client, "s", "t", ENOUGH_MS, NULL, NULL), 0);
	assert_true(daemon_heard(f->daemon, "#3 DROP s t"));
	assert_int_equal(clerktoken_drop_session(f->client, "s", ENOUGH_MS, NULL, NULL), 0);
	assert_true(daemon_heard(f->daemon, "#4 DROP s"));
	assert_int_equal(clerktoken_flush(f->client, ENOUGH_MS, NULL, NULL), 0);
	assert_true(daemon_heard(f->daemon, "#5 FLUSH"));
	assert_int_equal(clerktoken_stats(f->client, ENOUGH_MS, &json, NULL), 0);
	assert_string_equal(json, "{\"tokens\": 3}");
	clerktoken_string_free(json);
	assert_int_equal(daemon_accepted(f->daemon), 1);
}

static void test_arguments(void **state)
{
	static const struct clerktoken_get_options bad[] = {
		{ .size = 0 },
		{ .size = 8 },
		{ .size = sizeof(bad[0]), .expires_in_s = 29 },
		{ .size = sizeof(bad[0]), .expires_in_s = 315360001 },
		{ .size = sizeof(bad[0]), .has_wait = true, .wait_ms = 3600001 },
		{ .size = sizeof(bad[0]), .has_min_ttl = true, .min_ttl_s = 315360001 },
		{ .size = sizeof(bad[0]), .refused_id = "FF" },
	};
	static const char *const names[] = { "", "a b", "a\nFLUSH", "a/b", "\xc3\xa9", NULL };
	struct fixture *f = *state;
	struct clerktoken_token *token = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    clerktoken_get(f->client, "s", NULL, &bad[i], ENOUGH_MS, &token, &f->failure),
		    CLERKTOKEN_INVALID_ARGUMENT);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(get(f, names[i], ENOUGH_MS), CLERKTOKEN_INVALID_ARGUMENT);
		assert_int_equal(f->failure.error, CLERKTOKEN_INVALID_ARGUMENT);
		assert_int_equal(f->failure.retry_ms, CLERKTOKEN_NEVER);
	}
	assert_int_equal(clerktoken_get(f->client, "s", "..", NULL, ENOUGH_MS, &token, NULL),
			 CLERKTOKEN_INVALID_ARGUMENT);
	assert_int_equal(clerktoken_drop(f->client, "s", "", ENOUGH_MS, NULL, NULL),
			 CLERKTOKEN_INVALID_ARGUMENT);
	assert_null(token);
	assert_int_equal(daemon_accepted(f->daemon), 0);
}

/* A structure of a later version: longer, and fine unless what isn't known here is set. */
static void test_options_grow(void **state)
{
	struct later {
		struct clerktoken_get_options now;
		uint64_t later;
	} options = { .now = { .size = sizeof(options) } };
	struct fixture *f = *state;
	struct clerktoken_token *token;

	assert_int_equal(
	    clerktoken_get(f->client, "sess_ok", NULL, &options.now, ENOUGH_MS, &token, NULL),
	    CLERKTOKEN_OK);
	clerktoken_token_unref(token);
	options.later = 1;
	assert_int_equal(
	    clerktoken_get(f->client, "sess_ok", NULL, &options.now, ENOUGH_MS, &token, NULL),
	    CLERKTOKEN_INVALID_ARGUMENT);
}

static void test_daemon_errors(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, "sess_missing", ENOUGH_MS), CLERKTOKEN_NOT_FOUND);
	assert_int_equal(f->failure.retry_ms, 9000);
	assert_string_equal(f->failure.text, "no such");
	assert_int_equal(get(f, "sess_future", ENOUGH_MS), CLERKTOKEN_UNKNOWN_ERROR);
	assert_int_equal(f->failure.retry_ms, CLERKTOKEN_NEVER);
	assert_int_equal(daemon_accepted(f->daemon), 1); /* an error costs no connection */
	assert_int_equal(get(f, "sess_refuse", ENOUGH_MS), CLERKTOKEN_OVERLOADED);
	assert_int_equal(f->failure.retry_ms, 70);
	assert_string_equal(f->failure.text, "too many clients");
	assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_OK);
	assert_int_equal(daemon_accepted(f->daemon), 2);
}

/* Each costs its connection, and nothing of it shows in the next answer. */
static void test_malformed(void **state)
{
	static const char *const sessions[] = { "sess_garbage", "sess_binary", "sess_untagged",
						"sess_other", "sess_huge" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++) {
		assert_int_equal(get(f, sessions[i], ENOUGH_MS), CLERKTOKEN_PROTOCOL);
		assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_OK);
	}
	assert_int_equal(get(f, "sess_half", ENOUGH_MS), CLERKTOKEN_IO);
	assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_OK);
}

static void test_leftovers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, "sess_extra", ENOUGH_MS), CLERKTOKEN_OK);
	/* Whether the extra bytes came in time to be seen is up to chance, so this is OK or
	 * PROTOCOL, but never the extra bytes' token. */
	(void)get(f, "sess_ok", ENOUGH_MS);
	assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_OK);
}

static void test_noise_and_drip(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, "sess_noise", ENOUGH_MS), CLERKTOKEN_OK);
	assert_int_equal(get(f, "sess_drip", ENOUGH_MS), CLERKTOKEN_OK);
	assert_int_equal(daemon_accepted(f->daemon), 1);
}

static void test_deadline(void **state)
{
	static const char *const sessions[] = { "sess_silent", "sess_pushes" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++) {
		int64_t start = now_ms();

		assert_int_equal(get(f, sessions[i], 60), CLERKTOKEN_DEADLINE);
		assert_in_range(now_ms() - start, 59, ENOUGH_MS);
		assert_int_equal(f->failure.error, CLERKTOKEN_DEADLINE);
		assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_OK);
	}
	assert_int_equal(get(f, "sess_silent", 0), CLERKTOKEN_DEADLINE);
	assert_int_equal(get(f, "sess_silent", -5), CLERKTOKEN_DEADLINE);
}

/* A backlog that is full: connect(2) itself has to wait. */
static void test_deadline_of_connect(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct clerktoken_options options = { .size = sizeof(options) };
	struct clerktoken_client *client;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int64_t start = now_ms();

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/full", f->daemon->directory);
	options.socket = address.sun_path;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(clerktoken_new(&options, &client, NULL), CLERKTOKEN_OK);
	assert_int_equal(clerktoken_ping(client, 50, NULL), CLERKTOKEN_DEADLINE);
	assert_in_range(now_ms() - start, 45, ENOUGH_MS);
	clerktoken_free(client);
	(void)unlink(address.sun_path);
	(void)close(listener);
	(void)close(fd);
}

static void test_no_daemon(void **state)
{
	struct fixture *f = *state;
	int64_t start = now_ms();

	daemon_stop(f->daemon);
	assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_NO_DAEMON);
	assert_in_range(now_ms() - start, 0, ENOUGH_MS / 2);
	assert_int_equal(f->failure.system_error, ENOENT);
	assert_non_null(strstr(f->failure.text, f->daemon->path));
}

/* A daemon that never answered: the loss of the connection is told at once. */
static void test_close_at_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, "sess_close", ENOUGH_MS), CLERKTOKEN_IO);
	assert_int_equal(daemon_requests(f->daemon), 1);
	assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_OK);
	(void)daemon_requests(f->daemon);
	assert_int_equal(get(f, "sess_close", ENOUGH_MS), CLERKTOKEN_IO);
	assert_in_range(daemon_requests(f->daemon), 2,
			3); /* bounded: it may be the request that kills */
}

static void test_reconnect(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++)
		assert_int_equal(get(f, "sess_last", ENOUGH_MS), CLERKTOKEN_OK);
	assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_OK);
	daemon_stop(f->daemon);
	daemon_run(f->daemon);
	assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_OK);
	assert_int_equal(daemon_accepted(f->daemon), 1);
}

static void *get_slowly(void *argument)
{
	struct fixture *f = argument;

	return (void *)(intptr_t)get(f, "sess_ok", ENOUGH_MS);
}

static void test_restart(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	void *result;
	int64_t start;

	assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_OK);
	daemon_stop(f->daemon);
	start = now_ms();
	assert_int_equal(get(f, "sess_ok", 60), CLERKTOKEN_NO_DAEMON);
	assert_in_range(now_ms() - start, 59, ENOUGH_MS); /* it was worth waiting */
	assert_int_equal(pthread_create(&thread, NULL, get_slowly, f), 0);
	daemon_run(f->daemon);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_equal((intptr_t)result, CLERKTOKEN_OK);
}

/* A daemon that is stopping says so; whoever comes after it is asked, a few times. */
static void test_stopping(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, "sess_restart", ENOUGH_MS), CLERKTOKEN_OK);
	assert_int_equal(daemon_requests(f->daemon), 2);
	assert_int_equal(get(f, "sess_stopping", ENOUGH_MS), CLERKTOKEN_SHUTTING_DOWN);
	assert_int_equal(f->failure.retry_ms, 2000);
	assert_int_equal(daemon_requests(f->daemon), 3);
}

#define THREADS 16
#define ROUNDS 50

struct worker {
	struct clerktoken_client *client;
	unsigned number;
	unsigned wrong;
};

/* Whatever goes on beside it, each thread gets the token that it asked for. */
static void *work(void *argument)
{
	struct worker *w = argument;
	char session[24], id[24];

	(void)snprintf(session, sizeof(session), "sess_ok%u", w->number);
	(void)snprintf(id, sizeof(id), "%016x", w->number);
	for (int i = 0; i < ROUNDS; i++) {
		struct clerktoken_token *token;

		if (clerktoken_get(w->client, session, "t", NULL, ENOUGH_MS, &token, NULL) !=
		    CLERKTOKEN_OK) {
			w->wrong++;
			continue;
		}
		w->wrong += strcmp(clerktoken_token_id(token), id) != 0;
		clerktoken_token_unref(token);
		if (i % 10 == 9 && clerktoken_get(w->client, "sess_silent", NULL, NULL, 1, &token,
						  NULL) != CLERKTOKEN_DEADLINE)
			w->wrong++;
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct fixture *f = *state;
	struct worker workers[THREADS];
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ f->client, i, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(workers[i].wrong, 0);
	}
}

static bool succeeds(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The child's first request is tagged #1: it came on a connection of the child's own. */
static void test_fork(void **state)
{
	struct fixture *f = *state;
	pid_t child;

	assert_int_equal(get(f, "sess_ok1", ENOUGH_MS), CLERKTOKEN_OK);
	assert_int_equal(get(f, "sess_ok2", ENOUGH_MS), CLERKTOKEN_OK);
	child = fork();
	if (child == 0)
		_exit(get(f, "sess_ok3", ENOUGH_MS) == CLERKTOKEN_OK &&
			      get(f, "sess_ok4", ENOUGH_MS) == CLERKTOKEN_OK
			  ? 0
			  : 1);
	assert_true(succeeds(child));
	assert_true(daemon_heard(f->daemon, "#2 GET sess_ok4 "));
	assert_int_equal(daemon_accepted(f->daemon), 2);
	assert_int_equal(get(f, "sess_ok5", ENOUGH_MS), CLERKTOKEN_OK);
	assert_true(daemon_heard(f->daemon, "#3 GET sess_ok5 "));
	assert_int_equal(daemon_accepted(f->daemon), 2); /* the parent's connection lives on */

	child = fork();
	if (child == 0) {
		clerktoken_free(f->client); /* closes copies only */
		_exit(0);
	}
	assert_true(succeeds(child));
	assert_int_equal(get(f, "sess_ok6", ENOUGH_MS), CLERKTOKEN_OK);
	assert_int_equal(daemon_accepted(f->daemon), 2);
}

/* The program's own files are never written on, nor closed. */
static void test_reused_descriptor(void **state)
{
	struct fixture *f = *state;
	int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct stat st;
	int fd = -1;

	assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_OK);
	for (int i = 3; i < 64; i++) { /* the program closes all that it doesn't know */
		struct sockaddr_un address = { 0 };
		socklen_t len = sizeof(address);

		if (getpeername(i, (struct sockaddr *)&address, &len) == 0 &&
		    strcmp(address.sun_path, f->daemon->path) == 0) {
			assert_int_equal(dup2(file, i), i);
			fd = i;
		}
	}
	assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_OK);
	assert_int_equal(fstat(fd, &st), 0); /* still open */
	assert_int_equal(st.st_size, 0);
	(void)close(fd);
	(void)close(file);
	assert_int_equal(get(f, "sess_ok", ENOUGH_MS), CLERKTOKEN_OK);
}

/* A socket there would be written on by whoever prints. */
static void test_standard_descriptors(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	pid_t child = fork();

	if (child == 0) {
		(void)close(STDIN_FILENO);
		(void)close(STDOUT_FILENO);
		_exit(get(f, "sess_ok", ENOUGH_MS) == CLERKTOKEN_OK &&
			      fstat(STDIN_FILENO, &st) < 0 && fstat(STDOUT_FILENO, &st) < 0
			  ? 0
			  : 1);
	}
	assert_true(succeeds(child));
}

static void test_where(void **state)
{
	struct fixture *f = *state;
	struct clerktoken_options options = { .size = sizeof(options) };
	struct clerktoken_client *client = NULL;
	char path[128], directory[64];

	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	options.socket = path;
	assert_int_equal(clerktoken_new(&options, &client, &f->failure),
			 CLERKTOKEN_INVALID_ARGUMENT);
	options.socket = "";
	assert_int_equal(clerktoken_new(&options, &client, NULL), CLERKTOKEN_INVALID_ARGUMENT);
	assert_null(client);

	assert_int_equal(setenv("XDG_RUNTIME_DIR", f->daemon->directory, 1), 0);
	assert_int_equal(unsetenv("CLERK_TOKEND_SOCKET"), 0);
	assert_int_equal(clerktoken_new(NULL, &client, NULL), CLERKTOKEN_OK);
	assert_string_equal(clerktoken_socket(client), "/run/clerk-tokend/clerk-tokend.sock");
	(void)snprintf(directory, sizeof(directory), "%s/clerk-tokend", f->daemon->directory);
	(void)snprintf(path, sizeof(path), "%s/clerk-tokend.sock", directory);
	assert_int_equal(mkdir(directory, 0700), 0);
	assert_int_equal(symlink(f->daemon->path, path), 0);
	assert_string_equal(clerktoken_socket(client), path); /* it has come meanwhile */
	assert_int_equal(clerktoken_ping(client, ENOUGH_MS, NULL), CLERKTOKEN_OK);
	clerktoken_free(client);
	assert_int_equal(setenv("CLERK_TOKEND_SOCKET", "/nowhere", 1), 0);
	assert_int_equal(clerktoken_new(NULL, &client, NULL), CLERKTOKEN_OK);
	assert_string_equal(clerktoken_socket(client), "/nowhere");
	clerktoken_free(client);
	(void)unlink(path);
	(void)rmdir(directory);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(clerktoken_error_name(CLERKTOKEN_OK), "ok");
	assert_string_equal(clerktoken_error_name(CLERKTOKEN_NOT_FOUND), "not_found");
	assert_string_equal(clerktoken_error_name(CLERKTOKEN_NO_DAEMON), "no_daemon");
	assert_string_equal(clerktoken_error_name((enum clerktoken_error)55), "unknown_error");
	assert_string_equal(clerktoken_error_name((enum clerktoken_error) - 1), "unknown_error");
	assert_true(clerktoken_error_is_retryable(CLERKTOKEN_TIMEOUT));
	assert_true(clerktoken_error_is_retryable(CLERKTOKEN_NO_DAEMON));
	assert_false(clerktoken_error_is_retryable(CLERKTOKEN_OK));
	assert_false(clerktoken_error_is_retryable(CLERKTOKEN_DENIED));
	assert_false(clerktoken_error_is_retryable((enum clerktoken_error)55));
	assert_string_equal(clerktoken_state_name(CLERKTOKEN_STATE_STALE), "stale");
	assert_string_equal(clerktoken_state_name((enum clerktoken_state)9), "unknown");
	assert_string_equal(clerktoken_source_name(CLERKTOKEN_SOURCE_PUSH), "push");
	clerktoken_free(NULL);
	clerktoken_token_unref(NULL);
	clerktoken_watch_free(NULL);
	clerktoken_string_free(NULL);
}

#define CALLS(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CALLS(test_token),
		CALLS(test_request_line),
		CALLS(test_other_calls),
		CALLS(test_arguments),
		CALLS(test_options_grow),
		CALLS(test_daemon_errors),
		CALLS(test_malformed),
		CALLS(test_leftovers),
		CALLS(test_noise_and_drip),
		CALLS(test_deadline),
		CALLS(test_deadline_of_connect),
		CALLS(test_no_daemon),
		CALLS(test_close_at_once),
		CALLS(test_stopping),
		CALLS(test_reconnect),
		CALLS(test_restart),
		CALLS(test_threads),
		CALLS(test_fork),
		CALLS(test_reused_descriptor),
		CALLS(test_standard_descriptors),
		CALLS(test_where),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
