/* See upstream.h.
 *
 * curl times a call out, but not one that waits for a connection, so each has a guard besides.
 *
 * Each call has an easy handle of its own that lives as long as it, so what curl remembers of a
 * request is wiped with it by our allocator. The headers with the key are shared by the calls that
 * were made with it.
 */
#include "daemon/sys/upstream.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "daemon/sys/bapi.h"
#include "daemon/sys/pool.h"

#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>

#define US_PER_MS 1000
#define GUARD_MS 500		/* after the timeout of curl's */
#define HEADERS_MAX (64 * 1024) /* bytes of an answer's header fields */

struct call {
	struct list link; /* upstream->calls */
	struct transfer transfer;
	struct upstream *upstream;
	void *flight;
	struct event *guard;
	struct bapi_request request;
	struct buf body;
	size_t header_bytes;
	enum transport refused; /* why we ended it ourselves; TRANSPORT_OK: we did not */
};

struct upstream {
	upstream_done_fn *done;
	void *arg;
	struct bapi bapi;
	struct pool_set pools;
	struct list calls; /* struct call.link */
};

int upstream_global_init(void)
{
	const curl_version_info_data *version;

	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, mem_alloc, mem_free, mem_realloc, mem_strdup,
				 mem_calloc) != CURLE_OK)
		return -ENOMEM;
	version = curl_version_info(CURLVERSION_NOW);
	if (version->features & CURL_VERSION_ASYNCHDNS && version->features & CURL_VERSION_SSL)
		return 0;
	curl_global_cleanup();
	return -ENOTSUP;
}

void upstream_global_deinit(void)
{
	curl_global_cleanup();
}

static void call_free(struct call *call)
{
	if (!call)
		return;
	list_unlink(&call->link);
	pool_set_remove(&call->transfer);
	if (call->guard)
		event_free(call->guard);
	curl_easy_cleanup(call->transfer.easy);
	bapi_request_deinit(&call->request);
	buf_deinit(&call->body);
	mem_free(call);
}

static struct span field_of(const struct call *call, const char *name)
{
	struct curl_header *field;

	if (curl_easy_header(call->transfer.easy, name, 0, CURLH_HEADER, -1, &field) != CURLHE_OK)
		return SPAN_NONE;
	return span_str(field->value);
}

static int64_t took_ms(const struct call *call)
{
	curl_off_t us = 0;

	(void)curl_easy_getinfo(call->transfer.easy, CURLINFO_TOTAL_TIME_T, &us); /* stays 0 */
	return us / US_PER_MS;
}

static enum transport transport_of(const struct call *call, CURLcode result)
{
	return call->refused != TRANSPORT_OK ? call->refused
					     : transfer_transport(&call->transfer, result);
}

static struct answer answer_of(const struct call *call, CURLcode result)
{
	struct answer a = { .transport = transport_of(call, result),
			    .key_id = call->request.fields->key_id,
			    .took_ms = took_ms(call) };
	long status = 0;

	if (a.transport != TRANSPORT_OK) {
		a.detail = curl_easy_strerror(result);
		return a;
	}
	(void)curl_easy_getinfo(call->transfer.easy, CURLINFO_RESPONSE_CODE, &status); /* stays 0 */
	a.status = (int)status;
	a.is_exclusive = transfer_is_exclusive(&call->transfer);
	a.content_type = field_of(call, "Content-Type");
	a.date = field_of(call, "Date");
	a.retry_after = field_of(call, "Retry-After");
	a.trace_id =
	    field_of(call, "CF-Ray"); /* as Clerk's SDK has it; the body's one goes first */
	a.body = buf_span(&call->body);
	return a;
}

static void on_finished(struct transfer *t, CURLcode result)
{
	struct call *call = container_of(t, struct call, transfer);
	struct upstream *u = call->upstream;
	struct answer answer = answer_of(call, result);

	list_unlink(&call->link);
	pool_set_note(t, answer.transport);
	u->done(u->arg, call->flight, &answer);
	call_free(call);
}

static void on_guard(evutil_socket_t fd, short what, void *arg)
{
	struct call *call = arg;

	(void)fd;
	(void)what;
	pool_set_finish(&call->transfer, CURLE_OPERATION_TIMEDOUT);
}

