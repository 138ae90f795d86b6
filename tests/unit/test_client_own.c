/* Gets that are answered from the library's own copies: client/{own,tracking}.c, against a daemon
 * that drops, breaks and refuses on request. What is kept is never trusted longer than the daemon
 * can be heard. */
#include "tests/unit/unit.h"

#include "client/client.h"
#include "tests/unit/test_client_fixture.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>

#define ENOUGH_MS 10000 /* for what should take no time at all */

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static unsigned long get_with(struct fixture *f, const char *session,
			      const struct clerktoken_get_options *options)
{
	struct clerktoken_token *token;
	unsigned long number;

	assert_int_equal(
	    clerktoken_get(f->client, session, "t", options, ENOUGH_MS, &token, &f->failure),
	    CLERKTOKEN_OK);
	number = strtoul(clerktoken_token_id(token), NULL, 16);
	clerktoken_token_unref(token);
	return number;
}

/* The number of the token; each that the daemon hands out has another. */
static unsigned long get(struct fixture *f, const char *session)
{
	return get_with(f, session, NULL);
}

/* Asks until the daemon is asked, as it is once the copy is forgotten; returns the new number. */
static unsigned long get_another(struct fixture *f, const char *session, unsigned long than)
{
	int64_t end = now_ms() + ENOUGH_MS;
	unsigned long number;

	while ((number = get(f, session)) == than)
		assert_true(now_ms() < end);
	return number;
}

/* The first get has the connection opened, the next one sees that the daemon has agreed. */
static void start_tracking(struct fixture *f)
{
	unsigned tracks = daemon_tracks(f->daemon);
	int64_t end = now_ms() + ENOUGH_MS;

	do
		(void)get(f, "sess_keep_first");
	while (daemon_tracks(f->daemon) == tracks && now_ms() < end);
	(void)get(f, "sess_keep_first");
	(void)daemon_requests(f->daemon);
}

static void test_same_token(void **state)
{
	struct fixture *f = *state;
	struct clerktoken_token *first, *second;

	start_tracking(f);
	assert_int_equal(
	    clerktoken_get(f->client, "sess_keep", NULL, NULL, ENOUGH_MS, &first, NULL), 0);
	assert_int_equal(daemon_requests(f->daemon), 1);
	assert_int_equal(clerktoken_get(f->client, "sess_keep", "-", NULL, 0, &second, NULL), 0);
	assert_ptr_equal(first, second);
	assert_int_equal(clerktoken_token_source(second), CLERKTOKEN_SOURCE_CACHE);
	assert_int_equal(daemon_requests(f->daemon), 0);
	assert_int_equal(daemon_tracks(f->daemon), 1);
	clerktoken_free(f->client); /* tokens live on */
	f->client = NULL;
	clerktoken_token_unref(first);
	assert_int_equal(clerktoken_token_length(second), strlen(clerktoken_token_jwt(second)));
	clerktoken_token_unref(second);
}

static void test_other_keys(void **state)
{
	struct clerktoken_get_options longer = { .size = sizeof(longer), .expires_in_s = 60 };
	struct fixture *f = *state;
	struct clerktoken_token *token = NULL;
	unsigned long number;

	start_tracking(f);
	number = get(f, "sess_keep");
	assert_int_not_equal(get_with(f, "sess_keep", &longer), number);
	assert_int_not_equal(get(f, "sess_keep2"), number);
	assert_int_equal(get(f, "sess_keep"), number);
	assert_int_equal(daemon_requests(f->daemon), 3);
	/* What is wrong is complained of, whatever is kept. */
	assert_int_equal(clerktoken_get(f->client, "sess_keep", "", NULL, 0, &token, NULL),
			 CLERKTOKEN_INVALID_ARGUMENT);
	assert_int_equal(clerktoken_get(f->client, NULL, "t", NULL, 0, &token, NULL),
			 CLERKTOKEN_INVALID_ARGUMENT);
	longer.has_wait = true;
	longer.wait_ms = UINT32_MAX;
	assert_int_equal(clerktoken_get(f->client, "sess_keep", "t", &longer, 0, &token, NULL),
			 CLERKTOKEN_INVALID_ARGUMENT);
	assert_null(token);
}

static void test_min_ttl(void **state)
{
	struct clerktoken_get_options options = { .size = sizeof(options), .has_min_ttl = true };
	struct fixture *f = *state;
	unsigned long number;

	start_tracking(f);
	number = get(f, "sess_keep"); /* lives for 60 s */
	options.min_ttl_s = 20;
	assert_int_equal(get_with(f, "sess_keep", &options), number);
	options.min_ttl_s = 60;
	assert_int_not_equal(get_with(f, "sess_keep", &options), number);
}

