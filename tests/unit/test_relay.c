/* daemon/sys/relay: what passes through to Clerk is changed where it must be only, is bounded both
 * ways, and stays inside the budget.
 */
#include "daemon/sys/relay.h"

#include "base/buf.h"
#include "base/mem.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/upstream.h"
#include "tests/unit/test_relay_origin.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEY "sk_test_key"
#define TEXT_MAX 4096
#define PASSING_MAX 64
#define LARGE (20 << 20)
#define HELD_MAX (512 * 1024) /* bytes that one relay may hold, curl's included */
#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

/* One relay, as its front sees it. */
struct passing {
	struct relay *relay;
	int status;
	int64_t body_len;
	char fields[TEXT_MAX], body[TEXT_MAX];
	size_t body_bytes, takes; /* at most, of a body; SIZE_MAX: all */
	bool has_room, ended, failed, cancel_at_head;
	struct relay_failure failure;
};

static struct fixture {
	struct event_base *base;
	struct origin origin;
	struct engine *engine;
	struct relays *relays;
	struct client client;
	struct passing passing[PASSING_MAX];
	size_t n_dropped, held_max;
	bool inside;
	int64_t timeout_ms;
	size_t budget;
} f;

static void note_held(void)
{
	if (mem_held() > f.held_max)
		f.held_max = mem_held();
}

static void on_head(void *arg, const struct relay_head *head)
{
	struct passing *p = arg;
	size_t len = 0;

	assert_false(f.inside || p->status);
	p->status = head->status;
	p->body_len = head->body_len;
	for (size_t i = 0; i < head->n_fields; i++)
		len += (size_t)snprintf(p->fields + len, sizeof(p->fields) - len, "%.*s: %.*s\n",
					(int)head->fields[i].name.len, head->fields[i].name.ptr,
					(int)head->fields[i].value.len, head->fields[i].value.ptr);
	if (p->cancel_at_head)
		relay_cancel(p->relay);
}

static size_t on_body(void *arg, struct span data)
{
	struct passing *p = arg;
	size_t len = data.len < p->takes ? data.len : p->takes;

	assert_true(p->status && !p->ended && !f.inside);
	for (size_t i = 0; i < len && p->body_bytes + i + 1 < sizeof(p->body); i++)
		p->body[p->body_bytes + i] = data.ptr[i];
	p->body_bytes += len;
	note_held();
	return len;
}

static void on_room(void *arg)
{
	struct passing *p = arg;

	p->has_room = true;
}

static void on_end(void *arg)
{
	struct passing *p = arg;

	assert_false(p->ended || p->failed || f.inside);
	p->ended = true;
}

static void on_failed(void *arg, const struct relay_failure *failure)
{
	struct passing *p = arg;

	assert_false(p->ended || p->failed || f.inside);
	p->failed = true;
	p->failure = *failure;
}

static const struct relay_callbacks callbacks = { on_head, on_body, on_room, on_end, on_failed };

static void settle(void *arg)
{
	struct effect effect;

	(void)arg;
	do {
		engine_pop(f.engine, &effect);
		if (effect.type == EFFECT_ADMITTED || effect.type == EFFECT_REFUSED)
			relays_effect(f.relays, &effect);
		f.n_dropped += effect.type == EFFECT_DROPPED;
	} while (effect.type != EFFECT_NONE);
}

static void make_engine(void)
{
	const struct engine_config config = {
		.freshness = { .min_ttl_ms = 5000, .renew_idle_ms = -1 },
		.default_wait_ms = 1000,
		.max_memory = 1 << 20,
		.max_clients = 10,
		.budget = f.budget,
		.budget_window_ms = 10000,
		.greeting = "clerk-tokend",
	};
	const struct hash_key hash_key = { 0 };
	const struct identity who = { .uid = 1000 };

	assert_int_equal(engine_new(&config, &hash_key, 1, &f.engine), 0);
	assert_int_equal(engine_client_init(f.engine, &f.client, &who), 0);
}

