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

void secret_id(const struct secret *s, char ret[SECRET_ID_SIZE])
{
	unsigned char hash[crypto_generichash_BYTES];

	(void)crypto_generichash(hash, sizeof(hash), (const unsigned char *)s->ptr, s->len, NULL,
				 0); /* fails for bad sizes */
	(void)sodium_bin2hex(ret, SECRET_ID_SIZE, hash, SECRET_ID_SIZE / 2);
}
