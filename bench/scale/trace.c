/* See trace.h. */
#include "bench/scale/trace.h"

#include "base/span.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY_MS 86400000.0
#define GAP_MEDIAN_MS 25000
#define GAP_SIGMA 0.9
#define TAIL_SHARE 0.04 /* of the gaps are drawn from a Pareto tail */
#define TAIL_FROM_MS 60000
#define TAIL_SHAPE 1.2
#define GAP_MAX_MS 3600000
#define GETS_A_VIEW 7
#define GET_GAP_MS 800 /* within a view */
#define SECOND_TEMPLATE 0.25
#define JITTER 0.01 /* sigma of a poller's, in periods */
#define JOB_POOL 200
#define JOB_POOLED 0.5
#define TEMPLATES 20

struct agent {
	struct heap_node node; /* its next get */
	struct random random;
	enum part part;
	uint32_t first_key;
	unsigned keys, template;
	double gap_ms; /* browsers: median; pollers: period; jobs: mean */
	int64_t ends_ms;
	long views, gets; /* left: of the browser; of the view or job */
};

struct trace {
	struct trace_shape shape;
	struct random random;
	struct heap agents;
	size_t keys;
	int64_t next_browser_ms, next_job_ms, next_flood_ms;
};

static double uniform(struct random *r)
{
	return ((double)(random_u64(r) >> 11) + 0.5) / 9007199254740992.0;
}

static double exponential(struct random *r, double mean)
{
	return -log(uniform(r)) * mean;
}

static double normal(struct random *r)
{
	return sqrt(-2 * log(uniform(r))) * cos(2 * M_PI * uniform(r));
}

static double log_uniform(struct random *r, double from, double to)
{
	return from * pow(to / from, uniform(r));
}

static long geometric(struct random *r, double mean)
{
	return mean <= 1 ? 1 : 1 + (long)(log(uniform(r)) / log(1 - 1 / mean));
}

/* Rank 0 is the most frequent. */
static unsigned zipf(struct random *r, unsigned n)
{
	unsigned rank = (unsigned)pow((double)(n + 1), uniform(r)) - 1;

	return rank < n ? rank : n - 1;
}

static struct agent *agent_new(struct trace *t, enum part part, int64_t at_ms)
{
	struct agent *a = calloc(1, sizeof(*a));

	if (!a || heap_reserve(&t->agents, t->agents.count + 1) < 0)
		abort();
	a->node = HEAP_NODE(0);
	a->random.state = random_u64(&t->random);
	a->part = part;
	a->keys = 1;
	a->template = zipf(&a->random, TEMPLATES);
	a->ends_ms = INT64_MAX;
	heap_set(&t->agents, &a->node, (struct mono){ at_ms });
	return a;
}

static void own_keys(struct trace *t, struct agent *a)
{
	a->first_key = (uint32_t)t->keys;
	t->keys += a->keys;
}

static void add_browser(struct trace *t, int64_t at_ms)
{
	struct agent *a = agent_new(t, PART_BROWSING, at_ms);

	a->keys = uniform(&a->random) < SECOND_TEMPLATE ? 2 : 1;
	a->gap_ms = GAP_MEDIAN_MS * exp(t->shape.pace * normal(&a->random));
	a->views = geometric(&a->random, t->shape.views);
	a->gets = geometric(&a->random, GETS_A_VIEW);
	own_keys(t, a);
}

static void add_poller(struct trace *t, int64_t at_ms)
{
	struct agent *a = agent_new(t, PART_POLLERS, at_ms);

	a->gap_ms =
	    log_uniform(&a->random, (double)t->shape.period_min_ms, (double)t->shape.period_max_ms);
	a->ends_ms = at_ms + (int64_t)exponential(&a->random, t->shape.poller_life_s * 1000);
	own_keys(t, a);
}

static void add_job(struct trace *t, int64_t at_ms)
{
	struct agent *a = agent_new(t, PART_JOBS, at_ms);

	a->gets = (long)log_uniform(&a->random, 3, 100);
	a->gap_ms = log_uniform(&a->random, 100, 3000);
	if (uniform(&a->random) >= JOB_POOLED) {
		own_keys(t, a);
	} else {
		a->first_key = zipf(&a->random, JOB_POOL);
		a->template = a->first_key % TEMPLATES;
	}
}

static void add_flood(struct trace *t, int64_t at_ms)
{
	struct agent *a = agent_new(t, PART_JOBS, at_ms);

	a->gets = 1;
	own_keys(t, a);
}

/* The next arrival after `from`, whose rate follows the daily curve. */
static int64_t arrival(struct trace *t, int64_t from_ms, double per_s)
{
	double swing = t->shape.swing, at = (double)from_ms;

	if (per_s <= 0)
		return INT64_MAX;
	do
		at += exponential(&t->random, 1000 / (per_s * (1 + swing)));
	while (uniform(&t->random) * (1 + swing) > 1 - swing * cos(2 * M_PI * at / DAY_MS));
	return llround(at);
}

