/* See permit.h. */
#include "daemon/core/permit.h"

#include "daemon/core/call.h"
#include "daemon/core/flight.h"
#include "daemon/core/queue.h"
#include "daemon/core/waiter.h"

#include <errno.h>

#define FILE_MAX 255 /* bytes of a rule's file in an answer, the last ones */
#define OVERLOADED_MS 1000

void engine_set_access(struct engine *e, const struct access *access)
{
	e->access = access;
}

bool engine_client_may(const struct engine *e, const struct client *client, struct span session,
		       struct span template)
{
	const struct grant *g = &client->grant;

	if (g->scope != ACCESS_SOME)
		return g->scope == ACCESS_ALL;
	return access_decide(e->access, g, session, template).allowed;
}

static struct span on_the_wire(struct span template)
{
	return template.len ? template : SPAN_LITERAL(WIRE_NO_TEMPLATE);
}

static bool may_have(const struct engine *e, const struct client *client, const struct key *key)
{
	return engine_client_may(e, client, key->session, on_the_wire(key->template));
}

/* To forget a session's tokens takes the right to one of them: it costs the others a fetch at most,
 * and who serves a session is who learns that it has ended. */
static bool may_drop(const struct engine *e, const struct client *client, const struct request *r)
{
	return engine_client_may(e, client, r->session,
				 r->all_templates ? SPAN_LITERAL(WIRE_ANY)
						  : on_the_wire(r->template));
}

static bool is_about_another(const struct request *r)
{
	return r->has_uid || r->groups.len || r->unit.len;
}

bool permit_request(const struct engine *e, const struct client *client, const struct request *r)
{
	bool is_known = client->admin || client->grant.scope != ACCESS_NOTHING;

	switch (r->verb) {
	case VERB_GET:
	case VERB_WATCH:
		return engine_client_may(e, client, r->session, on_the_wire(r->template));
	case VERB_DROP:
		return may_drop(e, client, r);
	case VERB_TRACK:
		return is_known || !r->on;
	case VERB_STATS:
		return is_known;
	case VERB_FLUSH:
		return client->admin;
	case VERB_WHY:
		return client->admin || !is_about_another(r);
	default:
		return true;
	}
}

static int append_file(struct buf *to, struct span file)
{
	static const char digits[] = "0123456789abcdef";
	int result = 0;

	if (file.len > FILE_MAX)
		file = span_of(file.ptr + file.len - FILE_MAX, FILE_MAX);
	for (size_t i = 0; i < file.len && result == 0; i++) {
		unsigned char c = (unsigned char)file.ptr[i];
		char escaped[] = { '%', digits[c >> 4], digits[c & 15] };
		bool plain = c > ' ' && c < 0x7f && c != '%';

		result =
		    buf_append(to, plain ? file.ptr + i : escaped, plain ? 1 : sizeof(escaped));
	}
	return result;
}

static int append_rule(struct buf *to, const struct config_rule *source)
{
	static const char *const kinds[] = { " rule=allow", " rule=deny", " rule=admin" };
	struct span rest = span_str(source->text), word;
	int result = buf_append_str(to, " file=");

	if (result == 0)
		result = append_file(to, span_str(source->file));
	if (result == 0)
		result = buf_append_str(to, " line=");
	if (result == 0)
		result = buf_append_u64(to, source->line);
	if (result == 0)
		result = buf_append_str(to, kinds[source->kind]);
	while (result == 0 && span_split(&rest, ' ', &word)) {
		if (word.len == 0)
			continue;
		result = buf_append(to, " ", 1);
		if (result == 0)
			result = buf_append(to, word.ptr, word.len);
	}
	return result;
}

static int append_decision(struct buf *to, bool has_rules, const struct decision *d, bool is_admin)
{
	const char *because = d->unclear  ? " because=unclear_unit"
			      : d->rule	  ? " because=rule"
			      : has_rules ? " because=no_match"
					  : " because=no_rules";
	int result = buf_append_str(to, d->allowed ? "allowed" : "denied");

	if (result == 0)
		result = buf_append_str(to, because);
	if (result == 0)
		result = buf_append_str(to, is_admin ? " admin=yes" : " admin=no");
	return result < 0 || !d->rule ? result : append_rule(to, d->rule->source);
}

/* What would be said to somebody who is no more than what the request tells: nobody's uid where it
 * tells none. */
static int grant_another(const struct engine *e, const struct request *r, struct grant *ret)
{
	struct span rest = r->groups;
	gid_t gids[WIRE_GROUPS_MAX];
	struct identity who = { .uid = r->has_uid ? (uid_t)r->uid : (uid_t)-1,
				.gids = gids,
				.unit = r->unit };

	while (who.n_gids < WIRE_GROUPS_MAX && request_next_group(&rest, &gids[who.n_gids]))
		who.n_gids++;
	return access_grant(e->access, e->config.own_uid, &who, ret);
}

enum submission permit_explain(const struct engine *e, const struct client *client,
			       const struct request *r, struct buf *scratch, struct reply *ret)
{
	struct grant another = { 0 };
	const struct grant *g = &client->grant;
	struct decision d;
	int result = 0;

	buf_reset(scratch);
	if (is_about_another(r)) {
		result = grant_another(e, r, &another);
		g = &another;
	}
	if (result == 0) {
		d = access_decide(e->access, g, r->session, on_the_wire(r->template));
		result = append_decision(scratch, e->access, &d, g->is_admin);
	}
	grant_deinit(&another);
	*ret = (struct reply){ .type = REPLY_TEXT, .text = buf_span(scratch) };
	if (result < 0)
		*ret = reply_error(CODE_OVERLOADED, OVERLOADED_MS, NULL);
	return SUBMIT_REPLIED;
}

static void enforce_on(struct engine *e, struct mono now, struct demand *d)
{
	const struct key key = entry_key(d->entry);
	const struct reply denied = reply_error(CODE_DENIED, RETRY_NEVER, NULL);

	list_for_each_safe (it, &d->waiters) {
		struct waiter *w = container_of(it, struct waiter, node);

		if (!may_have(e, w->client, &key))
			waiter_answer(e, now, w, &denied);
	}
	list_for_each_safe (it, &d->watchers) {
		struct watch *w = container_of(it, struct watch, node);

		if (!may_have(e, w->client, &key))
			watch_gone(e, w, CODE_DENIED);
	}
}

void engine_enforce(struct engine *e, struct mono now)
{
	list_for_each_safe (it, &e->wanted) {
		struct demand *d = container_of(it, struct demand, node);

		enforce_on(e, now, d);
		queue_reorder(e, d);
		demand_release(e, d);
	}
	calls_enforce(e);
	flight_dispatch(e, now);
}
