/* exp and iat out of payloads, good and bad. */
#include "daemon/core/jwt.h"

#include "base/mem.h"
#include "daemon/core/json.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

#define TOKEN_SIZE 2048

static struct span make_token(const char *payload, char to[TOKEN_SIZE])
{
	char part[TOKEN_SIZE - 32];

	sodium_bin2base64(part, sizeof(part), (const unsigned char *)payload, strlen(payload),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	(void)snprintf(to, TOKEN_SIZE, "eyJhbGciOiJub25lIn0.%s.c2ln", part);
	return span_str(to);
}

static int read_payload(const char *payload, struct jwt_times *ret)
{
	char token[TOKEN_SIZE];

	return jwt_read_times(make_token(payload, token), ret);
}

static void test_good(void **state)
{
	static const struct {
		const char *payload;
		int64_t exp_s, iat_s; /* iat -1: none */
	} cases[] = {
		{ "{\"exp\":1700000060,\"iat\":1700000000}", 1700000060, 1700000000 },
		{ " {\"a\":{\"exp\":1},\"exp\":1700000060}\n", 1700000060, -1 },
		{ "{\"exp\":1700000060.9,\"iat\":1700000000.1}", 1700000060, 1700000001 },
		{ "{\"exp\":1.7e9,\"iat\":0}", 1700000000, 0 },
		{ "{\"exp\":1}", 1, -1 },
		{ "{\"exp\":253402300799}", 253402300799, -1 },
		{ "{\"exp\":9,\"iat\":\"8\"}", 9, -1 },
		{ "{\"exp\":9,\"iat\":-1}", 9, -1 },
		{ "{\"exp\":9,\"iat\":1e300}", 9, -1 },
		{ "{\"exp\":9,\"iat\":10}", 9, 10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct jwt_times times;

		if (read_payload(cases[i].payload, &times) != 0)
			fail_msg("refused: %s", cases[i].payload);
		assert_true(times.exp_s == cases[i].exp_s);
		assert_true(times.has_iat == (cases[i].iat_s >= 0));
		if (times.has_iat)
			assert_true(times.iat_s == cases[i].iat_s);
	}
}

static void test_bad_payloads(void **state)
{
	static const char *const cases[] = {
		"{}",
		"[]",
		"1",
		"null",
		"x",
		"",
		"{\"exp\":0}",
		"{\"exp\":0.9}",
		"{\"exp\":-1}",
		"{\"exp\":\"1700000060\"}",
		"{\"exp\":true}",
		"{\"exp\":null}",
		"{\"exp\":253402300800}",
		"{\"exp\":1e999}",
		"{\"exp\":1700000060",
		"{\"exp\":1700000060}}",
		"{\"exp\":1700000060} x",
		"{\"EXP\":1700000060}",
		"{\"exp\":1700000060,\"a\":\"\\u0000\"}",
	};
	struct jwt_times times = { .exp_s = 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (read_payload(cases[i], &times) != JWT_MALFORMED)
			fail_msg("accepted: %s", cases[i]);
	assert_int_equal(times.exp_s, 7);
}

static void test_bad_tokens(void **state)
{
	static const char *const cases[] = {
		"a", "", "a.b", "a.b.c", "a..c", "a.eyJleHAiOjF9=.c", "a.eyJleHAiOj*9.c", "..",
	};
	struct jwt_times times;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(jwt_read_times(span_str(cases[i]), &times), JWT_MALFORMED);
	assert_int_equal(jwt_read_times(span_str("a.eyJleHAiOjF9.c"), &times), 0);
}

static void test_depth(void **state)
{
	char payload[400] = "{\"exp\":5,\"a\":";
	struct jwt_times times;
	size_t start = strlen(payload);

	(void)state;
	for (size_t depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX; depth++) {
		memset(payload + start, '[', depth);
		memset(payload + start + depth, ']', depth);
		(void)snprintf(payload + start + 2 * depth, 3, "}");
		assert_int_equal(read_payload(payload, &times),
				 depth < JSON_DEPTH_MAX ? 0 : JWT_MALFORMED);
	}
	/* brackets in a string have no depth */
	memset(payload + start, '[', 200);
	payload[start] = payload[start + 200] = '"';
	payload[start + 201] = '}';
	payload[start + 202] = '\0';
	assert_int_equal(read_payload(payload, &times), 0);
}

static void test_no_memory(void **state)
{
	size_t held = mem_held();
	int r = -ENOMEM;

	(void)state;
	for (size_t n = 0; r != 0; n++) {
		struct jwt_times times;

		assert_true(n < 100);
		mem_fail_after(n);
		r = read_payload("{\"exp\":1700000060,\"iat\":1700000000,\"a\":[\"b\"]}", &times);
		mem_fail_after(SIZE_MAX);
		assert_true(r == 0 || r == -ENOMEM);
		assert_int_equal(mem_held(), held);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	   cmocka_unit_test(test_bad_payloads),
		cmocka_unit_test(test_bad_tokens), cmocka_unit_test(test_depth),
		cmocka_unit_test(test_no_memory),
	};

	if (sodium_init() < 0)
		return 1;
	json_global_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
