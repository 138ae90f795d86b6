/* daemon/core/httphead: what is a request, and what is none. */
#include "tests/unit/unit.h"

#include "daemon/core/httphead.h"

#include <stdio.h>

static struct httphead head;

static void test_a_request(void **state)
{
	static const char text[] =
	    "GET /metrics?x=1?2 HTTP/1.1\r\nHost: [::1]:9\r\naCCept: \ta, b;q=1 \r\n"
	    "Accept: c\r\nEmpty:\r\nNames: \xc3\xa9\r\n\r\nbody";
	size_t count;

	(void)state;
	assert_int_equal(httphead_parse(span_str(text), &head), HTTPHEAD_DONE);
	assert_span(head.method, "GET");
	assert_span(head.path, "/metrics");
	assert_span(head.query, "x=1?2");
	assert_span(head.host, "[::1]:9");
	assert_span(httphead_find(&head, "accept", &count), "a, b;q=1");
	assert_int_equal(count, 2);
	assert_span(httphead_find(&head, "empty", &count), "");
	assert_null(httphead_find(&head, "none", &count).ptr);
	assert_int_equal(count, 0);
	assert_int_equal(head.size, sizeof(text) - 1 - strlen("body"));
	assert_true(head.keep_alive && !head.is_1_0 && !head.is_chunked && head.length == 0);
	for (size_t len = 0; len < sizeof(text) - 1 - strlen("body"); len++)
		assert_int_equal(httphead_parse(span_of(text, len), &head), HTTPHEAD_INCOMPLETE);
}

static void test_what_the_fields_say(void **state)
{
	(void)state;
	assert_int_equal(httphead_parse(SPAN_LITERAL("HEAD / HTTP/1.0\r\n\r\n"), &head),
			 HTTPHEAD_DONE);
	assert_true(head.is_1_0 && !head.keep_alive && !head.host.ptr && !head.query.ptr);
	assert_int_equal(
	    httphead_parse(
		SPAN_LITERAL("POST / HTTP/1.1\r\nHost: a\r\nConnection: x , CLOSE\r\n"
			     "Transfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n"),
		&head),
	    HTTPHEAD_DONE);
	assert_true(head.is_chunked && head.expects_continue && !head.keep_alive);
	assert_int_equal(
	    httphead_parse(SPAN_LITERAL("POST http://a:1/b HTTP/1.0\r\nHost: a:1\r\n"
					"Connection: Keep-Alive\r\nContent-Length: 007\r\n\r\n"),
			   &head),
	    HTTPHEAD_DONE);
	assert_true(head.keep_alive && head.length == 7);
	assert_span(head.path, "/b");
}

static void expect(const char *text, enum httphead_result result)
{
	if (httphead_parse(span_str(text), &head) != result)
		fail_msg("not %d: %s", result, text);
}

