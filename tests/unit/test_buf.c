/* base/buf: a buffer that grows up to its maximum, and not a byte beyond. */
#include "tests/unit/unit.h"
#include "tests/unit/wiped.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>

static void test_append_and_consume(void **state)
{
	struct buf b = BUF_INIT(100);

	(void)state;
	assert_int_equal(buf_len(&b), 0);
	assert_int_equal(buf_append_str(&b, "retry="), 0);
	assert_int_equal(buf_append_u64(&b, 0), 0);
	assert_int_equal(buf_append_u64(&b, 1234), 0);
	assert_int_equal(buf_append(&b, "!", 1), 0);
	assert_span(buf_span(&b), "retry=01234!");
	buf_consume(&b, 6);
	assert_span(buf_span(&b), "01234!");
	buf_consume(&b, 0);
	buf_consume(&b, 6);
	assert_int_equal(buf_len(&b), 0);
	assert_int_equal(b.start, 0);
	buf_deinit(&b);
}

static void test_nothing_is_appended_without_memory(void **state)
{
	struct buf b = BUF_INIT(10);

	(void)state;
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_int_equal(buf_append_str(&b, ""), 0);
	assert_null(b.ptr);
	buf_deinit(&b);
}

static void test_exactly_the_maximum_fits(void **state)
{
	struct buf b = BUF_INIT(10);

	(void)state;
	assert_int_equal(buf_append_str(&b, "0123456789"), 0);
	assert_int_equal(buf_append(&b, "x", 1), -EMSGSIZE);
	assert_span(buf_span(&b), "0123456789");
	buf_consume(&b, 3);
	assert_int_equal(buf_append_str(&b, "abcd"), -EMSGSIZE);
	assert_span(buf_span(&b), "3456789");
	assert_int_equal(buf_append_str(&b, "abc"), 0);
	assert_span(buf_span(&b), "3456789abc");
	assert_true(b.size <= 10);
	buf_deinit(&b);
}

static void test_reserve_keeps_to_the_maximum(void **state)
{
	struct buf b = BUF_INIT(10);
	char *to;

	(void)state;
	assert_null(buf_reserve(&b, 11));
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_null(b.ptr);
	to = buf_reserve(&b, 10);
	assert_non_null(to);
	memcpy(to, "abcdefghij", 10);
	buf_commit(&b, 7);
	assert_span(buf_span(&b), "abcdefg");
	assert_null(buf_reserve(&b, 4));
	assert_null(buf_reserve(&b, SIZE_MAX - 2));
	assert_ptr_equal(buf_reserve(&b, 3), b.ptr + 7);
	buf_deinit(&b);
}

static void test_no_maximum_of_zero_is_passed(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	assert_int_equal(buf_append(&b, "x", 1), -EMSGSIZE);
	assert_int_equal(buf_append(&b, "", 0), 0);
	buf_deinit(&b);
}

static void test_out_of_memory_changes_nothing(void **state)
{
	struct buf b = BUF_INIT(100000);
	char large[5000];

	(void)state;
	memset(large, 'x', sizeof(large));
	mem_fail_after(0);
	assert_int_equal(buf_append_str(&b, "a"), -ENOMEM);
	assert_int_equal(buf_len(&b), 0);
	assert_int_equal(buf_append_str(&b, "0123456789"), 0);
	buf_consume(&b, 2);
	mem_fail_after(0);
	assert_int_equal(buf_append(&b, large, sizeof(large)), -ENOMEM);
	assert_span(buf_span(&b), "23456789");
	mem_fail_after(0);
	assert_null(buf_reserve(&b, sizeof(large)));
	assert_span(buf_span(&b), "23456789");
	assert_int_equal(buf_append(&b, large, sizeof(large)), 0);
	assert_int_equal(buf_len(&b), 8 + sizeof(large));
	buf_deinit(&b);
}

