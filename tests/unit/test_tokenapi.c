/* daemon/core/tokenapi and frontrequest: what callers of Clerk's API say, and what they are told.
 */
#include "tests/unit/unit.h"

#include "daemon/core/frontrequest.h"
#include "daemon/core/json.h"
#include "daemon/core/tokenapi.h"

#include <stdio.h>

static struct keyring keys;

static void test_paths(void **state)
{
	static const char *const others[] = {
		"/v1/sessions/s",
		"/v1/sessions/s/tokens/",
		"/v1/sessions//tokens",
		"/v1/sessions/s/token",
		"/v1/sessions/s/tokensx",
		"/v1/sessions/s/tokens/-",
		"/v1/sessions/s/tokens/.",
		"/v1/sessions/s/tokens/..",
		"/v1/sessions/s/tokens/a/b",
		"/v1/sessions/s/tokens/a%20b",
		"/v1/sessions/s%2Ft/tokens",
		"/v1/sessions/../tokens",
		"/v2/sessions/s/tokens",
		"//v1/sessions/s/tokens",
		"/",
	};
	struct span session, template;

	(void)state;
	assert_true(
	    tokenapi_parse_path(SPAN_LITERAL("/v1/sessions/sess_1-A/tokens"), &session, &template));
	assert_span(session, "sess_1-A");
	assert_int_equal(template.len, 0);
	assert_true(tokenapi_parse_path(SPAN_LITERAL("/v1/sessions/s/tokens/a.b~c_-"), &session,
					&template));
	assert_span(template, "a.b~c_-");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (tokenapi_parse_path(span_str(others[i]), &session, &template))
			fail_msg("a token: %s", others[i]);
}

static void test_bodies(void **state)
{
	static const struct {
		const char *text;
		int64_t expires_in_s; /* -1: not understood */
	} cases[] = {
		{ "", 0 },
		{ "{}", 0 },
		{ " { } ", 0 },
		{ "{\"expires_in_seconds\":null}", 0 },
		{ "{\"expires_in_seconds\":30}", 30 },
		{ "{\"expires_in_seconds\":315360000}", 315360000 },
		{ "{\"expires_in_seconds\":6.0e1}", 60 },
		{ "{\"expires_in_seconds\":29}", -1 },
		{ "{\"expires_in_seconds\":315360001}", -1 },
		{ "{\"expires_in_seconds\":60.5}", -1 },
		{ "{\"expires_in_seconds\":-60}", -1 },
		{ "{\"expires_in_seconds\":1e999}", -1 },
		{ "{\"expires_in_seconds\":\"60\"}", -1 },
		{ "{\"expires_in_seconds\":60,\"expires_in_seconds\":70}", -1 },
		{ "{\"expires_in_seconds\":null,\"x\":1}", -1 },
		{ "{\"Expires_in_seconds\":60}", -1 },
		{ "{\"x\":1}", -1 },
		{ "null", -1 },
		{ "[]", -1 },
		{ "{\"expires_in_seconds\":60", -1 },
		{ "{\"expires_in_seconds\":60}x", -1 },
	};
	uint64_t s;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int result = tokenapi_parse_body(span_str(cases[i].text), &s);

		if (result != (cases[i].expires_in_s < 0 ? TOKENAPI_UNKNOWN : 0) ||
		    (result == 0 && (int64_t)s != cases[i].expires_in_s))
			fail_msg("%s: %d", cases[i].text, result);
	}
}

static void test_answers(void **state)
{
	static const char trace[] = "0123456789abcdef0123456789abcdef";
	const struct tokenapi_error *error = tokenapi_error_of(CODE_NOT_FOUND);
	struct buf text = BUF_INIT(4096);

	(void)state;
	assert_int_equal(tokenapi_write_token(&text, SPAN_LITERAL("a.b.c")), 0);
	assert_span(buf_span(&text), "{\"object\":\"token\",\"jwt\":\"a.b.c\"}");
	buf_reset(&text);
	assert_int_equal(error->status, 404);
	assert_int_equal(tokenapi_write_error(&text, error, trace), 0);
	assert_span(buf_span(&text), "{\"errors\":[{\"message\":\"not found\",\"long_message\":"
				     "\"Resource not found\",\"code\":\"resource_not_found\"}],"
				     "\"clerk_trace_id\":\"0123456789abcdef0123456789abcdef\"}");
	buf_deinit(&text);
}

/* Each is an error to whoever sees the status alone, and JSON. */
static void test_every_code_has_an_error(void **state)
{
	static const char trace[] = "0123456789abcdef0123456789abcdef";

	(void)state;
	for (int code = 1; code < CODE_COUNT; code++) {
		const struct tokenapi_error *error = tokenapi_error_of((enum code)code);
		struct buf text = BUF_INIT(4096);
		struct json *json;

		assert_in_range(error->status, 400, 504);
		assert_int_equal(tokenapi_write_error(&text, error, trace), 0);
		assert_int_equal(json_parse(buf_span(&text), &json), 0);
		json_free(json);
		buf_deinit(&text);
	}
}

/* The status that it is refused with, or 0. */
static int check(const char *address, const char *line, const char *fields,
		 struct frontrequest *ret)
{
	static struct httphead head;
	static char text[1024];
	const struct tokenapi_error *error;

	(void)snprintf(text, sizeof(text), "%s HTTP/1.1\r\n%s\r\n", line, fields);
	assert_int_equal(httphead_parse(span_str(text), &head), HTTPHEAD_DONE);
	error = frontrequest_check(&head, address, &keys, ret);
	return error ? error->status : 0;
}