static void make_relays(unsigned port)
{
	char url[64];
	struct secret key = SECRET_NONE;
	const struct upstream_config config = {
		.api_url = url,
		.api_version = "2025-11-10",
		.user_agent = "clerk-tokend/test",
		.connect_timeout_ms = f.timeout_ms,
		.request_timeout_ms = f.timeout_ms,
		.max_connections = 2,
		.max_answer = 1000,
	};

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	assert_int_equal(secret_set(&key, SPAN_LITERAL(KEY)), 0);
	if (f.relays)
		assert_int_equal(relays_configure(f.relays, &config, &key), 0);
	else
		assert_int_equal(relays_new(f.base, f.engine, &config, &key, &callbacks, settle,
					    NULL, &f.relays),
				 0);
	secret_deinit(&key);
}

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	f.timeout_ms = 20000;
	f.budget = 1000;
	for (size_t i = 0; i < PASSING_MAX; i++)
		f.passing[i].takes = SIZE_MAX;
	f.base = event_base_new();
	origin_start(&f.origin, f.base);
	make_engine();
	make_relays(f.origin.port);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	relays_free(f.relays);
	engine_client_deinit(f.engine, &f.client);
	settle(NULL);
	engine_free(f.engine);
	evconnlistener_free(f.origin.listener);
	event_base_free(f.base);
	return 0;
}

/* One round of the loop, a few milliseconds at most. */
static void turn(void)
{
	const struct timeval after = { .tv_usec = 2000 };

	assert_int_equal(event_base_loopexit(f.base, &after), 0);
	assert_int_equal(event_base_loop(f.base, EVLOOP_ONCE), 0);
	engine_tick(f.engine, clock_boot());
	settle(NULL);
	note_held();
}

/* A condition that never comes is ended by the alarm of main(). */
#define WAIT_FOR(condition)                                                                        \
	while (!(condition))                                                                       \
	turn()

static void turns(size_t n)
{
	while (n--)
		turn();
}

static int start(size_t i, const struct relay_request *request)
{
	int r;

	f.inside = true;
	r = relay_start(f.relays, clock_boot(), &f.client, request, &f.passing[i],
			&f.passing[i].relay);
	settle(NULL);
	f.inside = false;
	return r;
}

static int simple(size_t i, const char *method, const char *target)
{
	const struct relay_request request = { .method = span_str(method),
					       .target = span_str(target),
					       .body_len = RELAY_NO_BODY };

	return start(i, &request);
}

static bool is_over(size_t i)
{
	return f.passing[i].ended || f.passing[i].failed;
}

static void push_all(struct passing *p, size_t total)
{
	static char text[100000];
	size_t pushed = 0;

	memset(text, 'u', sizeof(text));
	while (pushed < total) {
		size_t len = total - pushed < sizeof(text) ? total - pushed : sizeof(text);
		size_t taken = relay_push(p->relay, span_of(text, len));

		pushed += taken;
		if (taken == len)
			continue;
		p->has_room = false;
		WAIT_FOR(p->has_room || p->failed);
		assert_false(p->failed);
	}
	relay_push_end(p->relay);
}

