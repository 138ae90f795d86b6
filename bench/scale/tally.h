/* What came of a policy on a trace, and how it is printed. */
#pragma once

#include "bench/scale/trace.h"

#include <stdio.h>

struct tally_part {
	uint64_t gets, calls;
	uint64_t first;	  /* gets that waited for their key's first token */
	uint64_t waited;  /* gets that waited for a later one */
	uint64_t refused; /* of all these, in the end */
	uint64_t dying;	  /* answered with less than min_ttl left */
	uint64_t wait_ms; /* of those who waited for a token and got it, in all, and the longest */
	uint64_t longest_ms;
};

struct tally {
	struct tally_part parts[PART_COUNT];
	uint64_t throttled; /* 429 */
	uint64_t renewals;  /* calls that nobody waited for, where that is known */
	size_t busiest;	    /* calls in any ten seconds */
	size_t bytes;	    /* held at most */
};

/* Another trace's: counts add up, of the peaks the highest counts. */
void tally_add(struct tally *to, const struct tally *t);

struct tally_part tally_sum(const struct tally *t);

/* Calls over the least; gets that waited, the first of a key aside, in percent. */
double tally_ratio(const struct tally_part *p, const struct tally_part *least);
double tally_waits(const struct tally_part *p);

/* A table in Markdown. */
void tally_head(FILE *to);
void tally_row(FILE *to, const char *policy, const struct tally *t, const struct tally *least);

/* A line of: family, policy, then ratio and waits of all and of each part, calls, refused, 429,
 * busiest, bytes. */
void tally_tsv(FILE *to, const char *family, const char *policy, const struct tally *t,
	       const struct tally *least);
