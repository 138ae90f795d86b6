/* See httpbody.h.
 *
 *   LENGTH -> DONE
 *
 *   SIZE -> DIGITS [-> EXTENSION] -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE
 *                                          \-> DONE_CR -> DONE_LF -> DONE    (a chunk of size 0)
 */
#include "daemon/core/httpbody.h"

#define SIZE_MAX_BITS 56 /* of a chunk */

enum state {
	DONE,
	LENGTH,
	SIZE,
	DIGITS,
	EXTENSION,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	DONE_CR,
	DONE_LF,
	BAD,
};

_Static_assert(DONE == 0, "see httpbody_is_done()");

struct httpbody httpbody_of(const struct httphead *head)
{
	struct httpbody body = { .left = head->length };

	if (head->is_chunked)
		body.state = SIZE;
	else if (head->length)
		body.state = LENGTH;
	return body;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_text(char c)
{
	return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

static enum state take_digit(struct httpbody *b, char c)
{
	int digit = hex_digit(c);

	if (digit < 0 || b->left >> (SIZE_MAX_BITS - 4))
		return BAD;
	b->left = b->left << 4 | (unsigned)digit;
	return DIGITS;
}

static enum state end_size(struct httpbody *b)
{
	b->used = 0;
	return b->left ? DATA : DONE_CR;
}

/* Where one byte of what is not data leads. */
static enum state step(struct httpbody *b, char c)
{
	switch (b->state) {
	case SIZE:
		return take_digit(b, c);
	case DIGITS:
		return c == '\r' ? SIZE_LF : c == ';' ? EXTENSION : take_digit(b, c);
	case EXTENSION:
		return c == '\r' ? SIZE_LF : is_text(c) ? EXTENSION : BAD;
	case SIZE_LF:
		return c == '\n' ? end_size(b) : BAD;
	case DATA_CR:
		return c == '\r' ? DATA_LF : BAD;
	case DATA_LF:
		b->used = 0;
		return c == '\n' ? SIZE : BAD;
	case DONE_CR:
		return c == '\r' ? DONE_LF : BAD;
	case DONE_LF:
		return c == '\n' ? DONE : BAD;
	default:
		return BAD;
	}
}

static void take_data(struct httpbody *b, struct span *input, struct span *ret)
{
	size_t len = b->left < input->len ? (size_t)b->left : input->len;

	*ret = span_of(input->ptr, len);
	*input = span_of(input->ptr + len, input->len - len);
	b->left -= len;
	if (b->left == 0)
		b->state = b->state == DATA ? DATA_CR : DONE;
}

enum httpbody_result httpbody_next(struct httpbody *b, struct span *input, struct span *ret_data)
{
	while (input->len && b->state != DONE && b->state != BAD) {
		if (b->state == DATA || b->state == LENGTH) {
			take_data(b, input, ret_data);
			return HTTPBODY_DATA;
		}
		if (++b->used > HTTPBODY_LINE_MAX)
			b->state = BAD;
		else
			b->state = step(b, *input->ptr);
		*input = span_of(input->ptr + 1, input->len - 1);
	}
	if (b->state == BAD)
		return HTTPBODY_BAD;
	return b->state == DONE ? HTTPBODY_DONE : HTTPBODY_MORE;
}
