/* See exchange.h.
 *
 * curl calls us while it is on the stack, and must not be called then. So what it says is kept: the
 * body in a buffer, the rest as flags, and the exchange is stirred: it is told of from the event
 * loop. Where the buffer is full, or there is nothing to send, curl is told to pause that way.
 */
#include "daemon/sys/exchange.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "daemon/core/url.h"
#include "daemon/sys/bapi.h"
#include "daemon/sys/pool.h"

#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>

#define HEADERS_MAX (64 * 1024) /* bytes of an answer's header fields */
#define CURL_BUFFER 16384	/* bytes that curl reads and sends at once */

struct exchanges {
	struct bapi bapi;
	struct pool_set pools;
	struct list stirred; /* struct exchange.stirred */
	struct event *wake;
};

struct exchange {
	struct list stirred;
	struct exchanges *set;
	struct transfer transfer;
	const struct exchange_callbacks *callbacks;
	void *arg;
	struct event *idle;
	int64_t idle_ms;
	struct bapi_fields *key_fields;
	struct curl_slist *fields, key_field;
	struct buf up, down;
	size_t header_bytes;
	bool up_ended, up_paused, wants_room;
	bool down_paused, held;
	bool has_head, head_told;
	bool is_over, in_callback, is_freed;
	enum transport transport;
	enum transport refused; /* why we ended it ourselves; TRANSPORT_OK: we did not */
};

static void stir(struct exchange *x)
{
	if (!list_is_empty(&x->stirred))
		return;
	list_append(&x->set->stirred, &x->stirred);
	event_active(x->set->wake, EV_TIMEOUT, 0);
}

/* Something moves. Without memory for the timer there is still curl's for the connection. */
static void touch(struct exchange *x)
{
	const struct timeval after = pool_timeval(x->idle_ms);

	if (!x->is_over)
		(void)event_add(x->idle, &after);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct exchange *x = arg;

	(void)fd;
	(void)what;
	if (!list_is_empty(&x->transfer.link))
		pool_set_finish(&x->transfer, CURLE_OPERATION_TIMEDOUT);
}

static void on_finished(struct transfer *t, CURLcode result)
{
	struct exchange *x = container_of(t, struct exchange, transfer);

	x->transport = x->refused != TRANSPORT_OK ? x->refused : transfer_transport(t, result);
	if (x->transport == TRANSPORT_OK && !x->has_head)
		x->transport = TRANSPORT_BROKEN; /* an interim answer was all */
	x->is_over = true;
	pool_set_note(t, x->transport);
	(void)event_del(x->idle); /* fails for uninitialized events */
	stir(x);
}

/* CURLOPT_HEADERFUNCTION: curl keeps the fields; this says when there are too many, and when all
 * are there. Lines of interim answers come, too, and those of trailers. */
static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	long status = 0;

	x->header_bytes += size * n;
	if (x->header_bytes > HEADERS_MAX) {
		x->refused = TRANSPORT_TOO_LARGE;
		return 0;
	}
	if (x->has_head || (*data != '\r' && *data != '\n'))
		return size * n;
	(void)curl_easy_getinfo(x->transfer.easy, CURLINFO_RESPONSE_CODE, &status); /* stays 0 */
	x->has_head = status >= 200;
	if (x->has_head)
		stir(x);
	touch(x);
	return size * n;
}

/* CURLOPT_WRITEFUNCTION; size is 1. */
static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	int r = buf_append(&x->down, data, size * n);

	if (r == -ENOMEM) {
		x->refused = TRANSPORT_NO_MEMORY;
		return CURL_WRITEFUNC_ERROR;
	}
	stir(x);
	touch(x);
	x->down_paused = r < 0;
	return r < 0 ? CURL_WRITEFUNC_PAUSE : size * n;
}

/* CURLOPT_READFUNCTION */
static size_t give_body(char *to, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	size_t len = buf_len(&x->up) < size * n ? buf_len(&x->up) : size * n;

	x->up_paused = len == 0 && !x->up_ended;
	if (x->up_paused)
		return CURL_READFUNC_PAUSE;
	if (len)
		memcpy(to, x->up.ptr + x->up.start, len);
	buf_consume(&x->up, len);
	if (x->wants_room)
		stir(x);
	touch(x);
	return len;
}

