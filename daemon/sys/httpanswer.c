/* The answers of the HTTP server: see http.h.
 *
 * What is to be sent is put together in the shared buffer and sent at once; what the socket doesn't
 * take stays with the connection.
 */
#include "daemon/sys/clock.h"
#include "daemon/sys/httpconn.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#define HEAD_ROOM 320	     /* for what the server writes itself */
#define OUT_KEPT 65536	     /* of the shared buffer */
#define CHUNK_ROOM 24	     /* around the data */
#define SKIP_MAX (64 * 1024) /* bytes of a body that nobody wants, read to keep the connection */

static const struct {
	int status;
	const char *text;
} status_texts[] = {
	{ 200, "200 OK" },
	{ 201, "201 Created" },
	{ 202, "202 Accepted" },
	{ 204, "204 No Content" },
	{ 304, "304 Not Modified" },
	{ 400, "400 Bad Request" },
	{ 401, "401 Unauthorized" },
	{ 403, "403 Forbidden" },
	{ 404, "404 Not Found" },
	{ 405, "405 Method Not Allowed" },
	{ 408, "408 Request Timeout" },
	{ 409, "409 Conflict" },
	{ 413, "413 Content Too Large" },
	{ 415, "415 Unsupported Media Type" },
	{ 417, "417 Expectation Failed" },
	{ 421, "421 Misdirected Request" },
	{ 422, "422 Unprocessable Content" },
	{ 429, "429 Too Many Requests" },
	{ 431, "431 Request Header Fields Too Large" },
	{ 500, "500 Internal Server Error" },
	{ 501, "501 Not Implemented" },
	{ 502, "502 Bad Gateway" },
	{ 503, "503 Service Unavailable" },
	{ 504, "504 Gateway Timeout" },
	{ 505, "505 HTTP Version Not Supported" },
};

static char *put(char *to, struct span s)
{
	if (s.len)
		memcpy(to, s.ptr, s.len);
	return to + s.len;
}

#define PUT(to, literal) put(to, SPAN_LITERAL(literal))

static char *put_status(char *to, int status)
{
	to = PUT(to, "HTTP/1.1 ");
	for (size_t i = 0; i < sizeof(status_texts) / sizeof(status_texts[0]); i++)
		if (status_texts[i].status == status)
			return put(to, span_str(status_texts[i].text));
	to = format_u64(to, (uint64_t)status);
	return PUT(to, " "); /* the text may be empty (RFC 9112, section 4) */
}

static char *put_date(struct http_server *s, char *to)
{
	int64_t now_s = clock_wall().ms / MS_PER_S;

	if (now_s != s->date_s) {
		httpdate_format(now_s, s->date);
		s->date_s = now_s;
	}
	to = PUT(to, "\r\nDate: ");
	to = put(to, span_of(s->date, HTTPDATE_SIZE));
	return PUT(to, "\r\n");
}

static bool has_no_length(int status)
{
	return status == 204 || status == 304 || status < 200;
}

static char *put_framing(const struct http_exchange *x, char *to, int status, int64_t length)
{
	if (!has_no_length(status) && length >= 0) {
		to = PUT(to, "Content-Length: ");
		to = format_u64(to, (uint64_t)length);
		to = PUT(to, "\r\n");
	} else if (!has_no_length(status) && !x->unframed) {
		to = PUT(to, "Transfer-Encoding: chunked\r\n");
	}
	if (!x->keeps)
		return PUT(to, "Connection: close\r\n");
	return x->head && x->head->is_1_0 ? PUT(to, "Connection: keep-alive\r\n") : to;
}

/* What is left of the body is read if it is short, so that the next request can follow; a client
 * that waits to be told to send it might send it or not. */
static void skip_body(struct http_exchange *x)
{
	if (httpbody_is_done(&x->rest))
		return;
	x->keeps &= !x->awaits_continue && !x->head->is_chunked && x->rest.left <= SKIP_MAX;
	x->intake = INTAKE_SKIP;
	x->body_max = SKIP_MAX + 1;
}

