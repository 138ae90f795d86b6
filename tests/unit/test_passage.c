/* daemon/core/passage: what passes through to Clerk, and what of it stays behind. */
#include "tests/unit/unit.h"

#include "daemon/core/passage.h"

#include <string.h>

static bool accepts(const char *method, const char *target, const char *name, const char *value)
{
	const struct httpfield field = { span_str(name), span_str(value) };

	return passage_is_acceptable(span_str(method), span_str(target), &field, 1);
}

static void test_what_is_acceptable(void **state)
{
	(void)state;
	assert_true(accepts("GET", "/v1/users?limit=10&query=a%20b", "Accept", "a, b"));
	assert_true(accepts("PATCH", "/", "X-Empty", ""));
	assert_true(accepts("OPTIONS", "//x/../y;z=1?q=[1]", "X-Text", "caf\xc3\xa9\tb"));
}

static void test_what_is_not(void **state)
{
	static const char *const targets[] = {
		"",	"v1/users",   "http://x/", "@evil.example/", ":80/",   "*",
		"/a b", "/a\r\nX: y", "/a#b",	   "/caf\xc3\xa9",   "/a\x7f", "/\t"
	};
	static const char *const methods[] = { "", "get", "CONNECT", "TRACE", "GET ", "G\nT" };
	char longest[PASSAGE_TARGET_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++)
		assert_false(accepts("GET", targets[i], "A", "b"));
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		assert_false(accepts(methods[i], "/", "A", "b"));
	assert_false(accepts("GET", "/", "A B", "c"));
	assert_false(accepts("GET", "/", "", "c"));
	assert_false(accepts("GET", "/", "A", "b\r\nC: d"));
	assert_false(accepts("GET", "/", "A", "b\x01"));
	memset(longest, '/', sizeof(longest));
	longest[PASSAGE_TARGET_MAX + 1] = '\0';
	assert_false(accepts("GET", longest, "A", "b"));
	longest[PASSAGE_TARGET_MAX] = '\0';
	assert_true(accepts("GET", longest, "A", "b"));
}

static void test_fields_of_a_connection_stay(void **state)
{
	static const char *const own[] = { "Connection",
					   "KEEP-ALIVE",
					   "te",
					   "Trailer",
					   "Transfer-Encoding",
					   "Upgrade",
					   "Proxy-Authorization",
					   "proxy-connection",
					   "Host",
					   "Content-Length",
					   "Expect" };
	static const char *const others[] = { "Accept", "Authorization", "Content-Type",
					      "Tea",	"X-Keep-Alive",	 "Accept-Encoding" };
	const struct httpfield fields[] = { { span_str("Connection"), span_str("close, X-One") },
					    { span_str("connection"), span_str("\tx-two ,") },
					    { span_str("X-One"), span_str("1") } };

	(void)state;
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		assert_true(passage_field_stays(span_str(own[i]), NULL, 0));
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_false(passage_field_stays(span_str(others[i]), fields, 3));
	assert_true(passage_field_stays(span_str("x-one"), fields, 3));
	assert_true(passage_field_stays(span_str("X-Two"), fields, 3));
	assert_false(passage_field_stays(span_str("X-Three"), fields, 3));
}

static struct span session_of(const char *method, const char *target)
{
	return passage_session(span_str(method), span_str(target));
}

static void test_sessions_that_change(void **state)
{
	static const struct {
		const char *method, *target;
	} none[] = {
		{ "GET", "/v1/sessions/sess_1" },
		{ "HEAD", "/v1/sessions/sess_1" },
		{ "GET", "/v1/sessions/sess_1/revoke" },
		{ "POST", "/v1/sessions" },
		{ "POST", "/v1/sessions/" },
		{ "POST", "/v1/sessions/?a=b" },
		{ "POST", "/v1/sessions/sess_1/tokens" },
		{ "POST", "/v1/users/user_1/ban" },
		{ "POST", "/v1/sessions/sess_1/tokens/t?a" },
		{ "POST", "/v2/sessions/s/revoke" },
		{ "POST", "/v1/sessions/a%20b/revoke" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_null(session_of(none[i].method, none[i].target).ptr);
	assert_span(session_of("POST", "/v1/sessions/sess_1/revoke"), "sess_1");
	assert_span(session_of("POST", "/v1/sessions/sess_1/revoke?x=/y"), "sess_1");
	assert_span(session_of("DELETE", "/v1/sessions/sess_1"), "sess_1");
	assert_span(session_of("PATCH", "/v1/sessions/sess_1?a"), "sess_1");
	assert_span(session_of("POST", "/v1/sessions/sess_1/tokensX"), "sess_1");
}

static void test_jwks(void **state)
{
	(void)state;
	assert_true(passage_is_jwks(span_str("GET"), span_str("/v1/jwks")));
	assert_false(passage_is_jwks(span_str("HEAD"), span_str("/v1/jwks")));
	assert_false(passage_is_jwks(span_str("GET"), span_str("/v1/jwks?a")));
	assert_false(passage_is_jwks(span_str("GET"), span_str("/v1/jwks/")));
}

static void test_failures(void **state)
{
	struct reply limited = reply_error(CODE_RATE_LIMITED, 1500, NULL);
	struct reply denied = reply_error(CODE_DENIED, RETRY_NEVER, NULL);
	struct reply stopping = reply_error(CODE_SHUTTING_DOWN, 2000, NULL);

	(void)state;
	assert_int_equal(passage_refusal(&limited).status, 429);
	assert_string_equal(passage_refusal(&limited).code, "too_many_requests");
	assert_int_equal(passage_refusal(&limited).retry_ms, 1500);
	assert_int_equal(passage_refusal(&denied).status, 403);
	assert_int_equal(passage_refusal(&denied).retry_ms, -1);
	assert_int_equal(passage_refusal(&stopping).status, 503);
	for (int t = TRANSPORT_OK; t <= TRANSPORT_NO_MEMORY; t++) {
		assert_in_range(passage_failure((enum transport)t).status, 502, 504);
		assert_non_null(passage_failure((enum transport)t).code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_acceptable),
		cmocka_unit_test(test_what_is_not),
		cmocka_unit_test(test_fields_of_a_connection_stay),
		cmocka_unit_test(test_sessions_that_change),
		cmocka_unit_test(test_jwks),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