static void test_what_is_none(void **state)
{
	static const char *const texts[] = {
		"\r\n",
		"\n",
		"GET sess_1 hasura\n",
		"GET / HTTP/1.1\n",
		"GET / HTTP/1.1\r\nHost: a\n",
		"GET / HTTP/1.1 \r\n",
		"GET  / HTTP/1.1\r\n",
		"GET /\r\n",
		"GET /# HTTP/1.1\r\n",
		"GET * HTTP/1.1\r\n",
		"GET a HTTP/1.1\r\n",
		"CONNECT a:1 HTTP/1.1\r\n",
		"GET https://a/ HTTP/1.1\r\n",
		"GET http://a HTTP/1.1\r\n",
		"G(T / HTTP/1.1\r\n",
		" / HTTP/1.1\r\n",
		"GET /\tx HTTP/1.1\r\n",
		"GET /\x01 HTTP/1.1\r\n",
		"GET /\x80 HTTP/1.1\r\n",
		"GET / http/1.1\r\n",
		"GET / HTTP/11\r\n",
		"GET / HTTP/1.1\r\nA\r\n",
		"GET / HTTP/1.1\r\nA : b\r\n",
		"GET / HTTP/1.1\r\n A: b\r\n",
		"GET / HTTP/1.1\r\n: b\r\n",
		"GET / HTTP/1.1\r\nA: b\r\n c\r\n",
		"GET / HTTP/1.1\r\nA: b\rc\r\n",
		"GET / HTTP/1.1\r\nA: \x7f\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		expect(texts[i], HTTPHEAD_BAD);
	expect("GET / HTTP/2.0\r\n", HTTPHEAD_VERSION);
	expect("PRI * HTTP/2.0\r\n", HTTPHEAD_VERSION);
}

static void test_what_contradicts_itself(void **state)
{
	static const char *const fields[] = {
		"",
		"Host:\r\n",
		"Host: a b\r\n",
		"Host: a,b\r\n",
		"Host: a\r\nHost: a\r\n",
		"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
		"Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
		"Host: a\r\nContent-Length: 1, 1\r\n",
		"Host: a\r\nContent-Length: +1\r\n",
		"Host: a\r\nContent-Length: -1\r\n",
		"Host: a\r\nContent-Length: 0x1\r\n",
		"Host: a\r\nContent-Length: 1 1\r\n",
		"Host: a\r\nContent-Length:\r\n",
		"Host: a\r\nContent-Length: 18446744073709551617\r\n",
		"Host: a\r\nTransfer-Encoding: gzip\r\n",
		"Host: a\r\nTransfer-Encoding: identity\r\n",
		"Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
		"Host: a\r\nTransfer-Encoding: chunked, chunked\r\n",
		"Host: a\r\nTransfer-Encoding: xchunked\r\n",
		"Host: a\r\nTransfer-Encoding: chunked;q=1\r\n",
		"Host: a\r\nTransfer-Encoding:\r\n",
		"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		(void)snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n%s\r\n", fields[i]);
		expect(text, HTTPHEAD_BAD);
	}
	expect("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", HTTPHEAD_BAD);
	expect("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTPHEAD_BAD);
	expect("GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n", HTTPHEAD_EXPECTATION);
}

static void test_a_head_is_only_so_long(void **state)
{
	static char text[HTTPHEAD_MAX + 4] = "GET / HTTP/1.1\r\nHost: a\r\nA: ";

	(void)state;
	memset(text + strlen(text), 'a', sizeof(text) - strlen(text));
	assert_int_equal(httphead_parse(span_of(text, HTTPHEAD_MAX - 1), &head),
			 HTTPHEAD_INCOMPLETE);
	assert_int_equal(httphead_parse(span_of(text, HTTPHEAD_MAX), &head), HTTPHEAD_TOO_LONG);
	memcpy(text + HTTPHEAD_MAX - 4, "\r\n\r\n", 4);
	assert_int_equal(httphead_parse(span_of(text, HTTPHEAD_MAX), &head), HTTPHEAD_DONE);
	memcpy(text + HTTPHEAD_MAX - 4, "aaa\r\n\r\n", 7);
	assert_int_equal(httphead_parse(span_of(text, HTTPHEAD_MAX + 3), &head), HTTPHEAD_TOO_LONG);
}

static void test_a_head_has_only_so_many_fields(void **state)
{
	static char text[HTTPHEAD_MAX] = "GET / HTTP/1.1\r\nHost: a\r\n";
	size_t len = strlen(text);

	(void)state;
	for (size_t i = 1; i < HTTPHEAD_FIELDS_MAX; i++, len += 4)
		memcpy(text + len, "A:\r\n", 4);
	memcpy(text + len, "\r\n", 2);
	assert_int_equal(httphead_parse(span_of(text, len + 2), &head), HTTPHEAD_DONE);
	assert_int_equal(head.n_fields, HTTPHEAD_FIELDS_MAX);
	memcpy(text + len, "A:\r\n", 4);
	assert_int_equal(httphead_parse(span_of(text, len + 4), &head), HTTPHEAD_TOO_LONG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_request),
		cmocka_unit_test(test_what_the_fields_say),
		cmocka_unit_test(test_what_is_none),
		cmocka_unit_test(test_what_contradicts_itself),
		cmocka_unit_test(test_a_head_is_only_so_long),
		cmocka_unit_test(test_a_head_has_only_so_many_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
