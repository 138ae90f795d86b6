/* Sees what is wiped: takes the place of explicit_bzero(3) in the program that includes it.
 *
 * Freed memory can't be looked at, so the tests look at what is wiped before it is freed. The name
 * that the compiler's fortified headers call instead is replaced too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WIPED_MAX 8

struct wiped {
	uintptr_t at;
	size_t len;
};

/* The latest calls, the oldest first, and how many there were. */
static struct wiped wiped[WIPED_MAX];
static size_t wiped_count;

void wiped_bzero(void *ptr, size_t len) __asm__("explicit_bzero");
void wiped_bzero_chk(void *ptr, size_t len, size_t object) __asm__("__explicit_bzero_chk");

__attribute__((noinline)) void wiped_bzero(void *ptr, size_t len)
{
	memset(ptr, 0, len);
	__asm__ volatile("" : : "r"(ptr) : "memory");
	if (wiped_count < WIPED_MAX)
		wiped[wiped_count] = (struct wiped){ (uintptr_t)ptr, len };
	wiped_count++;
}

void wiped_bzero_chk(void *ptr, size_t len, size_t object)
{
	(void)object; /* the caller's bounds are checked by the sanitizers */
	wiped_bzero(ptr, len);
}

static inline void wiped_reset(void)
{
	wiped_count = 0;
}

/* Whether all of those bytes were wiped by one of the calls since the reset. */
static inline bool wiped_all(uintptr_t at, size_t len)
{
	for (size_t i = 0; i < wiped_count && i < WIPED_MAX; i++)
		if (wiped[i].at <= at && at + len <= wiped[i].at + wiped[i].len)
			return true;
	return false;
}