/* Content is moved to the front before memory is asked for. */
static void test_room_in_front_is_used_first(void **state)
{
	struct buf b = BUF_INIT(1000);
	size_t held;

	(void)state;
	assert_int_equal(buf_append_str(&b, "head"), 0);
	while (b.size - b.end > 0)
		assert_int_equal(buf_append(&b, "x", 1), 0);
	buf_consume(&b, 4);
	held = mem_held();
	mem_fail_after(0);
	assert_int_equal(buf_append_str(&b, "tail"), 0);
	mem_fail_after(SIZE_MAX);
	assert_int_equal(mem_held(), held);
	assert_int_equal(b.start, 0);
	assert_memory_equal(b.ptr + b.end - 4, "tail", 4);
	buf_deinit(&b);
}

static void test_an_empty_buffer_can_hold_no_memory(void **state)
{
	struct buf b = BUF_INIT(100);
	size_t before = mem_held();

	(void)state;
	assert_int_equal(buf_append_str(&b, "x"), 0);
	buf_trim(&b);
	assert_span(buf_span(&b), "x");
	buf_reset(&b);
	assert_true(mem_held() > before);
	buf_trim(&b);
	assert_int_equal(mem_held(), before);
	assert_int_equal(b.max, 100);
	assert_int_equal(buf_append_str(&b, "again"), 0);
	buf_deinit(&b);
	buf_deinit(&b);
	assert_int_equal(mem_held(), before);
}

static void test_content_is_wiped(void **state)
{
	struct buf b = BUF_INIT(100000);
	uintptr_t at;

	(void)state;
	assert_int_equal(buf_append_str(&b, "secret"), 0);
	at = (uintptr_t)b.ptr;
	wiped_reset();
	assert_non_null(buf_reserve(&b, 50000));
	assert_true((uintptr_t)b.ptr != at);
	assert_true(wiped_all(at, 6));
	at = (uintptr_t)b.ptr;
	wiped_reset();
	buf_deinit(&b);
	assert_true(wiped_all(at, 6));
}

struct model {
	char bytes[700];
	size_t len;
};

static void step(struct buf *b, struct model *m, struct unit_random *random)
{
	size_t n = unit_below(random, 200);
	char data[200];

	if (unit_below(random, 2)) {
		n = n < m->len ? n : m->len;
		buf_consume(b, n);
		memmove(m->bytes, m->bytes + n, m->len - n);
		m->len -= n;
		return;
	}
	memset(data, (int)('a' + unit_below(random, 26)), n);
	if (m->len + n > sizeof(m->bytes)) {
		assert_int_equal(buf_append(b, data, n), -EMSGSIZE);
		return;
	}
	assert_int_equal(buf_append(b, data, n), 0);
	memcpy(m->bytes + m->len, data, n);
	m->len += n;
}

static void test_like_a_plain_array(void **state)
{
	struct unit_random random = { 2 };
	struct model m = { .len = 0 };
	struct buf b = BUF_INIT(sizeof(m.bytes));

	(void)state;
	for (int i = 0; i < 20000; i++) {
		step(&b, &m, &random);
		assert_true(span_equal(buf_span(&b), span_of(m.bytes, m.len)));
		assert_true(b.size <= b.max && b.end <= b.size);
		if (unit_below(&random, 16) == 0)
			buf_trim(&b);
	}
	buf_deinit(&b);
}

static void test_wiping(void **state)
{
	struct buf b = BUF_INIT(4096);

	(void)state;
	buf_wipe(&b, 0);
	assert_null(b.ptr);
	assert_int_equal(buf_append_str(&b, "a secret"), 0);
	buf_reset(&b);
	buf_wipe(&b, b.size);
	assert_int_equal(buf_len(&b), 0);
	for (size_t i = 0; i < b.size; i++)
		assert_int_equal(b.ptr[i], 0);
	buf_wipe(&b, b.size - 1);
	assert_null(b.ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wiping),
		cmocka_unit_test(test_append_and_consume),
		cmocka_unit_test(test_nothing_is_appended_without_memory),
		cmocka_unit_test(test_exactly_the_maximum_fits),
		cmocka_unit_test(test_reserve_keeps_to_the_maximum),
		cmocka_unit_test(test_no_maximum_of_zero_is_passed),
		cmocka_unit_test(test_out_of_memory_changes_nothing),
		cmocka_unit_test(test_room_in_front_is_used_first),
		cmocka_unit_test(test_an_empty_buffer_can_hold_no_memory),
		cmocka_unit_test(test_content_is_wiped),
		cmocka_unit_test(test_like_a_plain_array),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