static void test_unchanged(void **state)
{
	const struct relay_field fields[] = {
		{ SPAN_LITERAL("Host"), SPAN_LITERAL("localhost:1234") },
		{ SPAN_LITERAL("Authorization"), SPAN_LITERAL("Bearer own") },
		{ SPAN_LITERAL("X-Two"), SPAN_LITERAL("a, b") },
		{ SPAN_LITERAL("X-Two"), SPAN_LITERAL("c") },
		{ SPAN_LITERAL("X-Empty"), SPAN_LITERAL("") },
		{ SPAN_LITERAL("Accept-Encoding"), SPAN_LITERAL("gzip") },
		{ SPAN_LITERAL("Connection"), SPAN_LITERAL("keep-alive, X-Mine") },
		{ SPAN_LITERAL("X-Mine"), SPAN_LITERAL("1") },
		{ SPAN_LITERAL("Keep-Alive"), SPAN_LITERAL("timeout=5") },
		{ SPAN_LITERAL("Content-Type"), SPAN_LITERAL("application/json") },
		{ SPAN_LITERAL("Content-Length"), SPAN_LITERAL("7") },
		{ SPAN_LITERAL("Expect"), SPAN_LITERAL("100-continue") },
	};
	const struct relay_request request = {
		.method = SPAN_LITERAL("PATCH"),
		.target = SPAN_LITERAL("/v1/a/../b%2fc?x=[1]&y"),
		.fields = fields,
		.n_fields = sizeof(fields) / sizeof(*fields),
		.body_len = 7,
	};
	struct passing *p = &f.passing[0];
	char expected[TEXT_MAX];

	(void)state;
	origin_expect(
	    &f.origin, 7,
	    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
	    "HTTP/1.1 422 Unprocessable\r\nContent-Type: application/json\r\n"
	    "Connection: X-Theirs\r\nX-Theirs: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
	    "Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\n\x1f\x8b{}\r\n",
	    0);
	assert_int_equal(start(0, &request), 0);
	assert_int_equal(relay_push(p->relay, SPAN_LITERAL("{\"a\":1}")), 7);
	relay_push_end(p->relay);
	WAIT_FOR(is_over(0));
	(void)snprintf(expected, sizeof(expected),
		       "PATCH /v1/a/../b%%2fc?x=[1]&y HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
		       "Authorization: Bearer own\r\nX-Two: a, b\r\nX-Two: c\r\nX-Empty:\r\n"
		       "Accept-Encoding: gzip\r\nContent-Type: application/json\r\n"
		       "Content-Length: 7\r\n\r\n{\"a\":1}",
		       f.origin.port);
	assert_string_equal(f.origin.head, expected);
	assert_true(p->ended);
	assert_int_equal(p->status, 422);
	assert_int_equal(p->body_len, 6);
	assert_string_equal(p->fields, "Content-Type: application/json\nSet-Cookie: a=1\n"
				       "Set-Cookie: b=2\nContent-Encoding: gzip\n");
	assert_string_equal(p->body, "\x1f\x8b{}\r\n");
}

static void test_the_key_is_added(void **state)
{
	const struct relay_field fields[] = {
		{ SPAN_LITERAL("AUTHORIZATION"), SPAN_LITERAL("Bearer nonsense") },
	};
	const struct relay_request request = { .method = SPAN_LITERAL("GET"),
					       .target = SPAN_LITERAL("/v1/users"),
					       .fields = fields,
					       .n_fields = 1,
					       .body_len = RELAY_NO_BODY,
					       .add_key = true };
	char expected[TEXT_MAX];

	(void)state;
	origin_expect(&f.origin, 0, OK_ANSWER, 0);
	assert_int_equal(start(0, &request), 0);
	WAIT_FOR(is_over(0));
	(void)snprintf(expected, sizeof(expected),
		       "GET /v1/users HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
		       "Authorization: Bearer " KEY "\r\n\r\n",
		       f.origin.port);
	assert_string_equal(f.origin.head, expected);
}

static void test_methods(void **state)
{
	static const char *const methods[] = { "GET",	 "POST",    "PUT", "PATCH",
					       "DELETE", "OPTIONS", "HEAD" };

	(void)state;
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		const struct relay_request request = { .method = span_str(methods[i]),
						       .target = SPAN_LITERAL("/"),
						       .body_len = strcmp(methods[i], "POST") == 0
								       ? 0
								       : RELAY_NO_BODY };
		bool is_head = strcmp(methods[i], "HEAD") == 0;

		origin_expect(
		    &f.origin, 0,
		    is_head ? "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n" : OK_ANSWER, 0);
		assert_int_equal(start(i, &request), 0);
		WAIT_FOR(is_over(i));
		assert_true(f.passing[i].ended);
		assert_int_equal(strncmp(f.origin.head, methods[i], strlen(methods[i])), 0);
		assert_int_equal(strstr(f.origin.head, "Content-Length: 0\r\n") != NULL,
				 strcmp(methods[i], "POST") == 0);
		assert_null(strstr(f.origin.head, "Accept"));
		assert_int_equal(f.passing[i].body_bytes, is_head ? 0 : 2);
		assert_int_equal(f.passing[i].body_len, is_head ? 1234 : 2);
	}
}

