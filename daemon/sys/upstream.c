/* See upstream.h.
 *
 * A pool is one curl multi handle: a set of connections, one timer, and the calls under way on
 * them. curl says which sockets it waits for and how long; libevent tells it what came of that, and
 * only then are finished calls looked for, so `done` runs outside of curl. There is one pool for
 * new calls. Another takes its place with a new configuration, or when it is worn; the old one ends
 * with its last call.
 *
 * A pool is worn when calls time out one after the other while nothing is answered: over HTTP/2
 * all calls share a connection, and one that went dead without a word would be used for ever,
 * because a stream that times out does not close it. And it is worn when it had no memory, for curl
 * (7.88) then may keep a connection that it waits for in vain, or divide by zero. If there was none
 * to watch a socket or a timer, nobody would ever tell curl to go on: the pool is broken, and all
 * its calls are given up.
 *
 * curl times a call out, but not one that waits for a connection, so each has a guard besides.
 *
 * Each call has an easy handle of its own that lives as long as it, so what curl remembers of a
 * request is wiped with it by our allocator. The headers with the key are shared by the calls that
 * were made with it.
 */
#include "daemon/sys/upstream.h"

#include "base/buf.h"
#include "base/instant.h"
#include "base/list.h"
#include "base/mem.h"
#include "daemon/sys/bapi.h"

#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>

#define TIMEOUTS_IN_A_ROW 2 /* that wear a pool */
#define US_PER_MS 1000
#define GUARD_MS 500		/* after the timeout of curl's */
#define HEADERS_MAX (64 * 1024) /* bytes of an answer's header fields */

struct pool {
	struct list link; /* upstream->pools */
	struct upstream *upstream;
	CURLM *multi;
	struct event *timer;
	struct list calls; /* struct call.link */
	bool worn;	   /* not for new calls */
	bool broken;	   /* worn, and its calls are to be given up */
	bool draining;	   /* must not be freed now */
};

struct call {
	struct list link; /* pool->calls */
	struct pool *pool;
	void *flight;
	CURL *easy;
	struct event *guard;
	struct bapi_request request;
	struct buf body;
	size_t header_bytes;
	enum transport refused; /* why we ended it ourselves; TRANSPORT_OK: we did not */
};

struct upstream {
	struct event_base *base;
	upstream_done_fn *done;
	void *arg;
	size_t max_connections;
	struct bapi bapi;
	struct pool *pool; /* for new calls */
	struct list pools; /* that one, and those that it replaced */
	unsigned timeouts_in_row;
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

static struct timeval ms_to_timeval(int64_t ms)
{
	return (struct timeval){ .tv_sec = ms / MS_PER_S, .tv_usec = ms % MS_PER_S * 1000 };
}

static void call_free(struct call *call)
{
	if (!call)
		return;
	if (call->guard)
		event_free(call->guard);
	curl_easy_cleanup(call->easy);
	bapi_request_deinit(&call->request);
	buf_deinit(&call->body);
	mem_free(call);
}

/* Takes it off curl and off the pool; the caller frees it. */
static void call_stop(struct call *call)
{
	list_unlink(&call->link);
	(void)curl_multi_remove_handle(call->pool->multi, call->easy); /* fails for strangers */
}

static void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	list_for_each_safe (it, &pool->calls) {
		struct call *call = container_of(it, struct call, link);

		call_stop(call);
		call_free(call);
	}
	if (pool->multi)
		(void)curl_multi_cleanup(pool->multi); /* fails for bad handles */
	if (pool->timer)
		event_free(pool->timer);
	list_unlink(&pool->link);
	mem_free(pool);
}

static void pool_free_if_over(struct pool *pool)
{
	if (!pool->draining && pool != pool->upstream->pool && list_is_empty(&pool->calls))
		pool_free(pool);
}

/* curl is on the stack, so the calls are given up later. */
static void pool_break(struct pool *pool)
{
	pool->worn = pool->broken = true;
	event_active(pool->timer, EV_TIMEOUT, 0);
}

/* Whether the pool's connections still serve. */
static void note_transport(struct pool *pool, enum transport transport)
{
	struct upstream *u = pool->upstream;

	if (transport == TRANSPORT_OK)
		u->timeouts_in_row = 0;
	else if (transport == TRANSPORT_NO_MEMORY)
		pool->worn = true;
	else if (transport == TRANSPORT_TIMEOUT && ++u->timeouts_in_row >= TIMEOUTS_IN_A_ROW)
		pool->worn = true;
}

static struct span field_of(const struct call *call, const char *name)
{
	struct curl_header *field;

	if (curl_easy_header(call->easy, name, 0, CURLH_HEADER, -1, &field) != CURLHE_OK)
		return SPAN_NONE;
	return span_str(field->value);
}

/* Whether the request can have reached BAPI. */
static bool was_sent(const struct call *call)
{
	curl_off_t us = 0;

	(void)curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &us); /* stays 0 */
	return us != 0;
}

