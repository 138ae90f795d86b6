/* The engine itself, in virtual time. */
#include "bench/scale/clerk.h"
#include "bench/scale/policy.h"

#include "base/mem.h"
#include "daemon/core/engine.h"
#include "daemon/core/stats.h"

#include <assert.h>
#include <stdlib.h>

#define CACHE_BYTES ((size_t)4 << 30)
#define USERS_MAX 16

struct answer_due {
	struct heap_node node;
	struct demand *flight;
	struct clerk_answer answer;
};

struct known {
	int64_t copy_until_ms; /* of a watcher's token; 0: it watches not */
	enum part part;
	bool had_one;
};

struct ours {
	const struct policy *policy;
	const struct trace_shape *shape;
	struct engine *engine;
	struct client clients[USERS_MAX + 1];
	struct tally *tally;
	struct tally_part uncounted;
	struct clerk clerk;
	struct heap answers;
	struct outcome token, throttled, away;
	struct mono now;
	struct known *keys;
	size_t n_keys, most_bytes;
	uint64_t renewals; /* that the engine has told of */
};

/* A get that waits. */
struct pending {
	uint32_t key;
	enum part part;
	struct mono since;
};

static struct tally_part *counted(struct ours *o, enum part part)
{
	return o->now.ms >= o->shape->from_ms ? &o->tally->parts[part] : &o->uncounted;
}

static void note(struct ours *o, const struct get *get)
{
	if (get->key >= o->n_keys) {
		size_t n = (get->key + 1) * 2;

		o->keys = realloc(o->keys, n * sizeof(*o->keys));
		if (!o->keys)
			abort();
		memset(o->keys + o->n_keys, 0, (n - o->n_keys) * sizeof(*o->keys));
		o->n_keys = n;
	}
	o->keys[get->key].part = get->part;
}

static struct known *known_of(struct ours *o, const struct key *key)
{
	char session[WIRE_NAME_MAX + 1] = "";

	memcpy(session, key->session.ptr, key->session.len);
	return &o->keys[trace_key_of(session, key->template.ptr, key->template.len)];
}

static void on_fetch(struct ours *o, const struct effect *effect)
{
	uint64_t renewals = engine_stats(o->engine)->fetches_for_renewal;
	struct answer_due *due = malloc(sizeof(*due));

	if (!due || heap_reserve(&o->answers, o->answers.count + 1) < 0)
		abort();
	counted(o, known_of(o, &effect->key)->part)->calls++;
	for (; o->renewals < renewals; o->renewals++) {
		o->tally->renewals += o->now.ms >= o->shape->from_ms;
		series_add(o->policy->series, o->now.ms, SERIES_RENEWALS);
	}
	*due = (struct answer_due){ .node = HEAP_NODE(0),
				    .flight = effect->flight,
				    .answer = clerk_call(&o->clerk, o->now.ms) };
	heap_set(&o->answers, &due->node, mono_add_ms(o->now, due->answer.took_ms));
}

/* `since` is now for one that was answered at once. */
static void count_reply(struct ours *o, uint32_t key, enum part part, struct mono since,
			const struct reply *reply, bool waited)
{
	struct tally_part *p = counted(o, part);
	uint64_t wait_ms = (uint64_t)mono_diff_ms(o->now, since);

	if (waited || reply->type != REPLY_TOKEN) {
		*(o->keys[key].had_one ? &p->waited : &p->first) += 1;
		series_add(o->policy->series, o->now.ms, SERIES_WAITED);
	}
	if (reply->type != REPLY_TOKEN) {
		p->refused++;
		series_add(o->policy->series, o->now.ms, SERIES_REFUSED);
		return;
	}
	p->dying += reply->token.ttl_ms < POLICY_MIN_TTL_MS;
	p->wait_ms += wait_ms;
	p->longest_ms = wait_ms > p->longest_ms ? wait_ms : p->longest_ms;
	if (o->shape->watched && part == PART_POLLERS)
		o->keys[key].copy_until_ms = o->now.ms + reply->token.ttl_ms;
}

static void on_reply(struct ours *o, const struct effect *effect)
{
	struct pending *pending = effect->cookie;

	count_reply(o, pending->key, pending->part, pending->since, &effect->reply, true);
	free(pending);
}

static void on_push(struct ours *o, struct watch *watch)
{
	struct reply push;
	struct key key;

	if (!engine_watch_read(o->engine, o->now, watch, &push))
		return;
	assert(push.type == PUSH_TOKEN); /* no session ends here */
	key = (struct key){ push.session, push.template, 0 };
	known_of(o, &key)->copy_until_ms = o->now.ms + push.token.ttl_ms;
}

static void drain(struct ours *o)
{
	struct effect effect;

	do {
		engine_pop(o->engine, &effect);
		if (effect.type == EFFECT_FETCH)
			on_fetch(o, &effect);
		else if (effect.type == EFFECT_REPLY)
			on_reply(o, &effect);
		else if (effect.type == EFFECT_PUSH)
			on_push(o, effect.watch);
	} while (effect.type != EFFECT_NONE);
}

static const struct outcome *outcome_of(struct ours *o, const struct clerk_answer *answer)
{
	o->token.id++;
	o->token.exp_s = (uint64_t)(o->now.ms / MS_PER_S);
	o->throttled.retry_after_ms = answer->retry_after_ms;
	return answer->says == CLERK_TOKEN	 ? &o->token
	       : answer->says == CLERK_THROTTLED ? &o->throttled
						 : &o->away;
}

