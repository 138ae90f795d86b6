/* What Clerk said when it refused: the HTTP status, its trace id and the body, so that callers of
 * its API can be told the same. In memory it is one text, "STATUS TRACE BODY".
 *
 * Kept is only what has the form of Clerk's errors: an object whose `errors` each have a `message`
 * and a `code`. The body is written anew from what was parsed: whatever was sent, it is JSON, and
 * no byte below a space is in it. What else its objects hold passes as it is.
 */
#pragma once

#include "base/buf.h"
#include "daemon/core/json.h"

#define REFUSAL_MAX 1024 /* bytes of the text; what is longer is not kept */

#define REFUSAL_NONE 1

/* Appends the text to a buffer of at least REFUSAL_MAX. `trace_id` has no blanks, and may be empty.
 * 0, -ENOMEM, or REFUSAL_NONE where there is nothing to keep; nothing is appended then. */
int refusal_write(struct buf *to, int status, struct span trace_id, const struct json *body);

struct refusal {
	int status;
	struct span trace_id, body;
};

/* Of such a text, from which it borrows. False if it is empty. */
bool refusal_read(struct span text, struct refusal *ret);
