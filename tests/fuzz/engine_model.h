/* What must be true of an engine that is driven by any sequence of operations: see fuzz_engine.c.
 *
 * Of each request, fetch, token and watch it is known what was promised; what the engine lets out
 * is checked against that.
 */
#pragma once

#include "tests/fuzz/fuzz.h"

#include "base/mem.h"
#include "daemon/core/state.h"

#include <string.h>

#define CLIENTS 6
#define SESSIONS 3
#define KEYS (SESSIONS * 4)
#define ASKS 128
#define CALLS 8
#define TOKENS 4096
#define SENDS 128 /* more than any budget */
#define STEPS_MAX 20000
#define HOUR_MS 3600000
#define WINDOW_MS 10000
#define TOKEN_SIZE 9200
#define TEXT_MAX (2 * TOKEN_SIZE)

struct seat {
	struct client client;
	bool present;
	struct list news; /* struct watch.effect_node: not read yet */
	bool watches[KEYS];
	size_t told[KEYS]; /* the token it knows of a watched key */
};

struct ask {
	struct waiter *waiter; /* NULL: free */
	struct seat *seat;
	size_t key;
	int64_t deadline_ms, min_ttl_ms;
	bool is_watch;
};

/* A call that is passed on. */
struct passing {
	struct call *call; /* NULL: free */
	struct seat *seat;
	bool admitted;
	int64_t deadline_ms;
};

struct key_model {
	struct demand *flight; /* under way, or NULL */
	size_t copies;	       /* its requests: a second one where the first is overdue */
	int64_t sent_ms;       /* the first of them */
	uint64_t sent_turn, dropped_turn;
	size_t last; /* token; 0: none yet */
};

struct token_model {
	size_t key;
	size_t padding;
	int64_t expires_ms;
	uint64_t sent_turn;
};

static struct {
	const uint8_t *at, *end;
	struct engine *engine;
	struct engine_config config;
	int64_t now_ms;
	uint64_t turn; /* orders drops and fetches */
	struct seat seats[CLIENTS];
	struct ask asks[ASKS];
	struct passing calls[CALLS];
	struct key_model keys[KEYS];
	struct token_model tokens[TOKENS];
	size_t token_count;
	int64_t sends_ms[SENDS];
	size_t send_count;
	size_t max_bytes;
	bool stopped, refuses_fetches;
	size_t fail_after; /* SIZE_MAX: memory lasts */
	struct buf scratch, text;
} world;

static const uid_t uids[CLIENTS] = { 0, 1000, 1000, 1001, 1002, 1002 };
static const char *const sessions[SESSIONS] = { "a", "bb", "ccc" };

static inline size_t byte(void)
{
	return world.at < world.end ? *world.at++ : 0;
}

static inline int64_t one_of(const int64_t *values, size_t count)
{
	return values[byte() % count];
}

#define ONE_OF(...)                                                                                \
	one_of((const int64_t[]){ __VA_ARGS__ },                                                   \
	       sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))

static inline struct mono now(void)
{
	return (struct mono){ world.now_ms };
}

static inline struct key key_of(size_t index)
{
	return (struct key){ span_str(sessions[index / 4]),
			     index % 2 ? SPAN_LITERAL("t") : SPAN_NONE, index & 2 ? 600 : 0 };
}

static inline size_t index_of(const struct key *key)
{
	for (size_t i = 0; i < KEYS; i++) {
		struct key other = key_of(i);

		if (span_equal(key->session, other.session) &&
		    span_equal(key->template, other.template) &&
		    key->expires_in_s == other.expires_in_s)
			return i;
	}
	fuzz_require(!"a key that nobody asked for");
	return 0;
}

/* The next call of the engine runs out of memory, if so it was told. */
static inline void begin_call(void)
{
	mem_fail_after(world.fail_after);
	world.fail_after = SIZE_MAX;
}

static inline void end_call(void)
{
	mem_fail_after(SIZE_MAX);
}

/* As a client reads it. */
static inline struct reply on_the_wire(const struct reply *reply)
{
	struct reply read;

	buf_reset(&world.text);
	fuzz_require(reply_write(&world.text, reply) == 0);
	fuzz_require(reply_parse(span_of(world.text.ptr, buf_len(&world.text) - 1), &read) == 0);
	return read;
}

/* The token may be handed out now. Its number. */
static inline size_t check_token(const struct token_view *view, size_t key, int64_t min_ttl_ms)
{
	struct span rest = view->jwt, part;
	const struct token_model *t;
	uint64_t number;

	fuzz_require(span_split(&rest, '.', &part) && span_split(&rest, '.', &part));
	fuzz_require(span_parse_u64(part, world.token_count, &number) == 0 && number > 0);
	t = &world.tokens[number];
	fuzz_require(view->id == number && rest.len == t->padding + 1);
	fuzz_require(t->key == key);
	fuzz_require(t->sent_turn > world.keys[key].dropped_turn);
	fuzz_require(view->ttl_ms > 0 && view->ttl_ms <= t->expires_ms - world.now_ms);
	fuzz_require(view->ttl_ms >= min_ttl_ms);
	fuzz_require(view->reuse_ms >= 0 && view->reuse_ms <= view->ttl_ms);
	return number;
}

/* It is of that key, and all there. */
static inline void check_refusal(struct span text, size_t key)
{
	for (size_t i = 0; i < text.len; i++)
		fuzz_require(text.ptr[i] == (char)('A' + key));
}

