/* base/secret: copied, moved, compared, wiped. */
#include "tests/unit/unit.h"
#include "tests/unit/wiped.h"

#include "base/mem.h"
#include "base/secret.h"

#include <errno.h>

static void test_set_copies(void **state)
{
	char key[] = "sk_test_1";
	struct secret s = SECRET_NONE;

	(void)state;
	assert_int_equal(secret_set(&s, span_str(key)), 0);
	memset(key, 'x', sizeof(key) - 1);
	assert_int_equal(s.len, 9);
	assert_string_equal(s.ptr, "sk_test_1");
	secret_deinit(&s);
}

static void test_an_empty_secret(void **state)
{
	struct secret s = SECRET_NONE;

	(void)state;
	assert_int_equal(secret_set(&s, SPAN_NONE), 0);
	assert_non_null(s.ptr);
	assert_string_equal(s.ptr, "");
	assert_true(secret_equal(&s, SPAN_LITERAL("")));
	assert_false(secret_equal(&s, SPAN_LITERAL("x")));
	secret_deinit(&s);
	assert_false(secret_equal(&s, SPAN_LITERAL("")));
}

static void test_compared_over_their_whole_length(void **state)
{
	struct secret s = SECRET_NONE;

	(void)state;
	assert_int_equal(secret_set(&s, span_of("a\0b", 3)), 0);
	assert_true(secret_equal(&s, span_of("a\0b", 3)));
	assert_false(secret_equal(&s, span_of("a\0c", 3)));
	assert_false(secret_equal(&s, span_of("a", 1)));
	assert_false(secret_equal(&s, span_of("a\0b\0", 4)));
	secret_deinit(&s);
}

static void test_set_wipes_what_was_there(void **state)
{
	struct secret s = SECRET_NONE;
	uintptr_t at;

	(void)state;
	assert_int_equal(secret_set(&s, SPAN_LITERAL("first")), 0);
	at = (uintptr_t)s.ptr;
	wiped_reset();
	assert_int_equal(secret_set(&s, SPAN_LITERAL("second")), 0);
	assert_true(wiped_all(at, 6));
	assert_string_equal(s.ptr, "second");
	secret_deinit(&s);
}

/* A part of itself may be what is set. */
static void test_set_from_itself(void **state)
{
	struct secret s = SECRET_NONE;

	(void)state;
	assert_int_equal(secret_set(&s, SPAN_LITERAL("Bearer key")), 0);
	assert_int_equal(secret_set(&s, span_of(s.ptr + 7, 3)), 0);
	assert_string_equal(s.ptr, "key");
	secret_deinit(&s);
}

static void test_set_without_memory_keeps_what_was_there(void **state)
{
	struct secret s = SECRET_NONE;

	(void)state;
	assert_int_equal(secret_set(&s, SPAN_LITERAL("first")), 0);
	mem_fail_after(0);
	assert_int_equal(secret_set(&s, SPAN_LITERAL("second")), -ENOMEM);
	assert_string_equal(s.ptr, "first");
	secret_deinit(&s);
}

static void test_deinit_wipes(void **state)
{
	struct secret s = SECRET_NONE;
	size_t before = mem_held();
	uintptr_t at;

	(void)state;
	assert_int_equal(secret_set(&s, SPAN_LITERAL("key")), 0);
	at = (uintptr_t)s.ptr;
	wiped_reset();
	secret_deinit(&s);
	assert_true(wiped_all(at, 4));
	assert_null(s.ptr);
	assert_int_equal(s.len, 0);
	secret_deinit(&s);
	assert_int_equal(mem_held(), before);
}

static void test_take_moves(void **state)
{
	struct secret from = SECRET_NONE;
	struct secret to;
	const char *at;

	(void)state;
	assert_int_equal(secret_set(&from, SPAN_LITERAL("key")), 0);
	at = from.ptr;
	to = secret_take(&from);
	assert_null(from.ptr);
	assert_ptr_equal(to.ptr, at);
	assert_true(secret_equal(&to, SPAN_LITERAL("key")));
	secret_deinit(&from);
	secret_deinit(&to);
}

static void test_owner_wipes_at_the_end_of_its_block(void **state)
{
	uintptr_t at;

	(void)state;
	{
		cleanup_secret struct secret s = SECRET_NONE;

		assert_int_equal(secret_set(&s, SPAN_LITERAL("key")), 0);
		at = (uintptr_t)s.ptr;
		wiped_reset();
	}
	assert_true(wiped_all(at, 4));
}

/* BLAKE2b-256 of "sk_test_1". */
static void test_id(void **state)
{
	struct secret s = SECRET_NONE;
	char id[SECRET_ID_SIZE], other[SECRET_ID_SIZE];

	(void)state;
	assert_int_equal(secret_set(&s, SPAN_LITERAL("sk_test_1")), 0);
	secret_id(&s, id);
	assert_string_equal(id, "ddde7c763b638e95");
	assert_int_equal(secret_set(&s, SPAN_LITERAL("sk_test_2")), 0);
	secret_id(&s, other);
	assert_string_not_equal(id, other);
	secret_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_copies),
		cmocka_unit_test(test_an_empty_secret),
		cmocka_unit_test(test_compared_over_their_whole_length),
		cmocka_unit_test(test_set_wipes_what_was_there),
		cmocka_unit_test(test_set_from_itself),
		cmocka_unit_test(test_set_without_memory_keeps_what_was_there),
		cmocka_unit_test(test_deinit_wipes),
		cmocka_unit_test(test_take_moves),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_owner_wipes_at_the_end_of_its_block),
	};

	return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
