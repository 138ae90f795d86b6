/* The one seam through which memory is allocated.
 *
 * Freed memory is wiped before the C library gets it back, whoever held it: libevent, libcurl and
 * cJSON are given these functions too, so that a token is not left behind in one of their buffers.
 * The sum of what is held is known, in terms of what the C library really set aside. Tests make
 * the Nth allocation fail.
 *
 * Thread-safe, as far as the C library's own allocator is.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Each returns NULL when there is no memory; the caller owns the result. mem_zalloc() zeroes. */
void *mem_alloc(size_t size) __attribute__((malloc, warn_unused_result));
void *mem_zalloc(size_t size) __attribute__((malloc, warn_unused_result));
void *mem_calloc(size_t n, size_t size) __attribute__((malloc, warn_unused_result));
char *mem_strdup(const char *s) __attribute__((malloc, warn_unused_result));

/* The old block is wiped if its content moves. On failure it is untouched. */
void *mem_realloc(void *ptr, size_t size) __attribute__((warn_unused_result));

/* Takes over a block that a library has allocated with malloc(3). NULL is accepted. */
void *mem_adopt(void *ptr);

/* Wipes, then frees. NULL is accepted. */
void mem_free(void *ptr);

/* Frees without wiping: for what is large, touched in part, and holds nothing secret. */
void mem_free_plain(void *ptr);

/* What a block really occupies, the C library's own header included. */
size_t mem_footprint(const void *ptr);

/* The footprints of all blocks that are held now. */
size_t mem_held(void);

/* For what gets its memory elsewhere, base/slab.h, so that it counts too. -ENOMEM if this
 * allocation is to fail; else `footprint` is held until it is discharged. */
int mem_charge(size_t footprint) __attribute__((warn_unused_result));
void mem_discharge(size_t footprint);

/* The allocation after the next `n` fails, once; SIZE_MAX: none (tests only). */
void mem_fail_after(size_t n);

static inline void mem_freep(void *ptr_to_ptr)
{
	mem_free(*(void **)ptr_to_ptr);
}

#define cleanup_mem __attribute__((cleanup(mem_freep)))
