/* Blocks of memory for what is many and lives long, apart from the heap of what comes and goes.
 *
 * Between short-lived blocks of the C library's heap, long-lived ones leave holes that nothing
 * fits. Here blocks come from runs of 64 KiB, each aligned to its size and cut into blocks of one
 * class (a multiple of SLAB_GRANULE), so that a block has no header: its run is found by its
 * address. Blocks above SLAB_MAX come from base/mem.h. The model:
 *
 * - A run that has blocks of its class to give is in that class's list; a full one is in none.
 * - An empty run is spare, for any class. A few of them stay; the others go back to the kernel.
 * - What was never given is not touched: the pages of a run become resident one by one.
 * - Freed blocks are wiped, and runs stand in no core dump.
 *
 * While what is held grows, what is lost is a partly filled run per class and the rounding. A run
 * is given back only when all its blocks are freed, whatever else is needed meanwhile. If the sizes
 * of all that is held shift, and what goes is drawn at random, hardly any run is empty before most
 * of its class is gone: until then up to twice the sum of the footprints is resident. What goes in
 * about the order in which it came, as what expires does, frees whole runs.
 *
 * Under AddressSanitizer all blocks come from base/mem.h, where it sees each; footprints are as
 * without it. mem_held() counts the blocks in use, mem_fail_after() can make each of them fail.
 * Not thread-safe.
 */
#pragma once

#include <stddef.h>

#define SLAB_GRANULE 16
#define SLAB_MAX 4096 /* bytes of a block that is cut from a run */

/* All zero is an empty one. It must not be moved. */
struct slab {
	struct slab_run *open[SLAB_MAX / SLAB_GRANULE]; /* by class: with blocks to give */
	struct slab_run *spare;
	size_t spare_count, run_count; /* the latter of all runs */
};

/* All blocks must have been freed. */
void slab_deinit(struct slab *s);

/* Not zeroed; aligned to 8 bytes at least. NULL: no memory. */
void *slab_alloc(struct slab *s, size_t size) __attribute__((warn_unused_result));

/* Wipes, then frees. NULL is accepted. */
void slab_free(struct slab *s, void *block);

/* What a block of that size costs: its class, or, of a large one, what the C library is asked for
 * with its header; that may set aside some bytes more. */
size_t slab_footprint(size_t size);

/* The same of a block that is held. */
size_t slab_footprint_of(const void *block);
