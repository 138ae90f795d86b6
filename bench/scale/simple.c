/* What people do instead, and the least that is possible. One flight per key is granted to all but
 * the policy without a cache; so is knowing a token's life exactly, except to POLICY_TTL. With a
 * budget, callers queue for as long as they wait, and renewals take what is left. */
#include "bench/scale/clerk.h"
#include "bench/scale/policy.h"

#include <stdlib.h>
#include <string.h>

#define AHEAD_MS 1500	 /* a timer leaves that much more than min_ttl: all but 1 call in 1000 */
#define AGAIN_MS 10000	 /* after a 429 to a renewal */
#define ENTRY_BYTES 1024 /* a token with what belongs to it */

struct key {
	struct heap_node timer; /* of a token: its renewal or its end */
	int64_t usable_until_ms;
	int64_t sends_ms;		 /* a fetch that waits for the budget; INT64_MAX: none */
	int64_t lands_ms, next_until_ms; /* of the fetch under way; lands INT64_MAX: none */
	int64_t last_use_ms;
	unsigned queued; /* gets that wait for sends_ms */
	enum part part;
	bool had_one;
};

struct simple {
	const struct policy *policy;
	const struct trace_shape *shape;
	struct tally *tally;
	struct tally_part uncounted;
	int64_t *sent; /* the last `budget` sending times, the next one's place at `n_sent` */
	size_t n_sent;
	struct clerk clerk;
	struct key **keys;
	size_t n_keys;
	struct heap timers;
	size_t most_tokens;
};

static struct key *key_of(struct simple *s, const struct get *get)
{
	if (get->key >= s->n_keys) {
		size_t n = (get->key + 1) * 2;

		s->keys = realloc(s->keys, n * sizeof(*s->keys));
		if (!s->keys)
			abort();
		memset(s->keys + s->n_keys, 0, (n - s->n_keys) * sizeof(*s->keys));
		s->n_keys = n;
	}
	if (!s->keys[get->key]) {
		struct key *k = malloc(sizeof(*k));

		if (!k)
			abort();
		*k = (struct key){ .timer = HEAP_NODE(0),
				   .usable_until_ms = INT64_MIN,
				   .sends_ms = INT64_MAX,
				   .lands_ms = INT64_MAX,
				   .part = get->part };
		s->keys[get->key] = k;
	}
	return s->keys[get->key];
}

static struct tally_part *counted(struct simple *s, enum part part, int64_t at_ms)
{
	return at_ms >= s->shape->from_ms ? &s->tally->parts[part] : &s->uncounted;
}

/* When the budget has room for one more call. */
static int64_t budget_when(const struct simple *s, int64_t now_ms)
{
	int64_t when_ms;

	if (!s->policy->budget || s->n_sent < s->policy->budget)
		return now_ms;
	when_ms = s->sent[s->n_sent % s->policy->budget] + CLERK_WINDOW_MS;
	return when_ms > now_ms ? when_ms : now_ms;
}

static void budget_take(struct simple *s, int64_t at_ms)
{
	if (s->policy->budget)
		s->sent[s->n_sent++ % s->policy->budget] = at_ms;
}

/* True if it was accepted; *k then knows when it lands. */
static bool fetch(struct simple *s, struct key *k, int64_t now_ms)
{
	struct clerk_answer answer = clerk_call(&s->clerk, now_ms);

	counted(s, k->part, now_ms)->calls++;
	if (answer.says != CLERK_TOKEN)
		return false;
	k->lands_ms = now_ms + answer.took_ms;
	k->next_until_ms = now_ms + CLERK_LIFETIME_MS - POLICY_MIN_TTL_MS;
	if (s->policy->kind == POLICY_TTL)
		k->next_until_ms = k->lands_ms + CLERK_LIFETIME_MS;
	return true;
}

/* Nobody waits for it: it is made if there is room now. */
static bool renew(struct simple *s, struct key *k, int64_t now_ms)
{
	if (budget_when(s, now_ms) > now_ms)
		return false;
	budget_take(s, now_ms);
	return fetch(s, k, now_ms);
}

static void arm(struct simple *s, struct key *k, int64_t at_ms)
{
	if (heap_reserve(&s->timers, s->timers.count + 1) < 0)
		abort();
	heap_set(&s->timers, &k->timer, (struct mono){ at_ms });
	if (s->timers.count > s->most_tokens)
		s->most_tokens = s->timers.count;
}

static void land(struct simple *s, struct key *k, int64_t now_ms)
{
	if (k->lands_ms > now_ms)
		return;
	k->usable_until_ms = k->next_until_ms;
	k->lands_ms = INT64_MAX;
	k->had_one = true;
	arm(s, k, k->usable_until_ms - (s->policy->kind == POLICY_TIMER ? AHEAD_MS : 0));
}