/* Sends from `from`. */
static void send_some(struct http_exchange *x, struct buf *from)
{
	ssize_t n;

	if (x->state == HTTP_DEAD)
		return;
	n = send(event_get_fd(&x->event), from->ptr + from->start, buf_len(from),
		 MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		x->state = HTTP_DEAD;
	if (n <= 0)
		return;
	x->progress = true;
	buf_consume(from, (size_t)n);
}

void http_flush(struct http_exchange *x)
{
	if (buf_len(&x->out) == 0)
		return;
	send_some(x, &x->out);
	buf_trim(&x->out);
}

/* Wipes what was in the shared buffer. */
static void clear(struct buf *b, size_t used)
{
	if (b->size > OUT_KEPT)
		buf_deinit(b);
	else
		explicit_bzero(b->ptr, used);
	buf_reset(b);
}

/* Sends what is in the shared buffer, up to `end`. */
static void emit(struct http_exchange *x, const char *end)
{
	struct buf *out = &x->owner->out;
	size_t used = (size_t)(end - out->ptr);
	struct span rest;

	buf_commit(out, used);
	if (buf_len(&x->out) == 0)
		send_some(x, out);
	rest = buf_span(out);
	if (x->state != HTTP_DEAD && buf_append(&x->out, rest.ptr, rest.len) < 0)
		x->state = HTTP_DEAD;
	clear(out, used);
	http_touch(x);
}

/* Where so much may be put together; NULL, and the connection is dead, where there is no memory. */
static char *reserve(struct http_exchange *x, size_t len)
{
	char *to = buf_reserve(&x->owner->out, len);

	if (to)
		return to;
	x->state = HTTP_DEAD;
	http_touch(x);
	return NULL;
}

static char *put_head(struct http_exchange *x, const struct http_answer *answer, int64_t length,
		      size_t body_len)
{
	char *to;

	assert(x->answered == ANSWER_OWED);
	x->bare |= has_no_length(answer->status);
	x->unframed = length < 0 && x->head && x->head->is_1_0;
	x->keeps &= !answer->close && !x->owner->is_draining && !x->unframed;
	to = reserve(x, HEAD_ROOM + answer->fields.len + (x->bare ? 0 : body_len));
	if (!to)
		return NULL;
	to = put_status(to, answer->status);
	to = put_date(x->owner, to);
	to = put(to, answer->fields);
	to = put_framing(x, to, answer->status, length);
	return PUT(to, "\r\n");
}

void http_answer(struct http_exchange *x, const struct http_answer *answer)
{
	char *to;

	if (!x->is_refused)
		skip_body(x);
	to = put_head(x, answer, (int64_t)answer->body.len, answer->body.len);
	x->answered = ANSWER_WHOLE;
	if (!to)
		return;
	if (!x->bare)
		to = put(to, answer->body);
	emit(x, to);
}

void http_begin(struct http_exchange *x, const struct http_answer *answer, int64_t length)
{
	char *to;

	if (x->intake != INTAKE_STREAM)
		skip_body(x);
	to = put_head(x, answer, length, 0);
	x->answered = ANSWER_BEGUN;
	x->answer_left = length;
	if (to)
		emit(x, to);
}

static char *put_hex(char *to, size_t value)
{
	int shift = 60;

	while (shift && !(value >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		*to++ = "0123456789abcdef"[value >> shift & 15];
	return to;
}

static bool is_chunked(const struct http_exchange *x)
{
	return x->answer_left == HTTP_UNKNOWN && !x->unframed && !x->bare;
}

bool http_write(struct http_exchange *x, struct span piece)
{
	char *to;

	assert(x->answered == ANSWER_BEGUN && piece.len <= HTTP_PIECE_MAX);
	if (x->state == HTTP_DEAD || x->bare || piece.len == 0)
		return true; /* for nobody */
	if (buf_len(&x->out) >= HTTP_OUT_HIGH) {
		x->awaits_room = true;
		return false;
	}
	if (x->answer_left != HTTP_UNKNOWN && (uint64_t)x->answer_left < piece.len) {
		x->state = HTTP_DEAD; /* more than was said */
		http_touch(x);
		return true;
	}
	to = reserve(x, piece.len + CHUNK_ROOM);
	if (!to)
		return true;
	if (is_chunked(x)) {
		to = PUT(put_hex(to, piece.len), "\r\n");
		to = PUT(put(to, piece), "\r\n");
	} else {
		to = put(to, piece);
	}
	if (x->answer_left != HTTP_UNKNOWN)
		x->answer_left -= (int64_t)piece.len;
	emit(x, to);
	return true;
}

void http_end(struct http_exchange *x)
{
	char *to;

	if (x->answer_left > 0 && !x->bare) {
		http_abort(x); /* less than was said */
		return;
	}
	x->keeps &= x->intake != INTAKE_STREAM || httpbody_is_done(&x->rest);
	x->answered = ANSWER_WHOLE;
	to = is_chunked(x) ? reserve(x, CHUNK_ROOM) : NULL;
	if (to)
		emit(x, PUT(to, "0\r\n\r\n"));
	else
		http_touch(x);
}

void http_cut(struct http_exchange *x)
{
	static const struct linger linger = { .l_onoff = 1 };

	(void)setsockopt(event_get_fd(&x->event), SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void http_abort(struct http_exchange *x)
{
	http_cut(x);
	x->answered = ANSWER_WHOLE;
	x->state = HTTP_DEAD;
	http_touch(x);
}

void http_continue(struct http_exchange *x)
{
	char *to;

	if (!x->awaits_continue)
		return;
	x->awaits_continue = false;
	to = reserve(x, CHUNK_ROOM + 8);
	if (to)
		emit(x, PUT(to, "HTTP/1.1 100 Continue\r\n\r\n"));
}

void http_refuse(struct http_exchange *x, int status, const char *text)
{
	static const char type[] = "Content-Type: text/plain; charset=utf-8\r\n";

	x->is_refused = true;
	x->keeps = false;
	http_answer(x, &(struct http_answer){ .status = status,
					      .fields = span_of(type, sizeof(type) - 1),
					      .body = span_str(text) });
}
