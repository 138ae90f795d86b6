/* base/heap: the earliest deadline first, whatever is done to it. */
#include "tests/unit/unit.h"

#include "base/heap.h"
#include "base/mem.h"

#include <errno.h>

#define NODES 300

static void assert_heap(const struct heap *h)
{
	for (size_t i = 0; i < h->count; i++) {
		assert_int_equal(h->nodes[i]->slot, i);
		assert_true(h->nodes[0]->at.ms <= h->nodes[i]->at.ms);
	}
}

static void set(struct heap *h, struct heap_node *node, int64_t at_ms)
{
	assert_int_equal(heap_reserve(h, h->count + 1), 0);
	heap_set(h, node, (struct mono){ at_ms });
	assert_heap(h);
}

static void test_earliest_first(void **state)
{
	struct heap h = { 0 };
	struct heap_node a = HEAP_NODE(1), b = HEAP_NODE(2), c = HEAP_NODE(3);

	(void)state;
	assert_null(heap_first(&h));
	assert_int_equal(a.slot, HEAP_NOWHERE);
	set(&h, &a, 20);
	set(&h, &b, 10);
	set(&h, &c, 30);
	assert_ptr_equal(heap_first(&h), &b);
	assert_int_equal(heap_first(&h)->tag, 2);
	set(&h, &b, 40);
	assert_ptr_equal(heap_first(&h), &a);
	set(&h, &c, 5);
	assert_ptr_equal(heap_first(&h), &c);
	set(&h, &c, 5);
	assert_int_equal(h.count, 3);
	heap_deinit(&h);
}

static void test_remove_and_put_back(void **state)
{
	struct heap h = { 0 };
	struct heap_node a = HEAP_NODE(0), b = HEAP_NODE(0);

	(void)state;
	set(&h, &a, 1);
	set(&h, &b, 2);
	heap_remove(&h, &a);
	assert_int_equal(a.slot, HEAP_NOWHERE);
	assert_ptr_equal(heap_first(&h), &b);
	heap_remove(&h, &a);
	assert_int_equal(h.count, 1);
	heap_remove(&h, &b);
	assert_null(heap_first(&h));
	set(&h, &a, INT64_MAX);
	set(&h, &b, INT64_MIN);
	assert_ptr_equal(heap_first(&h), &b);
	heap_deinit(&h);
	assert_int_equal(h.count, 0);
	heap_deinit(&h);
}

static void test_replace_takes_over_the_deadline(void **state)
{
	struct heap h = { 0 };
	struct heap_node a = HEAP_NODE(1), b = HEAP_NODE(2), fresh = HEAP_NODE(3);

	(void)state;
	set(&h, &a, 1);
	set(&h, &b, 2);
	heap_replace(&h, &a, &fresh);
	assert_heap(&h);
	assert_ptr_equal(heap_first(&h), &fresh);
	assert_true(fresh.at.ms == 1);
	assert_int_equal(fresh.tag, 3);
	assert_int_equal(a.slot, HEAP_NOWHERE);
	assert_int_equal(h.count, 2);
	heap_deinit(&h);
}

static void test_room_is_reserved_or_nothing_changes(void **state)
{
	struct heap h = { 0 };
	struct heap_node nodes[100];

	(void)state;
	mem_fail_after(0);
	assert_int_equal(heap_reserve(&h, 1), -ENOMEM);
	assert_int_equal(h.size, 0);
	assert_int_equal(heap_reserve(&h, (size_t)HEAP_NOWHERE), -ENOMEM);
	for (size_t i = 0; i < 100; i++) {
		nodes[i] = HEAP_NODE(0);
		if (h.count == h.size) {
			size_t size = h.size;

			mem_fail_after(0);
			assert_int_equal(heap_reserve(&h, h.count + 1), -ENOMEM);
			mem_fail_after(SIZE_MAX);
			assert_int_equal(h.size, size);
			assert_int_equal(h.count, i);
		}
		set(&h, &nodes[i], (int64_t)(100 - i));
	}
	assert_ptr_equal(heap_first(&h), &nodes[99]);
	heap_deinit(&h);
}

/* The model: what is in, as the nodes themselves say it, and the least of it by looking at all. */
static int64_t least(const struct heap_node *nodes, size_t *ret_count)
{
	int64_t at_ms = INT64_MAX;

	*ret_count = 0;
	for (size_t i = 0; i < NODES; i++) {
		if (nodes[i].slot == HEAP_NOWHERE)
			continue;
		++*ret_count;
		at_ms = nodes[i].at.ms < at_ms ? nodes[i].at.ms : at_ms;
	}
	return at_ms;
}

static void step(struct heap *h, struct heap_node *nodes, struct unit_random *random)
{
	struct heap_node *node = &nodes[unit_below(random, NODES)];
	struct heap_node *other = &nodes[unit_below(random, NODES)];

	switch (unit_below(random, 8)) {
	case 0:
	case 1:
		heap_remove(h, node);
		break;
	case 2:
		heap_remove(h, heap_first(h) ? heap_first(h) : node);
		break;
	case 3:
		if (node->slot != HEAP_NOWHERE && other->slot == HEAP_NOWHERE)
			heap_replace(h, node, other);
		break;
	default:
		set(h, node, (int64_t)unit_below(random, 50));
	}
}

static void test_like_looking_at_all(void **state)
{
	struct unit_random random = { 3 };
	struct heap h = { 0 };
	struct heap_node nodes[NODES];

	(void)state;
	for (size_t i = 0; i < NODES; i++)
		nodes[i] = HEAP_NODE(0);
	for (int i = 0; i < 20000; i++) {
		size_t count;
		int64_t at_ms;

		step(&h, nodes, &random);
		at_ms = least(nodes, &count);
		assert_int_equal(h.count, count);
		assert_true(count == 0 || heap_first(&h)->at.ms == at_ms);
	}
	assert_heap(&h);
	heap_deinit(&h);
}

static void test_comes_out_sorted(void **state)
{
	struct unit_random random = { 4 };
	struct heap h = { 0 };
	struct heap_node nodes[NODES];
	int64_t last = INT64_MIN;

	(void)state;
	assert_int_equal(heap_reserve(&h, NODES), 0);
	for (size_t i = 0; i < NODES; i++) {
		nodes[i] = HEAP_NODE(0);
		heap_set(&h, &nodes[i], (struct mono){ (int64_t)unit_random(&random) });
	}
	for (size_t i = 0; i < NODES; i++) {
		assert_true(heap_first(&h)->at.ms >= last);
		last = heap_first(&h)->at.ms;
		heap_remove(&h, heap_first(&h));
	}
	assert_null(heap_first(&h));
	heap_deinit(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_earliest_first),
		cmocka_unit_test(test_remove_and_put_back),
		cmocka_unit_test(test_replace_takes_over_the_deadline),
		cmocka_unit_test(test_room_is_reserved_or_nothing_changes),
		cmocka_unit_test(test_like_looking_at_all),
		cmocka_unit_test(test_comes_out_sorted),
	};

	return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