static void test_what_may_not_pass(void **state)
{
	const struct relay_field bad = { SPAN_LITERAL("A"), SPAN_LITERAL("b\r\nX: y") };
	const struct relay_request request = { .method = SPAN_LITERAL("GET"),
					       .target = SPAN_LITERAL("/"),
					       .fields = &bad,
					       .n_fields = 1,
					       .body_len = RELAY_NO_BODY };
	const struct relay_request with_body = { .method = SPAN_LITERAL("HEAD"),
						 .target = SPAN_LITERAL("/"),
						 .body_len = 5 };

	(void)state;
	assert_int_equal(simple(0, "GET", "http://elsewhere/"), -EINVAL);
	assert_int_equal(simple(0, "GET", "@elsewhere/"), -EINVAL);
	assert_int_equal(simple(0, "GET", "/a b"), -EINVAL);
	assert_int_equal(simple(0, "CONNECT", "/"), -EINVAL);
	assert_int_equal(start(0, &request), -EINVAL);
	assert_int_equal(start(0, &with_body), -EINVAL);
	f.client.grant.scope = ACCESS_SOME;
	assert_int_equal(simple(1, "GET", "/"), 0);
	WAIT_FOR(is_over(1));
	assert_int_equal(f.passing[1].failure.status, 403);
	assert_int_equal(f.origin.n_requests, 0);
}

static void test_no_redirect_is_followed(void **state)
{
	(void)state;
	origin_expect(&f.origin, 0,
		      "HTTP/1.1 307 Elsewhere\r\nLocation: /v1/other\r\nContent-Length: 0\r\n\r\n",
		      0);
	assert_int_equal(simple(0, "GET", "/v1/users"), 0);
	WAIT_FOR(is_over(0));
	assert_int_equal(f.passing[0].status, 307);
	assert_string_equal(f.passing[0].fields, "Location: /v1/other\n");
	assert_int_equal(f.origin.n_requests, 1);
}

static void test_large_bodies(void **state)
{
	const struct relay_request request = { .method = SPAN_LITERAL("POST"),
					       .target = SPAN_LITERAL("/"),
					       .body_len = LARGE };
	size_t before;

	(void)state;
	origin_expect(&f.origin, LARGE, "HTTP/1.1 200 OK\r\nContent-Length: 20971520\r\n\r\n",
		      LARGE);
	assert_int_equal(start(0, &request), 0);
	before = f.held_max = mem_held();
	push_all(&f.passing[0], LARGE);
	WAIT_FOR(is_over(0));
	assert_true(f.passing[0].ended);
	assert_int_equal(f.origin.received, LARGE);
	assert_int_equal(f.passing[0].body_bytes, LARGE);
	assert_true(f.held_max - before < HELD_MAX);
}

static void test_chunked_bodies(void **state)
{
	const struct relay_request request = { .method = SPAN_LITERAL("PUT"),
					       .target = SPAN_LITERAL("/"),
					       .body_len = RELAY_CHUNKED };
	struct passing *p = &f.passing[0];

	(void)state;
	origin_expect(&f.origin, 20,
		      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
		      "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
		      0);
	assert_int_equal(start(0, &request), 0);
	assert_int_equal(relay_push(p->relay, SPAN_LITERAL("first")), 5);
	WAIT_FOR(f.origin.received >= 10);
	assert_int_equal(relay_push(p->relay, SPAN_LITERAL("second")), 6);
	relay_push_end(p->relay);
	WAIT_FOR(is_over(0));
	assert_true(p->ended);
	assert_non_null(strstr(f.origin.head, "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"));
	assert_int_equal(f.origin.received, 10 + 11 + 5);
	assert_int_equal(p->body_len, -1);
	assert_string_equal(p->fields, "");
	assert_string_equal(p->body, "abcde");
}

