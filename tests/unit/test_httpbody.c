/* daemon/core/httpbody: where a body ends. */
#include "tests/unit/unit.h"

#include "daemon/core/httpbody.h"

#include <stdio.h>

/* What came of it, as "data|rest", or "bad", or "more". */
static const char *decode(bool is_chunked, uint64_t length, const char *text)
{
	static char out[1024];
	struct httphead head = { .is_chunked = is_chunked, .length = length };
	struct httpbody body = httpbody_of(&head);
	struct span input = span_str(text), data;
	enum httpbody_result result;
	size_t len = 0;

	while ((result = httpbody_next(&body, &input, &data)) == HTTPBODY_DATA) {
		memcpy(out + len, data.ptr, data.len);
		len += data.len;
	}
	assert_int_equal(httpbody_is_done(&body), result == HTTPBODY_DONE);
	if (result != HTTPBODY_DONE)
		return result == HTTPBODY_BAD ? "bad" : "more";
	(void)snprintf(out + len, sizeof(out) - len, "|%.*s", (int)input.len, input.ptr);
	return out;
}

static void test_a_length(void **state)
{
	(void)state;
	assert_string_equal(decode(false, 0, "GET"), "|GET");
	assert_string_equal(decode(false, 3, "abcGET"), "abc|GET");
	assert_string_equal(decode(false, 4, "abc"), "more");
}

static void test_chunks(void **state)
{
	(void)state;
	assert_string_equal(decode(true, 0, "0\r\n\r\nGET"), "|GET");
	assert_string_equal(decode(true, 0, "3\r\nabc\r\n0A;x=\"y\"\r\n0123456789\r\n00\r\n\r\n"),
			    "abc0123456789|");
	assert_string_equal(decode(true, 0, "3\r\nabc\r\n0\r\n"), "more");
	assert_string_equal(decode(true, 0, "3\r\nab"), "more");
}

static void test_bad_chunks(void **state)
{
	static const char *const texts[] = {
		"\r\n",
		"-1\r\n",
		"+1\r\n",
		"0x1\r\n",
		" 1\r\n",
		"1 \r\n",
		"g\r\n",
		"1\n",
		"1\r\r",
		"1;a\n",
		"1;\x01\r\n",
		"3\r\nabcd",
		"3\r\nabc\n",
		"3\r\nabc\r\r",
		"0\r\nA: b\r\n\r\n",
		"0\r\n\n",
		"0\n\n",
		"1000000000000000\r\n",
		"ffffffffffffffff\r",
		"fffffffffffffff1",
		"1,1\r\n",
	};
	char text[2 * HTTPBODY_LINE_MAX] = "1;";

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(decode(true, 0, texts[i]), "bad") != 0)
			fail_msg("not bad: %s", texts[i]);
	memset(text + 2, 'a', HTTPBODY_LINE_MAX - 1);
	assert_string_equal(decode(true, 0, text), "bad");
	memset(text, '0', HTTPBODY_LINE_MAX + 1);
	text[HTTPBODY_LINE_MAX + 1] = '\0';
	assert_string_equal(decode(true, 0, text), "bad");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_length),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_bad_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