static void test_refused(void **state)
{
	struct clerktoken_get_options options = { .size = sizeof(options) };
	struct fixture *f = *state;
	unsigned long number;
	char id[17];

	start_tracking(f);
	number = get(f, "sess_keep");
	(void)snprintf(id, sizeof(id), "%016lx", number + 5);
	options.refused_id = id;
	assert_int_equal(get_with(f, "sess_keep", &options), number);
	(void)snprintf(id, sizeof(id), "%016lx", number);
	assert_int_equal(get_with(f, "sess_keep", &options), number + 1);
	assert_non_null(strstr(f->daemon->last, " not=")); /* no request is under way */
	assert_int_equal(get_with(f, "sess_keep", &options), number + 1);
	assert_int_equal(get(f, "sess_keep"), number + 1);
}

static void test_end_of_reuse(void **state)
{
	struct fixture *f = *state;

	start_tracking(f);
	(void)get_another(f, "sess_keep_short", get(f, "sess_keep_short"));
}

static void test_drops(void **state)
{
	static const char *const drops[] = { "* DROP sess_keep t\n", "* DROP sess_keep *\n",
					     "* DROP * *\n",
					     "* NEWS of something\n"
					     "* DROP sess_keep *\n" };
	struct fixture *f = *state;
	unsigned long number;

	start_tracking(f);
	number = get(f, "sess_keep");
	for (size_t i = 0; i < sizeof(drops) / sizeof(drops[0]); i++) {
		daemon_tell(f->daemon, drops[i]);
		number = get_another(f, "sess_keep", number);
		assert_int_equal(get(f, "sess_keep"), number);
	}
	daemon_tell(f->daemon, "* DRO");
	assert_int_equal(get(f, "sess_keep"), number);
	daemon_tell(f->daemon, "P * *\n");
	(void)get_another(f, "sess_keep", number);
	assert_int_equal(daemon_tracks(f->daemon), 1);
}

/* By this client: at once, also where the daemon can't be asked. */
static void test_own_drops(void **state)
{
	struct fixture *f = *state;
	unsigned long number;

	start_tracking(f);
	number = get(f, "sess_keep");
	assert_int_equal(clerktoken_drop(f->client, "sess_keep", "t", ENOUGH_MS, NULL, NULL), 0);
	assert_int_not_equal(get(f, "sess_keep"), number++);
	assert_int_equal(get(f, "sess_keep"), number);
	assert_int_equal(clerktoken_drop_session(f->client, "sess_keep", ENOUGH_MS, NULL, NULL), 0);
	assert_int_not_equal(get(f, "sess_keep"), number++);
	assert_int_equal(clerktoken_flush(f->client, ENOUGH_MS, NULL, NULL), 0);
	assert_int_not_equal(get(f, "sess_keep"), number++);
	(void)clerktoken_drop(f->client, "sess_keep", "t", 0, NULL,
			      NULL); /* no time: it may fail */
	assert_int_not_equal(get(f, "sess_keep"), number);
}

static void *get_held(void *argument)
{
	return (void *)(uintptr_t)get(argument, "sess_held");
}

/* The answer was made before the drop, and arrives after the drop was heard of. */
static void test_drop_overtakes(void **state)
{
	struct fixture *f = *state;
	unsigned long number;
	pthread_t thread;
	void *result;

	start_tracking(f);
	number = get(f, "sess_keep");
	assert_int_equal(pthread_create(&thread, NULL, get_held, f), 0);
	daemon_await_held(f->daemon);
	daemon_tell(f->daemon, "* DROP sess_held *\n* DROP sess_keep *\n");
	(void)get_another(f, "sess_keep", number);
	daemon_let_go(f->daemon);
	assert_int_equal(pthread_join(thread, &result), 0);
	number = get(f, "sess_held");
	assert_int_not_equal(number, (uintptr_t)result);
	assert_int_equal(get(f, "sess_held"), number);
}

/* The same where not a drop was heard of, but nothing could be. */
static void test_loss_overtakes(void **state)
{
	struct fixture *f = *state;
	unsigned long number;
	pthread_t thread;
	void *result;

	start_tracking(f);
	number = get(f, "sess_keep");
	assert_int_equal(pthread_create(&thread, NULL, get_held, f), 0);
	daemon_await_held(f->daemon);
	daemon_tell(f->daemon, NULL);
	(void)get_another(f, "sess_keep", number);
	start_tracking(f);
	daemon_let_go(f->daemon);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_not_equal(get(f, "sess_held"), (uintptr_t)result);
}

