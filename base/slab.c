/* See slab.h. Blocks of a run stand at multiples of SLAB_GRANULE, large ones 8 bytes behind one:
 * that tells whose a block is. In front of a large one stands its size. */
#include "base/slab.h"

#include "base/list.h"
#include "base/mem.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __has_feature
#define IS_SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif
#if IS_SANITIZED
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

#define RUN_SIZE ((size_t)64 << 10)
#define MAX_SPARE 8
#define HOLES_STEP (RUN_SIZE / SLAB_HOLES)
#define LARGE_HEADER sizeof(uint64_t)

/* The header of a run; its blocks follow. */
struct slab_run {
	struct slab_link open; /* in its class's list, or that of spare ones */
	struct slab_link holey;
	void *freed; /* its first freed block, in which stands the next one */
	uint32_t block_size;
	uint16_t capacity, used;
	uint16_t touched; /* so many of its blocks were given once */
	uint16_t holes;	  /* which list of holey ones it is in; 0: none */
} __attribute__((aligned(SLAB_GRANULE)));

/* Of the blocks of a run, which are free. */
struct free_blocks {
	uint64_t words[RUN_SIZE / SLAB_GRANULE / 64];
};

static_assert(sizeof(struct slab_run) + SLAB_MAX <= RUN_SIZE, "a run holds a block of any class");
static_assert(RUN_SIZE / SLAB_GRANULE <= UINT16_MAX, "blocks are counted in 16 bits");
static_assert(_Alignof(max_align_t) % SLAB_GRANULE == 0, "the C library's blocks are aligned so");

static size_t round_up(size_t size, size_t granule)
{
	return (size + granule - 1) / granule * granule;
}

static bool is_large(const void *block)
{
	return (uintptr_t)block % SLAB_GRANULE != 0;
}

static struct slab_run *run_of(void *block)
{
	return (void *)((char *)block - (uintptr_t)block % RUN_SIZE);
}

static void link_put(struct slab_link **list, struct slab_link *link)
{
	link->next = *list;
	link->place = list;
	if (link->next)
		link->next->place = &link->next;
	*list = link;
}

static void link_remove(struct slab_link *link)
{
	*link->place = link->next;
	if (link->next)
		link->next->place = link->place;
}

static size_t page_size(void)
{
	size_t size = (size_t)getpagesize();

	return size < RUN_SIZE ? size : RUN_SIZE;
}

/* What is resident of a run of which so many blocks were given. */
static size_t resident_of(const struct slab_run *run, size_t touched)
{
	size_t page = page_size();

	return (sizeof(*run) + touched * run->block_size + page - 1) / page * page;
}

/* After it gave a block or got one back: the list that it belongs to. */
static void file_by_holes(struct slab *s, struct slab_run *run)
{
	size_t holes = (size_t)(run->touched - run->used) * run->block_size / HOLES_STEP;

	if (holes == run->holes)
		return;
	if (run->holes)
		link_remove(&run->holey);
	if (holes)
		link_put(&s->holey[holes], &run->holey);
	run->holes = (uint16_t)holes;
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
	struct slab_run *run = s->spare ? container_of(s->spare, struct slab_run, open) : NULL;

	if (run) {
		link_remove(&run->open);
		s->spare_count--;
		return run;
	}
	run = map_run();
	if (run) {
		s->run_count++;
		s->resident += page_size();
	}
	return run;
}

/* What nobody holds, nobody may touch: AddressSanitizer sees to it. */
static void hide(struct slab_run *run, void *block)
{
	ASAN_POISON_MEMORY_REGION(block, run->block_size);
}

static void show(struct slab_run *run, void *block)
{
	ASAN_UNPOISON_MEMORY_REGION(block, run->block_size);
}

static void show_all(struct slab_run *run)
{
	ASAN_UNPOISON_MEMORY_REGION(run, RUN_SIZE);
}

/* The free block behind that one, both hidden. */
static void *next_free(struct slab_run *run, void *block)
{
	void *next;

	show(run, block);
	memcpy(&next, block, sizeof(next));
	hide(run, block);
	return next;
}

/* Gives pages back, those of a process that locks its memory (Linux 5.18) too. */
static void release(void *at, size_t size)
{
	if (madvise(at, size, MADV_DONTNEED_LOCKED) < 0)
		(void)madvise(at, size, MADV_DONTNEED); /* it can't fail: they are ours */
}

/* Spare, or if there are enough of these, gone. The kernel may refuse to cut a mapping in two. Of
 * a spare one, only the page of the header stays resident. */
static void retire_run(struct slab *s, struct slab_run *run)
{
	size_t page = page_size(), resident = resident_of(run, run->touched);

	show_all(run);
	link_remove(&run->open);
	if (run->holes)
		link_remove(&run->holey);
	if (s->spare_count >= MAX_SPARE && munmap(run, RUN_SIZE) == 0) {
		s->run_count--;
		s->resident -= resident;
		return;
	}
	if (resident > page)
		release((char *)run + page, RUN_SIZE - page);
	s->resident -= resident - page;
	link_put(&s->spare, &run->open);
	s->spare_count++;
}

