/* See secret.h. */
#include "base/secret.h"

#include "base/mem.h"

#include <errno.h>
#include <sodium.h>

int secret_set(struct secret *s, struct span value)
{
	char *copy = mem_alloc(value.len + 1);

	if (!copy)
		return -ENOMEM;
	if (value.len)
		memcpy(copy, value.ptr, value.len);
	copy[value.len] = '\0';
	secret_deinit(s);
	s->ptr = copy;
	s->len = value.len;
	return 0;
}

void secret_deinit(struct secret *s)
{
	mem_free(s->ptr);
	*s = SECRET_NONE;
}

struct secret secret_take(struct secret *from)
{
	struct secret taken = *from;

	*from = SECRET_NONE;
	return taken;
}

bool secret_equal(const struct secret *s, struct span value)
{
	return s->ptr && s->len == value.len && sodium_memcmp(s->ptr, value.ptr, value.len) == 0;
}

void secret_digest(struct span value, struct secret_digest *ret)
{
	(void)crypto_generichash(ret->bytes, sizeof(ret->bytes), (const unsigned char *)value.ptr,
				 value.len, NULL, 0); /* fails for bad sizes */
}

bool secret_digest_equal(const struct secret_digest *a, const struct secret_digest *b)
{
	return sodium_memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void secret_id(const struct secret *s, char ret[SECRET_ID_SIZE])
{
	struct secret_digest digest;

	secret_digest(span_of(s->ptr, s->len), &digest);
	(void)sodium_bin2hex(ret, SECRET_ID_SIZE, digest.bytes, SECRET_ID_SIZE / 2);
}
