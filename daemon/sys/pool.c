/* See pool.h. */
#include "daemon/sys/pool.h"

#include "base/instant.h"
#include "base/mem.h"

#include <errno.h>
#include <event2/event.h>

#define TIMEOUTS_IN_A_ROW 2 /* that wear a pool */

struct pool {
	struct list link; /* pool_set.pools */
	struct pool_set *set;
	CURLM *multi;
	struct event *timer;
	struct list transfers; /* struct transfer.link */
	bool worn;	       /* not for new ones */
	bool broken;	       /* worn, and its transfers are to be given up */
	bool draining;	       /* must not be freed now */
};

struct timeval pool_timeval(int64_t ms)
{
	return (struct timeval){ .tv_sec = ms / MS_PER_S, .tv_usec = ms % MS_PER_S * 1000 };
}

/* Takes it off curl and off the pool. */
static void stop(struct transfer *t)
{
	list_unlink(&t->link);
	(void)curl_multi_remove_handle(t->pool->multi, t->easy); /* fails for strangers */
}

static void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	if (pool->multi)
		(void)curl_multi_cleanup(pool->multi); /* fails for bad handles */
	if (pool->timer)
		event_free(pool->timer);
	list_unlink(&pool->link);
	mem_free(pool);
}

static void free_if_over(struct pool *pool)
{
	if (!pool->draining && pool != pool->set->pool && list_is_empty(&pool->transfers))
		pool_free(pool);
}

/* curl is on the stack, so the transfers are given up later. */
static void pool_break(struct pool *pool)
{
	pool->worn = pool->broken = true;
	event_active(pool->timer, EV_TIMEOUT, 0);
}

void pool_set_note(struct transfer *t, enum transport transport)
{
	struct pool_set *set = t->pool->set;

	if (transport == TRANSPORT_OK)
		set->timeouts_in_row = 0;
	else if (transport == TRANSPORT_NO_MEMORY)
		t->pool->worn = true;
	else if (transport == TRANSPORT_TIMEOUT && ++set->timeouts_in_row >= TIMEOUTS_IN_A_ROW)
		t->pool->worn = true;
}

/* Whether the request can have reached BAPI. */
static bool was_sent(const struct transfer *t)
{
	curl_off_t us = 0;

	(void)curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &us); /* stays 0 */
	return us != 0;
}

/* Whether it got as far as a connection. */
static bool was_queued(const struct transfer *t)
{
	long connects = 0;

	(void)curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects); /* stays 0 */
	return connects == 0 && !was_sent(t);
}

enum transport transfer_transport(const struct transfer *t, CURLcode result)
{
	switch (result) {
	case CURLE_OK:
		return TRANSPORT_OK;
	case CURLE_OUT_OF_MEMORY:
		return TRANSPORT_NO_MEMORY;
	case CURLE_FILESIZE_EXCEEDED:
		return TRANSPORT_TOO_LARGE;
	case CURLE_OPERATION_TIMEDOUT:
		if (was_queued(t))
			return TRANSPORT_QUEUED;
		return was_sent(t) ? TRANSPORT_TIMEOUT : TRANSPORT_UNREACHABLE;
	default:
		return was_sent(t) ? TRANSPORT_BROKEN : TRANSPORT_UNREACHABLE;
	}
}

bool transfer_is_exclusive(const struct transfer *t)
{
	long version = 0;

	(void)curl_easy_getinfo(t->easy, CURLINFO_HTTP_VERSION, &version); /* stays 0 */
	return version == CURL_HTTP_VERSION_1_0 || version == CURL_HTTP_VERSION_1_1;
}

static void finish(struct transfer *t, CURLcode result)
{
	struct pool *pool = t->pool;

	stop(t);
	pool->set->finished(t, result);
}

static struct transfer *next_finished(struct pool *pool, CURLcode *ret_result)
{
	CURLMsg *message;
	char *transfer;
	int left;

