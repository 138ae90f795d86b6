/* Who waits for an answer of the engine's: what the cookie of each waiter points to, so that the
 * effect finds its way back to the adapter that the request came through. */
#pragma once

#include "daemon/core/engine.h"

struct asker {
	void (*answer)(struct asker *asker,
		       const struct effect *effect); /* EFFECT_REPLY, _ADMITTED, _REFUSED */
};

static inline void asker_answer(const struct effect *effect)
{
	struct asker *asker = effect->cookie;

	asker->answer(asker, effect);
}
