/* The scenes that are simulated, and what they write. */
#pragma once

#include "bench/scale/policy.h"

#include <stdio.h>

#define SCENE_AUTO (-1)
#define SCENE_UNLIMITED ((size_t)1 << 19)
#define SCENE_PRODUCTION 1000 /* Clerk's limit */
#define SCENE_BUDGET 800      /* ours of it */
#define SCENE_MINUTE_MS INT64_C(60000)
#define SCENE_HOUR_MS INT64_C(3600000)
#define SCENE_FOR_EVER (24 * SCENE_HOUR_MS)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct output {
	FILE *table; /* Markdown */
	FILE *reach; /* rows of: what is to be shown, its reach, what was measured, whether it is
			reached */
	FILE *tsv;   /* for plot.gp */
};

typedef void scene_fn(const struct output *to);

/* usual.c */
scene_fn scene_steady, scene_browsing, scene_mixed, scene_day;

/* trouble.c */
scene_fn scene_crowd, scene_stranger, scene_outage, scene_users, scene_watchers;

/* compare.c: one trace, all policies, ours against the front of the simple rules. `tallies` has
 * room for all. */
void compare_run(const struct trace_shape *shape, const struct policy *policies, size_t count,
		 FILE *tsv, struct tally *ret_least, struct tally tallies[]);
void compare_table(const struct policy *policies, size_t count, const struct tally *least,
		   const struct tally tallies[], FILE *to);

/* The most that waits were of the best simple rule's at as many calls. */
struct worst {
	double of_parts[PART_COUNT + 1]; /* the last: of all */
};

/* Waits over those of the best simple rule with the same budget, as a table; worst with a duration,
 * and with auto while the budget is at least `roomy`.
 */
void compare_fronts(const struct policy *policies, size_t count, const struct tally *least,
		    const struct tally tallies[], size_t roomy, FILE *to,
		    struct worst *ret_duration, struct worst *ret_auto);

void scene_label(const struct policy *p, char *to, size_t size);