/* Lets curl go on where it can. It may call us, and so be paused again. */
static void unpause(struct exchange *x)
{
	bool up = x->up_paused && (buf_len(&x->up) || x->up_ended);
	bool down = x->down_paused && x->down.max - buf_len(&x->down) >= CURL_BUFFER;

	if (x->is_over || (!up && !down) || list_is_empty(&x->transfer.link))
		return;
	x->up_paused &= !up;
	x->down_paused &= !down;
	if (curl_easy_pause(x->transfer.easy, (x->up_paused ? CURLPAUSE_SEND : 0) |
						  (x->down_paused ? CURLPAUSE_RECV : 0)) !=
	    CURLE_OK)
		pool_set_finish(&x->transfer, CURLE_OUT_OF_MEMORY);
}

static int64_t body_len_of(struct span text)
{
	uint64_t len;

	return span_parse_u64(span_trim(text), INT64_MAX, &len) == 0 ? (int64_t)len : -1;
}

static void note_field(struct exchange_head *head, const struct httpfield *f)
{
	if (httphead_is(f->name, "content-type"))
		head->content_type = f->value;
	else if (httphead_is(f->name, "cache-control"))
		head->cache_control = f->value;
	else if (httphead_is(f->name, "date"))
		head->date = f->value;
	else if (httphead_is(f->name, "retry-after"))
		head->retry_after = f->value;
}

/* All fields of the answer; false: there are too many. */
static bool list_fields(struct exchange *x, struct httpfield *to, size_t *ret_count)
{
	struct curl_header *h = NULL;
	size_t n = 0;

	while ((h = curl_easy_nextheader(x->transfer.easy, CURLH_HEADER, -1, h))) {
		if (n == PASSAGE_FIELDS_MAX)
			return false;
		to[n] = (struct httpfield){ span_str(h->name), span_str(h->value) };
		n += passage_field_is_acceptable(&to[n]);
	}
	*ret_count = n;
	return true;
}

static void tell_head(struct exchange *x)
{
	struct httpfield all[PASSAGE_FIELDS_MAX], kept[PASSAGE_FIELDS_MAX];
	struct exchange_head head = { .fields = kept, .body_len = -1 };
	bool is_chunked = false;
	long status = 0;
	size_t n;

	x->head_told = true;
	if (!list_fields(x, all, &n)) {
		x->refused = x->transport = TRANSPORT_TOO_LARGE;
		x->is_over = true;
		pool_set_remove(&x->transfer);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		is_chunked |= httphead_is(all[i].name, "transfer-encoding");
		if (httphead_is(all[i].name, "content-length"))
			head.body_len = body_len_of(all[i].value);
		note_field(&head, &all[i]);
		if (!passage_field_stays(all[i].name, all, n))
			kept[head.n_fields++] = all[i];
	}
	if (is_chunked)
		head.body_len = -1;
	(void)curl_easy_getinfo(x->transfer.easy, CURLINFO_RESPONSE_CODE, &status); /* it's there */
	head.status = (int)status;
	x->callbacks->head(x->arg, &head);
}

static void tell_body(struct exchange *x)
{
	struct span data = buf_span(&x->down);
	size_t taken = x->callbacks->body(x->arg, data);

	if (x->is_freed)
		return;
	buf_consume(&x->down, taken);
	x->held = taken < data.len;
	if (taken)
		touch(x);
}

/* Each callback may free it. */
static void tell(struct exchange *x)
{
	if (x->has_head && !x->head_told)
		tell_head(x);
	if (!x->is_freed && x->head_told && !x->held && buf_len(&x->down))
		tell_body(x);
	if (!x->is_freed && x->wants_room && buf_len(&x->up) <= x->up.max / 2) {
		x->wants_room = false;
		x->callbacks->room(x->arg);
	}
	if (!x->is_freed)
		unpause(x);
	/* What came before a failure is not worth waiting for. */
	if (!x->is_freed && x->is_over && (!buf_len(&x->down) || x->transport != TRANSPORT_OK))
		x->callbacks->over(x->arg, x->transport);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct exchanges *s = arg;
	struct list now, *first;
	struct exchange *x;

	(void)fd;
	(void)what;
	list_init(&now);
	list_move_all(&now, &s->stirred);
	while ((first = list_first(&now))) {
		list_unlink(first);
		x = container_of(first, struct exchange, stirred);
		x->in_callback = true;
		tell(x);
		x->in_callback = false;
		if (x->is_freed)
			exchange_free(x);
	}
}

