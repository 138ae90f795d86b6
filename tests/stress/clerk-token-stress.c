/* Gets tokens from many threads and from children that they fork, and looks at each one.
 *
 *     clerk-token-stress SOCKET THREADS FORKS GETS MARKS TIMEOUT_MS
 *
 * THREADS share a client that keeps copies of tokens, and one that doesn't. Each has FORKS rounds
 * and one more; in each of the former it forks a child, which goes on with the same client beside
 * it. Of their gets, GETS in all, half are synchronous and half go through a struct
 * clerktoken_async of the thread, which its children inherit in whatever state it is in.
 *
 * A token must be of the session and the template that were asked for, whole, and valid when it was
 * asked for. An error must be one of those of a deadline, and that must have come. Whenever another
 * of MARKS equal parts of the gets is done a dot is printed, for who restarts the daemon. At the
 * end a line of JSON says what came of it, descriptors that were left open included; the exit
 * status is 1 if anything was wrong.
 */
#include "client/clerktoken.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
#define SESSIONS 40
#define BATCH 20 /* gets of a kind, before it is the other kind's turn */
#define PAYLOAD_MAX 4096
#define TEXT_SIZE 400
#define MS_PER_S 1000
#define NS_PER_MS 1000000
#define SLACK_MS 1000 /* Clerk's times are whole seconds */

/* Shared with the children. */
struct sums {
	atomic_ulong gets, tokens, late, faults, forks;
	atomic_ulong slowest_ms;
	char first_fault[TEXT_SIZE];
};

struct key {
	char session[40];
	const char *template; /* or NULL */
};

static struct sums *sums;
static struct clerktoken_client *clients[2];
static unsigned long threads, forks, gets, marks, timeout_ms;

static int64_t clock_ms(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * MS_PER_S + ts.tv_nsec / NS_PER_MS;
}

static void __attribute__((format(printf, 1, 2))) fault(const char *format, ...)
{
	va_list arguments;

	if (sums->faults++)
		return;
	va_start(arguments, format);
	(void)vsnprintf(sums->first_fault, TEXT_SIZE, format, arguments); /* it may be cut */
	va_end(arguments);
}

static struct key draw_key(unsigned *seed)
{
	struct key key = { .template = rand_r(seed) % 2 ? "hasura" : NULL };

	(void)snprintf(key.session, sizeof(key.session), "sess_stress%05u",
		       (unsigned)rand_r(seed) % SESSIONS);
	return key;
}

static int digit_of(char c)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The middle part of a JWT as text. False: it isn't one of three parts in base64url. */
static bool decode_payload(const char *jwt, char *ret)
{
	const char *begin = strchr(jwt, '.');
	const char *end = begin ? strchr(begin + 1, '.') : NULL;
	unsigned bits = 0, n_bits = 0;

	if (!end || end - begin > PAYLOAD_MAX || end[1 + strspn(end + 1, "=")] == '\0')
		return false;
	for (const char *p = begin + 1; p < end; p++) {
		int digit = digit_of(*p);

		if (digit < 0)
			return false;
		bits = (bits << 6 | (unsigned)digit) & 0xffff;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			*ret++ = (char)(bits >> n_bits & 0xff);
		}
	}
	*ret = '\0';
	return true;
}

static bool claims(const char *payload, const char *name, const char *value)
{
	char claim[100];

	(void)snprintf(claim, sizeof(claim), "\"%s\":\"%s\"", name, value);
	return strstr(payload, claim);
}

static int64_t expiry_of(const char *payload)
{
	const char *exp = strstr(payload, "\"exp\":");

	return exp ? strtoll(exp + strlen("\"exp\":"), NULL, 10) : -1;
}