struct trace *trace_new(const struct trace_shape *shape)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->shape = *shape;
	t->random.state = shape->seed;
	t->keys = JOB_POOL;
	for (size_t i = 0; i < shape->pollers; i++)
		add_poller(t, random_below(&t->random, shape->period_max_ms));
	t->next_browser_ms = arrival(t, 0, shape->browsers_per_s);
	t->next_job_ms = arrival(t, 0, shape->jobs_per_s);
	t->next_flood_ms = arrival(t, 0, shape->flood_per_s);
	return t;
}

void trace_free(struct trace *t)
{
	while (heap_first(&t->agents)) {
		struct agent *a = container_of(heap_first(&t->agents), struct agent, node);

		heap_remove(&t->agents, &a->node);
		free(a);
	}
	heap_deinit(&t->agents);
	free(t);
}

static double page_gap(struct agent *a)
{
	double gap = a->gap_ms * exp(GAP_SIGMA * normal(&a->random));

	if (uniform(&a->random) < TAIL_SHARE)
		gap = TAIL_FROM_MS * pow(uniform(&a->random), -1 / TAIL_SHAPE);
	return gap < 1000 ? 1000 : gap > GAP_MAX_MS ? GAP_MAX_MS : gap;
}

/* Milliseconds to its next get; negative: it has none. */
static double next_gap(struct agent *a)
{
	switch (a->part) {
	case PART_POLLERS:
		return a->gap_ms * fmax(0.5, 1 + JITTER * normal(&a->random));
	case PART_JOBS:
		return --a->gets > 0 ? exponential(&a->random, a->gap_ms) : -1;
	default:
		if (--a->gets > 0)
			return exponential(&a->random, GET_GAP_MS);
		a->gets = geometric(&a->random, GETS_A_VIEW);
		return --a->views > 0 ? page_gap(a) : -1;
	}
}

static void name(const struct agent *a, uint32_t key, struct get *ret)
{
	(void)memcpy(ret->session, "sess_", 5);
	*format_hex64(ret->session + 5, a->first_key) = '\0';
	(void)snprintf(ret->template, sizeof(ret->template), "template-%02u%s", a->template,
		       key != a->first_key ? "-2" : "");
}

uint32_t trace_key_of(const char *session, const char *template, size_t template_len)
{
	uint64_t first = 0;

	if (span_parse_hex64(span_of(session + 5, 16), &first) < 0)
		abort();
	return (uint32_t)first + (template_len > 11 && template[11] == '-');
}

static void arrive(struct trace *t)
{
	for (;;) {
		struct heap_node *first = heap_first(&t->agents);
		int64_t next_ms = first ? first->at.ms : INT64_MAX;

		if (t->next_flood_ms <= next_ms && t->next_flood_ms < t->shape.length_ms) {
			add_flood(t, t->next_flood_ms);
			t->next_flood_ms = arrival(t, t->next_flood_ms, t->shape.flood_per_s);
		} else if (t->next_browser_ms <= next_ms && t->next_browser_ms <= t->next_job_ms &&
			   t->next_browser_ms < t->shape.length_ms) {
			add_browser(t, t->next_browser_ms);
			t->next_browser_ms =
			    arrival(t, t->next_browser_ms, t->shape.browsers_per_s);
		} else if (t->next_job_ms <= next_ms && t->next_job_ms < t->shape.length_ms) {
			add_job(t, t->next_job_ms);
			t->next_job_ms = arrival(t, t->next_job_ms, t->shape.jobs_per_s);
		} else {
			return;
		}
	}
}

bool trace_next(struct trace *t, struct get *ret)
{
	struct heap_node *first;
	struct agent *a;
	double gap;
	int64_t at_ms;

	arrive(t);
	first = heap_first(&t->agents);
	if (!first || first->at.ms >= t->shape.length_ms)
		return false;
	a = container_of(first, struct agent, node);
	at_ms = first->at.ms;
	ret->at_ms = at_ms;
	ret->part = a->part;
	ret->key = a->first_key;
	if (a->keys > 1 && uniform(&a->random) < 0.5)
		ret->key++;
	name(a, ret->key, ret);
	gap = next_gap(a);
	if (gap >= 0 && at_ms + (int64_t)gap < a->ends_ms) {
		heap_set(&t->agents, &a->node, (struct mono){ at_ms + (int64_t)gap });
		return true;
	}
	heap_remove(&t->agents, &a->node);
	if (a->part == PART_POLLERS)
		add_poller(t, at_ms + random_below(&a->random, (int64_t)a->gap_ms));
	free(a);
	return true;
}

size_t trace_keys(const struct trace *t)
{
	return t->keys;
}