static void test_a_slow_reader(void **state)
{
	struct passing *p = &f.passing[0];
	size_t sent, before;

	(void)state;
	p->takes = 0;
	origin_expect(&f.origin, 0, "HTTP/1.1 200 OK\r\nContent-Length: 20971520\r\n\r\n", LARGE);
	assert_int_equal(simple(0, "GET", "/v1/users"), 0);
	before = f.held_max = mem_held();
	WAIT_FOR(p->status);
	do {
		sent = f.origin.sent;
		turns(20);
	} while (sent != f.origin.sent);
	assert_true(sent < LARGE); /* what the kernel takes */
	assert_int_equal(p->body_bytes, 0);
	p->takes = 1000;
	relay_resume(p->relay);
	WAIT_FOR(p->body_bytes);
	p->takes = SIZE_MAX;
	while (!is_over(0)) {
		if (p->relay && !is_over(0))
			relay_resume(p->relay);
		turn();
	}
	assert_int_equal(p->body_bytes, LARGE);
	assert_true(f.held_max - before < HELD_MAX);
}

static void test_who_has_gone(void **state)
{
	const struct relay_request request = { .method = SPAN_LITERAL("POST"),
					       .target = SPAN_LITERAL("/"),
					       .body_len = 1000 };

	(void)state;
	origin_expect(&f.origin, SIZE_MAX, NULL, 0);
	assert_int_equal(start(0, &request), 0);
	assert_int_equal(relay_push(f.passing[0].relay, SPAN_LITERAL("half")), 4);
	WAIT_FOR(f.origin.received == 4);
	relay_cancel(f.passing[0].relay);
	WAIT_FOR(f.origin.n_open == 0);
	origin_expect(&f.origin, 0, OK_ANSWER, 0);
	f.passing[1].cancel_at_head = true;
	assert_int_equal(simple(1, "GET", "/"), 0);
	WAIT_FOR(f.passing[1].status);
	turns(5);
	assert_false(is_over(0) || is_over(1));
	assert_int_equal(simple(2, "GET", "/"), 0);
	relay_cancel(f.passing[2].relay); /* at once */
	turns(5);
	assert_false(is_over(2));
}

static void test_nobody_there(void **state)
{
	(void)state;
	make_relays(9);
	assert_int_equal(simple(0, "GET", "/"), 0);
	WAIT_FOR(is_over(0));
	assert_true(f.passing[0].failed);
	assert_int_equal(f.passing[0].failure.status, 502);
	assert_int_equal(f.passing[0].status, 0);
}

static void test_silence(void **state)
{
	(void)state;
	f.timeout_ms = 50;
	make_relays(f.origin.port);
	origin_expect(&f.origin, SIZE_MAX, NULL, 0);
	assert_int_equal(simple(0, "GET", "/"), 0);
	WAIT_FOR(is_over(0));
	assert_int_equal(f.passing[0].failure.status, 504);
}

static void test_an_answer_that_breaks_off(void **state)
{
	(void)state;
	f.origin.cuts = true;
	origin_expect(&f.origin, 0, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 50);
	assert_int_equal(simple(0, "GET", "/"), 0);
	WAIT_FOR(is_over(0));
	assert_true(f.passing[0].failed);
	assert_int_equal(f.passing[0].status, 200);
}

static void test_the_budget(void **state)
{
	(void)state;
	f.budget = 2;
	relays_free(f.relays);
	engine_client_deinit(f.engine, &f.client);
	engine_free(f.engine);
	f.relays = NULL;
	make_engine();
	make_relays(f.origin.port);
	origin_expect(&f.origin, 0, OK_ANSWER, 0);
	for (size_t i = 0; i < 2; i++) {
		origin_expect(&f.origin, 0, OK_ANSWER, 0);
		assert_int_equal(simple(i, "GET", "/"), 0);
		WAIT_FOR(is_over(i));
		assert_true(f.passing[i].ended);
	}
	assert_int_equal(simple(2, "GET", "/"), 0);
	WAIT_FOR(is_over(2));
	assert_int_equal(f.passing[2].failure.status, 429);
	assert_in_range(f.passing[2].failure.retry_ms, 8000, 10000);
	assert_int_equal(f.origin.n_requests, 2);
}

