/* Watches against a daemon that pushes what it is told: client/watch.c. */
#include "tests/unit/unit.h"

#include "client/clerktoken.h"
#include "tests/unit/test_client_daemon.h"

#include <sys/wait.h>
#include <time.h>

#define ENOUGH_MS 10000 /* for what should take no time at all */

#define PUSH(id, ttl)                                                                              \
	"* TOKEN sess_ok t aa." #id ".cc id=000000000000000" #id " exp=2000000000 ttl=" #ttl       \
	" reuse=1 state=due\n"

struct fixture {
	struct daemon *daemon;
	struct clerktoken_client *client;
	struct clerktoken_watch *watch;
	struct clerktoken_failure failure;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct clerktoken_options options = { .size = sizeof(options) };
	struct clerktoken_token *first;

	assert_non_null(f);
	f->daemon = daemon_new();
	daemon_run(f->daemon);
	options.socket = f->daemon->path;
	assert_int_equal(clerktoken_new(&options, &f->client, NULL), CLERKTOKEN_OK);
	assert_int_equal(clerktoken_watch(f->client, "sess_ok", "t", NULL, ENOUGH_MS, &f->watch,
					  &first, &f->failure),
			 CLERKTOKEN_OK);
	assert_string_equal(clerktoken_token_id(first), "0000000000000000");
	assert_int_equal(clerktoken_token_source(first), CLERKTOKEN_SOURCE_CACHE);
	clerktoken_token_unref(first);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	clerktoken_free(f->client); /* before its watch: allowed */
	clerktoken_watch_free(f->watch);
	daemon_free(f->daemon);
	free(f);
	return 0;
}

static enum clerktoken_error next(struct fixture *f, int timeout_ms, char *ret_id,
				  int64_t *ret_ttl_ms)
{
	struct clerktoken_token *token = NULL;
	enum clerktoken_error error =
	    clerktoken_watch_next(f->watch, timeout_ms, &token, &f->failure);

	if (error == CLERKTOKEN_OK) {
		(void)snprintf(ret_id, 17, "%s", clerktoken_token_id(token));
		*ret_ttl_ms = clerktoken_token_ttl_ms(token);
	}
	clerktoken_token_unref(token);
	return error;
}

struct pusher {
	struct daemon *daemon;
	const char *line;
	int sleep_ms;
};

static void *push_later(void *argument)
{
	struct pusher *p = argument;

	(void)poll(NULL, 0, p->sleep_ms);
	daemon_push(p->daemon, p->line);
	return NULL;
}

/* Who waits gets the token as young as it is. */
static void test_push(void **state)
{
	struct fixture *f = *state;
	struct pusher pusher = { f->daemon, PUSH(1, 50000), 500 };
	pthread_t thread;
	char id[17];
	int64_t ttl;

	assert_int_equal(pthread_create(&thread, NULL, push_later, &pusher), 0);
	assert_int_equal(next(f, ENOUGH_MS, id, &ttl), CLERKTOKEN_OK);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_string_equal(id, "0000000000000001");
	assert_in_range(ttl, 50000 - 450, 50000);
	assert_int_equal(next(f, 20, id, &ttl), CLERKTOKEN_DEADLINE);
	assert_false(clerktoken_watch_is_over(f->watch));
}

/* What lay there may be as old as the call before: its ttl isn't overstated. */
static void test_lain(void **state)
{
	struct fixture *f = *state;
	char id[17];
	int64_t ttl;

	assert_int_equal(next(f, 0, id, &ttl), CLERKTOKEN_DEADLINE);
	daemon_push(f->daemon, PUSH(1, 50000));
	(void)poll(NULL, 0, 200); /* the age is what is measured */
	assert_int_equal(next(f, ENOUGH_MS, id, &ttl), CLERKTOKEN_OK);
	assert_in_range(ttl, 50000 - ENOUGH_MS, 50000 - 200);
}

