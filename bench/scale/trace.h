/* Who asks for which key when: generated, the same for the same seed, one get at a time.
 *
 * Agents come and go: browsers (page views with gaps of 25 s in the median and a heavy tail, a few
 * gets each; they leave without notice), pollers (a steady period, a little jitter), jobs (bursts).
 * Each has a session of its own, or, for half of the jobs, one of a pool.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "bench/scale/clerk.h"
#include "daemon/core/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum part {
	PART_BROWSING,
	PART_POLLERS,
	PART_JOBS,
	PART_COUNT,
};

struct trace_shape {
	const char *name;
	uint64_t seed;
	unsigned runs; /* so many traces, each with a seed of its own; 0: one */
	int64_t length_ms;
	double browsers_per_s; /* on average */
	double swing;	       /* of the daily curve: 0 flat, 1 from nothing to twice the average */
	double views;	       /* of a browser, on average */
	double pace;	       /* how different browsers are: sigma of their own median gap */
	size_t pollers;	       /* at any time */
	int64_t period_min_ms, period_max_ms;
	double poller_life_s;
	double jobs_per_s;
	double flood_per_s; /* keys that are asked for once, as jobs */
	unsigned users;	    /* of the browsers and pollers; jobs are one more's; 0: all are one's */
	bool watched;	    /* pollers watch their keys, and look at their copy */
	int64_t from_ms;    /* what comes before is not counted */
	struct weather weather;
};

struct get {
	int64_t at_ms;
	uint32_t key;
	enum part part;
	char session[24], template[24];
};

struct trace;

struct trace *trace_new(const struct trace_shape *shape);
void trace_free(struct trace *t);

/* False at the end. */
bool trace_next(struct trace *t, struct get *ret);

/* How many keys there have been so far: they are numbered from 0. */
size_t trace_keys(const struct trace *t);

/* The number of the key of that name. */
uint32_t trace_key_of(const char *session, const char *template, size_t template_len);