static void refuse(struct simple *s, enum part part, int64_t now_ms)
{
	counted(s, part, now_ms)->refused++;
	series_add(s->policy->series, now_ms, SERIES_REFUSED);
}

/* What waited for the budget. */
static void send(struct simple *s, struct key *k, int64_t now_ms)
{
	k->sends_ms = INT64_MAX;
	if (fetch(s, k, now_ms)) {
		k->queued = 0;
		arm(s, k, k->lands_ms);
		return;
	}
	for (; k->queued; k->queued--)
		refuse(s, k->part, now_ms);
	heap_remove(&s->timers, &k->timer);
}

static void timers_due(struct simple *s, int64_t now_ms)
{
	struct heap_node *first;

	while ((first = heap_first(&s->timers)) && first->at.ms <= now_ms) {
		struct key *k = container_of(first, struct key, timer);
		int64_t at_ms = first->at.ms;

		land(s, k, at_ms);
		if (first->at.ms > at_ms)
			continue;
		if (k->sends_ms <= at_ms)
			send(s, k, at_ms);
		else if (k->lands_ms != INT64_MAX)
			arm(s, k, k->lands_ms);
		else if (s->policy->kind != POLICY_TIMER || at_ms >= k->usable_until_ms ||
			 at_ms - k->last_use_ms >= s->policy->ms)
			heap_remove(&s->timers, &k->timer);
		else if (renew(s, k, at_ms))
			arm(s, k, k->lands_ms);
		else
			arm(s, k, at_ms + AGAIN_MS);
	}
}

static void waits(struct simple *s, struct key *k, const struct get *get)
{
	struct tally_part *part = counted(s, get->part, get->at_ms);
	int64_t when_ms = budget_when(s, get->at_ms);

	*(k->had_one ? &part->waited : &part->first) += 1;
	k->queued += k->sends_ms != INT64_MAX;
	if (k->lands_ms != INT64_MAX || k->sends_ms != INT64_MAX)
		return;
	if (when_ms > get->at_ms + POLICY_WAIT_MS) {
		refuse(s, get->part, get->at_ms);
		return;
	}
	budget_take(s, when_ms);
	k->sends_ms = when_ms;
	k->queued = 1;
	if (when_ms > get->at_ms)
		arm(s, k, when_ms);
	else
		send(s, k, get->at_ms);
}

static void get_one(struct simple *s, const struct get *get)
{
	struct tally_part *part = counted(s, get->part, get->at_ms);
	struct key *k = key_of(s, get);

	part->gets++;
	series_add(s->policy->series, get->at_ms, SERIES_GETS);
	k->last_use_ms = get->at_ms;
	land(s, k, get->at_ms);
	if (s->policy->kind == POLICY_LEAST) {
		if (get->at_ms >= k->usable_until_ms) {
			k->usable_until_ms = get->at_ms + CLERK_LIFETIME_MS - POLICY_MIN_TTL_MS;
			part->calls++;
		}
		return;
	}
	if (s->policy->kind == POLICY_NONE) {
		part->waited++;
		if (!fetch(s, k, get->at_ms))
			refuse(s, get->part, get->at_ms);
		k->lands_ms = INT64_MAX;
		return;
	}
	if (get->at_ms >= k->usable_until_ms) {
		waits(s, k, get);
		return;
	}
	part->dying +=
	    s->policy->kind == POLICY_TTL && get->at_ms > k->usable_until_ms - POLICY_MIN_TTL_MS;
	if (s->policy->kind == POLICY_ACCESS && k->lands_ms == INT64_MAX &&
	    get->at_ms >= k->usable_until_ms - s->policy->ms && renew(s, k, get->at_ms))
		arm(s, k, k->lands_ms);
}

void simple_run(const struct policy *policy, const struct trace_shape *shape, struct tally *ret)
{
	struct simple s = { .policy = policy, .shape = shape, .tally = ret };
	struct trace *trace = trace_new(shape);
	struct get get;

	*ret = (struct tally){ 0 };
	clerk_init(&s.clerk, policy->limit, &shape->weather, policy->series);
	s.sent = calloc(policy->budget + 1, sizeof(*s.sent));
	if (!s.sent)
		abort();
	while (trace_next(trace, &get)) {
		timers_due(&s, get.at_ms);
		get_one(&s, &get);
	}
	ret->throttled = s.clerk.throttled;
	ret->busiest = s.clerk.busiest;
	ret->bytes = s.most_tokens * ENTRY_BYTES;
	for (size_t i = 0; i < s.n_keys; i++)
		free(s.keys[i]);
	free(s.keys);
	free(s.sent);
	heap_deinit(&s.timers);
	clerk_deinit(&s.clerk);
	trace_free(trace);
}
