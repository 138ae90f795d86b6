/* base/span: views, and numbers that can't overflow. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void test_views(void **state)
{
	(void)state;
	assert_true(span_is(SPAN_LITERAL("GET"), "GET"));
	assert_false(span_is(SPAN_LITERAL("GET"), "GE"));
	assert_false(span_is(SPAN_LITERAL("GET"), "GETS"));
	assert_true(span_is(SPAN_NONE, ""));
	assert_true(span_equal(SPAN_NONE, span_of("x", 0)));
	assert_int_equal(span_str(NULL).len, 0);
	assert_true(span_equal(span_of("a\0b", 3), span_of("a\0b", 3)));
	assert_false(span_equal(span_of("a\0b", 3), span_of("a\0c", 3)));
}

static void test_starts(void **state)
{
	(void)state;
	assert_true(span_starts(SPAN_LITERAL("retry=5"), "retry="));
	assert_true(span_starts(SPAN_LITERAL("retry="), "retry="));
	assert_false(span_starts(SPAN_LITERAL("retry"), "retry="));
	assert_true(span_starts(SPAN_LITERAL("x"), ""));
}

static void test_trim(void **state)
{
	(void)state;
	assert_span(span_trim(SPAN_LITERAL(" \t a b\t ")), "a b");
	assert_span(span_trim(SPAN_LITERAL(" \t ")), "");
	assert_span(span_trim(SPAN_LITERAL("a")), "a");
	assert_span(span_trim(SPAN_LITERAL("\na\r")), "\na\r");
	assert_span(span_trim(SPAN_NONE), "");
}

static void test_split(void **state)
{
	struct span rest = SPAN_LITERAL("a,,b");
	struct span head;

	(void)state;
	assert_true(span_split(&rest, ',', &head));
	assert_span(head, "a");
	assert_span(rest, ",b");
	assert_true(span_split(&rest, ',', &head));
	assert_span(head, "");
	assert_true(span_split(&rest, ',', &head));
	assert_span(head, "b");
	assert_null(rest.ptr);
	assert_false(span_split(&rest, ',', &head));
}

/* A separator at the end has an empty part behind it; no text at all is one empty part. */
static void test_split_at_the_ends(void **state)
{
	struct span rest = SPAN_LITERAL("a,");
	struct span head;

	(void)state;
	assert_true(span_split(&rest, ',', &head));
	assert_non_null(rest.ptr);
	assert_true(span_split(&rest, ',', &head));
	assert_span(head, "");
	assert_false(span_split(&rest, ',', &head));
	rest = SPAN_LITERAL("");
	assert_true(span_split(&rest, ',', &head));
	assert_span(head, "");
	assert_false(span_split(&rest, ',', &head));
}

static void test_parse_numbers(void **state)
{
	uint64_t value = 7;

	(void)state;
	assert_int_equal(span_parse_u64(SPAN_LITERAL("0"), 0, &value), 0);
	assert_true(value == 0);
	assert_int_equal(span_parse_u64(SPAN_LITERAL("00042"), 42, &value), 0);
	assert_true(value == 42);
	assert_int_equal(span_parse_u64(SPAN_LITERAL("18446744073709551615"), UINT64_MAX, &value),
			 0);
	assert_true(value == UINT64_MAX);
}

static void test_numbers_out_of_range(void **state)
{
	static const char *const too_large[] = {
		"43",
		"430",
		"18446744073709551616",
		"99999999999999999999999999999999999999",
	};
	uint64_t value = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(too_large) / sizeof(*too_large); i++)
		assert_int_equal(span_parse_u64(span_str(too_large[i]), 42, &value), -ERANGE);
	assert_int_equal(span_parse_u64(SPAN_LITERAL("18446744073709551616"), UINT64_MAX, &value),
			 -ERANGE);
	assert_int_equal(span_parse_u64(SPAN_LITERAL("184467440737095516150"), UINT64_MAX, &value),
			 -ERANGE);
	assert_true(value == 7);
}