/* `began_ms` is the time of day at which it was asked for. */
static void check_token(const struct clerktoken_token *token, const struct key *key,
			int64_t began_ms)
{
	char payload[PAYLOAD_MAX + 1], user[40];
	int64_t exp_s, left_ms;

	if (strlen(clerktoken_token_jwt(token)) != clerktoken_token_length(token) ||
	    !decode_payload(clerktoken_token_jwt(token), payload) || payload[0] != '{' ||
	    payload[strlen(payload) - 1] != '}') {
		fault("torn: %s", key->session);
		return;
	}
	(void)snprintf(user, sizeof(user), "user_%s", key->session + strlen("sess_"));
	if (!claims(payload, "sub", user) ||
	    !(key->template ? claims(payload, "template", key->template)
			    : claims(payload, "sid", key->session)))
		fault("wrong: %s %s got %s", key->session, key->template, payload);
	exp_s = expiry_of(payload);
	left_ms = exp_s * MS_PER_S - began_ms;
	if (exp_s != clerktoken_token_exp(token) || left_ms <= 0)
		fault("expired: %s, %lld ms ago", key->session, (long long)-left_ms);
	if (clerktoken_token_ttl_ms(token) > left_ms + SLACK_MS)
		fault("%s: ttl of %lld ms, with %lld left", key->session,
		      (long long)clerktoken_token_ttl_ms(token), (long long)left_ms);
}

static void check_error(const struct clerktoken_failure *failure, int64_t took_ms)
{
	bool is_of_deadline = failure->error == CLERKTOKEN_DEADLINE ||
			      failure->error == CLERKTOKEN_NO_DAEMON ||
			      failure->error == CLERKTOKEN_TIMEOUT;

	if (is_of_deadline && took_ms >= (int64_t)timeout_ms * 8 / 10)
		sums->late++;
	else
		fault("%s after %lld ms: %s", clerktoken_error_name(failure->error),
		      (long long)took_ms, failure->text);
}

static void check(const struct key *key, enum clerktoken_error error,
		  struct clerktoken_token *token, const struct clerktoken_failure *failure,
		  int64_t began_ms, int64_t took_ms)
{
	unsigned long slowest_ms = sums->slowest_ms;
	unsigned long mark = gets / (marks + 1);

	while (
	    (unsigned long)took_ms > slowest_ms &&
	    !atomic_compare_exchange_weak(&sums->slowest_ms, &slowest_ms, (unsigned long)took_ms))
		;
	if (error == CLERKTOKEN_OK) {
		sums->tokens++;
		check_token(token, key, began_ms);
		clerktoken_token_unref(token);
	} else {
		check_error(failure, took_ms);
	}
	if (mark && ++sums->gets % mark == 0)
		(void)!write(STDOUT_FILENO, ".\n", 2); /* whoever reads it has ended */
}

static void get_one(struct clerktoken_client *client, unsigned *seed)
{
	struct key key = draw_key(seed);
	int64_t began_ms = clock_ms(CLOCK_REALTIME), begin = clock_ms(CLOCK_BOOTTIME);
	struct clerktoken_token *token = NULL;
	struct clerktoken_failure failure;
	enum clerktoken_error error = clerktoken_get(client, key.session, key.template, NULL,
						     (int)timeout_ms, &token, &failure);

	check(&key, error, token, &failure, began_ms, clock_ms(CLOCK_BOOTTIME) - begin);
}

/* What a batch has under way, told by the address of its key. */
struct batch {
	struct key keys[BATCH];
	int64_t began_ms, begin;
	unsigned under_way;
};

static void begin_batch(struct clerktoken_async *async, struct batch *batch, unsigned *seed)
{
	batch->began_ms = clock_ms(CLOCK_REALTIME);
	batch->begin = clock_ms(CLOCK_BOOTTIME);
	for (batch->under_way = 0; batch->under_way < BATCH; batch->under_way++) {
		struct key *key = &batch->keys[batch->under_way];

		*key = draw_key(seed);
		if (clerktoken_async_get(async, key->session, key->template, NULL, (int)timeout_ms,
					 key, NULL, NULL) != CLERKTOKEN_OK)
			fault("a get was refused");
	}
}

static void finish_batch(struct clerktoken_async *async, struct batch *batch)
{
	struct pollfd wait = { .events = POLLIN };
	struct clerktoken_event event;

	while (batch->under_way) {
		wait.fd = clerktoken_async_fd(async);
		(void)poll(&wait, 1, clerktoken_async_timeout_ms(async)); /* dispatch sees */
		clerktoken_async_dispatch(async);
		while (clerktoken_async_next(async, &event)) {
			check(event.userdata, event.error, event.token, &event.failure,
			      batch->began_ms, clock_ms(CLOCK_BOOTTIME) - batch->begin);
			batch->under_way--;
		}
	}
}