/* Whether it got as far as a connection. */
static bool was_queued(const struct call *call)
{
	long connects = 0;

	(void)curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &connects); /* stays 0 */
	return connects == 0 && !was_sent(call);
}

static enum transport transport_of(const struct call *call, CURLcode result)
{
	if (call->refused != TRANSPORT_OK)
		return call->refused;
	switch (result) {
	case CURLE_OK:
		return TRANSPORT_OK;
	case CURLE_OUT_OF_MEMORY:
		return TRANSPORT_NO_MEMORY;
	case CURLE_FILESIZE_EXCEEDED:
		return TRANSPORT_TOO_LARGE;
	case CURLE_OPERATION_TIMEDOUT:
		if (was_queued(call))
			return TRANSPORT_QUEUED;
		return was_sent(call) ? TRANSPORT_TIMEOUT : TRANSPORT_UNREACHABLE;
	default:
		return was_sent(call) ? TRANSPORT_BROKEN : TRANSPORT_UNREACHABLE;
	}
}

static bool is_exclusive(const struct call *call)
{
	long version = 0;

	(void)curl_easy_getinfo(call->easy, CURLINFO_HTTP_VERSION, &version); /* stays 0 */
	return version == CURL_HTTP_VERSION_1_0 || version == CURL_HTTP_VERSION_1_1;
}

static int64_t took_ms(const struct call *call)
{
	curl_off_t us = 0;

	(void)curl_easy_getinfo(call->easy, CURLINFO_TOTAL_TIME_T, &us); /* stays 0 */
	return us / US_PER_MS;
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
	(void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status); /* stays 0 */
	a.status = (int)status;
	a.is_exclusive = is_exclusive(call);
	a.content_type = field_of(call, "Content-Type");
	a.date = field_of(call, "Date");
	a.retry_after = field_of(call, "Retry-After");
	a.trace_id =
	    field_of(call, "CF-Ray"); /* as Clerk's SDK has it; the body's one goes first */
	a.body = buf_span(&call->body);
	return a;
}

static void call_finish(struct call *call, CURLcode result)
{
	struct upstream *u = call->pool->upstream;
	struct answer answer;

	call_stop(call);
	answer = answer_of(call, result);
	note_transport(call->pool, answer.transport);
	u->done(u->arg, call->flight, &answer);
	call_free(call);
}

static struct call *next_finished(struct pool *pool, CURLcode *ret_result)
{
	CURLMsg *message;
	char *call;
	int left;

	do {
		message = curl_multi_info_read(pool->multi, &left);
		if (!message)
			return NULL;
	} while (message->msg != CURLMSG_DONE);
	*ret_result = message->data.result;
	if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call) != CURLE_OK)
		return NULL;
	return (struct call *)(void *)call;
}

/* The pool may be gone afterwards. What `done` fetches goes to another pool if this is broken. */
static void pool_drain(struct pool *pool)
{
	struct call *call;
	CURLcode result;

	pool->draining = true;
	while (pool->broken && !list_is_empty(&pool->calls))
		call_finish(container_of(list_first(&pool->calls), struct call, link),
			    CURLE_OUT_OF_MEMORY);
	while (!pool->broken && (call = next_finished(pool, &result)))
		call_finish(call, result);
	pool->draining = false;
	pool_free_if_over(pool);
}

/* Lets curl go on. It fails as a whole only where it has no memory to remember a socket. */
static void pool_advance(struct pool *pool, curl_socket_t fd, int action)
{
	int running;

	if (!pool->broken &&
	    curl_multi_socket_action(pool->multi, fd, action, &running) != CURLM_OK)
		pool->worn = pool->broken = true;
	pool_drain(pool);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	pool_advance(arg, fd,
		     (what & EV_READ ? CURL_CSELECT_IN : 0) |
			 (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	pool_advance(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void on_guard(evutil_socket_t fd, short what, void *arg)
{
	struct call *call = arg;
	struct pool *pool = call->pool;

	(void)fd;
	(void)what;
	pool->draining = true; /* what `done` fetches may replace it */
	call_finish(call, CURLE_OPERATION_TIMEDOUT);
	pool_drain(pool);
}

/* CURLMOPT_TIMERFUNCTION */
static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct pool *pool = arg;
	const struct timeval after = ms_to_timeval(timeout_ms);

	(void)multi;
	if (timeout_ms < 0)
		(void)event_del(pool->timer); /* fails for uninitialized events */
	else if (event_add(pool->timer, &after) != 0)
		pool_break(pool);
	return 0;
}

/* CURLMOPT_SOCKETFUNCTION; curl keeps our event with its socket. */
static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct pool *pool = arg;
	struct event *event = socket_arg;
	short flags = (short)(EV_PERSIST | (what & CURL_POLL_IN ? EV_READ : 0) |
			      (what & CURL_POLL_OUT ? EV_WRITE : 0));

	(void)easy;
	if (event) {
		event_free(event);
		event = NULL;
	}
	if (what != CURL_POLL_REMOVE) {
		event = event_new(pool->upstream->base, fd, flags, on_socket, pool);
		if (!event || event_add(event, NULL) != 0)
			pool_break(pool);
	}
	(void)curl_multi_assign(pool->multi, fd, event); /* fails for unknown sockets */
	return 0;
}

static int pool_new(struct upstream *u, size_t max_connections, struct pool **ret)
{
	struct pool *pool = mem_zalloc(sizeof(*pool));
	long connections = (long)max_connections;

	if (!pool)
		return -ENOMEM;
	pool->upstream = u;
	list_init(&pool->calls);
	list_init(&pool->link);
	pool->multi = curl_multi_init();
	pool->timer = evtimer_new(u->base, on_timer, pool);
	if (!pool->multi || !pool->timer ||
	    curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, watch_socket) != CURLM_OK ||
	    curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool) != CURLM_OK ||
	    curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, set_timer) != CURLM_OK ||
	    curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool) != CURLM_OK ||
	    curl_multi_setopt(pool->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX) != CURLM_OK ||
	    curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, connections) != CURLM_OK ||
	    curl_multi_setopt(pool->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections) !=
		CURLM_OK) {
		pool_free(pool);
		return -ENOMEM;
	}
	list_append(&u->pools, &pool->link);
	*ret = pool;
	return 0;
}

