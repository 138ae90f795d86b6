/* Blocks of memory for what is many and lives long, apart from the heap of what comes and goes.
 *
 * Between short-lived blocks of the C library's heap, long-lived ones leave holes that nothing
 * fits. Here blocks come from runs of 64 KiB, each aligned to its size and cut into blocks of one
 * class, so that a block has no header: its run is found by its
 * address. Blocks above SLAB_MAX come from base/mem.h. The model:
 *
 * - A run that has blocks of its class to give is in that class's list; a full one is in none.
 * - An empty run is spare, for any class. A few of them stay; the others go back to the kernel.
 * - What was never given is not touched: the pages of a run become resident one by one. They are
 *   counted, and so are large blocks: `resident` is what all of it costs, holes and all.
 * - Freed blocks are wiped, and runs stand in no core dump.
 *
 * What is freed leaves holes. If the sizes of what comes and goes shift, nothing fits into them,
 * and what goes at random leaves hardly any run empty before most of its class is gone: up to twice
 * the sum of the footprints would be resident. Therefore runs are listed by the bytes of their
 * holes, and slab_compact() empties the one with the most, by moving its blocks into those of
 * others or, side by side, into a fresh one. Runs with holes of less than an eighth stay as they
 * are.
 *
 * Under AddressSanitizer it is an error to touch a block that nobody holds, as with the C
 * library's. mem_held() counts the blocks in use, mem_fail_after() can make each of them fail. Not
 * thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SLAB_GRANULE 16
#define SLAB_FINE_MAX 4096 /* bytes: up to here a class each 16, from here on each 512 */
#define SLAB_COARSE_GRANULE 512
#define SLAB_MAX 65024 /* bytes of a block that is cut from a run */
#define SLAB_CLASSES                                                                               \
	(SLAB_FINE_MAX / SLAB_GRANULE + (SLAB_MAX - SLAB_FINE_MAX) / SLAB_COARSE_GRANULE)
#define SLAB_HOLES 8

/* In a list: what points to it, too. */
struct slab_link {
	struct slab_link *next, **place;
};

/* All zero is an empty one. It must not be moved. */
struct slab {
	struct slab_link *open[SLAB_CLASSES]; /* by class: with blocks to give */
	struct slab_link *spare;
	struct slab_link *holey[SLAB_HOLES]; /* by the eighths that are holes; none in the first */
	size_t spare_count, run_count;	     /* the latter of all runs */
	size_t resident;		     /* bytes */
};

/* All blocks must have been freed. */
void slab_deinit(struct slab *s);

/* Not zeroed; aligned to 8 bytes at least. NULL: no memory. */
void *slab_alloc(struct slab *s, size_t size) __attribute__((warn_unused_result));

/* Wipes, then frees. NULL is accepted. */
void slab_free(struct slab *s, void *block);

/* Carries a block's content over, of the same class, and all that points to it. */
typedef void slab_move_fn(void *arg, void *from, void *to);

/* Moves all blocks out of the run with the most holes, wiping each after it. `resident` is less by
 * a page at least afterwards; the work is that of one run. False if none has enough, or there is no
 * memory. */
bool slab_compact(struct slab *s, slab_move_fn *move, void *arg);

/* What a block of that size costs: its class, or, of a large one, what the C library is asked for
 * with its header; that may set aside some bytes more. */
size_t slab_footprint(size_t size);

/* The same of a block that is held. */
size_t slab_footprint_of(const void *block);
