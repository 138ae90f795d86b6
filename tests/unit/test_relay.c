/* daemon/sys/relay: what passes through to Clerk is changed where it must be only, and is bounded
 * both ways.
 */
#include "tests/unit/test_relay_world.h"

static void test_unchanged(void **state)
{
	const struct httpfield fields[] = {
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
	const struct httpfield fields[] = {
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

/* More than there are connections for wait, and are told in time if there is none for them. */
static void test_many(void **state)
{
	(void)state;
	origin_expect(&f.origin, SIZE_MAX, NULL, 0);
	for (size_t i = 0; i < 40; i++)
		assert_int_equal(simple(i, "GET", "/"), 0);
	WAIT_FOR(f.origin.n_open == 2 * PASSAGE_TIMES);
	turns(5);
	assert_int_equal(f.origin.n_open, 2 * PASSAGE_TIMES);
	assert_int_equal(engine_stats(f.engine)->calls, 2 * PASSAGE_TIMES);
	for (size_t i = 2 * PASSAGE_TIMES; i < 40; i++) {
		WAIT_FOR(is_over(i));
		assert_int_equal(f.passing[i].failure.status, 503);
	}
	/* the others are ended with the relays */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_unchanged),
		TEST(test_the_key_is_added),
		TEST(test_methods),
		TEST(test_no_redirect_is_followed),
		TEST(test_large_bodies),
		TEST(test_chunked_bodies),
		TEST(test_a_slow_reader),
		TEST(test_who_has_gone),
		TEST(test_nobody_there),
		TEST(test_silence),
		TEST(test_an_answer_that_breaks_off),
		TEST(test_many),
	};

	return run(tests, sizeof(tests) / sizeof(*tests));
}
