/* base/mem: what is held is counted, what is freed is wiped, and the Nth allocation can fail. */
#include "tests/unit/unit.h"
#include "tests/unit/wiped.h"

#include "base/mem.h"

/* The address sanitizer ends the program for a size that can't be had, unless told otherwise. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void test_blocks_are_writable(void **state)
{
	char *a = mem_alloc(100);
	char *z = mem_zalloc(100);
	char *c = mem_calloc(25, 4);

	(void)state;
	assert_non_null(a);
	memset(a, 'x', 100);
	for (size_t i = 0; i < 100; i++)
		assert_true(z[i] == 0 && c[i] == 0);
	mem_free(a);
	mem_free(z);
	mem_free(c);
}

static void test_no_size_is_a_block_too(void **state)
{
	void *a = mem_alloc(0);
	void *z = mem_zalloc(0);
	void *c = mem_calloc(0, 8);

	(void)state;
	assert_true(a && z && c);
	mem_free(a);
	mem_free(z);
	mem_free(c);
}

static void test_calloc_does_not_overflow(void **state)
{
	size_t before = mem_held();

	(void)state;
	assert_null(mem_calloc(SIZE_MAX / 2, 4));
	assert_int_equal(mem_held(), before);
}

static void test_strdup(void **state)
{
	char *copy = mem_strdup("session");
	char *empty = mem_strdup("");

	(void)state;
	assert_string_equal(copy, "session");
	assert_string_equal(empty, "");
	mem_free(copy);
	mem_free(empty);
}

static void test_held_is_the_sum_of_footprints(void **state)
{
	size_t before = mem_held();
	void *a = mem_alloc(1000);
	void *b = mem_alloc(1);

	(void)state;
	assert_true(mem_footprint(a) >= 1000 + sizeof(size_t));
	assert_true(mem_footprint(b) >= 1 + sizeof(size_t));
	assert_int_equal(mem_held(), before + mem_footprint(a) + mem_footprint(b));
	a = mem_realloc(a, 5000);
	assert_int_equal(mem_held(), before + mem_footprint(a) + mem_footprint(b));
	mem_free(a);
	mem_free(b);
	assert_int_equal(mem_held(), before);
	assert_int_equal(mem_footprint(NULL), 0);
}

static void test_realloc_keeps_content(void **state)
{
	char *p = mem_realloc(NULL, 10);

	(void)state;
	memcpy(p, "012345678", 10);
	p = mem_realloc(p, 10000);
	assert_non_null(p);
	assert_string_equal(p, "012345678");
	p = mem_realloc(p, 6);
	assert_non_null(p);
	assert_memory_equal(p, "012345", 6);
	mem_free(p);
}

static void test_realloc_that_fails_changes_nothing(void **state)
{
	char *p = mem_strdup("token");
	size_t held = mem_held();

	(void)state;
	mem_fail_after(0);
	assert_null(mem_realloc(p, 100000));
	assert_string_equal(p, "token");
	assert_int_equal(mem_held(), held);
	mem_free(p);
}

static void test_free_wipes_the_whole_block(void **state)
{
	char *p = mem_alloc(333);
	uintptr_t at = (uintptr_t)p;

	(void)state;
	memset(p, 's', 333);
	wiped_reset();
	mem_free(p);
	assert_true(wiped_all(at, 333));
	mem_free(NULL);
	assert_int_equal(wiped_count, 1);
}

static void test_realloc_wipes_what_it_leaves(void **state)
{
	char *p = mem_alloc(64);
	uintptr_t at = (uintptr_t)p;

	(void)state;
	memset(p, 's', 64);
	wiped_reset();
	p = mem_realloc(p, 1 << 20);
	assert_true((uintptr_t)p != at);
	assert_true(wiped_all(at, 64));
	mem_free(p);
}

static void test_the_nth_allocation_fails_once(void **state)
{
	void *blocks[3];

	(void)state;
	mem_fail_after(2);
	blocks[0] = mem_alloc(8);
	blocks[1] = mem_zalloc(8);
	assert_true(blocks[0] && blocks[1]);
	assert_null(mem_calloc(1, 8));
	blocks[2] = mem_alloc(8);
	assert_non_null(blocks[2]);
	for (size_t i = 0; i < 3; i++)
		mem_free(blocks[i]);
	mem_fail_after(0);
	assert_null(mem_strdup("x"));
	mem_fail_after(0);
	mem_fail_after(SIZE_MAX);
	blocks[0] = mem_alloc(8);
	assert_non_null(blocks[0]);
	mem_free(blocks[0]);
}

static void test_owner_frees_at_the_end_of_its_block(void **state)
{
	size_t before = mem_held();

	(void)state;
	{
		cleanup_mem char *p = mem_alloc(8);
		cleanup_mem char *none = NULL;

		assert_non_null(p);
		assert_null(none);
		assert_true(mem_held() > before);
	}
	assert_int_equal(mem_held(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_are_writable),
		cmocka_unit_test(test_no_size_is_a_block_too),
		cmocka_unit_test(test_calloc_does_not_overflow),
		cmocka_unit_test(test_strdup),
		cmocka_unit_test(test_held_is_the_sum_of_footprints),
		cmocka_unit_test(test_realloc_keeps_content),
		cmocka_unit_test(test_realloc_that_fails_changes_nothing),
		cmocka_unit_test(test_free_wipes_the_whole_block),
		cmocka_unit_test(test_realloc_wipes_what_it_leaves),
		cmocka_unit_test(test_the_nth_allocation_fails_once),
		cmocka_unit_test(test_owner_frees_at_the_end_of_its_block),
	};

	return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
