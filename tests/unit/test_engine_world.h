/* An engine in virtual time for the tests of it: clients, what they asked, and a Clerk that answers
 * when it is told to.
 *
 * begin() makes it, end() takes it down and checks that nothing is left. Sessions are C strings;
 * all requests are for the plain session token.
 */
#pragma once

#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/core/engine.h"

#include <stdio.h>

#define CLIENTS 700
#define ASKED 40000
#define FLIGHTS 2048
#define NAME_SIZE 16
#define TEXT_SIZE 8192
#define REFUSAL_SIZE 128
#define ROOT 0
#define OWN_UID 900

struct asked {
	struct waiter *waiter; /* NULL: answered, or its client has gone */
	size_t client;
	bool answered;
	enum code code; /* CODE_OK: with a token */
	char jwt[NAME_SIZE];
	char refusal[REFUSAL_SIZE]; /* the front of it, "": none */
	int64_t at_ms;
};

struct flight {
	struct demand *demand; /* NULL: over */
	char session[NAME_SIZE];
};

static struct {
	struct engine *engine;
	int64_t now_ms;
	struct client clients[CLIENTS];
	bool present[CLIENTS];
	struct asked asked[ASKED];
	size_t asked_count;
	struct flight flights[FLIGHTS];
	size_t flight_count, cancelled, pushes, gone, dropped;
	size_t replied_for; /* length of the session in the last reply's key */
	struct buf scratch, text;
	size_t held;
} world;

static struct engine_config config;

static inline struct mono now(void)
{
	return (struct mono){ world.now_ms };
}

static inline void set_config(void)
{
	config = (struct engine_config){
		.freshness = { .min_ttl_ms = 5000, .renew_idle_ms = -1 },
		.negative_ttl_ms = 10000,
		.default_wait_ms = 3000,
		.max_memory = 8 << 20,
		.max_clients = 1000,
		.budget = 800,
		.budget_window_ms = 10000,
		.own_uid = OWN_UID,
		.greeting = "clerk-tokend",
	};
}

static inline int begin(void)
{
	struct unit_random random = { 1 };
	struct hash_key hash_key;
	size_t held = mem_held();

	for (size_t i = 0; i < sizeof(hash_key); i++)
		((unsigned char *)&hash_key)[i] = (unsigned char)unit_random(&random);
	memset(&world, 0, sizeof(world));
	world.held = held;
	world.scratch = BUF_INIT(TEXT_SIZE);
	world.text = BUF_INIT(TEXT_SIZE);
	if (engine_new(&config, &hash_key, 42, &world.engine) < 0)
		return -1;
	if (buf_reserve(&world.text, TEXT_SIZE)) /* so that reading needs no memory */
		return 0;
	engine_free(world.engine);
	return -1;
}

static inline void on_fetch(const struct effect *effect)
{
	struct flight *f = &world.flights[world.flight_count++];

	assert_true(world.flight_count < FLIGHTS);
	f->demand = effect->flight;
	(void)snprintf(f->session, sizeof(f->session), "%.*s", (int)effect->key.session.len,
		       effect->key.session.ptr);
}

static inline void cancel(const struct demand *demand)
{
	bool found = false;

	for (size_t i = 0; i < world.flight_count; i++) {
		if (world.flights[i].demand != demand)
			continue;
		world.flights[i].demand = NULL;
		found = true;
	}
	assert_true(found);
	world.cancelled++;
}

/* As a client reads it. */
static inline struct reply on_the_wire(const struct reply *reply)
{
	struct reply read;

	buf_reset(&world.text);
	assert_int_equal(reply_write(&world.text, reply), 0);
	assert_int_equal(reply_parse(span_of(world.text.ptr, buf_len(&world.text) - 1), &read), 0);
	return read;
}

static inline void note(struct asked *a, const struct reply *reply)
{
	struct reply read = on_the_wire(reply);

	assert_false(a->answered);
	a->answered = true;
	a->waiter = NULL;
	a->at_ms = world.now_ms;
	a->code = read.type == REPLY_ERROR ? read.code : CODE_OK;
	(void)snprintf(a->refusal, sizeof(a->refusal), "%.*s", (int)reply->refusal.len,
		       reply->refusal.ptr ? reply->refusal.ptr : "");
	if (read.type == REPLY_TOKEN) {
		assert_true(read.token.ttl_ms > 0);
		(void)snprintf(a->jwt, sizeof(a->jwt), "%.*s", (int)read.token.jwt.len,
			       read.token.jwt.ptr);
	}
}

static inline void on_push(struct watch *watch)
{
	struct reply push;

	if (!engine_watch_read(world.engine, now(), watch, &push))
		return;
	world.pushes += push.type == PUSH_TOKEN;
	world.gone += push.type == PUSH_GONE;
	if (push.type == PUSH_GONE)
		engine_watch_end(world.engine, watch);
}

