/* daemon/core/image.h: what was written comes back, and nothing else does. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/core/image.h"

#define ROOM (4 * IMAGE_CHUNK)
#define SMALL 100

static const unsigned char boot[IMAGE_BOOT_SIZE] = { 1 }, salt[IMAGE_SALT_SIZE] = { 2 };
static struct image_writer writer;
static struct image_reader reader;
static char content[ROOM], image[ROOM], back[ROOM];

static struct image_owner owner_of(const char *key, const char *api_url)
{
	struct image_owner owner;

	image_owner_set(&owner, span_str(key), span_str(api_url), boot);
	return owner;
}

static struct image_owner us(void)
{
	return owner_of("sk_test_1", "https://api.clerk.com");
}

static void fill(void)
{
	struct unit_random random = { 3 };

	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (char)unit_random(&random);
}

static size_t write_pieces(size_t len, size_t piece, void *to, size_t room)
{
	struct image_owner owner = us();

	image_begin(&writer, &owner, salt, to, room);
	for (size_t at = 0; at < len; at += piece)
		image_put(&writer, content + at, len - at < piece ? len - at : piece);
	return image_end(&writer);
}

static size_t write_image(size_t len)
{
	return write_pieces(len, len ? len : 1, image, sizeof(image));
}

/* True if it is an image of `len` bytes, which are in `back` then. */
static bool read_image(const struct image_owner *owner, size_t size, size_t len)
{
	if (image_open(&reader, owner, span_of(image, size)) != IMAGE_OK)
		return false;
	return image_get(&reader, back, len) && image_is_over(&reader);
}

static void test_round_trip(void **state)
{
	static const size_t lens[] = {
		0, 1, SMALL, IMAGE_CHUNK - 1, IMAGE_CHUNK, IMAGE_CHUNK + 1, 3 * IMAGE_CHUNK,
	};
	struct image_owner owner = us();

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		for (size_t piece = 7; piece < ROOM; piece = piece * 11 + 1) {
			size_t size = write_pieces(lens[i], piece, image, sizeof(image));

			assert_int_equal(size, write_pieces(lens[i], piece, NULL, 0));
			assert_true(read_image(&owner, size, lens[i]));
			assert_memory_equal(back, content, lens[i]);
		}
}

static void test_there_is_no_more_than_was_written(void **state)
{
	struct image_owner owner = us();
	size_t size = write_image(SMALL);

	(void)state;
	assert_false(read_image(&owner, size, SMALL + 1));
	assert_false(read_image(&owner, size, SMALL - 1)); /* it is not over */
}

static void test_too_little_room(void **state)
{
	size_t size = write_image(SMALL);

	(void)state;
	for (size_t room = 0; room < size; room++) {
		memset(image, 'x', sizeof(image));
		assert_int_equal(write_pieces(SMALL, SMALL, image, room), 0);
		for (size_t i = room; i < size; i++)
			assert_int_equal(image[i], 'x');
	}
}

static void test_every_truncation_is_refused(void **state)
{
	static const size_t lens[] = { 0, SMALL, IMAGE_CHUNK, IMAGE_CHUNK + SMALL };
	struct image_owner owner = us();

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		size_t size = write_image(lens[i]);

		for (size_t cut = 0; cut < size; cut += cut < 300 || size - cut < 300 ? 1 : 997)
			assert_false(read_image(&owner, cut, lens[i]));
		assert_false(read_image(&owner, size + 1, lens[i]));
	}
}

static void test_every_changed_byte_is_refused(void **state)
{
	struct image_owner owner = us();
	size_t size = write_image(SMALL);

	(void)state;
	for (size_t i = 0; i < size; i++)
		for (int bit = 0; bit < 8; bit++) {
			image[i] ^= (char)(1 << bit);
			assert_false(read_image(&owner, size, SMALL));
			image[i] ^= (char)(1 << bit);
		}
	assert_true(read_image(&owner, size, SMALL));
}

static void test_chunks_have_their_places(void **state)
{
	const size_t sealed = IMAGE_CHUNK + 16;
	struct image_owner owner = us();
	size_t size = write_image(3 * IMAGE_CHUNK);
	char *first = image + (size - 3 * sealed - 16);

	(void)state;
	memcpy(back, first, sealed);
	memmove(first, first + sealed, sealed);
	memcpy(first + sealed, back, sealed);
	assert_false(read_image(&owner, size, 3 * IMAGE_CHUNK));
	size = write_image(3 * IMAGE_CHUNK);
	memmove(first, first + sealed, 2 * sealed + 16); /* one is missing */
	assert_false(read_image(&owner, size - sealed, 2 * IMAGE_CHUNK));
}

static void test_it_has_an_owner(void **state)
{
	static const char *const others[][2] = {
		{ "sk_test_2", "https://api.clerk.com" },
		{ "sk_test_1", "https://api.clerk.com/" },
		{ "sk_test_1h", "ttps://api.clerk.com" },
		{ "", "" },
	};
	struct image_owner owner = us();
	size_t size = write_image(SMALL);

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct image_owner other = owner_of(others[i][0], others[i][1]);

		assert_int_equal(image_open(&reader, &other, span_of(image, size)), IMAGE_FOREIGN);
	}
	owner.boot[3] ^= 1;
	assert_int_equal(image_open(&reader, &owner, span_of(image, size)), IMAGE_OTHER_BOOT);
	owner.boot[3] ^= 1;
	image[8]++; /* the version stands behind the magic */
	assert_int_equal(image_open(&reader, &owner, span_of(image, size)), IMAGE_OTHER_VERSION);
	image[0]++;
	assert_int_equal(image_open(&reader, &owner, span_of(image, size)), IMAGE_DAMAGED);
}

static void test_nothing_can_be_read_in_it(void **state)
{
	static const char token[] = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl";
	size_t size;

	(void)state;
	memcpy(content, token, sizeof(token));
	size = write_image(SMALL);
	for (size_t i = 0; i + 8 <= size; i++)
		assert_memory_not_equal(image + i, token, 8);
	fill();
}

static void test_each_refusal_has_a_text(void **state)
{
	(void)state;
	for (int i = IMAGE_OTHER_VERSION; i <= IMAGE_DAMAGED; i++)
		assert_true(strlen(image_result_text((enum image_result)i)) > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_there_is_no_more_than_was_written),
		cmocka_unit_test(test_too_little_room),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_every_changed_byte_is_refused),
		cmocka_unit_test(test_chunks_have_their_places),
		cmocka_unit_test(test_it_has_an_owner),
		cmocka_unit_test(test_nothing_can_be_read_in_it),
		cmocka_unit_test(test_each_refusal_has_a_text),
	};

	fill();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
