/* See buf.h. */
#include "base/buf.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>

#define BUF_MIN_SIZE 256

void buf_deinit(struct buf *b)
{
	mem_free(b->ptr);
	*b = BUF_INIT(b->max);
}

void buf_wipe(struct buf *b, size_t keep)
{
	if (b->size > keep)
		buf_deinit(b);
	else if (b->ptr)
		explicit_bzero(b->ptr, b->size);
	buf_reset(b);
}

static size_t grown_size(const struct buf *b, size_t need)
{
	size_t size = b->size ? b->size : BUF_MIN_SIZE;

	while (size < need && size < b->max / 2)
		size *= 2;
	return size < need || size > b->max ? b->max : size;
}

char *buf_grow(struct buf *b, size_t len)
{
	size_t content = buf_len(b);
	size_t size;
	char *ptr;

	if (len > b->max || content > b->max - len)
		return NULL;
	if (b->start) {
		memmove(b->ptr, b->ptr + b->start, content);
		b->start = 0;
		b->end = content;
		if (b->size - b->end >= len)
			return b->ptr + b->end;
	}
	size = grown_size(b, content + len);
	ptr = mem_realloc(b->ptr, size);
	if (!ptr)
		return NULL;
	b->ptr = ptr;
	b->size = size;
	return b->ptr + b->end;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
	char *to;

	if (len == 0)
		return 0;
	to = buf_reserve(b, len);
	if (!to)
		return len > b->max || buf_len(b) > b->max - len ? -EMSGSIZE : -ENOMEM;
	memcpy(to, data, len);
	buf_commit(b, len);
	return 0;
}

int buf_append_str(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

int buf_append_u64(struct buf *b, uint64_t value)
{
	char digits[FORMAT_U64_ROOM];

	return buf_append(b, digits, (size_t)(format_u64(digits, value) - digits));
}

void buf_consume(struct buf *b, size_t len)
{
	assert(len <= buf_len(b));
	b->start += len;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void buf_trim(struct buf *b)
{
	if (buf_len(b) == 0)
		buf_deinit(b);
}
