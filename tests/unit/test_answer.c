/* What each answer of BAPI means. */
#include "daemon/core/answer.h"

#include "base/mem.h"
#include "daemon/core/httpdate.h"
#include "daemon/core/json.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

#define BODY_SIZE 4096
#define MAX_TOKEN 1024
#define DATE "Tue, 14 Nov 2023 22:13:20 GMT" /* 1700000000 */
#define DATE_S 1700000000

/* A body with a token of that payload, in *body; the token alone in *token. */
static void make_body(const char *payload, char token[BODY_SIZE], char body[BODY_SIZE])
{
	char part[BODY_SIZE - 64];

	sodium_bin2base64(part, sizeof(part), (const unsigned char *)payload, strlen(payload),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	(void)snprintf(token, BODY_SIZE, "eyJh.%s.c2ln", part);
	(void)snprintf(body, BODY_SIZE, "{\"object\":\"token\",\"jwt\":\"eyJh.%s.c2ln\"}", part);
}

static struct answer answer_of(int status, const char *body)
{
	return (struct answer){ .status = status,
				.content_type = SPAN_LITERAL("application/json; charset=utf-8"),
				.date = SPAN_LITERAL(DATE),
				.body = span_str(body) };
}

static void test_token(void **state)
{
	static const struct {
		const char *payload;
		bool has_date;
		int64_t lifetime_ms; /* 0: malformed */
	} cases[] = {
		{ "{\"exp\":1700000060,\"iat\":1700000000}", true, 60000 },
		{ "{\"exp\":1700000060,\"iat\":1700000000}", false, 60000 },
		{ "{\"exp\":1700000060}", true, 60000 },
		{ "{\"exp\":1700000060}", false, 0 },
		/* from a cache on the way, 20 s old */
		{ "{\"exp\":1700000040,\"iat\":1699999980}", true, 40000 },
		/* minted by a machine whose clock is 10 s ahead of the one that sent it */
		{ "{\"exp\":1700000070,\"iat\":1700000010}", true, 60000 },
		{ "{\"exp\":1700000000,\"iat\":1699999940}", true, 0 },
		{ "{\"exp\":1699999999,\"iat\":1699999940}", true, 0 },
		{ "{\"exp\":1699999999,\"iat\":1700000000}", false, 0 },
		{ "{\"exp\":2015360000,\"iat\":1700000000}", true, INT64_C(315360000000) },
		{ "{\"exp\":99999999999,\"iat\":0}", true, INT64_C(315360000000) },
		{ "{\"iat\":1700000000}", true, 0 },
		{ "nonsense", true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char token[BODY_SIZE], body[BODY_SIZE];
		struct answer a;
		struct outcome o;

		make_body(cases[i].payload, token, body);
		a = answer_of(200, body);
		if (!cases[i].has_date)
			a.date = SPAN_NONE;
		answer_judge(&a, MAX_TOKEN, &o);
		assert_int_equal(o.kind, cases[i].lifetime_ms ? OUTCOME_TOKEN : OUTCOME_MALFORMED);
		assert_int_equal(o.code, cases[i].lifetime_ms ? CODE_OK : CODE_BAD_UPSTREAM);
		assert_int_equal(o.has_clock, cases[i].has_date);
		assert_int_equal(o.status, 200);
		assert_int_equal(o.retry_after_ms, -1);
		if (cases[i].lifetime_ms) {
			assert_true(o.lifetime_ms == cases[i].lifetime_ms);
			assert_true(secret_equal(&o.jwt, span_str(token)));
			assert_true(o.id == answer_token_id(span_str(token)));
			assert_null(o.text);
		} else {
			assert_null(o.jwt.ptr);
			assert_non_null(o.text);
		}
		outcome_deinit(&o);
	}
}

static void test_token_id(void **state)
{
	(void)state;
	/* BLAKE2b-256 of "abc" begins with these bytes */
	assert_true(answer_token_id(span_str("abc")) == UINT64_C(0xbddd813c63423972));
}

static void test_token_size(void **state)
{
	char token[BODY_SIZE], body[BODY_SIZE];
	struct answer a;
	struct outcome o;

	(void)state;
	make_body("{\"exp\":1700000060,\"iat\":1700000000}", token, body);
	a = answer_of(200, body);
	answer_judge(&a, strlen(token), &o);
	assert_int_equal(o.kind, OUTCOME_TOKEN);
	outcome_deinit(&o);
	answer_judge(&a, strlen(token) - 1, &o);
	assert_int_equal(o.kind, OUTCOME_MALFORMED);
	outcome_deinit(&o);
}

static void test_no_token(void **state)
{
	static const char *const bodies[] = {
		"",
		"{}",
		"[]",
		"null",
		"{\"jwt\":1}",
		"{\"jwt\":null}",
		"{\"jwt\":\"\"}",
		"{\"jwt\":\"a.b\"}",
		"{\"jwt\":\"a.b.c d\"}",
		"{\"jwt\":\"a.b.c\\n\"}",
		"{\"jwt\":\"a.b.c\"}",
		"{\"jwt\":\"a.eyJleHAiOjF9.c\\u0000\"}",
		"{\"JWT\":\"a.eyJleHAiOjE3MDAwMDAwNjB9.c\"}",
		"{\"jwt\":\"a.eyJleHAiOjE3MDAwMDAwNjB9.c\"",
		"{\"jwt\":\"a.eyJleHAiOjE3MDAwMDAwNjB9.c\"} x",
		"<html>\"jwt\"</html>",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
		struct answer a = answer_of(200, bodies[i]);
		struct outcome o;

		answer_judge(&a, MAX_TOKEN, &o);
		if (o.kind != OUTCOME_MALFORMED || o.code != CODE_BAD_UPSTREAM)
			fail_msg("accepted: %s", bodies[i]);
		assert_non_null(o.text);
		outcome_deinit(&o);
	}
}

#define ERRORS(code) "{\"errors\":[{\"message\":\"m\",\"code\":\"" code "\"},{\"code\":\"x\"}]}"

static const struct {
	int status;
	const char *body;
	enum outcome_kind kind;
	enum code code;
} statuses[] = {
	{ 401, ERRORS("clerk_key_invalid"), OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED },
	{ 401, ERRORS("could_not_authenticate_request"), OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED },
	{ 401, ERRORS("authorization_header_format_invalid"), OUTCOME_KEY_REFUSED,
	  CODE_UNAUTHORIZED },
	{ 401, ERRORS("authentication_invalid"), OUTCOME_DEFINITE, CODE_FORBIDDEN },
	{ 401, ERRORS("user_banned"), OUTCOME_DEFINITE, CODE_FORBIDDEN },
	{ 401, ERRORS("never_heard_of"), OUTCOME_DEFINITE, CODE_FORBIDDEN },
	{ 401, "", OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED },
	{ 401, "nginx", OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED },
	{ 401, "{\"errors\":{}}", OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED },
	{ 401, "{\"errors\":[]}", OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED },
	{ 401, "{\"errors\":[5]}", OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED },
	{ 401, "{\"errors\":[{\"code\":5}]}", OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED },
	{ 401, "[{\"errors\":1}]", OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED },
	{ 403, ERRORS("authorization_invalid"), OUTCOME_DEFINITE, CODE_FORBIDDEN },
	{ 403, ERRORS("clerk_key_invalid"), OUTCOME_DEFINITE, CODE_FORBIDDEN },
	{ 403, "", OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
	{ 403, "<html>403 Forbidden</html>", OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
	{ 403, "{\"errors\":[]}", OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
	{ 403, "{\"errors\":{}}", OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
	{ 404, ERRORS("resource_not_found"), OUTCOME_DEFINITE, CODE_NOT_FOUND },
	{ 404, "x", OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
	{ 404, "{\"message\":\"no Route matched\"}", OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
	{ 400, ERRORS("request_body_invalid"), OUTCOME_DEFINITE, CODE_REJECTED },
	{ 402, "", OUTCOME_DEFINITE, CODE_REJECTED },
	{ 413, "", OUTCOME_DEFINITE, CODE_REJECTED },
	{ 415, "", OUTCOME_DEFINITE, CODE_REJECTED },
	{ 422, ERRORS("form_param_format_invalid"), OUTCOME_DEFINITE, CODE_REJECTED },
	{ 408, "", OUTCOME_TRANSIENT, CODE_UNAVAILABLE },
	{ 409, ERRORS("conflict"), OUTCOME_TRANSIENT, CODE_UNAVAILABLE },
	{ 425, "", OUTCOME_TRANSIENT, CODE_UNAVAILABLE },
	{ 429, ERRORS("too_many_requests"), OUTCOME_THROTTLED, CODE_RATE_LIMITED },
	{ 429, "", OUTCOME_THROTTLED, CODE_RATE_LIMITED },
	{ 500, ERRORS("internal_clerk_error"), OUTCOME_TRANSIENT, CODE_UNAVAILABLE },
	{ 502, "<html>", OUTCOME_TRANSIENT, CODE_UNAVAILABLE },
	{ 503, "", OUTCOME_TRANSIENT, CODE_UNAVAILABLE },
	{ 504, "", OUTCOME_TRANSIENT, CODE_UNAVAILABLE },
	{ 599, "", OUTCOME_TRANSIENT, CODE_UNAVAILABLE },
	{ 100, "", OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
	{ 201, "{\"jwt\":\"a.eyJleHAiOjE3MDAwMDAwNjB9.c\"}", OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
	{ 204, "", OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
	{ 302, "", OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
	{ 600, "", OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
	{ 0, "", OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
};

static void test_statuses(void **state)
{

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		struct answer a = answer_of(statuses[i].status, statuses[i].body);
		struct outcome o;

		answer_judge(&a, MAX_TOKEN, &o);
		if (o.kind != statuses[i].kind || o.code != statuses[i].code)
			fail_msg("%d %s: %d %s", statuses[i].status, statuses[i].body, o.kind,
				 code_name(o.code));
		assert_int_equal(o.status, statuses[i].status);
		assert_int_equal(o.retry_after_ms, -1);
		assert_null(o.jwt.ptr);
		assert_true(o.has_clock && o.clerk_date_s == DATE_S);
		outcome_deinit(&o);
	}
}

static void test_transports(void **state)
{
	static const struct {
		enum transport transport;
		enum outcome_kind kind;
		enum code code;
	} cases[] = {
		{ TRANSPORT_UNREACHABLE, OUTCOME_TRANSIENT, CODE_UNAVAILABLE },
		{ TRANSPORT_BROKEN, OUTCOME_TRANSIENT, CODE_UNAVAILABLE },
		{ TRANSPORT_TIMEOUT, OUTCOME_TRANSIENT, CODE_UNAVAILABLE },
		{ TRANSPORT_TOO_LARGE, OUTCOME_MALFORMED, CODE_BAD_UPSTREAM },
		{ TRANSPORT_NO_MEMORY, OUTCOME_TRANSIENT, CODE_OVERLOADED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		/* what else is in it must not matter */
		struct answer a = answer_of(401, ERRORS("clerk_key_invalid"));
		struct outcome o;

		a.transport = cases[i].transport;
		a.detail = "detail";
		answer_judge(&a, MAX_TOKEN, &o);
		assert_int_equal(o.kind, cases[i].kind);
		assert_int_equal(o.code, cases[i].code);
		assert_int_equal(o.status, 0);
		assert_false(o.has_clock);
		assert_non_null(o.text);
		assert_string_equal(o.detail, "detail");
		outcome_deinit(&o);
	}
}

static void test_retry_after(void **state)
{
	static const struct {
		const char *value;
		int64_t ms;
	} cases[] = {
		{ "0", 0 },
		{ "10", 10000 },
		{ " 10 ", 10000 },
		{ "1.5", 2000 },
		{ "1.0", 1000 },
		{ "0.001", 1000 },
		{ "0.99999999999999999999999", 1000 },
		{ "3600", 3600000 },
		{ "3600.5", 3600000 },
		{ "3601", 3600000 },
		{ "99999999999999999999999", 3600000 },
		{ "Tue, 14 Nov 2023 22:13:30 GMT", 10000 },
		{ "Tue, 14 Nov 2023 22:13:20 GMT", 0 },
		{ "Tue, 14 Nov 2023 22:13:10 GMT", -1 },
		{ "Fri, 31 Dec 9999 23:59:59 GMT", 3600000 },
		{ "-1", -1 },
		{ "", -1 },
		{ ".", -1 },
		{ "1.", -1 },
		{ ".5", -1 },
		{ "1.2.3", -1 },
		{ "1e3", -1 },
		{ "soon", -1 },
		{ "10, 20", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct answer a = answer_of(429, "");
		struct outcome o;

		a.retry_after = span_str(cases[i].value);
		answer_judge(&a, MAX_TOKEN, &o);
		if (o.retry_after_ms != cases[i].ms)
			fail_msg("%s: %lld", cases[i].value, (long long)o.retry_after_ms);
		a.status = 503;
		answer_judge(&a, MAX_TOKEN, &o);
		assert_true(o.retry_after_ms == cases[i].ms);
		a.status = 500;
		answer_judge(&a, MAX_TOKEN, &o);
		assert_int_equal(o.retry_after_ms, -1);
		a.status = 429;
		a.date = SPAN_NONE;
		answer_judge(&a, MAX_TOKEN, &o);
		if (strchr(cases[i].value, ':'))
			assert_int_equal(o.retry_after_ms, -1);
	}
}

static void test_trace_id(void **state)
{
	char body[] = "{\"clerk_trace_id\":\"0123456789abcdef0123456789abcdef\"}";
	struct answer a = answer_of(404, body);
	struct outcome o;

	(void)state;
	a.trace_id = span_str("8f2a-FRA");
	answer_judge(&a, MAX_TOKEN, &o);
	assert_string_equal(o.trace_id, "0123456789abcdef0123456789abcdef");
	body[20] = ' ';
	answer_judge(&a, MAX_TOKEN, &o);
	assert_string_equal(o.trace_id, "8f2a-FRA");
	a.trace_id = span_str("0123456789012345678901234567890123456789012345678901234567890123");
	answer_judge(&a, MAX_TOKEN, &o);
	assert_string_equal(o.trace_id, "");
	a.trace_id.len--;
	answer_judge(&a, MAX_TOKEN, &o);
	assert_int_equal(strlen(o.trace_id), 63);
}

static void test_dates(void **state)
{
	static const struct {
		const char *text;
		int64_t s; /* -1: refused */
	} cases[] = {
		{ "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
		{ "Tue, 29 Feb 2000 12:00:00 GMT", 951825600 },
		{ "Sat, 01 Jan 2000 00:00:00 GMT", 946684800 },
		{ "Fri, 31 Dec 1999 23:59:59 GMT", 946684799 },
		{ "Thu, 29 Feb 2024 23:59:60 GMT", 1709251200 },
		{ "Mon, 01 Mar 2100 00:00:00 GMT", INT64_C(4107542400) },
		{ "Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799) },
		{ "Mon, 29 Feb 2100 00:00:00 GMT", -1 },
		{ "Wed, 29 Feb 2023 00:00:00 GMT", -1 },
		{ "Thu, 31 Apr 2023 00:00:00 GMT", -1 },
		{ "Thu, 00 Apr 2023 00:00:00 GMT", -1 },
		{ "Wed, 31 Dec 1969 23:59:59 GMT", -1 },
		{ "Sun, 06 Nov 1994 24:00:00 GMT", -1 },
		{ "Sun, 06 Nov 1994 23:60:00 GMT", -1 },
		{ "Sun, 06 Nov 1994 23:00:61 GMT", -1 },
		{ "Sun, 06 nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 06 ovD 1994 08:49:37 GMT", -1 },
		{ "Foo, 06 Nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 08:49:37 UTC", -1 },
		{ "Sun,  6 Nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 6 Nov 1994 08:49:37 GMT", -1 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT ", -1 },
		{ "Sunday, 06-Nov-94 08:49:37 GMT", -1 },
		{ "Sun Nov  6 08:49:37 1994", -1 },
		{ "", -1 },
	};
	char text[HTTPDATE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t s = -1;

		(void)httpdate_parse(span_str(cases[i].text), &s);
		if (s != cases[i].s)
			fail_msg("%s: %lld", cases[i].text, (long long)s);
		if (s >= 0 && !strstr(cases[i].text, ":60 ")) {
			httpdate_format(s, text);
			assert_memory_equal(text, cases[i].text, sizeof(text));
		}
	}
	assert_int_equal(httpdate_parse(SPAN_NONE, &(int64_t){ 0 }), -EINVAL);
}

static void test_no_memory(void **state)
{
	char token[BODY_SIZE], body[BODY_SIZE];
	size_t held = mem_held();
	enum outcome_kind kind = OUTCOME_TRANSIENT;

	(void)state;
	make_body("{\"exp\":1700000060,\"iat\":1700000000}", token, body);
	for (size_t n = 0; kind != OUTCOME_TOKEN; n++) {
		struct answer a = answer_of(200, body);
		struct outcome o;

		assert_true(n < 100);
		mem_fail_after(n);
		answer_judge(&a, MAX_TOKEN, &o);
		mem_fail_after(SIZE_MAX);
		kind = o.kind;
		if (kind != OUTCOME_TOKEN) {
			assert_int_equal(kind, OUTCOME_TRANSIENT);
			assert_int_equal(o.code, CODE_OVERLOADED);
		}
		outcome_deinit(&o);
		assert_int_equal(mem_held(), held);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_token),	    cmocka_unit_test(test_token_id),
		cmocka_unit_test(test_token_size),  cmocka_unit_test(test_no_token),
		cmocka_unit_test(test_statuses),    cmocka_unit_test(test_transports),
		cmocka_unit_test(test_retry_after), cmocka_unit_test(test_trace_id),
		cmocka_unit_test(test_dates),	    cmocka_unit_test(test_no_memory),
	};

	if (sodium_init() < 0)
		return 1;
	json_global_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