static inline void check_answer(const struct reply *reply, const struct ask *ask)
{
	struct reply read = on_the_wire(reply);
	size_t number;

	fuzz_require(read.type == REPLY_TOKEN || read.type == REPLY_ERROR);
	if (read.type == REPLY_ERROR)
		fuzz_require(code_is_permanent(read.code) == (read.retry_ms == RETRY_NEVER));
	check_refusal(reply->refusal, ask->key);
	if (read.type != REPLY_TOKEN)
		return;
	number = check_token(&read.token, ask->key, ask->min_ttl_ms);
	if (ask->is_watch) {
		ask->seat->watches[ask->key] = true;
		ask->seat->told[ask->key] = number;
	}
}

/* The budget, in the window that ends now. */
static inline void log_send(void)
{
	size_t within = 1;

	for (size_t i = 0; i < SENDS && i < world.send_count; i++)
		within += world.sends_ms[i] > world.now_ms - WINDOW_MS;
	fuzz_require(within <= world.config.budget);
	world.sends_ms[world.send_count++ % SENDS] = world.now_ms;
}

static inline void one_over(struct key_model *key)
{
	if (--key->copies == 0)
		key->flight = NULL;
}

static inline void on_fetch(const struct effect *effect)
{
	static const struct outcome no_memory = { .kind = OUTCOME_TRANSIENT,
						  .code = CODE_OVERLOADED,
						  .retry_after_ms = -1 };
	struct key_model *key = &world.keys[index_of(&effect->key)];

	fuzz_require(!world.stopped && key->copies == effect->is_second);
	log_send();
	if (key->copies++ == 0) {
		key->flight = effect->flight;
		key->sent_ms = world.now_ms;
		key->sent_turn = ++world.turn;
	}
	fuzz_require(key->flight == effect->flight);
	if (!world.refuses_fetches)
		return;
	one_over(key); /* as the daemon does where the request can't be begun */
	engine_fetched(world.engine, now(), effect->flight, &no_memory);
}

static inline void on_cancel(const struct demand *flight)
{
	for (size_t i = 0; i < KEYS; i++) {
		if (world.keys[i].flight != flight)
			continue;
		world.keys[i].flight = NULL;
		world.keys[i].copies = 0;
		return;
	}
	fuzz_require(!"cancelled what is not under way");
}

static inline void on_reply(const struct effect *effect)
{
	struct ask *ask = effect->cookie;

	fuzz_require(ask->waiter); /* once */
	check_answer(&effect->reply, ask);
	ask->waiter = NULL;
}

static inline void on_call(const struct effect *effect)
{
	struct passing *p = effect->cookie;

	fuzz_require(p->call && !p->admitted); /* once */
	if (effect->type == EFFECT_REFUSED) {
		(void)on_the_wire(&effect->reply);
		p->call = NULL;
		return;
	}
	fuzz_require(!world.stopped);
	log_send();
	p->admitted = true;
}

static inline void on_push(struct watch *watch)
{
	struct seat *seat = (struct seat *)(void *)watch->client;

	list_append(&seat->news, &watch->effect_node);
}

static inline void read_news(struct seat *seat)
{
	struct list *first;
	struct reply reply, read;

	while (seat->present && (first = list_first(&seat->news))) {
		struct watch *watch = container_of(first, struct watch, effect_node);
		size_t key = index_of(&watch->key), number;

		list_unlink(first);
		if (!engine_watch_read(world.engine, now(), watch, &reply))
			continue;
		read = on_the_wire(&reply);
		fuzz_require(seat->watches[key]);
		fuzz_require(span_equal(read.session, watch->key.session));
		if (read.type == PUSH_GONE) {
			seat->watches[key] = false;
			engine_watch_end(world.engine, watch);
			continue;
		}
		fuzz_require(read.type == PUSH_TOKEN);
		number = check_token(&read.token, key, 0);
		fuzz_require(number != seat->told[key]);
		seat->told[key] = number;
	}
}

/* Each watch that a client believes in is there, and something is planned for its key. */
static inline void check_watches(const struct seat *seat)
{
	bool found[KEYS] = { false };

	list_for_each (it, &seat->client.watches) {
		struct watch *watch = container_of(it, struct watch, owner_node);

		found[index_of(&watch->key)] = true;
		if (watch->demand && !world.stopped)
			fuzz_require(watch->demand->state != FLIGHT_IDLE ||
				     watch->demand->entry->timer.slot != HEAP_NOWHERE);
	}
	for (size_t i = 0; i < KEYS; i++)
		fuzz_require(found[i] || !seat->watches[i]);
}

static inline void check(void)
{
	size_t waiting = 0, running = 0;

	for (size_t i = 0; i < ASKS; i++)
		waiting += world.asks[i].waiter != NULL;
	for (size_t i = 0; i < KEYS; i++)
		running += world.keys[i].copies;
	for (size_t i = 0; i < CLIENTS; i++)
		if (world.seats[i].present)
			check_watches(&world.seats[i]);
	fuzz_require(engine_pending(world.engine) == waiting);
	fuzz_require(world.engine->running == running);
	fuzz_require(world.engine->cache.bytes <= world.max_bytes ||
		     cache_has_work(&world.engine->cache));
	fuzz_require(!engine_has_effects(world.engine));
}
