/* See relay.h.
 *
 * An exchange (exchange.h) does the work; here is what stands around it: the place in the budget
 * that it waits for, and what the engine learns of the answer. A relay without an exchange is about
 * the public keys (keyset.h). What ends one without an exchange's doing is told from the event
 * loop, too: it is stirred.
 */
#include "daemon/sys/relay.h"

#include "base/list.h"
#include "base/mem.h"
#include "daemon/sys/asker.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/exchange.h"
#include "daemon/sys/keyset.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#define HTTP_OK 200
#define HTTP_REFUSED 400

struct relays {
	struct engine *engine;
	void (*settle)(void *arg);
	void *settle_arg;
	struct exchanges *exchanges;
	struct keyset *keyset;
	struct event *wake;
	struct list all;       /* struct relay.link */
	struct list stirred;   /* struct relay.stirred */
	struct relay *telling; /* whose callback it is; NULL once that has ended it */
};

struct relay {
	struct asker asker; /* EFFECT_ADMITTED, EFFECT_REFUSED */
	struct list link, stirred;
	struct relays *set;
	const struct relay_callbacks *callbacks;
	void *arg;
	struct exchange *exchange;
	struct call *call;   /* in the engine; NULL: refused, or none is needed */
	struct span session; /* that it may have changed, once it is begun: in `names` */
	bool is_begun;
	size_t told; /* of the public keys, and which */
	uint64_t generation;
	bool head_told;
	bool has_failed;
	struct relay_failure failure;
	char names[];
};

static void stir(struct relay *r)
{
	if (!list_is_empty(&r->stirred))
		return;
	list_append(&r->set->stirred, &r->stirred);
	event_active(r->set->wake, EV_TIMEOUT, 0);
}

static void relay_free(struct relay *r)
{
	exchange_free(r->exchange);
	if (r->call)
		engine_call_end(r->set->engine, clock_boot(), r->call);
	list_unlink(&r->stirred);
	list_unlink(&r->link);
	if (r->set->telling == r)
		r->set->telling = NULL;
	mem_free(r);
}

/* These two: the caller may do nothing with it any more. */
static void tell_end(struct relay *r)
{
	const struct relay_callbacks *callbacks = r->callbacks;
	struct relays *s = r->set;
	void *arg = r->arg;

	relay_free(r);
	callbacks->end(arg);
	s->settle(s->settle_arg);
}

static void tell_failed(struct relay *r, struct relay_failure failure)
{
	const struct relay_callbacks *callbacks = r->callbacks;
	struct relays *s = r->set;
	void *arg = r->arg;

	relay_free(r);
	callbacks->failed(arg, &failure);
	s->settle(s->settle_arg);
}

/* Nothing else may be said to the engine before the effects have been carried out. */
static void drop_session(struct relay *r)
{
	struct relays *s = r->set;
	struct span session = r->session;

	r->session = SPAN_NONE;
	if (!session.len || !r->is_begun)
		return;
	engine_drop_session(s->engine, clock_boot(), session);
	s->settle(s->settle_arg);
}

static void fail_later(struct relay *r, struct relay_failure failure)
{
	r->has_failed = true;
	r->failure = failure;
	stir(r);
}

static void on_head(void *arg, const struct exchange_head *head)
{
	struct relay *r = arg;
	struct relays *s = r->set;
	const struct relay_head told = { .status = head->status,
					 .fields = head->fields,
					 .n_fields = head->n_fields,
					 .body_len = head->body_len };

	if (head->status < HTTP_REFUSED)
		drop_session(r);
	r->session = SPAN_NONE;
	engine_call_answered(s->engine, clock_boot(), r->call, head->status,
			     answer_retry_after_ms(head->retry_after, head->date));
	s->settle(s->settle_arg);
	r->callbacks->head(r->arg, &told);
}

static size_t on_body(void *arg, struct span data)
{
	struct relay *r = arg;

	return r->callbacks->body(r->arg, data);
}

static void on_room(void *arg)
{
	struct relay *r = arg;

	r->callbacks->room(r->arg);
}

static void on_over(void *arg, enum transport transport)
{
	struct relay *r = arg;

	if (transport != TRANSPORT_UNREACHABLE)
		drop_session(r); /* nobody knows */
	if (transport == TRANSPORT_OK)
		tell_end(r);
	else
		tell_failed(r, passage_failure(transport));
}

static void tell_keys_head(struct relay *r, const struct keyset_view *keys)
{
	const struct httpfield type = { SPAN_LITERAL("Content-Type"), keys->type };
	const struct relay_head head = { .status = HTTP_OK,
					 .fields = &type,
					 .n_fields = keys->type.len != 0,
					 .body_len = (int64_t)keys->body.len };

	r->head_told = true;
	r->generation = keys->generation;
	r->callbacks->head(r->arg, &head);
}

/* Who is so slow that there are others meanwhile gets a part of these. */
static void tell_keys_body(struct relay *r, const struct keyset_view *keys)
{
	struct span rest = span_of(keys->body.ptr + r->told, keys->body.len - r->told);
	struct relays *s = r->set;
	size_t taken;

	if (r->generation != keys->generation) {
		tell_failed(r, passage_failure(TRANSPORT_BROKEN));
		return;
	}
	taken = r->callbacks->body(r->arg, rest);
	if (s->telling != r)
		return;
	r->told += taken;
	if (taken == rest.len)
		tell_end(r);
}