/* The answers mark their keys only when all that waited for the first are counted. */
static void answer(struct ours *o, struct answer_due *due)
{
	struct key key = entry_key(due->flight->entry);
	struct known *known = known_of(o, &key);

	engine_fetched(o->engine, o->now, due->flight, outcome_of(o, &due->answer));
	drain(o);
	known->had_one |= due->answer.says == CLERK_TOKEN;
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

/* A watcher uses its own copy, which is as good as the daemon keeps it. */
static bool uses_copy(struct ours *o, const struct get *get)
{
	struct tally_part *p = counted(o, get->part);
	int64_t ttl_ms = o->keys[get->key].copy_until_ms - o->now.ms;

	if (!o->shape->watched || get->part != PART_POLLERS || !o->keys[get->key].copy_until_ms)
		return false;
	p->dying += ttl_ms > 0 && ttl_ms < POLICY_MIN_TTL_MS;
	if (ttl_ms <= 0) {
		p->waited++;
		p->refused++;
		series_add(o->policy->series, o->now.ms, SERIES_REFUSED);
	}
	return true;
}

static void ask(struct ours *o, const struct get *get)
{
	bool watches = o->shape->watched && get->part == PART_POLLERS;
	unsigned users = o->shape->users;
	size_t user = !users ? 0 : get->part == PART_JOBS ? users : get->key % users;
	struct request request = { .verb = watches ? VERB_WATCH : VERB_GET,
				   .session = span_str(get->session),
				   .template = span_str(get->template) };
	struct pending *pending = malloc(sizeof(*pending));
	struct reply reply;
	struct waiter *waiter;

	if (!pending)
		abort();
	*pending = (struct pending){ get->key, get->part, o->now };
	if (engine_submit(o->engine, o->now, &o->clients[user], &request, NULL, &reply, &waiter) ==
	    SUBMIT_REPLIED) {
		count_reply(o, get->key, get->part, o->now, &reply, false);
		free(pending);
	} else {
		waiter->cookie = pending;
	}
	drain(o);
}

static void get_one(struct ours *o, const struct get *get)
{
	note(o, get);
	counted(o, get->part)->gets++;
	series_add(o->policy->series, o->now.ms, SERIES_GETS);
	if (!uses_copy(o, get))
		ask(o, get);
}

static void begin(struct ours *o)
{
	struct random random = { 7 };
	struct hash_key hash_key;
	struct engine_config config = {
		.freshness = { .min_ttl_ms = POLICY_MIN_TTL_MS, .renew_idle_ms = o->policy->ms },
		.negative_ttl_ms = 10000,
		.default_wait_ms = POLICY_WAIT_MS,
		.max_memory = CACHE_BYTES,
		.max_clients = 1000,
		.budget = o->policy->budget,
		.budget_window_ms = CLERK_WINDOW_MS,
		.greeting = "",
	};
	char jwt[POLICY_TOKEN_SIZE];

	for (size_t i = 0; i < sizeof(hash_key); i++)
		((char *)&hash_key)[i] = (char)random_u64(&random);
	memset(jwt, 'x', sizeof(jwt));
	o->token = (struct outcome){ .kind = OUTCOME_TOKEN, .lifetime_ms = CLERK_LIFETIME_MS };
	o->throttled = (struct outcome){ .kind = OUTCOME_THROTTLED, .code = CODE_RATE_LIMITED };
	o->away = (struct outcome){ .kind = OUTCOME_TRANSIENT,
				    .code = CODE_UNAVAILABLE,
				    .retry_after_ms = -1 };
	clerk_init(&o->clerk, o->policy->limit, &o->shape->weather, o->policy->series);
	if (secret_set(&o->token.jwt, span_of(jwt, sizeof(jwt))) < 0 ||
	    engine_new(&config, &hash_key, 42, &o->engine) < 0)
		abort();
	for (uid_t i = 0; i <= USERS_MAX; i++)
		if (engine_client_init(o->engine, &o->clients[i],
				       &(struct identity){ .uid = 1000 + i }) != 0)
			abort();
}

static void end(struct ours *o)
{
	advance(o, o->now.ms + 10 * MS_PER_S); /* nobody waits any more */
	while (heap_first(&o->answers))
		answer(o, container_of(heap_first(&o->answers), struct answer_due, node));
	for (size_t i = 0; i <= USERS_MAX; i++)
		engine_client_deinit(o->engine, &o->clients[i]);
	drain(o);
	engine_free(o->engine);
	outcome_deinit(&o->token);
	heap_deinit(&o->answers);
	clerk_deinit(&o->clerk);
	free(o->keys);
}

void ours_run(const struct policy *policy, const struct trace_shape *shape, struct tally *ret)
{
	struct ours o = { .policy = policy, .shape = shape, .tally = ret };
	struct trace *trace = trace_new(shape);
	size_t before, baseline = mem_held();
	struct get get;

	*ret = (struct tally){ 0 };
	begin(&o);
	before = mem_held() - baseline;
	while (trace_next(trace, &get)) {
		advance(&o, get.at_ms);
		get_one(&o, &get);
	}
	ret->throttled = o.clerk.throttled;
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
