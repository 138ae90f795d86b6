/* A token as the caller gets it; see clerktoken.h. */
#pragma once

#include "base/instant.h"
#include "client/clerktoken.h"
#include "proto/reply.h"

/* A copy with one reference. `then` is the earliest moment at which view->ttl_ms may have been
 * true. 0 or -ENOMEM. */
int token_new(const struct token_view *view, struct mono then, enum clerktoken_source source,
	      struct clerktoken_token **ret);
