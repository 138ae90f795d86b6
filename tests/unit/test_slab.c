/* base/slab: blocks don't overlap, what is freed is wiped, and empty runs go back to the kernel. */
#include "tests/unit/resident.h"
#include "tests/unit/unit.h"
#include "tests/unit/wiped.h"

#include "base/mem.h"
#include "base/slab.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#define RUN_SIZE 65536
#define HELD_MAX 3000

/* What a large block takes at least: the sanitizer's allocator has no header beside it. */
#if defined(__SANITIZE_ADDRESS__)
#define LEAST_LARGE(size) (size)
#else
#define LEAST_LARGE(size) slab_footprint(size)
#endif

struct block {
	unsigned char *at;
	size_t size;
	unsigned char fill;
};

static struct block held[HELD_MAX];

static struct block block_of(struct slab *s, size_t size, unsigned char fill)
{
	struct block b = { slab_alloc(s, size), size, fill };

	assert_non_null(b.at);
	assert_int_equal((uintptr_t)b.at % 8, 0);
	assert_int_equal(slab_footprint_of(b.at), slab_footprint(size));
	memset(b.at, fill, size);
	return b;
}

/* That nothing has written into it: it overlaps with no other. */
static void assert_kept(const struct block *b)
{
	for (size_t i = 0; i < b->size; i++)
		if (b->at[i] != b->fill)
			fail_msg("byte %zu of %zu is not what was written", i, b->size);
}

static void give_back(struct slab *s, struct block *b)
{
	assert_kept(b);
	slab_free(s, b->at);
	b->at = NULL;
}

/* Many of few sizes, any size now and then, and some that are large. */
static size_t random_size(struct unit_random *random)
{
	switch (unit_below(random, 8)) {
	case 0:
		return unit_below(random, SLAB_FINE_MAX + 1);
	case 1:
		return (unit_below(random, 8) ? SLAB_FINE_MAX : SLAB_MAX) - 20 +
		       unit_below(random, 40);
	case 2:
		return unit_below(random, 40000);
	default:
		return 740 + 16 * unit_below(random, 10);
	}
}

static void test_any_order_of_any_sizes(void **state)
{
	struct unit_random random = { 11 };
	struct slab s = { 0 };
	size_t before = mem_held(), footprints = 0, most = 1;

	(void)state;
	for (size_t i = 0; i < 200000; i++) {
		struct block *b = &held[unit_below(&random, most)];

		if (i % 1000 == 0) /* so that it grows and shrinks */
			most = 1 + unit_below(&random, i % 3000 ? HELD_MAX : 10);
		if (b->at) {
			footprints -= slab_footprint(b->size);
			give_back(&s, b);
		} else {
			*b = block_of(&s, random_size(&random), (unsigned char)i);
			footprints += slab_footprint(b->size);
		}
	}
	assert_true(mem_held() >= before + footprints / 2);
	for (size_t i = 0; i < HELD_MAX; i++)
		if (held[i].at)
			give_back(&s, &held[i]);
	slab_deinit(&s);
	assert_int_equal(mem_held(), before);
}

static void test_no_block_is_no_trouble(void **state)
{
	struct slab s = { 0 };
	void *a = slab_alloc(&s, 0), *b = slab_alloc(&s, 0);

	(void)state;
	assert_true(a && b && a != b);
	slab_free(&s, a);
	slab_free(&s, b);
	slab_free(&s, NULL);
	assert_null(slab_alloc(&s, SIZE_MAX));
	slab_deinit(&s);
	slab_deinit(&s);
}

static void test_footprints(void **state)
{
	struct slab s = { 0 };
	size_t before = mem_held();
	void *block;

	(void)state;
	assert_int_equal(slab_footprint(0), SLAB_GRANULE);
	for (size_t size = 1; size <= SLAB_MAX; size++) {
		size_t granule = size > SLAB_FINE_MAX ? SLAB_COARSE_GRANULE : SLAB_GRANULE;

		assert_in_range(slab_footprint(size), size, size + granule - 1);
		assert_int_equal(slab_footprint(size) % granule, 0);
	}
	for (size_t size = SLAB_MAX + 1; size < 70000; size += 97) {
		block = slab_alloc(&s, size);
		assert_in_range(slab_footprint(size), size + sizeof(size_t), size + 32);
		assert_in_range(mem_held() - before, LEAST_LARGE(size), slab_footprint(size) + 32);
		slab_free(&s, block);
	}
	block = slab_alloc(&s, 1064);
	assert_int_equal(mem_held() - before, slab_footprint(1064));
	slab_free(&s, block);
	assert_int_equal(mem_held(), before);
	slab_deinit(&s);
}