/* The connection breaks, or says what it shouldn't. */
static void lose_tracking(struct fixture *f, const char *last_words)
{
	unsigned long number;

	start_tracking(f);
	number = get(f, "sess_keep");
	assert_int_equal(get(f, "sess_keep"), number);
	daemon_tell(f->daemon, last_words);
	(void)get_another(f, "sess_keep", number);
}

static void test_tracking_lost(void **state)
{
	static const char *const last_words[] = { NULL,	     "garbage\n",
						  "#1 OK\n", "ERR shutting_down retry=9 off\n",
						  "\377\n",  "#1 ERR internal retry=9 odd\n" };
	struct fixture *f = *state;
	struct clerktoken_options options = { .size = sizeof(options) };

	options.socket = f->daemon->path;
	for (size_t i = 0; i < sizeof(last_words) / sizeof(last_words[0]); i++) {
		lose_tracking(f, last_words[i]);
		clerktoken_free(f->client); /* another has no pause to wait for */
		assert_int_equal(clerktoken_new(&options, &f->client, NULL), CLERKTOKEN_OK);
	}
}

/* Who was away for so long had better begin anew. */
static void test_too_far_behind(void **state)
{
	struct fixture *f = *state;
	unsigned long number;
	char text[1024];

	start_tracking(f);
	number = get(f, "sess_keep");
	memset(text, 'x', sizeof(text));
	memcpy(text, "* NEWS ", 7);
	memcpy(text + 1022, "\n", 2);
	for (size_t i = 0; i < 80; i++)
		daemon_tell(f->daemon, text);
	(void)get_another(f, "sess_keep", number);
}

/* Another thread is looking, and doesn't come to an end of it: not trusted for long. */
static void test_blind(void **state)
{
	struct fixture *f = *state;
	unsigned long number;
	int64_t start;

	start_tracking(f);
	number = get(f, "sess_keep");
	f->client->tracking.busy = true;
	start = now_ms();
	(void)get_another(f, "sess_keep", number);
	assert_in_range(now_ms() - start, 0, ENOUGH_MS / 2);
	f->client->tracking.busy = false;
	number = get(f, "sess_keep");
	assert_int_equal(get(f, "sess_keep"), number); /* nothing was lost */
}

static void test_refused_tracking(void **state)
{
	struct fixture *f = *state;
	int64_t start = now_ms();
	unsigned gets = 0;

	f->daemon->refuses_track = "ERR overloaded retry=1000 too many";
	do {
		(void)get(f, "sess_keep");
		assert_in_range(daemon_requests(f->daemon), 1, 2);
	} while ((gets++ < 200 || daemon_tracks(f->daemon) == 0) && now_ms() < start + ENOUGH_MS);
	/* The first pause has 100 ms, each further one twice as many. */
	assert_in_range(daemon_tracks(f->daemon), 1, 1 + (now_ms() - start) / 100);
}

static void test_turned_off(void **state)
{
	struct fixture *f = *state;

	assert_int_not_equal(get(f, "sess_keep"), get(f, "sess_keep"));
	assert_int_equal(daemon_tracks(f->daemon), 0);
	assert_int_equal(daemon_accepted(f->daemon), 1);
	assert_int_equal(clerktoken_drop(f->client, "sess_keep", "t", ENOUGH_MS, NULL, NULL), 0);
}

