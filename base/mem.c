/* See mem.h. Sizes come from malloc_usable_size(3), so that no header of our own is needed. */
#include "base/mem.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* glibc keeps one size word in front of each block. */
#define CHUNK_OVERHEAD sizeof(size_t)

static _Atomic size_t held;
static _Atomic size_t allocations_until_failure = SIZE_MAX;

static int refuse(void)
{
	size_t left = atomic_load_explicit(&allocations_until_failure, memory_order_relaxed);

	if (left == SIZE_MAX)
		return 0;
	atomic_store_explicit(&allocations_until_failure, left ? left - 1 : SIZE_MAX,
			      memory_order_relaxed);
	return left == 0;
}

static void *count(void *ptr)
{
	if (ptr)
		atomic_fetch_add_explicit(&held, mem_footprint(ptr), memory_order_relaxed);
	return ptr;
}

void *mem_alloc(size_t size)
{
	return refuse() ? NULL : count(malloc(size ? size : 1));
}

void *mem_calloc(size_t n, size_t size)
{
	return refuse() ? NULL : count(calloc(n ? n : 1, size ? size : 1));
}

void *mem_adopt(void *ptr)
{
	return count(ptr);
}

void *mem_zalloc(size_t size)
{
	return mem_calloc(1, size);
}

char *mem_strdup(const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = mem_alloc(size);

	return copy ? memcpy(copy, s, size) : NULL;
}

void *mem_realloc(void *ptr, size_t size)
{
	size_t old;
	void *fresh;

	if (!ptr)
		return mem_alloc(size);
	old = malloc_usable_size(ptr);
	if (size <= old && size >= old / 2)
		return ptr;
	fresh = mem_alloc(size);
	if (!fresh)
		return NULL;
	memcpy(fresh, ptr, old < size ? old : size);
	mem_free(ptr);
	return fresh;
}

void mem_free(void *ptr)
{
	if (!ptr)
		return;
	explicit_bzero(ptr, malloc_usable_size(ptr));
	mem_free_plain(ptr);
}

void mem_free_plain(void *ptr)
{
	atomic_fetch_sub_explicit(&held, mem_footprint(ptr), memory_order_relaxed);
	free(ptr);
}

size_t mem_footprint(const void *ptr)
{
	return ptr ? malloc_usable_size((void *)ptr) + CHUNK_OVERHEAD : 0;
}

int mem_charge(size_t footprint)
{
	if (refuse())
		return -ENOMEM;
	atomic_fetch_add_explicit(&held, footprint, memory_order_relaxed);
	return 0;
}

void mem_discharge(size_t footprint)
{
	atomic_fetch_sub_explicit(&held, footprint, memory_order_relaxed);
}

size_t mem_held(void)
{
	return atomic_load_explicit(&held, memory_order_relaxed);
}

void mem_fail_after(size_t n)
{
	atomic_store(&allocations_until_failure, n);
}