static void test_clerk_objects(void **state)
{
	(void)state;
	origin_expect(&f.origin, 0,
		      "HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 0);
	assert_int_equal(simple(0, "GET", "/"), 0);
	WAIT_FOR(is_over(0));
	assert_int_equal(f.passing[0].status, 429);
	assert_string_equal(f.passing[0].fields, "Retry-After: 7\n");
	assert_int_equal(simple(1, "GET", "/"), 0);
	WAIT_FOR(is_over(1));
	assert_int_equal(f.passing[1].failure.status, 429);
	assert_in_range(f.passing[1].failure.retry_ms, 6000, 7000);
	assert_int_equal(f.origin.n_requests, 1);
}

static void test_a_session_that_ends_is_dropped(void **state)
{
	static const struct {
		const char *method, *target, *answer;
		bool drops;
	} cases[] = {
		{ "POST", "/v1/sessions/sess_1/revoke", OK_ANSWER, true },
		{ "GET", "/v1/sessions/sess_1", OK_ANSWER, false },
		{ "POST", "/v1/sessions/sess_1/revoke",
		  "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		f.n_dropped = 0;
		origin_expect(&f.origin, 0, cases[i].answer, 0);
		assert_int_equal(simple(i, cases[i].method, cases[i].target), 0);
		WAIT_FOR(is_over(i));
		assert_int_equal(f.n_dropped, cases[i].drops);
	}
	f.origin.cuts = true; /* who knows? */
	origin_expect(&f.origin, 0, "HTTP/1.1 200 OK\r\n", 0);
	assert_int_equal(simple(5, "POST", "/v1/sessions/sess_1/revoke"), 0);
	WAIT_FOR(is_over(5));
	assert_int_equal(f.n_dropped, 1);
}

static void test_the_public_keys(void **state)
{
	(void)state;
	origin_expect(&f.origin, 0,
		      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
		      "Content-Length: 11\r\n\r\n{\"keys\":[]}",
		      0);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(simple(i, "GET", "/v1/jwks"), 0);
	relay_cancel(f.passing[9].relay);
	for (size_t i = 0; i < 9; i++) {
		WAIT_FOR(is_over(i));
		assert_true(f.passing[i].ended);
		assert_int_equal(f.passing[i].status, 200);
		assert_int_equal(f.passing[i].body_len, 11);
		assert_string_equal(f.passing[i].fields, "Content-Type: application/json\n");
		assert_string_equal(f.passing[i].body, "{\"keys\":[]}");
	}
	assert_non_null(strstr(f.origin.head, "\r\nAuthorization: Bearer " KEY "\r\n"));
	assert_int_equal(simple(11, "GET", "/v1/jwks"), 0);
	f.passing[11].takes = 5;
	WAIT_FOR(f.passing[11].body_bytes);
	relay_resume(f.passing[11].relay);
	WAIT_FOR(f.passing[11].body_bytes == 10);
	relay_resume(f.passing[11].relay);
	WAIT_FOR(is_over(11));
	assert_string_equal(f.passing[11].body, "{\"keys\":[]}");
	assert_int_equal(f.origin.n_requests, 1);
	assert_int_equal(engine_stats(f.engine)->calls, 0);
	make_relays(9); /* another Clerk */
	assert_int_equal(simple(12, "GET", "/v1/jwks"), 0);
	WAIT_FOR(is_over(12));
	assert_int_equal(f.passing[12].failure.status, 502);
}

static void test_many(void **state)
{
	(void)state;
	for (size_t i = 0; i < 40; i++)
		assert_int_equal(simple(i, "GET", "/"), 0);
	origin_expect(&f.origin, SIZE_MAX, NULL, 0);
	WAIT_FOR(f.origin.n_open == 8); /* four times max_connections */
	turns(5);
	assert_int_equal(f.origin.n_open, 8);
	/* all are ended with the relays */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_unchanged),
		TEST(test_the_key_is_added),
		TEST(test_methods),
		TEST(test_what_may_not_pass),
		TEST(test_no_redirect_is_followed),
		TEST(test_large_bodies),
		TEST(test_chunked_bodies),
		TEST(test_a_slow_reader),
		TEST(test_who_has_gone),
		TEST(test_nobody_there),
		TEST(test_silence),
		TEST(test_an_answer_that_breaks_off),
		TEST(test_the_budget),
		TEST(test_clerk_objects),
		TEST(test_a_session_that_ends_is_dropped),
		TEST(test_the_public_keys),
		TEST(test_many),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	(void)alarm(120);
	if (upstream_global_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