static bool succeeds(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A child has neither the parent's copies nor its connection, and doesn't disturb either. */
static void test_fork(void **state)
{
	struct fixture *f = *state;
	int64_t end = now_ms() + ENOUGH_MS;
	unsigned long number;
	pid_t child;

	start_tracking(f);
	number = get(f, "sess_keep");
	child = fork();
	if (child == 0) {
		unsigned long other = number, last;

		do {
			last = other;
			other = get(f, "sess_keep");
		} while (other != last && other != number && now_ms() < end);
		_exit(other == last && other != number ? 0 : 1);
	}
	assert_true(succeeds(child));
	assert_int_equal(daemon_tracks(f->daemon), 2);
	assert_int_equal(get(f, "sess_keep"), number);
	daemon_tell(f->daemon, "* DROP * *\n");
	(void)get_another(f, "sess_keep", number);
	child = fork();
	if (child == 0) {
		clerktoken_free(f->client);
		_exit(0);
	}
	assert_true(succeeds(child));
	number = get(f, "sess_keep");
	assert_int_equal(get(f, "sess_keep"), number);
}

/* All of our connections, of which one tracks, become `file` (negative: are closed). */
static void close_all(struct fixture *f, int file)
{
	for (int i = 3; i < 64; i++) {
		struct sockaddr_un address = { 0 };
		socklen_t len = sizeof(address);

		if (getpeername(i, (struct sockaddr *)&address, &len) < 0 ||
		    strcmp(address.sun_path, f->daemon->path) != 0)
			continue;
		if (file < 0)
			assert_int_equal(close(i), 0);
		else
			assert_int_equal(dup2(file, i), i);
	}
}

static void test_closed_descriptor(void **state)
{
	struct fixture *f = *state;
	unsigned long number;

	start_tracking(f);
	number = get(f, "sess_keep");
	close_all(f, -1);
	(void)get_another(f, "sess_keep", number);
}

/* What the program reads from there is the program's. */
static void test_reused_descriptor(void **state)
{
	struct fixture *f = *state;
	unsigned long number;
	char text[8] = "";
	int pair[2];

	start_tracking(f);
	number = get(f, "sess_keep");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_true(put_text(pair[1], "mine"));
	close_all(f, pair[0]);
	(void)get_another(f, "sess_keep", number);
	assert_int_equal(recv(pair[0], text, sizeof(text), MSG_DONTWAIT), 4);
	(void)close(pair[1]);
	assert_int_equal(recv(pair[0], text, sizeof(text), MSG_DONTWAIT), 0); /* nothing written */
}

static void test_restart(void **state)
{
	struct fixture *f = *state;
	unsigned long number;

	start_tracking(f);
	number = get(f, "sess_keep");
	daemon_stop(f->daemon);
	daemon_run(f->daemon);
	number = get_another(f, "sess_keep", number);
	start_tracking(f);
	number = get(f, "sess_keep");
	assert_int_equal(get(f, "sess_keep"), number);
}

/* ---- many threads */

#define THREADS 6
#define ROUNDS 4000

struct crowd {
	struct fixture *fixture;
	_Atomic unsigned long good; /* the least number since the latest drop */
	_Atomic unsigned wrong;
};

static void *work(void *argument)
{
	struct crowd *crowd = argument;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned long good = crowd->good;
		struct clerktoken_token *token;

		if (clerktoken_get(crowd->fixture->client, "sess_keep", "t", NULL, ENOUGH_MS,
				   &token, NULL) != CLERKTOKEN_OK) {
			crowd->wrong++;
			continue;
		}
		crowd->wrong += strtoul(clerktoken_token_id(token), NULL, 16) < good;
		clerktoken_token_unref(token);
	}
	return NULL;
}

static void *drop_often(void *argument)
{
	struct crowd *crowd = argument;
	struct daemon *d = crowd->fixture->daemon;

	for (int i = 0; i < 100; i++) {
		unsigned long next;

		pthread_mutex_lock(&d->mutex);
		next = d->tokens + 1; /* what is made from now on */
		pthread_mutex_unlock(&d->mutex);
		if (clerktoken_drop(crowd->fixture->client, "sess_keep", "t", ENOUGH_MS, NULL,
				    NULL) != CLERKTOKEN_OK)
			crowd->wrong++;
		crowd->good = next;
		if (i % 30 == 29)
			daemon_tell(d, NULL);
	}
	return NULL;
}

/* No token that was made before a drop is handed out after it. */
static void test_threads(void **state)
{
	struct crowd crowd = { .fixture = *state };
	pthread_t threads[THREADS], dropper;

	start_tracking(crowd.fixture);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &crowd), 0);
	assert_int_equal(pthread_create(&dropper, NULL, drop_often, &crowd), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(pthread_join(dropper, NULL), 0);
	assert_int_equal(crowd.wrong, 0);
}

#define OWN(test) cmocka_unit_test_setup_teardown(test, fixture_setup_copies, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OWN(test_same_token),
		OWN(test_other_keys),
		OWN(test_min_ttl),
		OWN(test_refused),
		OWN(test_end_of_reuse),
		OWN(test_drops),
		OWN(test_own_drops),
		OWN(test_drop_overtakes),
		OWN(test_loss_overtakes),
		OWN(test_tracking_lost),
		OWN(test_too_far_behind),
		OWN(test_blind),
		OWN(test_refused_tracking),
		cmocka_unit_test_setup_teardown(test_turned_off, fixture_setup, fixture_teardown),
		OWN(test_fork),
		OWN(test_closed_descriptor),
		OWN(test_reused_descriptor),
		OWN(test_restart),
		OWN(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
