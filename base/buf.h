/* A growing buffer of bytes with a hard maximum, wiped when freed.
 *
 * What was appended is ptr[start .. end). Consuming from the front moves `start`; room is made by
 * moving the content back to the front or by growing. An empty buffer holds no memory after
 * buf_trim(), so that ten thousand idle connections cost nothing.
 */
#pragma once

#include "base/span.h"

#include <stddef.h>

struct buf {
	char *ptr;
	size_t start, end, size;
	size_t max; /* of content, in bytes */
};

#define BUF_INIT(maximum) ((struct buf){ .max = (maximum) })

void buf_deinit(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

static inline struct span buf_span(const struct buf *b)
{
	return b->ptr ? span_of(b->ptr + b->start, buf_len(b)) : SPAN_NONE;
}

/* Makes room for `len` more bytes and returns where they go; NULL if there is no memory or the
 * maximum would be passed. buf_commit() then says how many were written. */
char *buf_grow(struct buf *b, size_t len);

static inline char *buf_reserve(struct buf *b, size_t len)
{
	return b->ptr && b->size - b->end >= len ? b->ptr + b->end : buf_grow(b, len);
}

static inline void buf_commit(struct buf *b, size_t len)
{
	b->end += len;
}

/* 0, -ENOMEM, or -EMSGSIZE where the maximum would be passed (nothing is appended then). */
int buf_append(struct buf *b, const void *data, size_t len);
int buf_append_str(struct buf *b, const char *s);
int buf_append_u64(struct buf *b, uint64_t value);

/* Removes `len` bytes from the front. */
void buf_consume(struct buf *b, size_t len);

/* Removes all content, keeps the memory. */
static inline void buf_reset(struct buf *b)
{
	b->start = b->end = 0;
}

/* Wipes all that it ever held; of the memory it keeps no more than `keep` bytes. */
void buf_wipe(struct buf *b, size_t keep);

/* Gives back the memory of an empty buffer. */
void buf_trim(struct buf *b);