static void test_what_is_no_number(void **state)
{
	static const char *const none[] = {
		"", " 1", "1 ", "+1", "-1", "1a", "a", "0x1", "1.0", "1e3", "\xb2", ":", "/",
	};
	uint64_t value = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_int_equal(span_parse_u64(span_str(none[i]), UINT64_MAX, &value), -EINVAL);
	assert_int_equal(span_parse_u64(SPAN_NONE, UINT64_MAX, &value), -EINVAL);
	assert_int_equal(span_parse_u64(span_of("1\0", 2), UINT64_MAX, &value), -EINVAL);
	assert_true(value == 7);
}

static void test_hex(void **state)
{
	static const char *const none[] = {
		"",
		"0123456789abcde",
		"0123456789abcdef0",
		"0123456789ABCDEF",
		"0123456789abcdeg",
		" 123456789abcdef",
		"0x23456789abcdef",
	};
	uint64_t value = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_int_equal(span_parse_hex64(span_str(none[i]), &value), -EINVAL);
	assert_true(value == 7);
	assert_int_equal(span_parse_hex64(SPAN_LITERAL("0123456789abcdef"), &value), 0);
	assert_true(value == 0x0123456789abcdef);
	assert_int_equal(span_parse_hex64(SPAN_LITERAL("ffffffffffffffff"), &value), 0);
	assert_true(value == UINT64_MAX);
}

static void check_round_trip(uint64_t value)
{
	char text[FORMAT_U64_ROOM];
	uint64_t back = ~value;
	size_t len = (size_t)(format_u64(text, value) - text);

	assert_in_range(len, 1, 20);
	assert_int_equal(span_parse_u64(span_of(text, len), UINT64_MAX, &back), 0);
	assert_true(back == value);
	assert_true(len == 1 || text[0] != '0');
	assert_true(format_hex64(text, value) == text + 16);
	assert_int_equal(span_parse_hex64(span_of(text, 16), &back), 0);
	assert_true(back == value);
}

static void test_numbers_come_back(void **state)
{
	struct unit_random random = { 1 };
	uint64_t power = 1;

	(void)state;
	for (int i = 0; i < 20; i++, power *= 10) {
		check_round_trip(power - 1);
		check_round_trip(power);
		check_round_trip(power + 1);
	}
	check_round_trip(UINT64_MAX);
	for (int i = 0; i < 10000; i++)
		check_round_trip(unit_random(&random) >> unit_below(&random, 64));
}

static void test_formats(void **state)
{
	char text[FORMAT_U64_ROOM];

	(void)state;
	assert_span(span_of(text, (size_t)(format_u64(text, 0) - text)), "0");
	assert_span(span_of(text, (size_t)(format_u64(text, 1024) - text)), "1024");
	assert_span(span_of(text, (size_t)(format_u64(text, UINT64_MAX) - text)),
		    "18446744073709551615");
	assert_span(span_of(text, (size_t)(format_hex64(text, 0xa1) - text)), "00000000000000a1");
}

/* Against the C library, and not a byte beyond the room that it asks for. */
static void test_formats_as_printf_does(void **state)
{
	struct unit_random random = { 8 };
	char text[FORMAT_U64_ROOM + 1], expected[32];

	(void)state;
	for (uint64_t i = 0; i < 300000; i++) {
		uint64_t value = i < 110000 ? i : unit_random(&random) >> unit_below(&random, 64);
		size_t len;

		text[FORMAT_U64_ROOM] = '!';
		len = (size_t)(format_u64(text, value) - text);
		(void)snprintf(expected, sizeof(expected), "%" PRIu64, value);
		assert_true(len <= 20 && text[FORMAT_U64_ROOM] == '!');
		assert_span(span_of(text, len), expected);
		text[16] = '!';
		(void)format_hex64(text, value); /* 16 further on */
		(void)snprintf(expected, sizeof(expected), "%016" PRIx64, value);
		assert_true(text[16] == '!');
		assert_span(span_of(text, 16), expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_starts),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_split_at_the_ends),
		cmocka_unit_test(test_parse_numbers),
		cmocka_unit_test(test_numbers_out_of_range),
		cmocka_unit_test(test_what_is_no_number),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_numbers_come_back),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_formats_as_printf_does),
	};

	return cmocka_run_group_tests_name("span", tests, NULL, NULL);
}