static int add_line(struct exchange *x, const struct httpfield *field)
{
	struct buf line = BUF_INIT(SIZE_MAX);
	struct curl_slist *list = NULL;
	/* So curl wants a field that is empty. */
	const char *separator = field->value.len ? ": " : ";";

	if (buf_append(&line, field->name.ptr, field->name.len) == 0 &&
	    buf_append_str(&line, separator) == 0 &&
	    buf_append(&line, field->value.ptr, field->value.len) == 0 &&
	    buf_append(&line, "", 1) == 0)
		list = curl_slist_append(x->fields, line.ptr);
	buf_deinit(&line);
	if (!list)
		return -ENOMEM;
	x->fields = list;
	return 0;
}

/* A field of curl's own that is not to be sent. */
static int suppress(struct exchange *x, const char *line)
{
	struct curl_slist *list = curl_slist_append(x->fields, line);

	if (!list)
		return -ENOMEM;
	x->fields = list;
	return 0;
}

static int add_fields(struct exchange *x, const struct exchange_request *request)
{
	static const struct httpfield empty_body = { SPAN_LITERAL("Content-Length"),
						     SPAN_LITERAL("0") };
	bool accepts = false;
	int r = suppress(x, "Expect:");

	for (size_t i = 0; i < request->n_fields && r == 0; i++) {
		const struct httpfield *f = &request->fields[i];

		accepts |= httphead_is(f->name, "accept");
		if (passage_field_stays(f->name, request->fields, request->n_fields) ||
		    (request->add_key && httphead_is(f->name, "authorization")))
			continue;
		r = add_line(x, f);
	}
	if (r == 0 && !accepts)
		r = suppress(x, "Accept:");
	if (r == 0 && request->body_len == 0)
		r = add_line(x, &empty_body);
	return r;
}

static CURLcode set_fields(struct exchange *x, bool add_key)
{
	x->key_field = (struct curl_slist){ .data = x->key_fields->list->data, .next = x->fields };
	return curl_easy_setopt(x->transfer.easy, CURLOPT_HTTPHEADER,
				add_key ? &x->key_field : x->fields);
}

static bool has_body(const struct exchange_request *request)
{
	return request->body_len > 0 || request->body_len == EXCHANGE_CHUNKED;
}

static CURLcode set_callbacks(struct exchange *x)
{
	CURL *easy = x->transfer.easy;
	CURLcode r = curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);

	r = r ? r : curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
	r = r ? r : curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
	return r ? r : curl_easy_setopt(easy, CURLOPT_READDATA, x);
}

/* Over those of all requests. What may not be repeated is not sent on a connection that may be
 * dead: there curl would try again, if the body doesn't keep it from that. */
static CURLcode set_numbers(const struct exchange *x, const struct exchange_request *request)
{
	const struct bapi *b = &x->set->bapi;
	bool fresh = !has_body(request) && !passage_is_idempotent(request->method);
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{ CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
		{ CURLOPT_HTTP_CONTENT_DECODING, 0 },
		{ CURLOPT_PIPEWAIT, 0 },
		{ CURLOPT_LOW_SPEED_TIME, 0 },
		{ CURLOPT_TIMEOUT_MS, request->is_brief ? (long)b->request_timeout_ms : 0 },
		{ CURLOPT_BUFFERSIZE, CURL_BUFFER },
		{ CURLOPT_UPLOAD_BUFFERSIZE, CURL_BUFFER },
		{ CURLOPT_FRESH_CONNECT, fresh },
		{ CURLOPT_NOBODY, span_is(request->method, "HEAD") },
	};
	CURLcode r = CURLE_OK;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers) && r == CURLE_OK; i++)
		r = curl_easy_setopt(x->transfer.easy, numbers[i].option, numbers[i].value);
	r = r ? r : curl_easy_setopt(x->transfer.easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)0);
	if (r || !has_body(request))
		return r;
	r = curl_easy_setopt(x->transfer.easy, CURLOPT_UPLOAD, 1L);
	return r ? r
		 : curl_easy_setopt(x->transfer.easy, CURLOPT_INFILESIZE_LARGE,
				    (curl_off_t)(request->body_len > 0 ? request->body_len : -1));
}

static int set_where(struct exchange *x, const struct exchange_request *request)
{
	struct buf text = BUF_INIT(URL_MAX + PASSAGE_TARGET_MAX + 16);
	CURL *easy = x->transfer.easy;
	int r = buf_append_str(&text, x->set->bapi.api_url);

	r = r ? r : buf_append(&text, request->target.ptr, request->target.len);
	r = r ? r : buf_append(&text, "", 1);
	if (r == 0 && curl_easy_setopt(easy, CURLOPT_URL, text.ptr) != CURLE_OK)
		r = -ENOMEM;
	buf_reset(&text);
	r = r ? r : buf_append(&text, request->method.ptr, request->method.len);
	r = r ? r : buf_append(&text, "", 1);
	if (r == 0 && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, text.ptr) != CURLE_OK)
		r = -ENOMEM;
	buf_deinit(&text);
	return r;
}

