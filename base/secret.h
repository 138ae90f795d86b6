/* A secret that wipes itself: a key or a token outside of the cache.
 *
 * Compared in constant time, never printed. secret_deinit() wipes (see mem.h).
 */
#pragma once

#include "base/span.h"

struct secret {
	char *ptr; /* followed by a NUL, for libraries that want a string */
	size_t len;
};

#define SECRET_NONE ((struct secret){ NULL, 0 })

/* Copies; what *s held before is wiped. 0 or -ENOMEM. */
int secret_set(struct secret *s, struct span value);
void secret_deinit(struct secret *s);

/* Moves out: *from is empty afterwards. */
struct secret secret_take(struct secret *from);

/* Takes as long whatever the bytes are; only the length shows. */
bool secret_equal(const struct secret *s, struct span value);

/* A short name for it, safe to log: the front of its BLAKE2b hash in hex. */
#define SECRET_ID_SIZE 17 /* the NUL included */
void secret_id(const struct secret *s, char ret[SECRET_ID_SIZE]);

/* What two secrets are compared by without showing even their lengths: BLAKE2b-256. */
struct secret_digest {
	unsigned char bytes[32];
};

void secret_digest(struct span value, struct secret_digest *ret);
bool secret_digest_equal(const struct secret_digest *a, const struct secret_digest *b);

#define cleanup_secret __attribute__((cleanup(secret_deinit)))
