/* What a get costs that the library answers from its own copy.
 *
 *   hits SOCKET LENGTH KEYS THREADS GETS ROUNDS
 *
 * Asks for each key until the library has a copy of it; then THREADS threads get tokens, GETS in
 * all in a round, each key drawn at random, and give them back. Prints, of each round, the
 * nanoseconds of one get as its thread sees them, and as the processors do (all threads' CPU time).
 */
#include "bench/bench.h"
#include "client/clerktoken.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREADS_MAX 64
#define PASSES                                                                                     \
	4 /* the first get has the daemon asked to tell of drops, from the third on it does */

struct hits {
	struct clerktoken_client *client;
	char (*sessions)[BENCH_SESSION_SIZE];
	uint64_t keys, length, gets;
	pthread_barrier_t start;
};

struct worker {
	struct hits *hits;
	uint64_t seed, ns;
	pthread_t thread;
};

static void get(const struct hits *hits, uint64_t key)
{
	struct clerktoken_token *token;
	struct clerktoken_failure failure;

	if (clerktoken_get(hits->client, hits->sessions[key], BENCH_TEMPLATE, NULL, 10000, &token,
			   &failure) != CLERKTOKEN_OK)
		bench_die("%s", failure.text);
	if (clerktoken_token_length(token) != hits->length)
		bench_die("a token of %zu bytes", clerktoken_token_length(token));
	clerktoken_token_unref(token);
}

static void *work(void *argument)
{
	struct worker *w = argument;
	uint64_t random = w->seed, start;

	(void)pthread_barrier_wait(&w->hits->start);
	start = bench_now_ns();
	for (uint64_t i = 0; i < w->hits->gets; i++) {
		random = random * 6364136223846793005 + 1442695040888963407;
		get(w->hits, (random >> 32) * w->hits->keys >> 32);
	}
	w->ns = bench_now_ns() - start;
	return NULL;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* cannot fail for this clock */
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void run(struct hits *hits, unsigned threads, unsigned round)
{
	struct worker workers[THREADS_MAX];
	uint64_t cpu = cpu_ns(), ns = 0;
	double gets = (double)hits->gets * threads;

	for (unsigned i = 0; i < threads; i++) {
		workers[i] = (struct worker){ .hits = hits, .seed = round * THREADS_MAX + i };
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			bench_die("no more threads");
	}
	for (unsigned i = 0; i < threads; i++) {
		(void)pthread_join(workers[i].thread, NULL); /* it was started above */
		ns += workers[i].ns;
	}
	(void)printf("%s{\"ns\": %.2f, \"cpu_ns\": %.2f}", round ? ", " : "", (double)ns / gets,
		     (double)(cpu_ns() - cpu) / gets);
}

int main(int argc, char **argv)
{
	struct clerktoken_options options = { .size = sizeof(options) };
	struct hits hits = { 0 };
	unsigned threads, rounds;

	if (argc != 7)
		bench_die("usage: hits SOCKET LENGTH KEYS THREADS GETS ROUNDS");
	options.socket = argv[1];
	hits.length = bench_number("LENGTH", argv[2], 1 << 20);
	hits.keys = bench_number("KEYS", argv[3], 1000000);
	threads = (unsigned)bench_number("THREADS", argv[4], THREADS_MAX);
	hits.gets = bench_number("GETS", argv[5], UINT32_MAX) / threads;
	rounds = (unsigned)bench_number("ROUNDS", argv[6], 1000);
	hits.sessions = bench_array(hits.keys, sizeof(*hits.sessions));
	for (uint64_t i = 0; i < hits.keys; i++)
		bench_session(i, hits.sessions[i]);
	if (clerktoken_new(&options, &hits.client, NULL) != CLERKTOKEN_OK)
		bench_die("no client");
	for (uint64_t i = 0; i < PASSES * hits.keys; i++)
		get(&hits, i % hits.keys);
	(void)pthread_barrier_init(&hits.start, NULL, threads);
	(void)printf("{\"rounds\": [");
	for (unsigned i = 0; i < rounds; i++)
		run(&hits, threads, i);
	(void)printf("]}\n");
	clerktoken_free(hits.client);
	free(hits.sessions);
	return 0;
}
