/* From bytes to lines.
 *
 * The same bytes give the same lines however they were split on their way.
 */
#pragma once

#include "base/span.h"

enum frame_result {
	FRAME_LINE,	  /* a line was taken off the input */
	FRAME_INCOMPLETE, /* no LF yet, and still room for it */
	FRAME_TOO_LONG,	  /* `max` bytes without LF: the stream can't be followed any more */
};

/* Takes one line of at most `max` bytes, LF included, off the front of *input. *ret_line borrows
 * the bytes, without LF and without one CR before it. */
static inline enum frame_result frame_next(struct span *input, size_t max, struct span *ret_line)
{
	size_t seen = input->len < max ? input->len : max;
	const char *lf = seen ? memchr(input->ptr, '\n', seen) : NULL;
	size_t len;

	if (!lf)
		return input->len >= max ? FRAME_TOO_LONG : FRAME_INCOMPLETE;
	len = (size_t)(lf - input->ptr);
	*ret_line = span_of(input->ptr, len && lf[-1] == '\r' ? len - 1 : len);
	*input = span_of(lf + 1, input->len - len - 1);
	return FRAME_LINE;
}