/* One part of a thread's gets; `batch` may be under way already. */
static void work(struct clerktoken_async *async, struct batch *batch, unsigned seed)
{
	unsigned long part = gets / threads / (2 * forks + 1);

	for (unsigned long done = 0; done < part; done += 2 * BATCH) {
		if (batch->under_way == 0)
			begin_batch(async, batch, &seed);
		for (unsigned i = 0; i < BATCH; i++)
			get_one(clients[i % 2], &seed);
		finish_batch(async, batch);
	}
}

/* It ends with another program: what other threads held at the fork is nobody's in the child, and
 * would be called a leak. */
static pid_t fork_worker(struct clerktoken_async *async, struct batch *batch, unsigned seed)
{
	pid_t child = fork();

	if (child != 0)
		return child;
	work(async, batch, seed);
	clerktoken_async_free(async);
	(void)execl("/bin/true", "true", NULL);
	_exit(1);
}

static void *run(void *argument)
{
	unsigned seed = *(unsigned *)argument;
	struct clerktoken_async *async;
	struct batch batch;

	if (clerktoken_async_new(clients[seed / 1000 % 2], &async, NULL) != CLERKTOKEN_OK)
		abort();
	for (unsigned long i = 0; i <= forks; i++) {
		int status = 0;
		pid_t child = 0;

		begin_batch(async, &batch, &seed);
		if (i < forks)
			child = fork_worker(async, &batch, seed + 1);
		work(async, &batch, seed);
		seed += 2;
		if (child == 0)
			continue;
		sums->forks++;
		if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
			fault("a child ended with status %d", status);
	}
	clerktoken_async_free(async);
	return NULL;
}

static unsigned count_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned n = 0;

	while (directory && readdir(directory))
		n++;
	if (directory)
		(void)closedir(directory);
	return n;
}

static int report(unsigned files)
{
	printf("{\"gets\": %lu, \"tokens\": %lu, \"late\": %lu, \"faults\": %lu, \"forks\": %lu, "
	       "\"slowest_ms\": %lu, \"files_left\": %d}\n",
	       sums->gets, sums->tokens, sums->late, sums->faults, sums->forks, sums->slowest_ms,
	       (int)count_files() - (int)files);
	if (sums->faults)
		(void)fprintf(stderr, "%s\n", sums->first_fault);
	return sums->faults || count_files() != files;
}

int main(int argc, char **argv)
{
	struct clerktoken_options options = { .size = sizeof(options) };
	static pthread_t ids[THREADS_MAX];
	static unsigned seeds[THREADS_MAX];
	unsigned files = count_files();

	if (argc != 7) {
		(void)fprintf(stderr, "usage: %s SOCKET THREADS FORKS GETS MARKS TIMEOUT_MS\n",
			      argv[0]);
		return 2;
	}
	options.socket = argv[1];
	threads = strtoul(argv[2], NULL, 10);
	forks = strtoul(argv[3], NULL, 10);
	gets = strtoul(argv[4], NULL, 10);
	marks = strtoul(argv[5], NULL, 10);
	timeout_ms = strtoul(argv[6], NULL, 10);
	sums = mmap(NULL, sizeof(*sums), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sums == MAP_FAILED || threads == 0 || threads > THREADS_MAX ||
	    clerktoken_new(&options, &clients[0], NULL) != CLERKTOKEN_OK)
		return 2;
	options.no_copies = true;
	if (clerktoken_new(&options, &clients[1], NULL) != CLERKTOKEN_OK)
		return 2;
	for (unsigned i = 0; i < threads; i++) {
		seeds[i] = i * 1000;
		if (pthread_create(&ids[i], NULL, run, &seeds[i]) != 0)
			return 2;
	}
	for (unsigned i = 0; i < threads; i++)
		(void)pthread_join(ids[i], NULL); /* it was created and is joined once */
	clerktoken_free(clients[0]);
	clerktoken_free(clients[1]);
	return report(files);
}
