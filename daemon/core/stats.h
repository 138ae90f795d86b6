/* What has happened since the start, as numbers that only grow, and as one line of JSON. */
#pragma once

#include "base/buf.h"
#include "base/instant.h"
#include "proto/wire.h"

struct stats {
	uint64_t gets;	/* GET and WATCH that were answered from memory or had to wait */
	uint64_t hits;	/* answered from memory at once */
	uint64_t waits; /* had to wait for Clerk */
	uint64_t drops, flushes;
	uint64_t fetches; /* requests sent to Clerk */
	uint64_t fetches_for_callers, fetches_for_renewal;
	uint64_t tokens; /* fetches that brought one */
	uint64_t retries;
	uint64_t same_tokens; /* a renewal brought the token that was there */
	uint64_t cancelled;
	uint64_t throttled;	     /* 429 */
	uint64_t errors[CODE_COUNT]; /* replies by code */
};

struct engine;

/* Appends the JSON object. 0, -ENOMEM, -EMSGSIZE. */
int stats_write(struct engine *e, struct mono now, struct buf *to);
