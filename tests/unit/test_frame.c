/* proto/frame: the same bytes give the same lines, however they were split. */
#include "tests/unit/unit.h"

#include "base/buf.h"
#include "proto/frame.h"

#include <errno.h>

#define MAX 8
#define LINES_MAX 64

static void assert_next(struct span *input, const char *line)
{
	struct span got = SPAN_NONE;

	assert_int_equal(frame_next(input, MAX, &got), FRAME_LINE);
	assert_span(got, line);
}

static void test_lines(void **state)
{
	struct span input = SPAN_LITERAL("PING\n\nab\r\n\r\nc");
	struct span line = SPAN_LITERAL("untouched");

	(void)state;
	assert_next(&input, "PING");
	assert_next(&input, "");
	assert_next(&input, "ab");
	assert_next(&input, "");
	assert_int_equal(frame_next(&input, MAX, &line), FRAME_INCOMPLETE);
	assert_span(line, "untouched");
	assert_span(input, "c");
}

static void test_one_cr_before_lf_is_taken_off(void **state)
{
	struct span input = SPAN_LITERAL("a\r\r\n\rb\nc\r");
	struct span line = SPAN_NONE;

	(void)state;
	assert_next(&input, "a\r");
	assert_next(&input, "\rb");
	assert_int_equal(frame_next(&input, MAX, &line), FRAME_INCOMPLETE);
}

static void test_nul_is_a_byte_as_any(void **state)
{
	struct span input = span_of("a\0b\n", 4);
	struct span line = SPAN_NONE;

	(void)state;
	assert_int_equal(frame_next(&input, MAX, &line), FRAME_LINE);
	assert_int_equal(line.len, 3);
	assert_memory_equal(line.ptr, "a\0b", 3);
}

/* The limit counts the LF. */
static void test_the_longest_line(void **state)
{
	struct span input = SPAN_LITERAL("1234567\n12345678\n");
	struct span line = SPAN_LITERAL("untouched");

	(void)state;
	assert_next(&input, "1234567");
	assert_int_equal(frame_next(&input, MAX, &line), FRAME_TOO_LONG);
	assert_span(line, "untouched");
	assert_span(input, "12345678\n");
	input = SPAN_LITERAL("1234567");
	assert_int_equal(frame_next(&input, MAX, &line), FRAME_INCOMPLETE);
	input = SPAN_LITERAL("123456\r\n");
	assert_next(&input, "123456");
	input = SPAN_LITERAL("1234567\r\n");
	assert_int_equal(frame_next(&input, MAX, &line), FRAME_TOO_LONG);
}

static void test_nothing(void **state)
{
	struct span input = SPAN_NONE;
	struct span line = SPAN_NONE;

	(void)state;
	assert_int_equal(frame_next(&input, MAX, &line), FRAME_INCOMPLETE);
	input = SPAN_LITERAL("");
	assert_int_equal(frame_next(&input, MAX, &line), FRAME_INCOMPLETE);
}

/* What a stream of bytes came to: its lines, each ended by '|', and how it ended. */
struct outcome {
	char text[256];
	size_t len;
	bool too_long;
};

static void take_lines(struct buf *b, struct outcome *o)
{
	for (;;) {
		struct span input = buf_span(b);
		struct span line;
		enum frame_result result = frame_next(&input, MAX, &line);

		o->too_long = result == FRAME_TOO_LONG;
		if (result != FRAME_LINE)
			return;
		assert_true(o->len + line.len < sizeof(o->text));
		memcpy(o->text + o->len, line.ptr, line.len);
		o->text[o->len + line.len] = '|';
		o->len += line.len + 1;
		buf_consume(b, buf_len(b) - input.len);
	}
}

/* Feeds the bytes in pieces: bit i of `cuts` says whether there is a cut behind byte i. */
static struct outcome feed(struct span bytes, uint64_t cuts)
{
	struct buf b = BUF_INIT(64);
	struct outcome o = { .len = 0 };

	for (size_t i = 0; i < bytes.len && !o.too_long; i++) {
		assert_int_equal(buf_append(&b, bytes.ptr + i, 1), 0);
		if (cuts >> i & 1 || i + 1 == bytes.len)
			take_lines(&b, &o);
	}
	buf_deinit(&b);
	return o;
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
	assert_int_equal(a->too_long, b->too_long);
	assert_true(span_equal(span_of(a->text, a->len), span_of(b->text, b->len)));
}

static void test_every_split_of_a_few_bytes(void **state)
{
	static const char *const streams[] = {
		"PING\r\n\nab\r\n",
		"1234567\nab\r\r\n",
		"ab\n123456789abc",
		"\r\n\n\r\r\n\rx\ny\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		struct span bytes = span_str(streams[i]);
		struct outcome whole = feed(bytes, 0);

		for (uint64_t cuts = 0; cuts < UINT64_C(1) << (bytes.len - 1); cuts++) {
			struct outcome split = feed(bytes, cuts);

			assert_same(&split, &whole);
		}
	}
}

static void test_random_splits_of_random_bytes(void **state)
{
	static const char alphabet[] = "a\n\r b";
	struct unit_random random = { 6 };
	char bytes[60];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t len = unit_below(&random, sizeof(bytes));
		struct outcome whole, split;

		for (size_t k = 0; k < len; k++)
			bytes[k] = alphabet[unit_below(&random, 5)];
		whole = feed(span_of(bytes, len), 0);
		split = feed(span_of(bytes, len), unit_random(&random));
		assert_same(&split, &whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_one_cr_before_lf_is_taken_off),
		cmocka_unit_test(test_nul_is_a_byte_as_any),
		cmocka_unit_test(test_the_longest_line),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_every_split_of_a_few_bytes),
		cmocka_unit_test(test_random_splits_of_random_bytes),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
