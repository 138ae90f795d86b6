/* base/list: a ring through its head. */
#include "tests/unit/unit.h"

#include "base/list.h"

struct item {
	char name;
	struct list link;
};

static struct item *item_of(struct list *link)
{
	return container_of(link, struct item, link);
}

static void assert_names(const struct list *head, const char *names)
{
	size_t n = strlen(names);
	size_t i = 0;

	list_for_each (it, (struct list *)head) {
		assert_true(i < n);
		assert_int_equal(item_of(it)->name, names[i]);
		assert_ptr_equal(it->next->prev, it);
		assert_ptr_equal(it->prev->next, it);
		i++;
	}
	assert_int_equal(i, n);
	assert_int_equal(list_is_empty(head), n == 0);
}

static void fill(struct list *head, struct item *items, const char *names)
{
	list_init(head);
	for (size_t i = 0; names[i]; i++) {
		items[i].name = names[i];
		list_init(&items[i].link);
		list_append(head, &items[i].link);
	}
}

static void test_in_the_order_of_appending(void **state)
{
	struct list head;
	struct item items[3];

	(void)state;
	fill(&head, items, "");
	assert_names(&head, "");
	assert_null(list_first(&head));
	fill(&head, items, "abc");
	assert_names(&head, "abc");
	assert_ptr_equal(list_first(&head), &items[0].link);
}

static void test_unlink_anywhere_and_twice(void **state)
{
	struct list head;
	struct item items[4];

	(void)state;
	fill(&head, items, "abcd");
	list_unlink(&items[1].link);
	assert_names(&head, "acd");
	list_unlink(&items[1].link);
	assert_names(&head, "acd");
	assert_true(list_is_empty(&items[1].link));
	list_unlink(&items[0].link);
	list_unlink(&items[3].link);
	assert_names(&head, "c");
	list_unlink(&items[2].link);
	assert_names(&head, "");
	list_append(&head, &items[1].link);
	assert_names(&head, "b");
}

static void test_unlink_while_walking(void **state)
{
	struct list head;
	struct item items[4];

	(void)state;
	fill(&head, items, "abcd");
	list_for_each_safe (it, &head) {
		if (item_of(it)->name != 'c') {
			list_unlink(it);
			it->next = it->prev = NULL; /* as if it were freed */
		}
	}
	assert_names(&head, "c");
}

static void test_move_all(void **state)
{
	struct list to, from;
	struct item items[5];

	(void)state;
	fill(&to, items, "ab");
	fill(&from, items + 2, "cde");
	list_move_all(&to, &from);
	assert_names(&to, "abcde");
	assert_names(&from, "");
	list_move_all(&to, &from);
	assert_names(&to, "abcde");
	list_move_all(&from, &to);
	assert_names(&from, "abcde");
	assert_names(&to, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_the_order_of_appending),
		cmocka_unit_test(test_unlink_anywhere_and_twice),
		cmocka_unit_test(test_unlink_while_walking),
		cmocka_unit_test(test_move_all),
	};

	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
