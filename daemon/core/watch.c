/* Watches: who is told of each renewal of a key.
 *
 * A watch holds no text that waits: it is marked as having news, and its client reads the latest
 * token when it has room, so that a slow reader costs nothing. What it keeps in the cache is
 * charged to its client, by the size of the token that is there now.
 */
#include "base/mem.h"
#include "daemon/core/flight.h"
#include "daemon/core/queue.h"
#include "daemon/core/waiter.h"

static uint64_t hash_watch(const struct engine *e, const struct client *client, struct span session)
{
	/* whose client it is cannot be chosen, nor what the session is hashed to */
	return hash_bytes(&e->cache.hash_key, session) + (uintptr_t)client / sizeof(*client);
}

static void unpin(struct engine *e, struct watch *w)
{
	quota_release(&e->quota, w->client->account, QUOTA_PINNED_BYTES, w->pinned);
	w->pinned = 0;
}

/* False if the client's watches would keep more than its part. */
static bool pin(struct engine *e, struct watch *w)
{
	size_t size = slab_footprint_of(w->demand->entry);

	unpin(e, w);
	if (quota_take(&e->quota, w->client->account, QUOTA_PINNED_BYTES, size, w->client->admin))
		return false;
	w->pinned = size;
	return true;
}

struct watch *watch_new(struct engine *e, struct client *client, struct demand *d)
{
	struct key key = entry_key(d->entry);
	struct watch *w;
	char *names;

	if (quota_take(&e->quota, client->account, QUOTA_WATCHES, 1, client->admin))
		return NULL;
	w = mem_zalloc(sizeof(*w) + key.session.len + key.template.len);
	if (!w) {
		quota_release(&e->quota, client->account, QUOTA_WATCHES, 1);
		return NULL;
	}
	names = mempcpy(w->names, key.session.ptr, key.session.len);
	memcpy(names, key.template.ptr, key.template.len);
	w->key = (struct key){ span_of(w->names, key.session.len), span_of(names, key.template.len),
			       key.expires_in_s };
	w->client = client;
	w->demand = d;
	list_init(&w->effect_node);
	list_init(&w->waiters);
	map_add(&e->watches, hash_watch(e, client, w->key.session), &w->chain);
	list_append(&d->watchers, &w->node);
	list_append(&client->watches, &w->owner_node);
	cache_charge(&e->cache, client->account, mem_footprint(w));
	if (!cache_make_room(&e->cache, 0, NULL) || !pin(e, w)) {
		watch_free(e, w);
		return NULL;
	}
	queue_reorder(e, d);
	return w;
}

void watch_free(struct engine *e, struct watch *w)
{
	map_remove(&e->watches, hash_watch(e, w->client, w->key.session), &w->chain);
	list_unlink(&w->node);
	list_unlink(&w->owner_node);
	list_unlink(&w->effect_node);
	unpin(e, w);
	cache_discharge(&e->cache, w->client->account, mem_footprint(w));
	quota_release(&e->quota, w->client->account, QUOTA_WATCHES, 1);
	mem_free(w);
}

struct watch *watch_find(const struct engine *e, const struct client *client, const struct key *key)
{
	struct map_node *n = map_chain(&e->watches, hash_watch(e, client, key->session));

	for (; n; n = n->next) {
		struct watch *w = container_of(n, struct watch, chain);

		if (w->client == client && !w->gone && span_equal(w->key.session, key->session) &&
		    span_equal(w->key.template, key->template) &&
		    w->key.expires_in_s == key->expires_in_s)
			return w;
	}
	return NULL;
}

void watch_establish(struct watch *w)
{
	w->established = true;
	w->seen_id = entry_token_id(w->demand->entry);
}

void watch_await(struct watch *w, struct waiter *waiter)
{
	waiter->watch = w;
	list_append(&w->waiters, &waiter->watch_node);
}

void watch_answered(struct engine *e, struct waiter *waiter, bool with_token)
{
	struct watch *w = waiter->watch;

	waiter->watch = NULL;
	if (!w)
		return;
	list_unlink(&waiter->watch_node);
	if (with_token)
		watch_establish(w);
	else if (!w->established && list_is_empty(&w->waiters))
		watch_free(e, w);
}

static void tell(struct engine *e, struct watch *w)
{
	list_unlink(&w->effect_node);
	list_append(&e->pushes, &w->effect_node);
}

void watches_tell(struct engine *e, struct demand *d)
{
	list_for_each (it, &d->watchers) {
		struct watch *w = container_of(it, struct watch, node);

		if (w->established && w->seen_id != entry_token_id(d->entry))
			tell(e, w);
	}
}

void watch_gone(struct engine *e, struct watch *w, enum code code)
{
	unpin(e, w);
	list_unlink(&w->node);
	w->demand = NULL;
	w->gone = code;
	tell(e, w);
}

void watches_gone(struct engine *e, struct demand *d, enum code code)
{
	list_for_each_safe (it, &d->watchers)
		watch_gone(e, container_of(it, struct watch, node), code);
}

void watches_pin(struct engine *e, struct demand *d)
{
	list_for_each_safe (it, &d->watchers) {
		struct watch *w = container_of(it, struct watch, node);

		if (!pin(e, w))
			watch_gone(e, w, CODE_OVERLOADED);
	}
}

bool engine_watch_read(struct engine *e, struct mono now, struct watch *w, struct reply *ret)
{
	struct span template =
	    w->key.template.len ? w->key.template : SPAN_LITERAL(WIRE_NO_TEMPLATE);

	(void)e;
	*ret = (struct reply){
		.type = PUSH_GONE, .session = w->key.session, .template = template, .code = w->gone
	};
	if (w->gone)
		return true;
	if (!w->demand->entry->token_len || w->seen_id == entry_token_id(w->demand->entry) ||
	    mono_is_due(w->demand->entry->expires_at, now))
		return false;
	ret->type = PUSH_TOKEN;
	ret->token = entry_view(w->demand->entry, now, SOURCE_CLERK);
	watch_establish(w);
	return true;
}

void engine_watch_end(struct engine *e, struct watch *w)
{
	struct demand *d = w->demand;

	list_for_each_safe (it, &w->waiters) { /* a WATCH that waits is a GET from now on */
		container_of(it, struct waiter, watch_node)->watch = NULL;
		list_unlink(it);
	}
	watch_free(e, w);
	if (!d)
		return;
	queue_reorder(e, d);
	demand_release(e, d);
}
