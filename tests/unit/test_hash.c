/* base/hash: the keyed hash, and the map of intrusive nodes. */
#include "tests/unit/unit.h"

#include "base/hash.h"
#include "base/mem.h"

#include <errno.h>

#define NODES 200

struct node {
	struct map_node link; /* first: chains are cast back */
	uint64_t hash;
	bool in;
};

static void fill_key(struct hash_key *key, uint64_t seed)
{
	struct unit_random random = { seed };
	unsigned char *bytes = (unsigned char *)key;

	for (size_t i = 0; i < sizeof(*key); i++)
		bytes[i] = (unsigned char)unit_random(&random);
}

/* The hash of a copy in a block of its own, so that a sanitizer sees a step beyond it. */
static uint64_t hash_apart(const struct hash_key *key, struct span data, size_t skew)
{
	char *block = mem_alloc(skew + data.len);
	uint64_t hash;

	if (data.len)
		memcpy(block + skew, data.ptr, data.len);
	hash = hash_bytes(key, span_of(block + skew, data.len));
	mem_free(block);
	return hash;
}

/* Every length: the same wherever the bytes stand, another for each byte changed, and another for
 * each length. */
static void test_every_byte_matters(void **state)
{
	struct unit_random random = { 7 };
	uint64_t hashes[HASH_MAX_BYTES + 1];
	char data[HASH_MAX_BYTES];
	struct hash_key key;

	(void)state;
	fill_key(&key, 1);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(1 + unit_below(&random, 255));
	for (size_t len = 0; len <= sizeof(data); len++) {
		hashes[len] = hash_bytes(&key, span_of(data, len));
		for (size_t skew = 0; skew < 16; skew++)
			assert_true(hash_apart(&key, span_of(data, len), skew) == hashes[len]);
		for (size_t other = 0; other < len; other++)
			assert_true(hashes[other] != hashes[len]);
		for (size_t i = 0; i < len; i++) {
			char was = data[i];

			data[i] = was == 'x' ? 'y' : 'x';
			assert_true(hash_bytes(&key, span_of(data, len)) != hashes[len]);
			data[i] = was;
		}
	}
	assert_true(hash_bytes(&key, SPAN_NONE) == hashes[0]);
}

static void test_the_key_matters(void **state)
{
	struct hash_key one, two;

	(void)state;
	fill_key(&one, 1);
	fill_key(&two, 2);
	assert_true(hash_bytes(&one, SPAN_LITERAL("k")) == hash_bytes(&one, SPAN_LITERAL("k")));
	assert_true(hash_bytes(&one, SPAN_LITERAL("k")) != hash_bytes(&two, SPAN_LITERAL("k")));
	assert_true(hash_bytes(&one, SPAN_LITERAL("k")) != hash_bytes(&one, SPAN_LITERAL("l")));
}

/* Names that differ in little, at every place in a word, spread as chance would have it: of 4096 in
 * 4096 buckets, more than a dozen in one is beyond it. */
static void test_names_that_are_alike_spread(void **state)
{
	unsigned char counts[4096];
	char name[64];

	(void)state;
	for (size_t round = 0; round < 100; round++) {
		size_t prefix = round % 34;
		struct hash_key key;

		fill_key(&key, round);
		memset(counts, 0, sizeof(counts));
		memset(name, 'a', prefix);
		for (uint64_t n = 0; n < sizeof(counts); n++) {
			char *end = format_u64(name + prefix, n);
			struct span whole = span_of(name, (size_t)(end - name));

			assert_true(++counts[hash_bytes(&key, whole) % sizeof(counts)] <= 12);
		}
	}
}

static void test_the_table_is_a_power_of_two(void **state)
{
	static const size_t expected[][2] = {
		{ 0, 16 }, { 1, 16 }, { 16, 16 }, { 17, 32 }, { 1000, 1024 }, { 1024, 1024 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		struct map m;

		assert_int_equal(map_init(&m, expected[i][0]), 0);
		assert_int_equal(m.mask + 1, expected[i][1]);
		assert_int_equal(m.count, 0);
		for (size_t k = 0; k <= m.mask; k++)
			assert_null(map_chain(&m, k));
		map_deinit(&m);
	}
}

static void test_no_memory(void **state)
{
	struct map m;
	size_t before = mem_held();

	(void)state;
	mem_fail_after(0);
	assert_int_equal(map_init(&m, 100), -ENOMEM);
	assert_int_equal(mem_held(), before);
}

static void test_deinit_of_nothing(void **state)
{
	struct map m = { 0 };

	(void)state;
	map_deinit(&m);
	assert_int_equal(map_init(&m, 1), 0);
	map_deinit(&m);
	map_deinit(&m);
}

static bool is_in(const struct map *m, const struct node *node)
{
	for (struct map_node *it = map_chain(m, node->hash); it; it = it->next)
		if (it == &node->link)
			return true;
	return false;
}

static void assert_map(const struct map *m, const struct node *nodes)
{
	size_t count = 0;

	for (size_t i = 0; i < NODES; i++) {
		count += nodes[i].in;
		assert_int_equal(is_in(m, &nodes[i]), nodes[i].in);
	}
	assert_int_equal(m->count, count);
}

static void step(struct map *m, struct node *nodes, struct unit_random *random)
{
	struct node *node = &nodes[unit_below(random, NODES)];
	struct node *fresh = &nodes[unit_below(random, NODES)];

	if (!node->in) {
		node->hash = unit_random(random) >> unit_below(random, 64);
		map_add(m, node->hash, &node->link);
		node->in = true;
	} else if (!fresh->in && unit_below(random, 2)) {
		fresh->hash = node->hash;
		map_replace(m, node->hash, &node->link, &fresh->link);
		fresh->in = true;
		node->in = false;
	} else {
		map_remove(m, node->hash, &node->link);
		node->in = false;
	}
}

/* More nodes than buckets, so that chains are long. */
static void test_like_a_plain_array(void **state)
{
	struct unit_random random = { 5 };
	struct node nodes[NODES] = { 0 };
	struct map m;

	(void)state;
	assert_int_equal(map_init(&m, 1), 0);
	for (int i = 0; i < 5000; i++) {
		step(&m, nodes, &random);
		assert_map(&m, nodes);
	}
	map_deinit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_byte_matters),
		cmocka_unit_test(test_the_key_matters),
		cmocka_unit_test(test_names_that_are_alike_spread),
		cmocka_unit_test(test_the_table_is_a_power_of_two),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_deinit_of_nothing),
		cmocka_unit_test(test_like_a_plain_array),
	};

	return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
