/* Notices fork().
 *
 * What a process makes carries the number of the era in which it was made. A child has another era
 * than its parent, so that it can tell what it inherited. The era stands in a page that the kernel
 * zeroes in the child (MADV_WIPEONFORK), hence reading it is one load and a reused pid deceives
 * nobody; where the kernel has no such pages, the era is the pid.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct era {
	_Atomic uint32_t *page; /* NULL: the pid serves */
	_Atomic uint32_t last;	/* the latest era of this process or of those before it */
};

/* 0 or -ENOMEM. */
int era_init(struct era *era);
void era_deinit(struct era *era);

/* The era of the calling process; never 0. */
uint32_t era_now(struct era *era);
