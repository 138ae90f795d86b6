/* See call.h. */
#include "daemon/core/call.h"

#include "base/mem.h"
#include "daemon/core/admission.h"
#include "daemon/core/flight.h"
#include "daemon/core/passage.h"
#include "daemon/core/queue.h"

#define OVERLOADED_MS 1000
#define SHUTTING_DOWN_MS 2000
#define HTTP_UNAUTHORIZED 401
#define HTTP_THROTTLED 429
#define HTTP_SERVER_ERROR 500

static bool is_waiting(const struct call *call)
{
	return call->place.account;
}

bool call_has_room(const struct engine *e)
{
	size_t most = PASSAGE_TIMES * e->config.max_connections;

	return most == 0 || e->calling < most;
}

static enum submission refuse(struct engine *e, enum code code, int64_t retry_ms, struct reply *ret)
{
	*ret = reply_error(code, retry_ms, NULL);
	e->stats.errors[code]++;
	return SUBMIT_REPLIED;
}

static void call_free(struct engine *e, struct call *call)
{
	if (is_waiting(call))
		queue_remove_call(e, call);
	e->calling -= call->is_admitted;
	heap_remove(&e->timers, &call->timer);
	list_unlink(&call->node);
	quota_release(&e->quota, call->account, QUOTA_CALLS, 1);
	mem_free(call);
}

static bool may_call(const struct client *client)
{
	return client->admin || client->grant.scope == ACCESS_ALL;
}

static struct call *call_new(struct engine *e, struct client *client, void *cookie,
			     struct mono admit_by)
{
	struct call *call;

	if (cache_reserve(&e->cache, &e->timers, timers_wanted(e) + 1) < 0 ||
	    quota_take(&e->quota, client->account, QUOTA_CALLS, 1, client->admin))
		return NULL;
	call = mem_zalloc(sizeof(*call));
	if (!call) {
		quota_release(&e->quota, client->account, QUOTA_CALLS, 1);
		return NULL;
	}
	list_init(&call->place.node);
	call->place.is_call = true;
	call->timer = HEAP_NODE(TIMER_CALL);
	call->client = client;
	call->account = client->account;
	call->cookie = cookie;
	call->admit_by = admit_by;
	list_append(&e->calls, &call->node);
	return call;
}

enum submission engine_call(struct engine *e, struct mono now, struct client *client, void *cookie,
			    struct reply *ret_reply, struct call **ret_call)
{
	struct mono admit_by = mono_add_ms(now, e->config.default_wait_ms);
	struct call *call;

	if (!may_call(client))
		return refuse(e, CODE_DENIED, RETRY_NEVER, ret_reply);
	if (e->stopping)
		return refuse(e, CODE_SHUTTING_DOWN, SHUTTING_DOWN_MS, ret_reply);
	if (admission_refuses_call(e, now, client->account, admit_by, ret_reply)) {
		e->stats.errors[ret_reply->code]++;
		return SUBMIT_REPLIED;
	}
	call = call_new(e, client, cookie, admit_by);
	if (!call)
		return refuse(e, CODE_OVERLOADED, OVERLOADED_MS, ret_reply);
	queue_add_call(e, call, call->account);
	heap_set(&e->timers, &call->timer, mono_add_ms(admit_by, 1)); /* its turn may be then */
	flight_dispatch(e, now);
	*ret_call = call;
	return SUBMIT_PENDING;
}

void call_admit(struct engine *e, struct mono now, struct call *call)
{
	limiter_note_user(&e->limiter, now, call->account->uid);
	queue_turn(e, call->account);
	queue_remove_call(e, call);
	heap_remove(&e->timers, &call->timer);
	limiter_take(&e->limiter, now);
	e->stats.calls++;
	e->calling++;
	call->is_admitted = true;
	call->sent_at = now;
	list_unlink(&call->node);
	list_append(&e->judged, &call->node);
}

void call_refuse(struct engine *e, struct call *call, const struct reply *error)
{
	if (is_waiting(call))
		queue_remove_call(e, call);
	heap_remove(&e->timers, &call->timer);
	call->refusal = *error;
	list_unlink(&call->node);
	list_append(&e->judged, &call->node);
}

void call_due(struct engine *e, struct mono now, struct call *call)
{
	struct account *account = call->account;
	size_t ahead = queue_turns_before(e, account, account->queued_count);
	struct mono when = limiter_turn(&e->limiter, now, ahead);
	struct reply error = reply_error(CODE_OVERLOADED, OVERLOADED_MS, NULL);

	if (!mono_is_due(when, now)) {
		when = limiter_hint(&e->limiter, now, &account->hints, when);
		error = reply_error(CODE_RATE_LIMITED, mono_diff_ms(when, now), NULL);
	}
	call_refuse(e, call, &error);
}

void calls_refuse(struct engine *e, const struct reply *error)
{
	struct list *first;

	while ((first = list_first(&e->calls)))
		call_refuse(e, container_of(first, struct call, node), error);
}

void calls_enforce(struct engine *e)
{
	const struct reply denied = reply_error(CODE_DENIED, RETRY_NEVER, NULL);

	list_for_each_safe (it, &e->calls) {
		struct call *call = container_of(it, struct call, node);

		if (!may_call(call->client))
			call_refuse(e, call, &denied);
	}
}

void call_pop(struct engine *e, struct effect *ret)
{
	struct call *call = container_of(list_first(&e->judged), struct call, node);

	list_unlink(&call->node);
	ret->cookie = call->cookie;
	ret->reply = call->refusal;
	ret->type = EFFECT_ADMITTED;
	if (call->is_admitted)
		return;
	ret->type = EFFECT_REFUSED;
	e->stats.errors[call->refusal.code]++;
	call_free(e, call);
}

void engine_call_answered(struct engine *e, struct mono now, const struct call *call, int status,
			  int64_t retry_after_ms)
{
	if (status == HTTP_THROTTLED) {
		e->stats.throttled++;
		limiter_throttle(&e->limiter, now, call->sent_at, retry_after_ms);
		admission_review(e, now);
	} else if (status < HTTP_SERVER_ERROR && status != HTTP_UNAUTHORIZED) {
		limiter_accepted(&e->limiter, call->sent_at);
	}
	flight_dispatch(e, now);
}

void engine_call_end(struct engine *e, struct mono now, struct call *call)
{
	call_free(e, call);
	flight_dispatch(e, now);
}
