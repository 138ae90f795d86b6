/* See image.h. */
#include "daemon/core/image.h"

#include <assert.h>
#include <sodium.h>

#define TAG_SIZE crypto_aead_chacha20poly1305_ietf_ABYTES
#define NONCE_SIZE crypto_aead_chacha20poly1305_ietf_NPUBBYTES
#define MARK_SIZE 16

static const char magic[8] = "ctkimage";

struct head {
	char magic[sizeof(magic)];
	uint64_t version;
	unsigned char boot[IMAGE_BOOT_SIZE];
	unsigned char mark[MARK_SIZE]; /* of its owner, and of this image */
	unsigned char salt[IMAGE_SALT_SIZE];
};

static_assert(sizeof(struct head) == 80, "it has no hole: all of it is what a key is made of");
static_assert(IMAGE_KEY_SIZE == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "");

const char *image_result_text(enum image_result result)
{
	static const char *const texts[] = {
		[IMAGE_OK] = "",
		[IMAGE_OTHER_VERSION] = "it is of another version of the daemon",
		[IMAGE_OTHER_BOOT] = "it is of another boot",
		[IMAGE_FOREIGN] = "it was made with another secret key or api_url",
		[IMAGE_DAMAGED] = "it is damaged",
	};

	return texts[result];
}

/* Keyed BLAKE2b of both, the first one's length in front. It fails for bad sizes only. */
static void derive(unsigned char *to, size_t size, const unsigned char *key, size_t key_size,
		   struct span a, struct span b)
{
	crypto_generichash_state state;
	uint64_t len = a.len;

	(void)crypto_generichash_init(&state, key, key_size, size);
	(void)crypto_generichash_update(&state, (const unsigned char *)&len, sizeof(len));
	(void)crypto_generichash_update(&state, (const unsigned char *)a.ptr, a.len);
	(void)crypto_generichash_update(&state, (const unsigned char *)b.ptr, b.len);
	(void)crypto_generichash_final(&state, to, size);
	sodium_memzero(&state, sizeof(state));
}

void image_owner_set(struct image_owner *owner, struct span secret_key, struct span api_url,
		     const unsigned char boot[IMAGE_BOOT_SIZE])
{
	derive(owner->key, sizeof(owner->key), NULL, 0, secret_key, api_url);
	memcpy(owner->boot, boot, IMAGE_BOOT_SIZE);
}

static void make_mark(const struct image_owner *owner, const struct head *head,
		      unsigned char to[MARK_SIZE])
{
	derive(to, MARK_SIZE, owner->key, IMAGE_KEY_SIZE, SPAN_LITERAL("owner"),
	       span_of((const char *)head->salt, IMAGE_SALT_SIZE));
}

static void make_key(const struct image_owner *owner, const struct head *head,
		     unsigned char to[IMAGE_KEY_SIZE])
{
	derive(to, IMAGE_KEY_SIZE, owner->key, IMAGE_KEY_SIZE, SPAN_LITERAL("chunks"),
	       span_of((const char *)head, sizeof(*head)));
}

static void make_nonce(uint64_t number, bool is_last, unsigned char to[NONCE_SIZE])
{
	memset(to, 0, NONCE_SIZE);
	memcpy(to, &number, sizeof(number));
	to[sizeof(number)] = is_last;
}

static bool has_room(const struct image_writer *w, size_t len)
{
	return w->to && w->written <= w->room && w->room - w->written >= len;
}

void image_begin(struct image_writer *w, const struct image_owner *owner,
		 const unsigned char salt[IMAGE_SALT_SIZE], void *to, size_t room)
{
	struct head head = { .version = IMAGE_VERSION };

	w->to = to;
	w->room = room;
	w->written = w->filled = 0;
	w->number = 0;
	memcpy(head.magic, magic, sizeof(magic));
	memcpy(head.boot, owner->boot, IMAGE_BOOT_SIZE);
	memcpy(head.salt, salt, IMAGE_SALT_SIZE);
	make_mark(owner, &head, head.mark);
	make_key(owner, &head, w->key);
	if (has_room(w, sizeof(head)))
		memcpy(w->to, &head, sizeof(head));
	w->written += sizeof(head);
}

