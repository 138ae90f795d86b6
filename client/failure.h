/* From what went wrong to what the caller is told. */
#pragma once

#include "client/clerktoken.h"
#include "proto/reply.h"

/* Each fills in *ret, if that isn't NULL, and returns the error. */

/* A text of this library's. */
enum clerktoken_error failure_set(struct clerktoken_failure *ret, enum clerktoken_error error,
				  const char *text);

/* A negative errno: what the system refused, or -ETIMEDOUT, -EBADMSG and -ENOMEM of ours.
 * `socket` is the path that was used. */
enum clerktoken_error failure_set_system(struct clerktoken_failure *ret, int result,
					 const char *socket);

/* An ERR reply, or the code of a GONE push. */
enum clerktoken_error failure_set_reply(struct clerktoken_failure *ret, const struct reply *reply);