void slab_deinit(struct slab *s)
{
	assert(s->run_count == s->spare_count);
	while (s->spare) {
		struct slab_run *run = container_of(s->spare, struct slab_run, open);

		link_remove(&run->open);
		(void)munmap(run, RUN_SIZE); /* nothing else could be done with it */
	}
	*s = (struct slab){ 0 };
}

static struct slab_link **open_of(struct slab *s, size_t block_size)
{
	if (block_size <= SLAB_FINE_MAX)
		return &s->open[block_size / SLAB_GRANULE - 1];
	return &s->open[SLAB_FINE_MAX / SLAB_GRANULE - 1 +
			(block_size - SLAB_FINE_MAX) / SLAB_COARSE_GRANULE];
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
	ASAN_POISON_MEMORY_REGION(run + 1, RUN_SIZE - sizeof(*run));
	link_put(open_of(s, block_size), &run->open);
	return run;
}

static void *nth_block(struct slab_run *run, size_t n)
{
	return (char *)(run + 1) + n * run->block_size;
}

static void *touch_block(struct slab *s, struct slab_run *run)
{
	s->resident -= resident_of(run, run->touched);
	s->resident += resident_of(run, run->touched + 1u);
	return nth_block(run, run->touched++);
}

/* Of a class. NULL: no memory. */
static void *take_block(struct slab *s, size_t block_size)
{
	struct slab_link *open = *open_of(s, block_size);
	struct slab_run *run =
	    open ? container_of(open, struct slab_run, open) : open_run(s, block_size);
	void *block;

	if (!run)
		return NULL;
	block = run->freed;
	if (block)
		run->freed = next_free(run, block);
	else
		block = touch_block(s, run);
	show(run, block);
	if (++run->used == run->capacity)
		link_remove(&run->open);
	file_by_holes(s, run);
	return block;
}

static void wipe_block(struct slab_run *run, void *block)
{
	assert(run->used);
	explicit_bzero(block, run->block_size);
	memcpy(block, &run->freed, sizeof(run->freed));
	run->freed = block;
	run->used--;
	hide(run, block);
}

static void put_block(struct slab *s, struct slab_run *run, void *block)
{
	if (run->used == run->capacity)
		link_put(open_of(s, run->block_size), &run->open);
	wipe_block(run, block);
	if (run->used)
		file_by_holes(s, run);
	else
		retire_run(s, run);
}

static struct slab_run *holeyest(const struct slab *s)
{
	for (size_t i = SLAB_HOLES - 1; i > 0; i--)
		if (s->holey[i])
			return container_of(s->holey[i], struct slab_run, holey);
	return NULL;
}

static struct free_blocks free_blocks_of(struct slab_run *run)
{
	struct free_blocks ret = { 0 };
	const char *first = nth_block(run, 0);

	for (void *block = run->freed; block; block = next_free(run, block)) {
		size_t n = (size_t)((char *)block - first) / run->block_size;

		ret.words[n / 64] |= UINT64_C(1) << n % 64;
	}
	return ret;
}

bool slab_compact(struct slab *s, slab_move_fn *move, void *arg)
{
	struct slab_run *run = holeyest(s);
	struct free_blocks free;
	void *to = run;

	if (!run)
		return false;
	free = free_blocks_of(run);
	link_remove(&run->open); /* nothing is to be moved into itself */
	for (size_t i = 0; i < run->touched && to; i++) {
		if (free.words[i / 64] >> i % 64 & 1)
			continue;
		to = take_block(s, run->block_size);
		if (!to)
			break;
		move(arg, nth_block(run, i), to);
		wipe_block(run, nth_block(run, i));
	}
	link_put(open_of(s, run->block_size), &run->open);
	if (run->used)
		file_by_holes(s, run);
	else
		retire_run(s, run);
	return to;
}

static void *alloc_large(struct slab *s, size_t size)
{
	uint64_t *header = size < SIZE_MAX / 2 ? mem_alloc(LARGE_HEADER + size) : NULL;

	if (!header)
		return NULL;
	*header = size;
	s->resident += slab_footprint(size);
	return header + 1;
}

void *slab_alloc(struct slab *s, size_t size)
{
	size_t block_size = slab_footprint(size);
	void *block;

	if (size > SLAB_MAX)
		return alloc_large(s, size);
	if (mem_charge(block_size) < 0)
		return NULL;
	block = take_block(s, block_size);
	if (!block)
		mem_discharge(block_size);
	return block;
}

void slab_free(struct slab *s, void *block)
{
	if (!block)
		return;
	if (is_large(block)) {
		s->resident -= slab_footprint_of(block);
		mem_free((char *)block - LARGE_HEADER);
		return;
	}
	mem_discharge(run_of(block)->block_size);
	put_block(s, run_of(block), block);
}

size_t slab_footprint(size_t size)
{
	if (size > SLAB_MAX)
		return round_up(size + LARGE_HEADER + sizeof(size_t), SLAB_GRANULE);
	if (size > SLAB_FINE_MAX)
		return round_up(size, SLAB_COARSE_GRANULE);
	return size ? round_up(size, SLAB_GRANULE) : SLAB_GRANULE;
}

size_t slab_footprint_of(const void *block)
{
	uint64_t size;

	if (!is_large(block))
		return run_of((void *)block)->block_size;
	memcpy(&size, (const char *)block - LARGE_HEADER, sizeof(size));
	return slab_footprint((size_t)size);
}