static void seal(struct image_writer *w, bool is_last)
{
	unsigned char nonce[NONCE_SIZE];

	if (has_room(w, w->filled + TAG_SIZE)) {
		make_nonce(w->number, is_last, nonce);
		(void)crypto_aead_chacha20poly1305_ietf_encrypt(
		    (unsigned char *)w->to + w->written, NULL, (const unsigned char *)w->chunk,
		    w->filled, NULL, 0, NULL, nonce, w->key);
	}
	w->written += w->filled + TAG_SIZE;
	w->number++;
	w->filled = 0;
}

void image_put(struct image_writer *w, const void *data, size_t len)
{
	const char *from = data;

	while (len) {
		size_t n = IMAGE_CHUNK - w->filled < len ? IMAGE_CHUNK - w->filled : len;

		if (w->to)
			memcpy(w->chunk + w->filled, from, n);
		w->filled += n;
		from += n;
		len -= n;
		if (w->filled == IMAGE_CHUNK)
			seal(w, false);
	}
}

size_t image_end(struct image_writer *w)
{
	seal(w, true);
	return !w->to || w->written <= w->room ? w->written : 0;
}

enum image_result image_open(struct image_reader *r, const struct image_owner *owner,
			     struct span image)
{
	unsigned char mark[MARK_SIZE];
	struct head head;

	if (image.len < sizeof(head))
		return IMAGE_DAMAGED;
	memcpy(&head, image.ptr, sizeof(head));
	if (memcmp(head.magic, magic, sizeof(magic)) != 0)
		return IMAGE_DAMAGED;
	if (head.version != IMAGE_VERSION)
		return IMAGE_OTHER_VERSION;
	if (memcmp(head.boot, owner->boot, IMAGE_BOOT_SIZE) != 0)
		return IMAGE_OTHER_BOOT;
	make_mark(owner, &head, mark);
	if (sodium_memcmp(mark, head.mark, MARK_SIZE) != 0)
		return IMAGE_FOREIGN;
	make_key(owner, &head, r->key);
	r->rest = span_of(image.ptr + sizeof(head), image.len - sizeof(head));
	r->number = 0;
	r->at = r->filled = 0;
	r->was_last = r->is_bad = false;
	return IMAGE_OK;
}

/* The next chunk; false if it is not as it was written. */
static bool unseal(struct image_reader *r)
{
	bool is_last = r->rest.len < IMAGE_CHUNK + TAG_SIZE;
	size_t size = is_last ? r->rest.len : IMAGE_CHUNK + TAG_SIZE;
	unsigned char nonce[NONCE_SIZE];

	if (r->is_bad || r->was_last)
		return false;
	make_nonce(r->number, is_last, nonce);
	r->is_bad = size < TAG_SIZE ||
		    crypto_aead_chacha20poly1305_ietf_decrypt((unsigned char *)r->chunk, NULL, NULL,
							      (const unsigned char *)r->rest.ptr,
							      size, NULL, 0, nonce, r->key) != 0;
	if (r->is_bad)
		return false;
	r->rest = span_of(r->rest.ptr + size, r->rest.len - size);
	r->number++;
	r->at = 0;
	r->filled = size - TAG_SIZE;
	r->was_last = is_last;
	return true;
}

bool image_get(struct image_reader *r, void *to, size_t len)
{
	char *at = to;

	while (len) {
		size_t n = r->filled - r->at < len ? r->filled - r->at : len;

		memcpy(at, r->chunk + r->at, n);
		r->at += n;
		at += n;
		len -= n;
		if (len && !unseal(r))
			return false;
	}
	return true;
}

bool image_is_over(struct image_reader *r)
{
	/* The last chunk may be empty. */
	if (r->at == r->filled && !r->was_last && !unseal(r))
		return false;
	return r->at == r->filled && r->was_last;
}
