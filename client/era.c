/* See era.h. */
#include "client/era.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* The kernel rounds up to a page. */
#define PAGE_BYTES sizeof(_Atomic uint32_t)

int era_init(struct era *era)
{
	void *page =
	    mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return -ENOMEM;
	if (madvise(page, PAGE_BYTES, MADV_WIPEONFORK) < 0) {
		(void)munmap(page, PAGE_BYTES); /* as it was mapped: can't fail */
		page = NULL;
	}
	era->page = page;
	atomic_init(&era->last, 0);
	return 0;
}

void era_deinit(struct era *era)
{
	if (era->page)
		(void)munmap(era->page, PAGE_BYTES); /* as it was mapped: can't fail */
	era->page = NULL;
}

uint32_t era_now(struct era *era)
{
	uint32_t now, seen = 0;

	if (!era->page)
		return (uint32_t)getpid();
	now = atomic_load_explicit(era->page, memory_order_acquire);
	if (now)
		return now;
	now = atomic_fetch_add(&era->last, 1) + 1;
	return atomic_compare_exchange_strong(era->page, &seen, now) ? now : seen;
}
