/* The engine itself, in virtual time. */
#include "bench/scale/clerk.h"
#include "bench/scale/policy.h"

#include "base/mem.h"
#include "daemon/core/engine.h"
#include "daemon/core/stats.h"

#include <assert.h>
#include <stdlib.h>

#define CACHE_BYTES ((size_t)4 << 30)

struct answer_due {
	struct heap_node node;
	struct demand *flight;
	bool accepted;
};

struct ours {
	struct engine *engine;
	struct client client;
	struct tally *tally;
	struct clerk clerk;
	struct heap answers;
	struct outcome token, throttled;
	struct mono now;
	uint8_t *had_one; /* by key: its part + 1, and 128 when it had a token */
	size_t n_keys, most_bytes;
};

/* A waiting get, in the cookie. */
static void *cookie_of(const struct get *get)
{
	return (void *)((uintptr_t)get->key * PART_COUNT + get->part + 1);
}

static void note(struct ours *o, const struct get *get)
{
	if (get->key >= o->n_keys) {
		size_t n = (get->key + 1) * 2;

		o->had_one = realloc(o->had_one, n);
		if (!o->had_one)
			abort();
		memset(o->had_one + o->n_keys, 0, n - o->n_keys);
		o->n_keys = n;
	}
	o->had_one[get->key] |= (uint8_t)(get->part + 1);
}

static void on_fetch(struct ours *o, const struct effect *effect)
{
	struct answer_due *answer = malloc(sizeof(*answer));
	char session[WIRE_NAME_MAX + 1] = "";
	uint32_t key;
	int64_t took_ms;

	if (!answer || heap_reserve(&o->answers, o->answers.count + 1) < 0)
		abort();
	memcpy(session, effect->key.session.ptr, effect->key.session.len);
	key = trace_key_of(session, effect->key.template.ptr, effect->key.template.len);
	o->tally->parts[(o->had_one[key] & 127) - 1].calls++;
	answer->node = HEAP_NODE(0);
	answer->flight = effect->flight;
	answer->accepted = clerk_call(&o->clerk, o->now.ms, &took_ms);
	heap_set(&o->answers, &answer->node, mono_add_ms(o->now, took_ms));
}

static void count_reply(struct ours *o, uint32_t key, enum part part, bool waited,
			const struct reply *reply)
{
	struct tally_part *p = &o->tally->parts[part];

	if (waited || reply->type != REPLY_TOKEN)
		*(o->had_one[key] & 128 ? &p->waited : &p->first) += 1;
	if (reply->type != REPLY_TOKEN)
		p->refused++;
	else
		p->dying += reply->token.ttl_ms < POLICY_MIN_TTL_MS;
}

static void drain(struct ours *o)
{
	struct effect effect;

	do {
		engine_pop(o->engine, &effect);
		if (effect.type == EFFECT_FETCH) {
			on_fetch(o, &effect);
		} else if (effect.type == EFFECT_REPLY) {
			uintptr_t cookie = (uintptr_t)effect.cookie - 1;

			count_reply(o, (uint32_t)(cookie / PART_COUNT),
				    (enum part)(cookie % PART_COUNT), true, &effect.reply);
		}
	} while (effect.type != EFFECT_NONE);
}

/* The answers mark their keys only when all that waited for the first are counted. */
static void answer(struct ours *o, struct answer_due *due)
{
	struct key key = entry_key(due->flight->entry);
	char session[WIRE_NAME_MAX + 1] = "";
	uint32_t number;

	memcpy(session, key.session.ptr, key.session.len);
	number = trace_key_of(session, key.template.ptr, key.template.len);
	o->token.id++;
	o->token.exp_s = (uint64_t)(o->now.ms / MS_PER_S);
	engine_fetched(o->engine, o->now, due->flight, due->accepted ? &o->token : &o->throttled);
	drain(o);
	if (due->accepted)
		o->had_one[number] |= 128;
	heap_remove(&o->answers, &due->node);
	free(due);
}

