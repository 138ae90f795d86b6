/* See slab.h. Blocks of a run stand at multiples of SLAB_GRANULE, large ones 8 bytes behind one:
 * that tells whose a block is. In front of a large one stands its size. */
#include "base/slab.h"

#include "base/mem.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define IS_POOLED false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_POOLED false
#endif
#endif
#ifndef IS_POOLED
#define IS_POOLED true
#endif

#define RUN_SIZE ((size_t)64 << 10)
#define MAX_SPARE 8
#define LARGE_HEADER sizeof(uint64_t)

/* The header of a run; its blocks follow. */
struct slab_run {
	struct slab_run *next, **place; /* in its list: what points to it */
	void *freed;			/* its first freed block, in which stands the next one */
	uint32_t block_size;
	uint16_t capacity, used;
	uint16_t touched; /* so many of its blocks were given once */
} __attribute__((aligned(SLAB_GRANULE)));

static_assert(RUN_SIZE / SLAB_GRANULE <= UINT16_MAX, "blocks are counted in 16 bits");
static_assert(_Alignof(max_align_t) % SLAB_GRANULE == 0, "the C library's blocks are aligned so");

static size_t round_up(size_t size)
{
	return (size + SLAB_GRANULE - 1) / SLAB_GRANULE * SLAB_GRANULE;
}

static bool is_large(const void *block)
{
	return (uintptr_t)block % SLAB_GRANULE != 0;
}

static struct slab_run *run_of(void *block)
{
	return (void *)((char *)block - (uintptr_t)block % RUN_SIZE);
}

static void list_put(struct slab_run **list, struct slab_run *run)
{
	run->next = *list;
	run->place = list;
	if (run->next)
		run->next->place = &run->next;
	*list = run;
}

static void list_remove(struct slab_run *run)
{
	*run->place = run->next;
	if (run->next)
		run->next->place = run->place;
}

/* Of twice the size, what stands at a multiple of it, as near to the end as can be: the kernel
 * goes downwards, so that most of the time the runs are one mapping. */
static struct slab_run *map_run(void)
{
	char *at =
	    mmap(NULL, 2 * RUN_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t behind;

	if (at == MAP_FAILED)
		return NULL;
	behind = (uintptr_t)at % RUN_SIZE;
	(void)munmap(at, RUN_SIZE - behind); /* if these fail, only addresses are lost */
	if (behind)
		(void)munmap(at + 2 * RUN_SIZE - behind, behind);
	at += RUN_SIZE - behind;
	(void)madvise(at, RUN_SIZE, MADV_DONTDUMP); /* a kernel without it dumps secrets, no more */
	return (void *)at;
}

static struct slab_run *obtain_run(struct slab *s)
{
	struct slab_run *run = s->spare;

	if (run) {
		list_remove(run);
		s->spare_count--;
		return run;
	}
	run = map_run();
	s->run_count += run != NULL;
	return run;
}

/* Spare, or if there are enough of these, gone. The kernel may refuse to cut a mapping in two. */
static void retire_run(struct slab *s, struct slab_run *run)
{
	if (s->spare_count >= MAX_SPARE && munmap(run, RUN_SIZE) == 0) {
		s->run_count--;
		return;
	}
	list_put(&s->spare, run);
	s->spare_count++;
}

void slab_deinit(struct slab *s)
{
	assert(s->run_count == s->spare_count);
	while (s->spare) {
		struct slab_run *run = s->spare;

		list_remove(run);
		(void)munmap(run, RUN_SIZE); /* nothing else could be done with it */
	}
	*s = (struct slab){ 0 };
}

static struct slab_run **open_of(struct slab *s, size_t block_size)
{
	return &s->open[block_size / SLAB_GRANULE - 1];
}

/* Opens a run for blocks of that size; NULL: no memory. */
static struct slab_run *open_run(struct slab *s, size_t block_size)
{
	struct slab_run *run = obtain_run(s);

	if (!run)
		return NULL;
	*run = (struct slab_run){
		.block_size = (uint32_t)block_size,
		.capacity = (uint16_t)((RUN_SIZE - sizeof(*run)) / block_size),
	};
	list_put(open_of(s, block_size), run);
	return run;
}

static void *take_block(struct slab_run *run)
{
	void *block = run->freed;

	if (block)
		memcpy(&run->freed, block, sizeof(run->freed));
	else
		block = (char *)(run + 1) + (size_t)run->touched++ * run->block_size;
	if (++run->used == run->capacity)
		list_remove(run);
	return block;
}

static void put_block(struct slab *s, struct slab_run *run, void *block)
{
	assert(run->used);
	explicit_bzero(block, run->block_size);
	memcpy(block, &run->freed, sizeof(run->freed));
	run->freed = block;
	if (run->used-- == run->capacity)
		list_put(open_of(s, run->block_size), run);
	if (!run->used) {
		list_remove(run);
		retire_run(s, run);
	}
}

static void *alloc_large(size_t size)
{
	uint64_t *header = size < SIZE_MAX / 2 ? mem_alloc(LARGE_HEADER + size) : NULL;

	if (!header)
		return NULL;
	*header = size;
	return header + 1;
}

void *slab_alloc(struct slab *s, size_t size)
{
	size_t block_size = slab_footprint(size);
	struct slab_run *run;

	if (!IS_POOLED || size > SLAB_MAX)
		return alloc_large(size);
	if (mem_charge(block_size) < 0)
		return NULL;
	run = *open_of(s, block_size);
	if (!run)
		run = open_run(s, block_size);
	if (run)
		return take_block(run);
	mem_discharge(block_size);
	return NULL;
}

void slab_free(struct slab *s, void *block)
{
	if (!block)
		return;
	if (is_large(block)) {
		mem_free((char *)block - LARGE_HEADER);
		return;
	}
	mem_discharge(run_of(block)->block_size);
	put_block(s, run_of(block), block);
}

size_t slab_footprint(size_t size)
{
	if (size > SLAB_MAX)
		return round_up(size + LARGE_HEADER + sizeof(size_t));
	return size ? round_up(size) : SLAB_GRANULE;
}

size_t slab_footprint_of(const void *block)
{
	uint64_t size;

	if (!is_large(block))
		return run_of((void *)block)->block_size;
	memcpy(&size, (const char *)block - LARGE_HEADER, sizeof(size));
	return slab_footprint((size_t)size);
}