#define HOST "Host: 127.0.0.1:80\r\n"
#define KEY "Authorization: Bearer sk_test_1\r\n"
#define TOKEN "POST /v1/sessions/s/tokens/t"

static void test_who_asks(void **state)
{
	static const struct {
		const char *address, *fields;
		int status;
	} cases[] = {
		{ "127.0.0.1:80", HOST KEY, 0 },
		{ "127.0.0.1:80", "Host: 127.0.0.1\r\n" KEY, 0 },
		{ "127.0.0.1:80", "Host: LOCALHOST\r\n" KEY, 0 },
		{ "127.0.0.1:81", "Host: localhost\r\n" KEY, 421 },
		{ "127.0.0.1:80", "Host: localhost:\r\n" KEY, 421 },
		{ "127.0.0.1:80", "Host: localhost:99999\r\n" KEY, 421 },
		{ "127.0.0.1:80", "Host: [::1]:80\r\n" KEY, 421 },
		{ "[::1]:80", "Host: [::1]\r\n" KEY, 0 },
		{ "[0:0:0:0:0:0:0:1]:80", "Host: [::1]:80\r\n" KEY, 0 },
		{ "127.0.0.1:80", "Host: a.example:80\r\n" KEY, 421 },
		{ "127.0.0.1:80", HOST, 401 },
		{ "127.0.0.1:80", HOST "Authorization: Bearer sk_test_2\r\n", 401 },
		{ "127.0.0.1:80", HOST "Authorization: sk_test_1\r\n", 401 },
		{ "127.0.0.1:80", HOST "Authorization: Bearer \r\n", 401 },
		{ "127.0.0.1:80", HOST KEY KEY, 401 },
		{ "127.0.0.1:80", HOST "authorization:  bearer   sk_test_1\r\n", 0 },
		{ "127.0.0.1:80", HOST KEY "X-FORWARDED-for: a\r\n", 403 },
		{ "127.0.0.1:80", HOST KEY "Via: a\r\n", 403 },
		{ NULL, "Host: a.example\r\n", 0 },
		{ NULL, "Host: a\r\nAuthorization: Bearer sk_test_2\r\n", 0 },
		{ NULL, "Host: a\r\nForwarded: for=a\r\n", 403 },
		{ NULL, "Host: a\r\nSec-Fetch-Mode: cors\r\n", 0 },
		{ NULL, "Host: a\r\nsec-fetch-site: none\r\n", 403 },
	};
	struct frontrequest r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = check(cases[i].address, TOKEN, cases[i].fields, &r);

		if (status != cases[i].status || r.is_for_token != (status == 0))
			fail_msg("%d: %s", status, cases[i].fields);
	}
}

static void test_what_is_asked(void **state)
{
	static const struct {
		const char *line, *fields;
		bool is_for_token;
	} cases[] = {
		{ TOKEN, "", true },
		{ TOKEN, "Clerk-API-Version: 2025-11-10\r\n", true },
		{ TOKEN, "Clerk-API-Version: latest\r\n", false },
		{ TOKEN "?x=1", "", false },
		{ TOKEN "?", "", false },
		{ "GET /v1/sessions/s/tokens/t", "", false },
		{ "post /v1/sessions/s/tokens/t", "", false },
		{ TOKEN, "Content-Length: 2\r\n", false },
		{ TOKEN, "Content-Length: 2\r\nContent-Type: text/plain\r\n", false },
		{ TOKEN, "Content-Length: 2\r\nContent-Type: application/json;charset=utf-8\r\n",
		  true },
		{ TOKEN, "Transfer-Encoding: chunked\r\nContent-Type: Application/JSON\r\n", true },
		{ "GET /v1/jwks", "", false },
	};
	struct frontrequest r;
	char fields[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(fields, sizeof(fields), HOST "%s", cases[i].fields);
		assert_int_equal(check(NULL, cases[i].line, fields, &r), 0);
		if (r.is_for_token != cases[i].is_for_token)
			fail_msg("%s %s", cases[i].line, cases[i].fields);
	}
}

/* While a key is on trial the one from before is known, too, and then no more. */
static void test_keys(void **state)
{
	struct secret second = SECRET_NONE;

	(void)state;
	keyring_follow(&keys, KEY_WORKS);
	assert_int_equal(secret_set(&second, SPAN_LITERAL("sk_test_2")), 0);
	assert_true(keyring_configure(&keys, &second));
	assert_true(keyring_knows(&keys, SPAN_LITERAL("sk_test_1")));
	assert_true(keyring_knows(&keys, SPAN_LITERAL("sk_test_2")));
	keyring_follow(&keys, KEY_FALLS_BACK);
	assert_true(keyring_knows(&keys, SPAN_LITERAL("sk_test_1")));
	keyring_follow(&keys, KEY_GIVES_UP);
	assert_false(keyring_knows(&keys, SPAN_LITERAL("sk_test_1")));
	assert_true(keyring_knows(&keys, SPAN_LITERAL("sk_test_2")));
	assert_false(keyring_knows(&keys, SPAN_LITERAL("")));
}

static int set_up(void **state)
{
	struct secret key = SECRET_NONE;

	(void)state;
	if (secret_set(&key, SPAN_LITERAL("sk_test_1")) < 0)
		return -1;
	return keyring_configure(&keys, &key) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	keyring_deinit(&keys);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_every_code_has_an_error),
		cmocka_unit_test_setup_teardown(test_who_asks, set_up, tear_down),
		cmocka_unit_test(test_what_is_asked),
		cmocka_unit_test_setup_teardown(test_keys, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
