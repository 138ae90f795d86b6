/* The asynchronous interface; see clerktoken.h. What is under way stands in pending.h, and how it
 * gets on in flow.h. */
#include "base/mem.h"
#include "client/failure.h"
#include "client/flow.h"

#include <errno.h>
#include <limits.h>

enum clerktoken_error clerktoken_async_new(struct clerktoken_client *client,
					   struct clerktoken_async **ret,
					   struct clerktoken_failure *ret_failure)
{
	struct clerktoken_async *a = mem_zalloc(sizeof(*a));

	if (!a || pendings_init(&a->all) < 0) {
		mem_free(a);
		return failure_set(ret_failure, CLERKTOKEN_NO_MEMORY, "out of memory");
	}
	flow_init(a, client);
	*ret = a;
	return CLERKTOKEN_OK;
}

void clerktoken_async_free(struct clerktoken_async *a)
{
	if (!a)
		return;
	pendings_deinit(&a->all);
	flow_deinit(a);
	mem_free(a);
}

int clerktoken_async_fd(struct clerktoken_async *a)
{
	(void)flow_enter(a);
	(void)flow_open(a); /* tried again when it is needed */
	return a->epoll;
}

int clerktoken_async_timeout_ms(const struct clerktoken_async *a)
{
	struct mono at = flow_deadline(a);
	int64_t left_ms;

	if (!list_is_empty(&a->all.news))
		return 0;
	if (at.ms == MONO_NEVER.ms)
		return -1;
	left_ms = mono_diff_ms(at, clock_boot());
	return left_ms < 0 ? 0 : left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

void clerktoken_async_dispatch(struct clerktoken_async *a)
{
	struct mono now = flow_enter(a);

	flow_take(a, now);
	flow_ask(a, now);
}

bool clerktoken_async_next(struct clerktoken_async *a, struct clerktoken_event *ret)
{
	return pendings_take_event(&a->all, ret);
}

bool clerktoken_async_cancel(struct clerktoken_async *a, uint64_t id)
{
	struct mono now = flow_enter(a);
	struct pending *p = pendings_find(&a->all, id);

	if (!p)
		return false;
	flow_unwatch(a, p, now);
	if (p->request.verb == VERB_DROP)
		own_drop(a->client, &p->request); /* it may have been carried out */
	pendings_remove(&a->all, p);
	return true;
}

/* From the library's own copies, if there is one: then its event is there at once. */
static void look_for_own(struct clerktoken_async *a, struct pending *p)
{
	p->event.token = own_find(a->client, &p->request);
	if (p->event.token)
		pendings_tell(&a->all, p, true);
	else
		p->ticket = own_expect(a->client, &p->request);
}

/* Puts a call into the queue. Where nothing is under way it is sent at once, else with the next
 * dispatch, together with what else is to be asked then. */
static enum clerktoken_error submit(struct clerktoken_async *a, const struct call *call,
				    int timeout_ms, void *userdata, uint64_t *ret_id)
{
	struct mono now = flow_enter(a);
	const struct request *r = &call->request;
	struct pending *p;
	int result;

	if (r->verb == VERB_WATCH && pendings_find_watch(&a->all, r->session, r->template))
		return failure_set(call->failure, CLERKTOKEN_INVALID_ARGUMENT,
				   "that session and template is watched already");
	result = pendings_add(&a->all, r, mono_add_ms(now, timeout_ms < 0 ? 0 : timeout_ms), &p);
	if (result == -ENOBUFS)
		return failure_set(call->failure, CLERKTOKEN_OVERLOADED,
				   "CLERKTOKEN_ASYNC_MAX calls are under way");
	if (result < 0)
		return failure_set(call->failure, CLERKTOKEN_NO_MEMORY, "out of memory");
	p->derives_wait = call->derives_wait;
	p->event.userdata = userdata;
	if (ret_id)
		*ret_id = p->event.id;
	if (r->verb == VERB_GET)
		look_for_own(a, p);
	if (list_is_empty(&a->all.asked))
		flow_ask(a, now);
	return CLERKTOKEN_OK;
}

static enum clerktoken_error submit_key(struct clerktoken_async *a, enum verb verb,
					const char *session, const char *template_name,
					const struct clerktoken_get_options *options,
					int timeout_ms, void *userdata, uint64_t *ret_id,
					struct clerktoken_failure *ret_failure)
{
	struct call call = call_init(a->client, verb, timeout_ms, ret_failure);
	enum clerktoken_error error = call_set_names(&call, session, template_name);

	if (error == CLERKTOKEN_OK && verb != VERB_DROP)
		error = call_set_options(&call, options);
	return error == CLERKTOKEN_OK ? submit(a, &call, timeout_ms, userdata, ret_id) : error;
}

static enum clerktoken_error submit_plain(struct clerktoken_async *a, enum verb verb,
					  int timeout_ms, void *userdata, uint64_t *ret_id,
					  struct clerktoken_failure *ret_failure)
{
	struct call call = call_init(a->client, verb, timeout_ms, ret_failure);

	return submit(a, &call, timeout_ms, userdata, ret_id);
}

enum clerktoken_error clerktoken_async_get(struct clerktoken_async *a, const char *session,
					   const char *template_name,
					   const struct clerktoken_get_options *options,
					   int timeout_ms, void *userdata, uint64_t *ret_id,
					   struct clerktoken_failure *ret_failure)
{
	return submit_key(a, VERB_GET, session, template_name, options, timeout_ms, userdata,
			  ret_id, ret_failure);
}

enum clerktoken_error clerktoken_async_watch(struct clerktoken_async *a, const char *session,
					     const char *template_name,
					     const struct clerktoken_get_options *options,
					     int timeout_ms, void *userdata, uint64_t *ret_id,
					     struct clerktoken_failure *ret_failure)
{
	return submit_key(a, VERB_WATCH, session, template_name, options, timeout_ms, userdata,
			  ret_id, ret_failure);
}

enum clerktoken_error clerktoken_async_drop(struct clerktoken_async *a, const char *session,
					    const char *template_name, int timeout_ms,
					    void *userdata, uint64_t *ret_id,
					    struct clerktoken_failure *ret_failure)
{
	return submit_key(a, VERB_DROP, session, template_name, NULL, timeout_ms, userdata, ret_id,
			  ret_failure);
}

enum clerktoken_error clerktoken_async_drop_session(struct clerktoken_async *a, const char *session,
						    int timeout_ms, void *userdata,
						    uint64_t *ret_id,
						    struct clerktoken_failure *ret_failure)
{
	struct call call = call_init(a->client, VERB_DROP, timeout_ms, ret_failure);
	enum clerktoken_error error = call_set_names(&call, session, NULL);

	call.request.all_templates = true;
	return error == CLERKTOKEN_OK ? submit(a, &call, timeout_ms, userdata, ret_id) : error;
}

enum clerktoken_error clerktoken_async_ping(struct clerktoken_async *a, int timeout_ms,
					    void *userdata, uint64_t *ret_id,
					    struct clerktoken_failure *ret_failure)
{
	return submit_plain(a, VERB_PING, timeout_ms, userdata, ret_id, ret_failure);
}

enum clerktoken_error clerktoken_async_stats(struct clerktoken_async *a, int timeout_ms,
					     void *userdata, uint64_t *ret_id,
					     struct clerktoken_failure *ret_failure)
{
	return submit_plain(a, VERB_STATS, timeout_ms, userdata, ret_id, ret_failure);
}