static void advance(struct ours *o, int64_t to_ms)
{
	for (;;) {
		struct heap_node *first = heap_first(&o->answers);
		struct mono tick = engine_next_deadline(o->engine);
		struct mono next = first ? mono_min(first->at, tick) : tick;

		if (next.ms > to_ms)
			break;
		o->now = mono_max(o->now, next);
		if (first && first->at.ms <= tick.ms) {
			answer(o, container_of(first, struct answer_due, node));
		} else {
			engine_tick(o->engine, o->now);
			drain(o);
		}
		if (mem_held() > o->most_bytes)
			o->most_bytes = mem_held();
	}
	o->now.ms = to_ms;
}

static void get_one(struct ours *o, const struct get *get)
{
	struct request request = { .verb = VERB_GET,
				   .session = span_str(get->session),
				   .template = span_str(get->template) };
	struct reply reply;
	struct waiter *waiter;

	note(o, get);
	o->tally->parts[get->part].gets++;
	if (engine_submit(o->engine, o->now, &o->client, &request, NULL, &reply, &waiter) ==
	    SUBMIT_REPLIED)
		count_reply(o, get->key, get->part, false, &reply);
	else
		waiter->cookie = cookie_of(get);
	drain(o);
}

static void begin(struct ours *o, const struct policy *policy)
{
	struct random random = { 7 };
	struct hash_key hash_key;
	struct engine_config config = {
		.freshness = { .min_ttl_ms = POLICY_MIN_TTL_MS, .renew_idle_ms = policy->ms },
		.negative_ttl_ms = 10000,
		.default_wait_ms = 3000,
		.max_memory = CACHE_BYTES,
		.max_clients = 10,
		.budget = policy->budget,
		.budget_window_ms = CLERK_WINDOW_MS,
		.greeting = "",
	};
	char jwt[POLICY_TOKEN_SIZE];

	for (size_t i = 0; i < sizeof(hash_key); i++)
		((char *)&hash_key)[i] = (char)random_u64(&random);
	memset(jwt, 'x', sizeof(jwt));
	o->token = (struct outcome){ .kind = OUTCOME_TOKEN, .lifetime_ms = CLERK_LIFETIME_MS };
	o->throttled = (struct outcome){ .kind = OUTCOME_THROTTLED,
					 .code = CODE_RATE_LIMITED,
					 .retry_after_ms = 1000 };
	clerk_init(&o->clerk, policy->limit);
	if (secret_set(&o->token.jwt, span_of(jwt, sizeof(jwt))) < 0 ||
	    engine_new(&config, &hash_key, 42, &o->engine) < 0 ||
	    engine_client_init(o->engine, &o->client, 1000, 1000, 1) != 0)
		abort();
}

static void end(struct ours *o)
{
	int64_t last_ms = o->now.ms + 10 * MS_PER_S;

	advance(o, last_ms); /* nobody waits any more */
	while (heap_first(&o->answers))
		answer(o, container_of(heap_first(&o->answers), struct answer_due, node));
	engine_client_deinit(o->engine, &o->client);
	engine_free(o->engine);
	outcome_deinit(&o->token);
	heap_deinit(&o->answers);
	clerk_deinit(&o->clerk);
	free(o->had_one);
}

void ours_run(const struct policy *policy, const struct trace_shape *shape, struct tally *ret)
{
	struct ours o = { .tally = ret };
	struct trace *trace = trace_new(shape);
	size_t before, baseline = mem_held();
	struct get get;

	*ret = (struct tally){ 0 };
	begin(&o, policy);
	before = mem_held() - baseline;
	while (trace_next(trace, &get)) {
		advance(&o, get.at_ms);
		get_one(&o, &get);
	}
	ret->throttled = o.clerk.refused;
	ret->renewals = engine_stats(o.engine)->fetches_for_renewal;
	ret->busiest = o.clerk.busiest;
	ret->bytes = o.most_bytes - baseline - before;
	end(&o);
	trace_free(trace);
}

void policy_run(const struct policy *policy, const struct trace_shape *shape, struct tally *ret)
{
	if (policy->kind == POLICY_OURS)
		ours_run(policy, shape, ret);
	else
		simple_run(policy, shape, ret);
}
