/* The head of an HTTP/1 request (RFC 9112): the request line, the fields, and what they say of the
 * body and of the connection.
 *
 * Strict wherever somebody else could read the same bytes in another way: lines end with CRLF;
 * folded lines, control characters and blanks where none belong are refused, and so are two
 * lengths, a length that is no number, any Transfer-Encoding but "chunked", and none or two Hosts.
 */
#pragma once

#include "base/span.h"

#define HTTPHEAD_MAX 8192 /* bytes */
#define HTTPHEAD_FIELDS_MAX 64

enum httphead_result {
	HTTPHEAD_DONE,
	HTTPHEAD_INCOMPLETE,
	HTTPHEAD_TOO_LONG,    /* 431 */
	HTTPHEAD_BAD,	      /* 400 */
	HTTPHEAD_VERSION,     /* 505 */
	HTTPHEAD_EXPECTATION, /* 417 */
};

struct httpfield {
	struct span name, value; /* as they came, without blanks around the value */
};

/* Spans borrow from the input. */
struct httphead {
	struct span method;
	struct span path;  /* of the target; begins with "/", and nothing in it is decoded */
	struct span query; /* behind "?"; SPAN_NONE: there is none */
	struct span host;  /* as Host has it; SPAN_NONE: none, in HTTP/1.0 */
	bool is_1_0;
	bool keep_alive; /* what the client wishes for the connection */
	bool expects_continue;
	bool is_chunked; /* else the body has `length` bytes */
	uint64_t length;
	size_t size; /* of the head itself, in bytes */
	size_t n_fields;
	struct httpfield fields[HTTPHEAD_FIELDS_MAX];
};

/* `input`: all that has come. Once it is no longer HTTPHEAD_INCOMPLETE, more input changes nothing.
 * *ret is of use after HTTPHEAD_DONE only. */
enum httphead_result httphead_parse(struct span input, struct httphead *ret);

/* The value of the first field of that name, which is to be in lower case; SPAN_NONE: there is
 * none. `ret_count`: how many there are; may be NULL. */
struct span httphead_find(const struct httphead *head, const char *name, size_t *ret_count);

/* The same text, where letters' case means nothing; `lower` is in lower case. */
bool httphead_is(struct span s, const char *lower);

/* True if the list, whose elements have commas between them, holds that element. */
bool httphead_lists(struct span list, const char *lower);
