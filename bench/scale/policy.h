/* The policies that are compared, each run over a whole trace. */
#pragma once

#include "bench/scale/tally.h"

#include <stdint.h>

enum policy_kind {
	POLICY_LEAST,  /* the least calls possible: each answers all gets of its useful life */
	POLICY_NONE,   /* every get is a call: Clerk's server SDKs */
	POLICY_TTL,    /* kept for its lifetime from when it came */
	POLICY_LAZY,   /* fetched by the get that finds no usable token */
	POLICY_ACCESS, /* and renewed by a get in the last `ms` of its useful life */
	POLICY_TIMER,  /* renewed as late as is safe while the last use is younger than `ms` */
	POLICY_OURS,   /* the engine, with renew_idle `ms` (-1: auto) and `budget` calls a window */
};

struct policy {
	enum policy_kind kind;
	int64_t ms;
	size_t budget;	       /* calls in any ten seconds; the simple rules: 0 is none */
	size_t limit;	       /* Clerk's, the same */
	struct series *series; /* NULL, or where it is written down what happens when */
};

#define POLICY_MIN_TTL_MS 5000
#define POLICY_WAIT_MS 3000
#define POLICY_TOKEN_SIZE 800 /* bytes */

void policy_run(const struct policy *policy, const struct trace_shape *shape, struct tally *ret);

/* For policy_run(): simple.c, ours.c. */
void simple_run(const struct policy *policy, const struct trace_shape *shape, struct tally *ret);
void ours_run(const struct policy *policy, const struct trace_shape *shape, struct tally *ret);
