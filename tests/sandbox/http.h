/* http.h: HTTP/1.1 messages as bytes (RFC 9110, RFC 9112): no I/O here. */
#ifndef SANDBOX_HTTP_H
#define SANDBOX_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

#define HTTP_MAX_HEAD 16384u
#define HTTP_MAX_HEADERS 64u
#define HTTP_MAX_BODY 65536u
#define HTTP_MAX_LINE 1024u /* of a chunk's size or a trailer */

struct http_header {
	const char *name;
	const char *value;
};

/* All strings point into the head that was parsed. */
struct http_request {
	const char *method;
	const char *path;  /* as sent, still percent-encoded */
	const char *query; /* after the '?', "" without one */
	struct http_header headers[HTTP_MAX_HEADERS];
	size_t n_headers;
	bool keep_alive;
	bool http_1_0;
	bool chunked;	       /* the body comes in chunks, of unknown length */
	size_t content_length; /* 0 without a body */
	const char *body;      /* set by the connection; NUL-terminated */
	size_t body_length;
};

/* Takes apart the `length` bytes of `head`, which include the empty line at their end, and writes
 * NULs into them. 0, or the HTTP status with which to refuse the request; *ret_request is usable
 * only with 0. */
int http_parse_head(char *head, size_t length, struct http_request *ret_request);

/* Value of the first header of that name, or NULL. */
const char *http_header_find(const struct http_request *request, const char *name);

/* Whether a comma-separated header value holds `token`, in any case. */
bool http_has_token(const char *value, const char *token);

/* Copies the value of the query parameter `name`, as sent, to `value`: true if it is there. What is
 * too long for `size` counts as "" . */
bool http_query_find(const char *query, const char *name, char *value, size_t size);

/* Decodes the percent-encoded `length` bytes to a string of at most size - 1 printable ASCII
 * characters. 0, or -EINVAL for anything else. */
int http_decode_segment(const char *bytes, size_t length, char *value, size_t size);

/* The usual phrase of a status code, never NULL. */
const char *http_reason(int status);

/* Appends "Date: …\r\n" for that second since 1970. */
void http_add_date(struct text *text, int64_t wall_s);

/* Reads the size of a chunk from its line, extensions ignored. 0 or -EINVAL, also for more than
 * HTTP_MAX_BODY. */
int http_parse_chunk_size(const char *line, size_t *ret_size);

#endif