static inline void drain(void)
{
	struct effect effect;

	do {
		engine_pop(world.engine, &effect);
		if (effect.type == EFFECT_FETCH) {
			on_fetch(&effect);
		} else if (effect.type == EFFECT_CANCEL) {
			cancel(effect.flight);
		} else if (effect.type == EFFECT_REPLY) {
			note(effect.cookie, &effect.reply);
			world.replied_for = effect.key.session.len;
		} else if (effect.type == EFFECT_PUSH) {
			on_push(effect.watch);
		} else if (effect.type == EFFECT_DROPPED) {
			world.dropped++;
		}
	} while (effect.type != EFFECT_NONE);
}

/* True if there is a place for one more client of that user. */
static inline bool join(size_t client, uid_t uid)
{
	const struct identity who = { .uid = uid };

	world.present[client] = engine_client_init(world.engine, &world.clients[client], &who) == 0;
	return world.present[client];
}

static inline void leave(size_t client)
{
	if (!world.present[client])
		return;
	for (size_t i = 0; i < world.asked_count; i++) {
		struct asked *a = &world.asked[i];

		if (a->client == client && a->waiter) {
			engine_abandon(world.engine, a->waiter);
			a->waiter = NULL;
		}
	}
	engine_client_deinit(world.engine, &world.clients[client]);
	world.present[client] = false;
	drain();
}

static inline void end(void)
{
	for (size_t i = 0; i < CLIENTS; i++)
		leave(i);
	assert_int_equal(engine_pending(world.engine), 0);
	engine_free(world.engine);
	buf_deinit(&world.scratch);
	buf_deinit(&world.text);
	assert_int_equal(mem_held(), world.held);
}

static inline struct asked *submit(size_t client, const struct request *request)
{
	struct asked *a = &world.asked[world.asked_count++];
	struct reply reply;

	assert_true(world.asked_count < ASKED);
	*a = (struct asked){ .client = client };
	if (engine_submit(world.engine, now(), &world.clients[client], request, &world.scratch,
			  &reply, &a->waiter) == SUBMIT_REPLIED)
		note(a, &reply);
	else
		a->waiter->cookie = a;
	drain();
	return a;
}

static inline struct asked *ask(size_t client, enum verb verb, const char *session,
				uint64_t wait_ms)
{
	struct request request = { .verb = verb,
				   .session = span_str(session),
				   .all_templates = true,
				   .has_wait = true,
				   .wait_ms = wait_ms };

	return submit(client, &request);
}

static inline struct asked *ask_number(size_t client, enum verb verb, size_t number,
				       uint64_t wait_ms)
{
	char session[NAME_SIZE];

	(void)snprintf(session, sizeof(session), "n%zu", number);
	return ask(client, verb, session, wait_ms);
}

static inline void pass_to(int64_t ms)
{
	while (engine_next_deadline(world.engine).ms <= ms) {
		if (engine_next_deadline(world.engine).ms > world.now_ms)
			world.now_ms = engine_next_deadline(world.engine).ms;
		engine_tick(world.engine, now());
		drain();
	}
	world.now_ms = ms;
}

static inline size_t under_way(const char *session)
{
	size_t n = 0;

	for (size_t i = 0; i < world.flight_count; i++)
		n += world.flights[i].demand &&
		     (!session || strcmp(world.flights[i].session, session) == 0);
	return n;
}

/* Clerk's answer to the fetch of that session; false if there is none. */
static inline bool answer(const char *session, const struct outcome *outcome)
{
	for (size_t i = 0; i < world.flight_count; i++) {
		struct demand *demand = world.flights[i].demand;

		if (!demand || strcmp(world.flights[i].session, session) != 0)
			continue;
		world.flights[i].demand = NULL;
		engine_fetched(world.engine, now(), demand, outcome);
		drain();
		return true;
	}
	return false;
}

static inline bool land(const char *session, const char *token, int64_t life_s)
{
	char jwt[NAME_SIZE];
	struct outcome outcome = { .kind = OUTCOME_TOKEN, .jwt = { jwt, strlen(token) } };

	(void)snprintf(jwt, sizeof(jwt), "%s", token);
	outcome.id = answer_token_id(span_str(jwt));
	outcome.lifetime_ms = life_s * MS_PER_S;
	outcome.exp_s = (uint64_t)(world.now_ms / MS_PER_S + life_s);
	return answer(session, &outcome);
}

static inline bool fall(const char *session, enum outcome_kind kind, enum code code,
			int64_t retry_ms)
{
	return answer(session,
		      &(struct outcome){ .kind = kind, .code = code, .retry_after_ms = retry_ms });
}

static inline void assert_token(const struct asked *a, const char *jwt)
{
	assert_true(a->answered);
	assert_int_equal(a->code, CODE_OK);
	assert_string_equal(a->jwt, jwt);
}

static inline void assert_error(const struct asked *a, enum code code)
{
	assert_true(a->answered);
	assert_int_equal(a->code, code);
}
