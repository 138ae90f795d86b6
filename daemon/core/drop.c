/* See drop.h. */
#include "daemon/core/drop.h"

#include "daemon/core/flight.h"

void drop_note(struct engine *e, struct span session, struct span template)
{
	char *names = mempcpy(e->dropped_names, session.ptr, session.len);

	if (!template.len)
		template = SPAN_LITERAL(WIRE_NO_TEMPLATE);
	memcpy(names, template.ptr, template.len);
	e->has_dropped = true;
	e->dropped =
	    (struct key){ span_of(e->dropped_names, session.len), span_of(names, template.len), 0 };
}

struct drop {
	struct engine *engine;
	struct mono now;
	const struct request *request;
	uint64_t dropped;
};

static void drop_entry(void *arg, struct entry *entry)
{
	struct drop *drop = arg;
	struct engine *e = drop->engine;
	struct demand *d = entry->demand;

	if (!drop->request->all_templates &&
	    !span_equal(entry_template(entry), drop->request->template))
		return;
	drop->dropped += entry->token_len != 0;
	if (!d) {
		cache_remove(&e->cache, entry);
		return;
	}
	cache_empty(&e->cache, entry);
	flight_restart(e, drop->now, d);
	demand_release(e, d);
}

uint64_t drop_session(struct engine *e, struct mono now, const struct request *r)
{
	struct drop drop = { .engine = e, .now = now, .request = r };

	cache_visit_session(&e->cache, r->session, drop_entry, &drop);
	drop_note(e, r->session, r->all_templates ? SPAN_LITERAL(WIRE_ANY) : r->template);
	flight_dispatch(e, now);
	return drop.dropped;
}

void engine_drop_session(struct engine *e, struct mono now, struct span session)
{
	const struct request request = { .verb = VERB_DROP,
					 .session = session,
					 .all_templates = true };

	(void)drop_session(e, now, &request); /* who tracks is told, whatever there was */
}

uint64_t drop_all(struct engine *e, struct mono now)
{
	uint64_t dropped = e->cache.tokens;

	e->stats.flushes++;
	cache_forget_all(&e->cache, &e->wanted);
	list_for_each_safe (it, &e->wanted) {
		struct demand *d = container_of(it, struct demand, node);

		flight_restart(e, now, d);
		demand_release(e, d);
	}
	drop_note(e, SPAN_LITERAL(WIRE_ANY), SPAN_LITERAL(WIRE_ANY));
	flight_dispatch(e, now);
	return dropped;
}
