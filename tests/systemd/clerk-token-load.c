/* Many users of libclerktoken at a time, for tests of what a restart of the daemon does to them.
 *
 *     clerk-token-load CLIENTS PAUSE_MS SESSIONS
 *
 * Each client is a thread with a struct clerktoken_client, and thus a connection, of its own. It
 * asks for one session after the other, of so many, until standard input ends. "ready" is printed
 * when each has had an answer; at the end a line of JSON says what came of it.
 */
#include "client/clerktoken.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 2000
#define TIMEOUT_MS 10000
#define STACK_SIZE (256 * 1024)
#define MS_PER_S 1000
#define NS_PER_MS 1000000

struct user {
	pthread_t thread;
	unsigned number;
	unsigned long calls, errors;
	long slowest_ms;
	struct clerktoken_failure failure; /* the first */
};

static struct user users[CLIENTS_MAX];
static int pause_ms;
static unsigned long clients, sessions;
static atomic_bool over;
static atomic_uint answered; /* users that have had an answer */

static long clock_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * MS_PER_S + ts.tv_nsec / NS_PER_MS;
}

static void ask(struct user *u, struct clerktoken_client *client)
{
	struct clerktoken_failure failure;
	struct clerktoken_token *token;
	char session[32];
	long began = clock_ms();

	(void)snprintf(session, sizeof(session), "sess_%lu",
		       (u->number + u->calls * clients) % sessions);
	if (clerktoken_get(client, session, "hasura", NULL, TIMEOUT_MS, &token, &failure) ==
	    CLERKTOKEN_OK)
		clerktoken_token_unref(token);
	else if (u->errors++ == 0)
		u->failure = failure;
	if (clock_ms() - began > u->slowest_ms)
		u->slowest_ms = clock_ms() - began;
	if (u->calls++ == 0)
		answered++;
}

static void *run(void *arg)
{
	struct user *u = arg;
	struct clerktoken_options options = { .size = sizeof(options), .no_copies = true };
	struct clerktoken_client *client;

	if (clerktoken_new(&options, &client, &u->failure) != CLERKTOKEN_OK) {
		u->errors++;
		answered++;
		return NULL;
	}
	while (!over) {
		ask(u, client);
		(void)poll(NULL, 0, pause_ms);
	}
	clerktoken_free(client);
	return NULL;
}

static void raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* what is missing shows as errors */
}

static unsigned start(void)
{
	pthread_attr_t attributes;
	unsigned started = 0;

	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
	while (started < clients) {
		struct user *u = &users[started];

		u->number = started;
		if (pthread_create(&u->thread, &attributes, run, u) != 0)
			break;
		started++;
	}
	(void)pthread_attr_destroy(&attributes);
	return started;
}

static void report(unsigned started)
{
	unsigned long calls = 0, errors = 0;
	const struct user *failed = NULL;
	long slowest_ms = 0;

	for (unsigned i = 0; i < started; i++) {
		calls += users[i].calls;
		errors += users[i].errors;
		if (users[i].errors && !failed)
			failed = &users[i];
		if (users[i].slowest_ms > slowest_ms)
			slowest_ms = users[i].slowest_ms;
	}
	printf(
	    "{\"clients\":%u,\"calls\":%lu,\"errors\":%lu,\"slowest_ms\":%ld,\"first\":\"%s\"}\n",
	    started, calls, errors, slowest_ms,
	    failed ? clerktoken_error_name(failed->failure.error) : "");
}

int main(int argc, char **argv)
{
	unsigned started;
	char byte;

	if (argc != 4)
		return 2;
	clients = strtoul(argv[1], NULL, 10);
	pause_ms = (int)strtoul(argv[2], NULL, 10);
	sessions = strtoul(argv[3], NULL, 10);
	if (clients == 0 || clients > CLIENTS_MAX || sessions == 0)
		return 2;
	raise_files();
	started = start();
	while (answered < started)
		(void)poll(NULL, 0, 1);
	(void)puts("ready");
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	over = true;
	for (unsigned i = 0; i < started; i++)
		(void)pthread_join(users[i].thread, NULL);
	report(started);
	return started == clients ? 0 : 1;
}