/* CURLOPT_HEADERFUNCTION: curl keeps the fields; this only says when there are too many. */
static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
	struct call *call = arg;

	(void)data;
	call->header_bytes += size * n;
	if (call->header_bytes <= HEADERS_MAX)
		return size * n;
	call->refused = TRANSPORT_TOO_LARGE;
	return 0;
}

/* CURLOPT_WRITEFUNCTION */
static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
	struct call *call = arg;
	int r = buf_append(&call->body, data, size * n);

	if (r == 0)
		return size * n;
	call->refused = r == -ENOMEM ? TRANSPORT_NO_MEMORY : TRANSPORT_TOO_LARGE;
	return CURL_WRITEFUNC_ERROR;
}

static CURLcode set_callbacks(struct call *call)
{
	CURLcode r = curl_easy_setopt(call->transfer.easy, CURLOPT_HEADERFUNCTION, take_header);

	r = r ? r : curl_easy_setopt(call->transfer.easy, CURLOPT_HEADERDATA, call);
	r = r ? r : curl_easy_setopt(call->transfer.easy, CURLOPT_WRITEFUNCTION, take_body);
	return r ? r : curl_easy_setopt(call->transfer.easy, CURLOPT_WRITEDATA, call);
}

static int set_guard(struct call *call, int64_t after_ms)
{
	const struct timeval after = pool_timeval(after_ms);

	call->guard = evtimer_new(call->upstream->pools.base, on_guard, call);
	return call->guard && event_add(call->guard, &after) == 0 ? 0 : -ENOMEM;
}

static int call_new(struct upstream *u, void *flight, struct call **ret)
{
	struct call *call = mem_zalloc(sizeof(*call));

	if (!call)
		return -ENOMEM;
	list_init(&call->link);
	list_init(&call->transfer.link);
	call->upstream = u;
	call->flight = flight;
	call->body.max = u->bapi.max_answer;
	call->transfer.easy = curl_easy_init();
	if (!call->transfer.easy || set_callbacks(call) != CURLE_OK ||
	    set_guard(call, u->bapi.request_timeout_ms + GUARD_MS) != 0) {
		call_free(call);
		return -ENOMEM;
	}
	*ret = call;
	return 0;
}

int upstream_fetch(struct upstream *u, void *flight, struct span session, struct span template,
		   uint64_t expires_in_s, bool fresh)
{
	struct call *call;
	int r = call_new(u, flight, &call);

	if (r)
		return r;
	r = bapi_request_init(&call->request, &u->bapi, call->transfer.easy, session, template,
			      expires_in_s);
	if (r == 0 &&
	    curl_easy_setopt(call->transfer.easy, CURLOPT_FRESH_CONNECT, (long)fresh) != CURLE_OK)
		r = -ENOMEM;
	r = r ? r : pool_set_add(&u->pools, &call->transfer);
	if (r) {
		call_free(call);
		return r;
	}
	list_append(&u->calls, &call->link);
	return 0;
}

void upstream_cancel(struct upstream *u, void *flight)
{
	list_for_each_safe (it, &u->calls) {
		struct call *call = container_of(it, struct call, link);

		if (call->flight == flight)
			call_free(call);
	}
}

int upstream_configure(struct upstream *u, const struct upstream_config *config,
		       const struct secret *key)
{
	struct bapi bapi;
	int r;

	r = bapi_init(&bapi, config, key);
	r = r ? r : pool_set_replace(&u->pools, config->max_connections);
	if (r) {
		bapi_deinit(&bapi);
		return r;
	}
	bapi_deinit(&u->bapi);
	u->bapi = bapi;
	return 0;
}

int upstream_new(struct event_base *base, const struct upstream_config *config,
		 const struct secret *key, upstream_done_fn *done, void *arg, struct upstream **ret)
{
	struct upstream *u = mem_zalloc(sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	u->done = done;
	u->arg = arg;
	list_init(&u->calls);
	pool_set_init(&u->pools, base, on_finished);
	r = upstream_configure(u, config, key);
	if (r) {
		upstream_free(u);
		return r;
	}
	*ret = u;
	return 0;
}

void upstream_free(struct upstream *u)
{
	if (!u)
		return;
	list_for_each_safe (it, &u->calls)
		call_free(container_of(it, struct call, link));
	pool_set_deinit(&u->pools);
	bapi_deinit(&u->bapi);
	mem_free(u);
}
