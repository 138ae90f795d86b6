/* free(3) and realloc(3) of the whole process: what is freed is wiped, whoever held it.
 *
 * base/mem.c wipes what is ours, and what libcurl, libevent and cJSON take from it. But OpenSSL
 * reads tokens into buffers of its own, nghttp2 copies the header with the key, and neither these
 * nor the C library can all be told to allocate elsewhere. glibc lets a program put its own
 * functions in the place of its allocator's ("Replacing malloc" in its manual); these two hand on
 * to those.
 *
 * A sanitizer brings an allocator of its own, which they would bypass; so does valgrind's memcheck.
 */
#include <malloc.h>
#include <stddef.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define IS_REPLACED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define IS_REPLACED 0
#endif
#endif
#ifndef IS_REPLACED
#define IS_REPLACED 1
#endif

#if IS_REPLACED

void *__libc_malloc(size_t size);
void *__libc_realloc(void *ptr, size_t size);
void __libc_free(void *ptr);

/* The compiler must not see that nobody reads it any more. */
static void wipe(void *ptr, size_t size)
{
	memset(ptr, 0, size);
	__asm__ volatile("" : : "r"(ptr) : "memory");
}

void free(void *ptr)
{
	if (!ptr)
		return;
	wipe(ptr, malloc_usable_size(ptr));
	__libc_free(ptr);
}

/* Where the content moves, the block that it leaves is wiped; where it is cut off, what is behind.
 */
void *realloc(void *ptr, size_t size)
{
	size_t old = ptr ? malloc_usable_size(ptr) : 0;
	void *fresh;

	if (old >= size) {
		if (ptr)
			wipe((char *)ptr + size, old - size);
		return __libc_realloc(ptr, size);
	}
	fresh = __libc_malloc(size);
	if (!fresh)
		return NULL;
	if (ptr)
		memcpy(fresh, ptr, old);
	free(ptr);
	return fresh;
}

#endif
