/* The body of an HTTP/1 request (RFC 9112, sections 6 and 7): of a known length, or in chunks.
 *
 * Of chunks, lines end with CRLF and have HTTPBODY_LINE_MAX bytes at most; extensions are looked
 * over and forgotten, trailers refused. In which pieces the bytes come has no meaning.
 */
#pragma once

#include "base/span.h"
#include "daemon/core/httphead.h"

#define HTTPBODY_LINE_MAX 128 /* bytes, the CRLF included */

enum httpbody_result {
	HTTPBODY_DATA, /* *ret_data is the next piece of it; there may be more in the input */
	HTTPBODY_MORE, /* all of the input is used, and it is not over */
	HTTPBODY_DONE, /* what is left of the input is not the body's */
	HTTPBODY_BAD,
};

struct httpbody {
	uint64_t left; /* bytes, of the chunk if it comes in chunks */
	unsigned state;
	unsigned used; /* bytes of the line */
};

/* The body that belongs to that head. */
struct httpbody httpbody_of(const struct httphead *head);

/* Takes its next part off the front of *input. */
enum httpbody_result httpbody_next(struct httpbody *b, struct span *input, struct span *ret_data);

static inline bool httpbody_is_done(const struct httpbody *b)
{
	return b->state == 0;
}
