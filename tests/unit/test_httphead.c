/* daemon/core/httphead: what is a request, and what is none. */
#include "tests/unit/unit.h"

#include "daemon/core/httphead.h"

static void test_a_request(void **state)
{
	static const char text[] =
	    "GET /metrics?x=1 HTTP/1.1\r\nHost: [::1]:9\r\naCCept: \ta, b;q=1 \r\n"
	    "Accept: c\r\nEmpty:\r\n\r\nbody";
	struct httphead head;

	(void)state;
	assert_int_equal(httphead_parse(span_str(text), &head), HTTPHEAD_DONE);
	assert_span(head.method, "GET");
	assert_span(head.path, "/metrics");
	assert_span(head.accept, "a, b;q=1");
	for (size_t len = 0; len < sizeof(text) - 1 - strlen("body"); len++)
		assert_int_equal(httphead_parse(span_of(text, len), &head), HTTPHEAD_INCOMPLETE);
	assert_int_equal(httphead_parse(SPAN_LITERAL("HEAD / HTTP/1.0\n\n"), &head), HTTPHEAD_DONE);
	assert_span(head.method, "HEAD");
	assert_null(head.accept.ptr);
}

static void test_what_is_none(void **state)
{
	static const char *const texts[] = {
		"\r\n",
		"GET sess_1 hasura\n",
		"GET / HTTP/2.0\r\n",
		"GET / HTTP/1.1 \r\n",
		"GET  / HTTP/1.1\r\n",
		"GET /\r\n",
		"GET http://a/ HTTP/1.1\r\n",
		"G(T / HTTP/1.1\r\n",
		" / HTTP/1.1\r\n",
		"GET /\tx HTTP/1.1\r\n",
		"GET /\x01 HTTP/1.1\r\n",
		"GET /\x80 HTTP/1.1\r\n",
		"GET / HTTP/1.1\r\nA\r\n",
		"GET / HTTP/1.1\r\nA : b\r\n",
		"GET / HTTP/1.1\r\n: b\r\n",
		"GET / HTTP/1.1\r\nA: b\r\n c\r\n",
		"GET / HTTP/1.1\r\nA: b\rc\r\n",
		"GET / HTTP/1.1\r\nA: \x7f\r\n",
	};
	struct httphead head;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (httphead_parse(span_str(texts[i]), &head) != HTTPHEAD_BAD)
			fail_msg("accepted: %s", texts[i]);
}

static void test_a_head_is_only_so_long(void **state)
{
	static char text[HTTPHEAD_MAX + 4] = "GET / HTTP/1.1\r\nA: ";
	struct httphead head;

	(void)state;
	memset(text + strlen(text), 'x', HTTPHEAD_MAX - strlen(text));
	assert_int_equal(httphead_parse(span_of(text, HTTPHEAD_MAX - 1), &head),
			 HTTPHEAD_INCOMPLETE);
	assert_int_equal(httphead_parse(span_of(text, HTTPHEAD_MAX), &head), HTTPHEAD_TOO_LONG);
	memset(text + HTTPHEAD_MAX - 2, '\n', 2);
	assert_int_equal(httphead_parse(span_of(text, HTTPHEAD_MAX), &head), HTTPHEAD_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_request),
		cmocka_unit_test(test_what_is_none),
		cmocka_unit_test(test_a_head_is_only_so_long),
	};

	return cmocka_run_group_tests_name("httphead", tests, NULL, NULL);
}