static int prepare(struct exchange *x, const struct exchange_request *request)
{
	int r = bapi_prepare(&x->set->bapi, x->transfer.easy);

	r = r ? r : set_where(x, request);
	r = r ? r : add_fields(x, request);
	if (r == 0 && (set_callbacks(x) != CURLE_OK || set_numbers(x, request) != CURLE_OK ||
		       set_fields(x, request->add_key) != CURLE_OK))
		r = -ENOMEM;
	return r;
}

int exchange_new(struct exchanges *s, const struct exchange_request *request,
		 const struct exchange_callbacks *callbacks, void *arg, struct exchange **ret)
{
	struct exchange *x;
	int r;

	if (!passage_is_acceptable(request->method, request->target, request->fields,
				   request->n_fields) ||
	    request->body_len < EXCHANGE_CHUNKED ||
	    (has_body(request) && span_is(request->method, "HEAD")))
		return -EINVAL;
	x = mem_zalloc(sizeof(*x));
	if (!x)
		return -ENOMEM;
	*x = (struct exchange){ .set = s,
				.callbacks = callbacks,
				.arg = arg,
				.idle_ms = EXCHANGE_IDLE * s->bapi.request_timeout_ms,
				.up = BUF_INIT(EXCHANGE_BUFFER),
				.down = BUF_INIT(EXCHANGE_BUFFER),
				.key_fields = bapi_fields_ref(s->bapi.fields),
				.idle = evtimer_new(s->pools.base, on_idle, x) };
	list_init(&x->stirred);
	list_init(&x->transfer.link);
	x->transfer.easy = curl_easy_init();
	r = x->idle && x->transfer.easy ? prepare(x, request) : -ENOMEM;
	if (r) {
		exchange_free(x);
		return r;
	}
	*ret = x;
	return 0;
}

void exchange_free(struct exchange *x)
{
	if (!x)
		return;
	pool_set_remove(&x->transfer);
	list_unlink(&x->stirred);
	x->is_freed = true;
	if (x->in_callback)
		return; /* on_wake() does it */
	if (x->idle)
		event_free(x->idle);
	curl_easy_cleanup(x->transfer.easy);
	curl_slist_free_all(x->fields);
	bapi_fields_unref(x->key_fields);
	buf_deinit(&x->up);
	buf_deinit(&x->down);
	mem_free(x);
}

int exchange_begin(struct exchange *x)
{
	int r = pool_set_add(&x->set->pools, &x->transfer);

	if (r == 0)
		touch(x);
	return r;
}

size_t exchange_push(struct exchange *x, struct span data)
{
	size_t room = x->up.max - buf_len(&x->up);
	size_t len = data.len < room ? data.len : room;

	if (x->is_over)
		return data.len; /* nobody wants it any more */
	if (len && buf_append(&x->up, data.ptr, len) < 0)
		len = 0;
	x->wants_room |= len < data.len;
	touch(x);
	unpause(x);
	return len;
}

void exchange_push_end(struct exchange *x)
{
	x->up_ended = true;
	unpause(x);
}

void exchange_resume(struct exchange *x)
{
	x->held = false;
	stir(x);
}

int exchanges_configure(struct exchanges *s, const struct upstream_config *config,
			const struct secret *key)
{
	struct bapi bapi;
	int r = bapi_init(&bapi, config, key);

	r = r ? r : pool_set_replace(&s->pools, PASSAGE_TIMES * config->max_connections + 1);
	if (r) {
		bapi_deinit(&bapi);
		return r;
	}
	bapi_deinit(&s->bapi);
	s->bapi = bapi;
	return 0;
}

int exchanges_new(struct event_base *base, const struct upstream_config *config,
		  const struct secret *key, struct exchanges **ret)
{
	struct exchanges *s = mem_zalloc(sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	list_init(&s->stirred);
	pool_set_init(&s->pools, base, on_finished);
	s->wake = evtimer_new(base, on_wake, s);
	r = s->wake ? exchanges_configure(s, config, key) : -ENOMEM;
	if (r) {
		exchanges_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void exchanges_free(struct exchanges *s)
{
	if (!s)
		return;
	pool_set_deinit(&s->pools);
	if (s->wake)
		event_free(s->wake);
	bapi_deinit(&s->bapi);
	mem_free(s);
}