/* The old one ends with its last call, maybe now. */
static int replace_pool(struct upstream *u, size_t max_connections)
{
	struct pool *old = u->pool;
	int r = pool_new(u, max_connections, &u->pool);

	if (r)
		return r;
	u->timeouts_in_row = 0;
	if (old)
		pool_free_if_over(old);
	return 0;
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
	CURLcode r = curl_easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, take_header);

	r = r ? r : curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
	r = r ? r : curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, take_body);
	r = r ? r : curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
	return r ? r : curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
}

static int set_guard(struct call *call, int64_t after_ms)
{
	const struct timeval after = ms_to_timeval(after_ms);

	call->guard = evtimer_new(call->pool->upstream->base, on_guard, call);
	return call->guard && event_add(call->guard, &after) == 0 ? 0 : -ENOMEM;
}

static int call_new(struct upstream *u, void *flight, struct call **ret)
{
	struct call *call = mem_zalloc(sizeof(*call));

	if (!call)
		return -ENOMEM;
	list_init(&call->link);
	call->pool = u->pool;
	call->flight = flight;
	call->body.max = u->bapi.max_answer;
	call->easy = curl_easy_init();
	if (!call->easy || set_callbacks(call) != CURLE_OK ||
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
	int r;

	r = u->pool->worn ? replace_pool(u, u->max_connections) : 0;
	if (r)
		return r;
	r = call_new(u, flight, &call);
	if (r)
		return r;
	r = bapi_request_init(&call->request, &u->bapi, call->easy, session, template,
			      expires_in_s);
	if (r == 0 && curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, (long)fresh) != CURLE_OK)
		r = -ENOMEM;
	if (r == 0 && curl_multi_add_handle(u->pool->multi, call->easy) != CURLM_OK)
		r = -ENOMEM;
	if (r) {
		call_free(call);
		return r;
	}
	list_append(&u->pool->calls, &call->link);
	return 0;
}

static struct call *find_call(struct upstream *u, void *flight)
{
	list_for_each (p, &u->pools) {
		struct pool *pool = container_of(p, struct pool, link);

		list_for_each (c, &pool->calls) {
			struct call *call = container_of(c, struct call, link);

			if (call->flight == flight)
				return call;
		}
	}
	return NULL;
}

void upstream_cancel(struct upstream *u, void *flight)
{
	struct call *call;
	struct pool *pool;

	while ((call = find_call(u, flight))) {
		pool = call->pool;
		call_stop(call);
		call_free(call);
		pool_free_if_over(pool);
	}
}

int upstream_configure(struct upstream *u, const struct upstream_config *config,
		       const struct secret *key)
{
	struct bapi bapi;
	int r;

	r = bapi_init(&bapi, config, key);
	r = r ? r : replace_pool(u, config->max_connections);
	if (r) {
		bapi_deinit(&bapi);
		return r;
	}
	bapi_deinit(&u->bapi);
	u->bapi = bapi;
	u->max_connections = config->max_connections;
	return 0;
}

int upstream_new(struct event_base *base, const struct upstream_config *config,
		 const struct secret *key, upstream_done_fn *done, void *arg, struct upstream **ret)
{
	struct upstream *u = mem_zalloc(sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	u->base = base;
	u->done = done;
	u->arg = arg;
	list_init(&u->pools);
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
	list_for_each_safe (it, &u->pools)
		pool_free(container_of(it, struct pool, link));
	bapi_deinit(&u->bapi);
	mem_free(u);
}
