/* What has happened since the start, and how things stand: one list of numbers, which STATS tells
 * as a line of JSON and the metrics endpoint (openmetrics.h) in Prometheus' way. */
#pragma once

#include "base/buf.h"
#include "base/instant.h"
#include "daemon/core/histogram.h"
#include "proto/wire.h"

struct stats {
	uint64_t gets;	/* GET and WATCH that were answered from memory or had to wait */
	uint64_t hits;	/* answered from memory at once */
	uint64_t waits; /* had to wait for Clerk */
	uint64_t drops, flushes;
	uint64_t webhooks; /* that came */
	uint64_t webhooks_ended, webhooks_refused;
	uint64_t fetches; /* requests sent to Clerk */
	uint64_t fetches_for_callers, fetches_for_renewal;
	uint64_t tokens; /* fetches that brought one */
	uint64_t retries;
	uint64_t same_tokens; /* a renewal brought the token that was there */
	uint64_t cancelled;
	uint64_t calls;		     /* passed on to Clerk */
	uint64_t throttled;	     /* 429 */
	uint64_t errors[CODE_COUNT]; /* replies by code */
	struct histogram answered;   /* how long Clerk took, whatever it answered */
	struct histogram waited;     /* how long who had to wait did, whatever came of it */
};

/* What the kernel says of the process. */
struct process_facts {
	struct mono at;
	uint64_t cpu_ms, started_s; /* the latter since 1970 */
	uint64_t resident_bytes;
	uint64_t locked_bytes, locked_max_bytes;
	uint64_t files_open, files_max; /* files_open 0: this kernel doesn't say */
};

enum stats_number {
	STATS_GETS,
	STATS_HITS,
	STATS_WAITS,
	STATS_DROPS,
	STATS_FLUSHES,
	STATS_WEBHOOKS,
	STATS_WEBHOOKS_ENDED,
	STATS_WEBHOOKS_REFUSED,
	STATS_FETCHES,
	STATS_FETCHES_FOR_CALLERS,
	STATS_FETCHES_FOR_RENEWAL,
	STATS_FETCHED_TOKENS,
	STATS_RETRIES,
	STATS_SAME_TOKENS,
	STATS_CANCELLED,
	STATS_CALLS,
	STATS_THROTTLED,
	STATS_EVICTIONS,
	STATS_ENTRIES,
	STATS_TOKENS,
	STATS_CACHE_BYTES,
	STATS_CACHE_MAX_BYTES,
	STATS_MEMORY_BYTES,
	STATS_CLIENTS,
	STATS_MAX_CLIENTS,
	STATS_WATCHES,
	STATS_WAITING,
	STATS_IN_FLIGHT,
	STATS_QUEUED,
	STATS_BUDGET,
	STATS_BUDGET_ALLOWED,
	STATS_BUDGET_WINDOW_MS,
	STATS_BUDGET_USED,
	STATS_SLOWEST_MS,
	STATS_READY,
	STATS_CLOCK_KNOWN,
	STATS_RULES,
	STATS_UID,
	STATS_CPU_MS,
	STATS_STARTED_S,
	STATS_RESIDENT_BYTES,
	STATS_LOCKED_BYTES,
	STATS_LOCKED_MAX_BYTES,
	STATS_FILES_OPEN,
	STATS_FILES_MAX,
	STATS_NUMBERS,
};

struct engine;

/* What the process takes: the core can't look. To look is worth it once a second, however often
 * somebody asks. */
bool stats_wants_process(const struct engine *e, struct mono now);
void stats_note_process(struct engine *e, const struct process_facts *facts);

/* All of them, in no more time than it takes to write them down: nothing is walked. */
void stats_read(struct engine *e, struct mono now, uint64_t ret[STATS_NUMBERS]);

/* Whether Clerk is asked: "up", "down" or "probing". */
const char *stats_clerk(const struct engine *e);

/* Appends the JSON object, for which the busiest keys are looked for, at most once a second. 0,
 * -ENOMEM, -EMSGSIZE. */
int stats_write(struct engine *e, struct mono now, struct buf *to);
