/* See queue.h. */
#include "daemon/core/queue.h"

#include "daemon/core/call.h"

#define WALK_MAX 1024 /* a window's worth of Clerk's own limit */
#define WATCHED_FIRST_MS (INT64_C(86400) * MS_PER_S)

/* When its token is no longer good for a caller. */
static struct mono needed_at(const struct engine *e, const struct demand *d)
{
	const struct entry *entry = d->entry;

	if (entry->token_len)
		return mono_add_ms(entry->expires_at, -e->config.freshness.min_ttl_ms);
	if (list_is_empty(&d->watchers))
		return entry->timer.at; /* foreseen, or never */
	return (struct mono){ 0 };
}

static struct mono rank(const struct engine *e, const struct demand *d)
{
	int64_t unsure = RHYTHM_CERTAIN - d->chance;
	int64_t later_ms = list_is_empty(&d->watchers)
			       ? e->limiter.window_ms * unsure / RHYTHM_CERTAIN
			       : -WATCHED_FIRST_MS;

	return mono_add_ms(needed_at(e, d), later_ms);
}

static struct demand *fetch_of(struct place *place)
{
	return container_of(place, struct demand, place);
}

static bool was_sent_before(struct list *node)
{
	struct place *place = container_of(node, struct place, node);

	return !place->is_call && fetch_of(place)->attempts;
}

/* Behind those that were asked for already if it is one of them, else behind all. */
static void line_up(struct engine *e, struct account *account, struct place *place)
{
	bool goes_ahead = was_sent_before(&place->node);
	struct list *before = goes_ahead ? account->queued.next : &account->queued;

	while (before != &account->queued && was_sent_before(before))
		before = before->next;
	list_append(before, &place->node);
	place->account = account;
	if (account->queued_count++ == 0)
		list_append(&e->callers, &account->queue_node);
	e->queued++;
}

static void step_out(struct engine *e, struct place *place)
{
	struct account *account = place->account;

	place->account = NULL;
	list_unlink(&place->node);
	if (--account->queued_count == 0)
		list_unlink(&account->queue_node);
	e->queued--;
	quota_forget(&e->quota, account);
}

void queue_add(struct engine *e, struct demand *d, struct account *account)
{
	d->state = FLIGHT_QUEUED;
	if (account)
		line_up(e, account, &d->place);
	else
		heap_set(&e->renewals, &d->timer, rank(e, d));
}

void queue_remove(struct engine *e, struct demand *d)
{
	d->state = FLIGHT_IDLE;
	if (d->place.account)
		step_out(e, &d->place);
	else
		heap_remove(&e->renewals, &d->timer);
}

void queue_add_call(struct engine *e, struct call *call, struct account *account)
{
	line_up(e, account, &call->place);
}

void queue_remove_call(struct engine *e, struct call *call)
{
	step_out(e, &call->place);
}

void queue_turn(struct engine *e, struct account *account)
{
	list_unlink(&account->queue_node);
	list_append(&e->callers, &account->queue_node);
}

/* It walks no further than past what calls there may be. */
struct place *queue_first(const struct engine *e, bool calls_too)
{
	list_for_each (a, &e->callers) {
		struct account *account = container_of(a, struct account, queue_node);

		list_for_each (p, &account->queued) {
			struct place *place = container_of(p, struct place, node);

			if (calls_too || !place->is_call)
				return place;
		}
	}
	return NULL;
}

struct demand *queue_first_caller(const struct engine *e)
{
	struct place *first = queue_first(e, false);

	return first ? fetch_of(first) : NULL;
}

struct demand *queue_first_renewal(const struct engine *e)
{
	struct heap_node *first = heap_first(&e->renewals);

	return first ? container_of(first, struct demand, timer) : NULL;
}

size_t queue_turns_before(const struct engine *e, const struct account *account, size_t own)
{
	size_t ahead = own;
	size_t turns = own + 1; /* of each who stands before it in the ring */

	list_for_each (it, &e->callers) {
		const struct account *other = container_of(it, struct account, queue_node);

		if (other == account)
			turns = own;
		else
			ahead += other->queued_count < turns ? other->queued_count : turns;
	}
	return ahead;
}

size_t queue_turns_before_it(const struct engine *e, const struct place *place)
{
	const struct list *queued = &place->account->queued;
	size_t own = 0;

	for (const struct list *it = place->node.prev; it != queued && own < WALK_MAX;
	     it = it->prev)
		own++;
	return queue_turns_before(e, place->account,
				  own < WALK_MAX ? own : place->account->queued_count - 1);
}

void queue_reorder(struct engine *e, struct demand *d)
{
	if (d->state == FLIGHT_QUEUED && !d->place.account)
		heap_set(&e->renewals, &d->timer, rank(e, d));
}

struct mono queue_promote(struct engine *e, struct mono now, size_t reserve)
{
	struct demand *d;

	while ((d = queue_first_renewal(e)) && !list_is_empty(&d->watchers)) {
		struct watch *watch = container_of(d->watchers.next, struct watch, node);
		struct mono at = mono_max(needed_at(e, d), limiter_pace(&e->limiter, now, reserve));

		if (!mono_is_due(at, now))
			return at;
		limiter_take_pace(&e->limiter);
		queue_remove(e, d);
		queue_add(e, d, watch->client->account);
	}
	return MONO_NEVER;
}