static void tell_keys(struct relay *r)
{
	struct relays *s = r->set;
	struct keyset_view keys = keyset_view(s->keyset, clock_boot());

	if (!r->head_told && keys.state == JWKS_WAIT)
		return;
	if (!r->head_told && keys.state == JWKS_NONE) {
		tell_failed(r, passage_failure(TRANSPORT_UNREACHABLE));
		return;
	}
	s->telling = r;
	if (!r->head_told)
		tell_keys_head(r, &keys);
	if (s->telling == r)
		tell_keys_body(r, &keys);
	s->telling = NULL;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct relays *s = arg;
	struct list now, *first;
	struct relay *r;

	(void)fd;
	(void)what;
	list_init(&now);
	list_move_all(&now, &s->stirred);
	while ((first = list_first(&now))) {
		list_unlink(first);
		r = container_of(first, struct relay, stirred);
		if (r->has_failed)
			tell_failed(r, r->failure);
		else if (!r->exchange)
			tell_keys(r);
	}
}

static void on_keys(void *arg)
{
	struct relays *s = arg;

	list_for_each (it, &s->all) {
		struct relay *r = container_of(it, struct relay, link);

		if (!r->exchange)
			stir(r);
	}
}

static void on_judged(struct asker *asker, const struct effect *effect)
{
	struct relay *r = container_of(asker, struct relay, asker);

	if (effect->type == EFFECT_REFUSED) {
		r->call = NULL;
		fail_later(r, passage_refusal(&effect->reply));
	} else if (exchange_begin(r->exchange) < 0) {
		fail_later(r, passage_failure(TRANSPORT_NO_MEMORY));
	} else {
		r->is_begun = true;
	}
}

/* For a place in the budget, or the keys. */
static void ask(struct relay *r, struct mono now, struct client *client)
{
	struct reply refusal;

	if (!r->exchange) {
		if (keyset_ask(r->set->keyset, now) != JWKS_WAIT)
			stir(r);
	} else if (engine_call(r->set->engine, now, client, &r->asker, &refusal, &r->call) ==
		   SUBMIT_REPLIED) {
		fail_later(r, passage_refusal(&refusal));
	}
}

static struct relay *relay_new(struct relays *s, struct span session,
			       const struct relay_callbacks *callbacks, void *arg)
{
	struct relay *r = mem_zalloc(sizeof(*r) + session.len);

	if (!r)
		return NULL;
	r->asker.answer = on_judged;
	r->set = s;
	r->callbacks = callbacks;
	r->arg = arg;
	list_init(&r->stirred);
	list_append(&s->all, &r->link);
	if (session.len)
		memcpy(r->names, session.ptr, session.len);
	r->session = span_of(r->names, session.len);
	return r;
}

int relay_start(struct relays *s, struct mono now, struct client *client,
		const struct relay_request *request, const struct relay_callbacks *callbacks,
		void *arg, struct relay **ret)
{
	const struct exchange_request passed = {
		.method = request->method,
		.target = request->target,
		.fields = request->fields,
		.n_fields = request->n_fields,
		.body_len = request->body_len,
		.add_key = request->add_key,
	};
	static const struct exchange_callbacks ours = { on_head, on_body, on_room, on_over };
	struct relay *r =
	    relay_new(s, passage_session(request->method, request->target), callbacks, arg);
	int result = r ? 0 : -ENOMEM;

	if (result == 0 && !passage_is_jwks(request->method, request->target))
		result = exchange_new(s->exchanges, &passed, &ours, r, &r->exchange);
	if (result < 0) {
		if (r)
			relay_free(r);
		return result;
	}
	*ret = r;
	ask(r, now, client);
	return 0;
}

/* A body that the keys are asked for with is nobody's. */
size_t relay_push(struct relay *r, struct span data)
{
	return r->exchange ? exchange_push(r->exchange, data) : data.len;
}

void relay_push_end(struct relay *r)
{
	if (r->exchange)
		exchange_push_end(r->exchange);
}

void relay_resume(struct relay *r)
{
	if (r->exchange)
		exchange_resume(r->exchange);
	else
		stir(r);
}

void relay_cancel(struct relay *r)
{
	drop_session(r); /* its answer would have said what came of it */
	relay_free(r);
}

int relays_configure(struct relays *s, const struct upstream_config *config,
		     const struct secret *key)
{
	int result = exchanges_configure(s->exchanges, config, key);

	return result < 0 ? result
			  : keyset_configure(s->keyset, config->api_url, config->api_version, key);
}

int relays_new(struct event_base *base, struct engine *engine, const struct upstream_config *config,
	       const struct secret *key, void (*settle)(void *arg), void *arg, struct relays **ret)
{
	struct relays *s = mem_zalloc(sizeof(*s));
	int result;

	if (!s)
		return -ENOMEM;
	s->engine = engine;
	s->settle = settle;
	s->settle_arg = arg;
	list_init(&s->all);
	list_init(&s->stirred);
	s->wake = evtimer_new(base, on_wake, s);
	result = s->wake ? exchanges_new(base, config, key, &s->exchanges) : -ENOMEM;
	result = result < 0 ? result : keyset_new(s->exchanges, on_keys, s, &s->keyset);
	result = result < 0
		     ? result
		     : keyset_configure(s->keyset, config->api_url, config->api_version, key);
	if (result < 0) {
		relays_free(s);
		return result;
	}
	*ret = s;
	return 0;
}

void relays_free(struct relays *s)
{
	if (!s)
		return;
	list_for_each_safe (it, &s->all)
		relay_free(container_of(it, struct relay, link));
	keyset_free(s->keyset);
	exchanges_free(s->exchanges);
	if (s->wake)
		event_free(s->wake);
	mem_free(s);
}
