/* What an engine hands over to the next one, of the same boot, in an image (image.h): the tokens
 * that are valid, what is known of their keys' uses, and when something is to be done about each;
 * the keys that are kept for their next use; what of the budget was used, and for how long Clerk
 * wants nothing.
 *
 * Negative answers stay behind, so that a restart is a way to ask again; so do the breaker's state,
 * the counters, and all that is learned anew from a few requests. Who waits or watches does so on a
 * connection, which ends.
 */
#pragma once

#include "daemon/core/engine.h"
#include "daemon/core/image.h"

struct handover {
	size_t tokens; /* that came over */
	size_t left;   /* entries that didn't: for want of room, or too large by now */
	int64_t age_ms;
};

/* Writes the image of an engine; the rest as for image_begin(). Returns its size, 0 if that is more
 * than the room, or -ENOMEM. */
int64_t handover_write(struct engine *e, struct mono now, const struct image_owner *owner,
		       const unsigned char salt[IMAGE_SALT_SIZE], void *to, size_t room);

/* Reads it into an engine that has nothing yet. Tokens that ended meanwhile stay behind, and those
 * of more than `max_token_size` bytes. Unless the result is 0, which is IMAGE_OK, the engine is to
 * be freed: what was read up to then is not to be trusted. Else enum image_result, or -ENOMEM. */
int handover_read(struct engine *e, struct mono now, const struct image_owner *owner,
		  struct span image, size_t max_token_size, struct handover *ret);
