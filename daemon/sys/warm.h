/* The cache goes through a restart in systemd's descriptor store (FDSTORE in sd_notify(3)), as a
 * sealed memfd: memory, no file.
 *
 * The image is written straight into that memory, and read from it. It is encrypted (image.h),
 * since the kernel may swap such memory out, and gives it free without wiping it. It is read by the
 * next process only, and taken out of the store before anybody is served: nothing in it may come
 * back once somebody has dropped it.
 */
#pragma once

#include "base/secret.h"
#include "daemon/core/engine.h"
#include "daemon/sys/activation.h"

/* What an image is bound to. */
struct warm_owner {
	const struct secret *secret_key;
	const char *api_url;
};

/* Fills a new engine with what the last process left, if it left anything. False: that was refused,
 * which has been said, and forgotten; the engine is to be freed and made anew. */
bool warm_restore(struct engine *e, const struct warm_owner *owner, struct activation *handed,
		  size_t max_token_size);

/* Takes out of the store what was handed over, and closes it. */
void warm_forget(struct activation *handed);

/* Leaves what the cache holds to the next process, if there is a store; what fails is said. */
void warm_keep(struct engine *e, const struct warm_owner *owner);
