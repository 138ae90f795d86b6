/* Bytes on their way from one process of the daemon to the next, encrypted.
 *
 *     head      what it is, of which boot and whose, and a salt; in the clear
 *     chunk …   each of IMAGE_CHUNK bytes and a tag; the last one is shorter, or empty
 *
 * The key of an image is derived from the secret key, the api_url and the head; each chunk is
 * sealed with its number and with whether it is the last (the STREAM construction: Hoang,
 * Reyhanitabar, Rogaway and Vizar, 2015). So nothing in it can be changed, moved, added or cut off,
 * nor can it be read, by who has another key. Where its pages end up does not matter: in swap, say,
 * or unwiped.
 *
 * It never leaves the kernel that it was made under, so numbers are in the host's byte order.
 */
#pragma once

#include "base/span.h"

#define IMAGE_VERSION 1 /* of what is in it, too; another one is refused */
#define IMAGE_CHUNK ((size_t)64 << 10)
#define IMAGE_KEY_SIZE 32
#define IMAGE_BOOT_SIZE 16
#define IMAGE_SALT_SIZE 32

enum image_result {
	IMAGE_OK,
	IMAGE_OTHER_VERSION,
	IMAGE_OTHER_BOOT,
	IMAGE_FOREIGN, /* of another secret key or api_url */
	IMAGE_DAMAGED,
};

/* For people. */
const char *image_result_text(enum image_result result);

/* Whose it is. A secret: wipe it. */
struct image_owner {
	unsigned char key[IMAGE_KEY_SIZE];
	unsigned char boot[IMAGE_BOOT_SIZE];
};

void image_owner_set(struct image_owner *owner, struct span secret_key, struct span api_url,
		     const unsigned char boot[IMAGE_BOOT_SIZE]);

/* Both hold a chunk as it is: they come from mem_alloc(), which wipes what is freed. */
struct image_writer {
	char *to; /* NULL: only counts */
	size_t room, written;
	unsigned char key[IMAGE_KEY_SIZE];
	uint64_t number; /* of the chunk */
	size_t filled;
	char chunk[IMAGE_CHUNK];
};

struct image_reader {
	struct span rest; /* behind the chunk that is open */
	unsigned char key[IMAGE_KEY_SIZE];
	uint64_t number; /* of the next chunk */
	size_t at, filled;
	bool was_last, is_bad;
	char chunk[IMAGE_CHUNK];
};

/* Begins one in `room` bytes at `to`. With `to` NULL nothing is written, and image_end() tells the
 * room that it takes. `salt` is random, and used once. */
void image_begin(struct image_writer *w, const struct image_owner *owner,
		 const unsigned char salt[IMAGE_SALT_SIZE], void *to, size_t room);
void image_put(struct image_writer *w, const void *data, size_t len);

/* The size of it; 0 if that is more than the room. */
size_t image_end(struct image_writer *w);

/* The image is borrowed. */
enum image_result image_open(struct image_reader *r, const struct image_owner *owner,
			     struct span image);

/* True if there are `len` more bytes, which were written so. */
bool image_get(struct image_reader *r, void *to, size_t len);

/* True if all was read, and nothing was cut off. */
bool image_is_over(struct image_reader *r);