static void test_what_is_freed_is_wiped(void **state)
{
	const size_t sizes[] = { 1, 100, 1064, SLAB_MAX, SLAB_MAX + 1, 35000 };
	struct slab s = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct block b = block_of(&s, sizes[i], 's');
		uintptr_t at = (uintptr_t)b.at;

		wiped_reset();
		slab_free(&s, b.at);
		assert_true(wiped_all(at, sizes[i]));
	}
	slab_deinit(&s);
}

static void allocate(struct slab *s, size_t count, size_t size)
{
	assert_true(count <= HELD_MAX);
	for (size_t i = 0; i < count; i++)
		held[i] = block_of(s, size, (unsigned char)i);
}

static void free_every(struct slab *s, size_t count, size_t step)
{
	for (size_t i = 0; i < count; i += step)
		if (held[i].at)
			give_back(s, &held[i]);
}

static void test_a_block_costs_its_footprint(void **state)
{
	struct slab s = { 0 };
	size_t before = resident();

	(void)state;
	unit_skip_where_sanitized();
	allocate(&s, HELD_MAX, 1064);
	assert_in_range(resident() - before, HELD_MAX * 1064, HELD_MAX * 1090);
	assert_in_range(s.run_count, 1, 1 + HELD_MAX / (RUN_SIZE / 1072));
	free_every(&s, HELD_MAX, 1);
	slab_deinit(&s);
}

static void test_empty_runs_go_back(void **state)
{
	struct slab s = { 0 };
	size_t before = resident(), full;

	(void)state;
	unit_skip_where_sanitized();
	allocate(&s, HELD_MAX, 2000);
	full = s.run_count;
	free_every(&s, HELD_MAX, 3);
	assert_int_equal(s.run_count, full); /* each of them is in use */
	free_every(&s, HELD_MAX, 1);
	assert_in_range(s.run_count, 1, 10);
	assert_int_equal(s.spare_count, s.run_count);
	assert_true(resident() < before + 12 * RUN_SIZE);
	slab_deinit(&s);
	assert_int_equal(s.run_count, 0);
	assert_true(resident() < before + 2 * RUN_SIZE);
}

static void test_holes_are_filled_first(void **state)
{
	struct slab s = { 0 };
	size_t full;

	(void)state;
	allocate(&s, 1000, 800);
	full = s.run_count;
	free_every(&s, 1000, 2);
	for (size_t i = 0; i < 1000; i += 2)
		held[i] = block_of(&s, 800 - i % 16, 'n'); /* of that class */
	assert_int_equal(s.run_count, full);
	free_every(&s, 1000, 1);
	slab_deinit(&s);
}

/* As the owner of the blocks does it. */
static void move(void *arg, void *from, void *to)
{
	size_t *moved = arg;

	for (size_t i = 0; i < HELD_MAX; i++)
		if (held[i].at == from) {
			assert_kept(&held[i]);
			held[i].at = memcpy(to, from, held[i].size);
			++*moved;
			return;
		}
	fail_msg("moved what is free");
}

static size_t bytes_held(void)
{
	size_t bytes = 0;

	for (size_t i = 0; i < HELD_MAX; i++)
		bytes += held[i].at ? slab_footprint(held[i].size) : 0;
	return bytes;
}

