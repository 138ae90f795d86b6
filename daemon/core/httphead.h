/* The head of an HTTP/1 request (RFC 9112), as far as a server needs it that has a few documents
 * and closes after each: the request line, and what the client accepts. Bodies are not understood.
 */
#pragma once

#include "base/span.h"

#define HTTPHEAD_MAX 8192 /* bytes */

enum httphead_result {
	HTTPHEAD_DONE,
	HTTPHEAD_INCOMPLETE,
	HTTPHEAD_TOO_LONG,
	HTTPHEAD_BAD,
};

/* Spans borrow from the input. */
struct httphead {
	struct span method;
	struct span path;   /* of the target, without its query */
	struct span accept; /* of the Accept fields the first; SPAN_NONE: there is none */
};

/* All that has come. Once it is no longer HTTPHEAD_INCOMPLETE, more input changes nothing. */
enum httphead_result httphead_parse(struct span input, struct httphead *ret);
