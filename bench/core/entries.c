/* What the number of entries costs: the engine itself, without sockets.
 *
 *   entries ENTRIES MEASURE TIMES
 *
 * Fills an engine with so many entries and does one thing so many times: "hit" looks one up, in any
 * order; "tick" lets a tick find one that is due among all that wait; "stats" writes the numbers;
 * "look" writes them a second later; "flush" forgets all, and fills it again. Prints the CPU time
 * of one in nanoseconds, "look" and "flush" that of the longest call. Under callgrind,
 * --toggle-collect=measure counts the instructions of those alone.
 */
#include "base/mem.h"
#include "daemon/core/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define JWT_LEN 200
#define LIFE_MS INT64_C(1000000000)
#define FETCHES_PER_MS 5000
#define NUMBER_AT 24
#define DIGITS 10
#define HITS_A_LOOK 5000

struct bench {
	struct engine *engine;
	struct client client;
	struct mono now;
	struct buf text;
	size_t entries, times, fetched;
	struct random random;
	int64_t longest_ns;
};

static char jwt[JWT_LEN];

static int64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	(void)fprintf(stderr, "entries: %s\n", what);
	exit(2);
}

/* "SESSION TEMPLATE", until the next call. */
static struct span name_of(size_t number)
{
	static char name[] = "sess_00000000000000000000000000000 bench";

	for (size_t i = NUMBER_AT + DIGITS; i-- > NUMBER_AT; number /= 10)
		name[i] = (char)('0' + number % 10);
	return span_of(name, sizeof(name) - 1);
}

static void drain(struct bench *b)
{
	struct effect effect;

	do {
		struct outcome outcome = { .kind = OUTCOME_TOKEN, .jwt = { jwt, JWT_LEN } };

		engine_pop(b->engine, &effect);
		if (effect.type != EFFECT_FETCH)
			continue;
		outcome.id = ++b->fetched;
		/* all are due at moments of their own */
		outcome.lifetime_ms = LIFE_MS + (int64_t)b->fetched * MS_PER_S;
		engine_fetched(b->engine, b->now, effect.flight, &outcome);
	} while (effect.type != EFFECT_NONE);
}

static struct reply submit(struct bench *b, const struct request *request)
{
	struct waiter *waiter;
	struct reply reply;

	(void)engine_submit(b->engine, b->now, &b->client, request, &b->text, &reply, &waiter);
	return reply;
}

static void fill(struct bench *b)
{
	for (size_t i = 0; i < b->entries; i++) {
		struct request request = { .verb = VERB_GET, .template = name_of(i) };

		(void)span_split(&request.template, ' ', &request.session);
		b->now.ms += i % FETCHES_PER_MS == 0;
		(void)submit(b, &request);
		drain(b);
	}
	require(b->engine->cache.tokens == b->entries, "not all fit");
}

static void hit(struct bench *b)
{
	struct span args = name_of((size_t)random_below(&b->random, (int64_t)b->entries));
	struct token_view view;

	require(engine_lookup(b->engine, b->now, args, engine_hash(b->engine, args), &view),
		"a hit was none");
}

static void tick(struct bench *b)
{
	b->now = engine_next_deadline(b->engine);
	engine_tick(b->engine, b->now);
	drain(b);
}

static void stats(struct bench *b)
{
	require(submit(b, &(struct request){ .verb = VERB_STATS }).type == REPLY_TEXT, "no text");
}

static void note_longest(struct bench *b, int64_t since_ns)
{
	int64_t took_ns = cpu_ns() - since_ns;

	if (took_ns > b->longest_ns)
		b->longest_ns = took_ns;
}

/* The same a second later, when STATS looks for the busiest keys. */
static void look(struct bench *b)
{
	int64_t since_ns;

	for (size_t i = 0; i < HITS_A_LOOK; i++)
		hit(b);
	b->now.ms += MS_PER_S;
	since_ns = cpu_ns();
	stats(b);
	note_longest(b, since_ns);
}

static void flush(struct bench *b)
{
	int64_t since_ns = cpu_ns();

	(void)submit(b, &(struct request){ .verb = VERB_FLUSH });
	drain(b);
	note_longest(b, since_ns);
	while (mono_is_due(engine_next_deadline(b->engine), b->now)) {
		since_ns = cpu_ns();
		engine_tick(b->engine, b->now);
		drain(b);
		note_longest(b, since_ns);
	}
	require(b->engine->cache.bytes == 0, "something is left");
	fill(b);
}

__attribute__((noinline)) void measure(struct bench *b, void (*what)(struct bench *));

void measure(struct bench *b, void (*what)(struct bench *))
{
	for (size_t i = 0; i < b->times; i++)
		what(b);
}

static void begin(struct bench *b)
{
	const struct engine_config config = {
		.freshness = { .min_ttl_ms = 5000, .renew_idle_ms = INT64_MAX },
		.default_wait_ms = 3000,
		.max_memory = 640 << 20,
		.max_clients = 10,
		.budget = 2 * FETCHES_PER_MS,
		.budget_window_ms = 1,
		.greeting = "",
	};
	struct hash_key hash_key;

	for (size_t i = 0; i < HASH_WORDS; i++)
		hash_key.word[i] = random_u64(&b->random);
	hash_key.low = random_u64(&b->random) >> 3;
	hash_key.high = random_u64(&b->random) >> 3;
	memset(jwt, 'x', sizeof(jwt));
	require(engine_new(&config, &hash_key, 1, &b->engine) == 0 &&
		    engine_client_init(b->engine, &b->client, &(struct identity){ .uid = 0 }) == 0,
		"out of memory");
	fill(b);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*what)(struct bench *);
	} measures[] = { { "hit", hit },
			 { "tick", tick },
			 { "stats", stats },
			 { "look", look },
			 { "flush", flush } };
	struct bench b = { .text = BUF_INIT(65536), .random = { 1 } };
	int64_t since_ns;

	require(argc == 4, "ENTRIES hit|tick|stats|look|flush TIMES");
	b.entries = strtoul(argv[1], NULL, 10);
	b.times = strtoul(argv[3], NULL, 10);
	require(b.entries && b.times, "a number was expected");
	begin(&b);
	for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
		if (strcmp(argv[2], measures[i].name) != 0)
			continue;
		since_ns = cpu_ns();
		measure(&b, measures[i].what);
		since_ns = cpu_ns() - since_ns;
		(void)printf("%.1f\n", b.longest_ns ? (double)b.longest_ns
						    : (double)since_ns / (double)b.times);
	}
	engine_client_deinit(b.engine, &b.client);
	drain(&b);
	engine_free(b.engine);
	buf_deinit(&b.text);
	return 0;
}