static void test_holes_are_closed(void **state)
{
	const size_t sizes[] = { 112, 1064, 1900, SLAB_FINE_MAX, 7000 };
	struct unit_random random = { 12 };
	struct slab s = { 0 };
	size_t before = mem_held(), base = resident(), moved, last;

	(void)state;
	unit_skip_where_sanitized();
	for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
		allocate(&s, HELD_MAX, sizes[n]);
		for (size_t i = 0; i < HELD_MAX; i++)
			if (held[i].at && unit_below(&random, 3))
				give_back(&s, &held[i]);
		assert_true(s.resident > 2 * bytes_held());
		for (moved = 0, last = s.resident; slab_compact(&s, move, &moved);
		     last = s.resident)
			assert_true(s.resident < last);
		assert_in_range(moved, 1, HELD_MAX / 3 + 100);
		assert_in_range(s.resident, bytes_held(), bytes_held() * 8 / 7 + 2 * RUN_SIZE);
		assert_true(resident() < base + s.resident + 2 * RUN_SIZE);
		free_every(&s, HELD_MAX, 1); /* none was written into */
		assert_int_equal(mem_held(), before);
	}
	slab_deinit(&s);
	assert_int_equal(s.resident, 0);
}

static void test_what_was_moved_is_wiped(void **state)
{
	struct slab s = { 0 };
	uintptr_t last;
	size_t moved = 0;

	(void)state;
	allocate(&s, 16, 3900);
	free_every(&s, 15, 2);
	last = (uintptr_t)held[1].at;
	wiped_reset();
	assert_true(slab_compact(&s, move, &moved));
	assert_int_not_equal((uintptr_t)held[1].at, last);
	assert_true(wiped_all(last, 3900));
	free_every(&s, 16, 1);
	slab_deinit(&s);
}

static void test_a_few_holes_stay(void **state)
{
	struct slab s = { 0 };
	size_t moved = 0;

	(void)state;
	assert_false(slab_compact(&s, move, &moved));
	allocate(&s, 300, 1000);
	free_every(&s, 300, 11);
	assert_false(slab_compact(&s, move, &moved));
	free_every(&s, 300, 1);
	assert_false(slab_compact(&s, move, &moved)); /* nor what is empty */
	slab_deinit(&s);
}

static void test_a_spare_run_serves_any_size(void **state)
{
	struct slab s = { 0 };

	(void)state;
	for (size_t size = 1; size <= SLAB_MAX; size += size < SLAB_FINE_MAX ? 15 : 500) {
		struct block b = block_of(&s, size, 'x');

		give_back(&s, &b);
		assert_true(s.run_count <= 1);
	}
	slab_deinit(&s);
}

/* The kernel's flags of the mapping that an address is in. */
static bool is_left_out_of_dumps(const void *at)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	bool within = false, found = false;
	uintptr_t from, to;
	char line[1000];

	assert_non_null(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
			within = (uintptr_t)at >= from && (uintptr_t)at < to;
		else if (within && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, " dd");
	}
	(void)fclose(smaps);
	return found;
}

static void test_runs_stand_in_no_core_dump(void **state)
{
	struct slab s = { 0 };

	(void)state;
	allocate(&s, 200, 1064);
	for (size_t i = 0; i < 200; i += 20)
		assert_true(is_left_out_of_dumps(held[i].at));
	assert_false(is_left_out_of_dumps(held));
	free_every(&s, 200, 1);
	slab_deinit(&s);
}

static void test_the_nth_allocation_fails(void **state)
{
	const size_t sizes[] = { 16, 1064, SLAB_MAX, SLAB_MAX + 1, 35000 };
	struct slab s = { 0 };
	size_t before = mem_held();

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct block b;

		mem_fail_after(1);
		b = block_of(&s, sizes[i], 'x');
		assert_null(slab_alloc(&s, sizes[i]));
		give_back(&s, &b);
		assert_int_equal(mem_held(), before);
		b = block_of(&s, sizes[i], 'y'); /* once only */
		give_back(&s, &b);
	}
	slab_deinit(&s);
	assert_int_equal(mem_held(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_order_of_any_sizes),
		cmocka_unit_test(test_no_block_is_no_trouble),
		cmocka_unit_test(test_footprints),
		cmocka_unit_test(test_what_is_freed_is_wiped),
		cmocka_unit_test(test_a_block_costs_its_footprint),
		cmocka_unit_test(test_empty_runs_go_back),
		cmocka_unit_test(test_holes_are_filled_first),
		cmocka_unit_test(test_holes_are_closed),
		cmocka_unit_test(test_what_was_moved_is_wiped),
		cmocka_unit_test(test_a_few_holes_stay),
		cmocka_unit_test(test_a_spare_run_serves_any_size),
		cmocka_unit_test(test_runs_stand_in_no_core_dump),
		cmocka_unit_test(test_the_nth_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