static void test_latest_wins(void **state)
{
	struct fixture *f = *state;
	char id[17];
	int64_t ttl;

	daemon_push(f->daemon, "* NEWS of no interest\n* TOKEN sess_x t a.b.c id=00000000000000ff "
			       "exp=1 ttl=1\n");
	assert_int_equal(next(f, 20, id, &ttl), CLERKTOKEN_DEADLINE);
	daemon_push(f->daemon, PUSH(1, 1000));
	daemon_push(f->daemon, PUSH(2, 2000) PUSH(3, 3000));
	assert_int_equal(next(f, 0, id, &ttl), CLERKTOKEN_OK);
	assert_string_equal(id, "0000000000000003");
	assert_int_equal(next(f, 0, id, &ttl), CLERKTOKEN_DEADLINE);
}

static void test_gone(void **state)
{
	struct fixture *f = *state;
	char id[17];
	int64_t ttl;

	daemon_push(f->daemon, PUSH(1, 1000) "* GONE sess_ok t not_found\n");
	assert_int_equal(next(f, ENOUGH_MS, id, &ttl), CLERKTOKEN_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(next(f, ENOUGH_MS, id, &ttl), CLERKTOKEN_NOT_FOUND);
		assert_int_equal(f->failure.error, CLERKTOKEN_NOT_FOUND);
		assert_true(clerktoken_watch_is_over(f->watch));
	}
}

static void test_malformed(void **state)
{
	struct fixture *f = *state;
	char id[17];
	int64_t ttl;

	daemon_push(f->daemon, PUSH(1, 1000) "* TOKEN sess_ok\n");
	assert_int_equal(next(f, ENOUGH_MS, id, &ttl), CLERKTOKEN_OK);
	assert_int_equal(next(f, ENOUGH_MS, id, &ttl), CLERKTOKEN_OK); /* asked again: token 0 */
	daemon_push(f->daemon, "nonsense\n");
	assert_int_equal(next(f, ENOUGH_MS, id, &ttl), CLERKTOKEN_PROTOCOL);
	assert_false(clerktoken_watch_is_over(f->watch));
}

/* After a restart of the daemon the watch asks again; the token that is known isn't news. */
static void test_restart(void **state)
{
	struct fixture *f = *state;
	struct pusher pusher = { f->daemon, PUSH(4, 1000), 0 };
	pthread_t thread;
	char id[17];
	int64_t ttl;

	daemon_stop(f->daemon);
	assert_int_equal(next(f, 50, id, &ttl), CLERKTOKEN_NO_DAEMON);
	daemon_run(f->daemon);
	assert_int_equal(pthread_create(&thread, NULL, push_later, &pusher), 0);
	assert_int_equal(next(f, ENOUGH_MS, id, &ttl), CLERKTOKEN_OK);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_string_equal(id, "0000000000000004");
}

/* The child watches on a connection of its own. */
static void test_fork(void **state)
{
	struct fixture *f = *state;
	pid_t child = fork();
	char id[17];
	int64_t ttl;
	int status;

	if (child == 0)
		_exit(next(f, 100, id, &ttl) == CLERKTOKEN_DEADLINE ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(daemon_accepted(f->daemon), 2);
	assert_int_equal(next(f, 0, id, &ttl), CLERKTOKEN_DEADLINE);
	assert_int_equal(daemon_accepted(f->daemon), 2);
}

static void test_first_fails(void **state)
{
	struct fixture *f = *state;
	struct clerktoken_watch *watch = NULL;

	assert_int_equal(clerktoken_watch(f->client, "sess_missing", NULL, NULL, ENOUGH_MS, &watch,
					  NULL, &f->failure),
			 CLERKTOKEN_NOT_FOUND);
	assert_int_equal(f->failure.retry_ms, 9000);
	assert_int_equal(
	    clerktoken_watch(f->client, "sess_silent", NULL, NULL, 30, &watch, NULL, &f->failure),
	    CLERKTOKEN_DEADLINE);
	assert_int_equal(
	    clerktoken_watch(f->client, "a b", NULL, NULL, 30, &watch, NULL, &f->failure),
	    CLERKTOKEN_INVALID_ARGUMENT);
	assert_int_equal(
	    clerktoken_watch(f->client, "sess_pushes", NULL, NULL, 30, &watch, NULL, &f->failure),
	    CLERKTOKEN_DEADLINE);
	assert_null(watch);
}

#define WATCHES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WATCHES(test_push), WATCHES(test_lain),	       WATCHES(test_latest_wins),
		WATCHES(test_gone), WATCHES(test_malformed),   WATCHES(test_restart),
		WATCHES(test_fork), WATCHES(test_first_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
