/* See passon.h. */
#include "daemon/sys/passon.h"

#include "base/buf.h"
#include "base/mem.h"
#include "daemon/sys/clock.h"

#include <errno.h>

#define FIELDS_MAX (128 * 1024) /* bytes of an answer's fields, which relay bounds closer */

struct passon {
	struct http_exchange *x;
	struct relay *relay;
	const struct passon_callbacks *callbacks;
	bool is_begun; /* the answer */
	bool has_sent; /* all of the request's body */
};

static void passon_free(struct passon *p)
{
	http_set_data(p->x, NULL);
	mem_free(p);
}

static int write_fields(struct buf *to, const struct relay_head *head)
{
	int r = 0;

	for (size_t i = 0; i < head->n_fields && r == 0; i++) {
		const struct httpfield *field = &head->fields[i];

		if (httphead_is(field->name, "date"))
			continue; /* the server says it */
		r = buf_append(to, field->name.ptr, field->name.len);
		r = r ? r : buf_append_str(to, ": ");
		r = r ? r : buf_append(to, field->value.ptr, field->value.len);
		r = r ? r : buf_append_str(to, "\r\n");
	}
	return r;
}

static void on_head(void *arg, const struct relay_head *head)
{
	struct passon *p = arg;
	struct buf fields = BUF_INIT(FIELDS_MAX);
	int r = write_fields(&fields, head);
	const struct http_answer answer = { .status = head->status, .fields = buf_span(&fields) };

	if (r == 0) {
		p->is_begun = true;
		http_begin(p->x, &answer, head->body_len < 0 ? HTTP_UNKNOWN : head->body_len);
	} else {
		http_abort(p->x);
		passon_gone(p);
	}
	buf_deinit(&fields);
}

static size_t on_body(void *arg, struct span data)
{
	struct passon *p = arg;
	size_t taken = 0;

	while (taken < data.len) {
		size_t left = data.len - taken;
		size_t len = left < HTTP_PIECE_MAX ? left : HTTP_PIECE_MAX;

		if (!http_write(p->x, span_of(data.ptr + taken, len)))
			break;
		taken += len;
	}
	return taken;
}

static void on_room(void *arg)
{
	passon_body(arg);
}

static void on_end(void *arg)
{
	struct passon *p = arg;
	struct http_exchange *x = p->x;

	passon_free(p);
	http_end(x);
}

static void on_failed(void *arg, const struct relay_failure *failure)
{
	struct passon *p = arg;
	struct http_exchange *x = p->x;
	const struct passon_callbacks *callbacks = p->callbacks;
	bool is_begun = p->is_begun;

	passon_free(p);
	if (is_begun)
		http_abort(x);
	else
		callbacks->failed(callbacks->arg, x, failure);
}

void passon_body(struct passon *p)
{
	bool is_last;
	struct span body = http_body(p->x, &is_last);
	size_t taken = body.len ? relay_push(p->relay, body) : 0;

	http_consume(p->x, taken);
	if (!is_last || taken < body.len || p->has_sent)
		return;
	p->has_sent = true;
	relay_push_end(p->relay);
}

void passon_writable(struct passon *p)
{
	relay_resume(p->relay);
}

void passon_gone(struct passon *p)
{
	const struct passon_callbacks *callbacks = p->callbacks;

	relay_cancel(p->relay);
	passon_free(p);
	callbacks->settle(callbacks->settle_arg);
}

static int64_t body_len_of(const struct httphead *head)
{
	if (head->is_chunked)
		return RELAY_CHUNKED;
	if (head->length > INT64_MAX)
		return INT64_MAX;
	/* Content-Length: 0 is not the same as none. */
	return head->length || httphead_find(head, "content-length", NULL).ptr
		   ? (int64_t)head->length
		   : RELAY_NO_BODY;
}

static struct span target_of(const struct httphead *head)
{
	const char *end =
	    head->query.ptr ? head->query.ptr + head->query.len : head->path.ptr + head->path.len;

	return span_of(head->path.ptr, (size_t)(end - head->path.ptr));
}

static int start(struct passon *p, struct relays *relays, struct client *client, bool add_key)
{
	static const struct relay_callbacks ours = { on_head, on_body, on_room, on_end, on_failed };
	const struct httphead *head = http_head(p->x);
	const struct relay_request request = {
		.method = head->method,
		.target = target_of(head),
		.fields = head->fields,
		.n_fields = head->n_fields,
		.body_len = body_len_of(head),
		.add_key = add_key,
	};

	return relay_start(relays, clock_boot(), client, &request, &ours, p, &p->relay);
}

int passon_begin(struct relays *relays, struct client *client, struct http_exchange *x,
		 bool add_key, bool is_collected, const struct passon_callbacks *callbacks)
{
	struct passon *p = mem_zalloc(sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	*p = (struct passon){ .x = x, .callbacks = callbacks };
	r = start(p, relays, client, add_key);
	if (r) {
		mem_free(p);
		return r;
	}
	http_set_data(x, p);
	if (is_collected)
		passon_body(p);
	else
		http_stream(x);
	callbacks->settle(callbacks->settle_arg);
	return 0;
}