	do {
		message = curl_multi_info_read(pool->multi, &left);
		if (!message)
			return NULL;
	} while (message->msg != CURLMSG_DONE);
	*ret_result = message->data.result;
	if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer) != CURLE_OK)
		return NULL;
	return (struct transfer *)(void *)transfer;
}

/* The pool may be gone afterwards. What `finished` begins goes to another one if this is broken. */
static void drain(struct pool *pool)
{
	struct transfer *t;
	CURLcode result;

	pool->draining = true;
	while (pool->broken && !list_is_empty(&pool->transfers))
		finish(container_of(list_first(&pool->transfers), struct transfer, link),
		       CURLE_OUT_OF_MEMORY);
	while (!pool->broken && (t = next_finished(pool, &result)))
		finish(t, result);
	pool->draining = false;
	free_if_over(pool);
}

/* Lets curl go on. It fails as a whole only where it has no memory to remember a socket. */
static void advance(struct pool *pool, curl_socket_t fd, int action)
{
	int running;

	if (!pool->broken &&
	    curl_multi_socket_action(pool->multi, fd, action, &running) != CURLM_OK)
		pool->worn = pool->broken = true;
	drain(pool);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	advance(arg, fd,
		(what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	advance(arg, CURL_SOCKET_TIMEOUT, 0);
}

void pool_set_finish(struct transfer *t, CURLcode result)
{
	struct pool *pool = t->pool;

	pool->draining = true; /* what `finished` begins may replace it */
	finish(t, result);
	drain(pool);
}

/* CURLMOPT_TIMERFUNCTION */
static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct pool *pool = arg;
	const struct timeval after = pool_timeval(timeout_ms);

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
		event = event_new(pool->set->base, fd, flags, on_socket, pool);
		if (!event || event_add(event, NULL) != 0)
			pool_break(pool);
	}
	(void)curl_multi_assign(pool->multi, fd, event); /* fails for unknown sockets */
	return 0;
}

static int pool_new(struct pool_set *set, size_t max_connections, struct pool **ret)
{
	struct pool *pool = mem_zalloc(sizeof(*pool));
	long connections = (long)max_connections;

	if (!pool)
		return -ENOMEM;
	pool->set = set;
	list_init(&pool->transfers);
	list_init(&pool->link);
	pool->multi = curl_multi_init();
	pool->timer = evtimer_new(set->base, on_timer, pool);
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
	list_append(&set->pools, &pool->link);
	*ret = pool;
	return 0;
}

/* The old one ends with its last transfer, maybe now. */
int pool_set_replace(struct pool_set *set, size_t max_connections)
{
	struct pool *old = set->pool;
	int r = pool_new(set, max_connections, &set->pool);

	if (r)
		return r;
	set->max_connections = max_connections;
	set->timeouts_in_row = 0;
	if (old)
		free_if_over(old);
	return 0;
}

int pool_set_add(struct pool_set *set, struct transfer *t)
{
	int r = set->pool->worn ? pool_set_replace(set, set->max_connections) : 0;

	if (r)
		return r;
	t->pool = set->pool;
	if (curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t) != CURLE_OK ||
	    curl_multi_add_handle(set->pool->multi, t->easy) != CURLM_OK)
		return -ENOMEM;
	list_append(&set->pool->transfers, &t->link);
	return 0;
}

void pool_set_remove(struct transfer *t)
{
	if (list_is_empty(&t->link))
		return;
	stop(t);
	free_if_over(t->pool);
}

void pool_set_init(struct pool_set *set, struct event_base *base,
		   void (*finished)(struct transfer *t, CURLcode result))
{
	*set = (struct pool_set){ .base = base, .finished = finished };
	list_init(&set->pools);
}

void pool_set_deinit(struct pool_set *set)
{
	list_for_each_safe (it, &set->pools)
		pool_free(container_of(it, struct pool, link));
	set->pool = NULL;
}
