/* Scenes of want and failure: a crowd and a budget, a stranger with the same secret key, Clerk
 * away, a user who floods, and watchers through all of it. */
#include "bench/scale/scene.h"

#include <inttypes.h>

#define WINDOW_S 10
#define BEGIN_S 900 /* the crowd is full */
#define TROUBLE_S 1200
#define END_S 2400

static const struct trace_shape crowd = {
	.name = "crowd",
	.seed = 4,
	.length_ms = 30 * SCENE_MINUTE_MS,
	.browsers_per_s = 12,
	.views = 10,
	.from_ms = BEGIN_S * 1000,
};

static const char *yes(bool reached)
{
	return reached ? "yes" : "**no**";
}

static struct tally least_of(const struct trace_shape *shape)
{
	struct policy p = { .kind = POLICY_LEAST, .limit = SCENE_UNLIMITED };
	struct tally t;

	policy_run(&p, shape, &t);
	return t;
}

/* Calls in ten seconds, of which the least calls are `percent`. */
static size_t share(const struct trace_shape *shape, const struct tally *least, unsigned percent)
{
	double windows = (double)(shape->length_ms - shape->from_ms) / CLERK_WINDOW_MS;

	return (size_t)((double)tally_sum(least).calls / windows * 100 / percent);
}

static void crowd_row(const char *load, const struct policy *p, const struct tally *t,
		      const struct tally *least, FILE *to)
{
	double windows = (double)(crowd.length_ms - crowd.from_ms) / CLERK_WINDOW_MS;
	struct policy unnamed = *p;
	struct tally_part sum = tally_sum(t), sum_least = tally_sum(least);
	char name[64];

	unnamed.budget = 0;
	scene_label(&unnamed, name, sizeof(name));
	fprintf(to, "| %s | %s | %.3f | %.3f%% | %" PRIu64 " | %zu of %zu | %.1f%% | ", load, name,
		tally_ratio(&sum, &sum_least), tally_waits(&sum), sum.refused, t->busiest,
		p->budget, 100 * (double)sum.calls / windows / (double)p->budget);
	if (p->kind == POLICY_OURS)
		fprintf(to, "%.1f%%", 100 * (double)t->renewals / (double)sum.calls);
	fprintf(to, " | %.1f MB |\n", (double)t->bytes / 1e6);
}

static void crowd_reach(unsigned percent, const struct policy *p, const struct tally *t,
			const struct tally *least, FILE *to)
{
	double windows = (double)(crowd.length_ms - crowd.from_ms) / CLERK_WINDOW_MS;
	struct tally_part sum = tally_sum(t), sum_least = tally_sum(least);
	double used = 100 * (double)sum.calls / windows / (double)p->budget;
	double ratio = tally_ratio(&sum, &sum_least);
	double renewals = 100 * (double)t->renewals / (double)sum.calls;

	if (percent == 90)
		fprintf(to,
			"| browsing whose least calls take 90%% of the budget | nobody refused, at "
			"most 1.10 of the least calls | %" PRIu64 " refused, %.3f | %s |\n",
			sum.refused, ratio, yes(sum.refused == 0 && ratio <= 1.10));
	if (percent == 300)
		fprintf(to,
			"| demand at three times the budget | used to at least 98%%, callers "
			"first, never exceeded | %.1f%%; renewals are %.1f%% of the calls; %zu of "
			"%zu in the busiest 10 s | %s |\n",
			used, renewals, t->busiest, p->budget,
			yes(used >= 98 && renewals < 0.1 && t->busiest <= p->budget));
}

/* A crowd whose least calls are a part of the budget; all rules have the same. */
void scene_crowd(const struct output *to)
{
	static const unsigned loads[] = { 50, 70, 80, 90, 100, 300 };
	static const struct policy policies[] = {
		{ .kind = POLICY_LAZY },
		{ .kind = POLICY_ACCESS, .ms = 10000 },
		{ .kind = POLICY_TIMER, .ms = 53000 },
		{ .kind = POLICY_TIMER, .ms = SCENE_FOR_EVER },
		{ .kind = POLICY_OURS, .ms = 53000 },
		{ .kind = POLICY_OURS, .ms = SCENE_AUTO },
	};
	struct tally least = least_of(&crowd), t;
	char load[32];

	fputs("| least calls, of the budget | policy | calls, of the least | gets that waited | "
	      "refused | busiest 10 s | budget used | for renewal | memory |\n"
	      "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
	      to->table);
	for (size_t i = 0; i < COUNT(loads) * COUNT(policies); i++) {
		struct policy p = policies[i % COUNT(policies)];
		unsigned percent = loads[i / COUNT(policies)];

		p.budget = share(&crowd, &least, percent);
		p.limit = p.budget * 10 / 8;
		policy_run(&p, &crowd, &t);
		(void)snprintf(load, sizeof(load), "%u%%", percent);
		crowd_row(i % COUNT(policies) ? "" : load, &p, &t, &least, to->table);
		if (i % COUNT(policies) == COUNT(policies) - 1)
			crowd_reach(percent, &p, &t, &least, to->reach);
	}
}

static void series_rows(const char *name, const struct series *s, FILE *tsv)
{
	for (size_t at = BEGIN_S; at + WINDOW_S <= END_S; at += WINDOW_S) {
		fprintf(tsv, "%s\t%zu", name, at - BEGIN_S);
		for (size_t what = 0; what < SERIES_COUNT; what++)
			fprintf(tsv, "\t%" PRIu64,
				series_sum(s, (enum what)what, at, at + WINDOW_S));
		fprintf(tsv, "\n");
	}
	fprintf(tsv, "\n\n");
}

static void phase_row(const char *name, const struct series *s, size_t from, size_t to, FILE *table)
{
	uint64_t calls = series_sum(s, SERIES_CALLS, from, to);

	fprintf(table,
		"| %s | %" PRIu64 " of %" PRIu64 " | %" PRIu64 " | %" PRIu64 ", %.0f, %" PRIu64
		" | %.0f |\n",
		name, series_sum(s, SERIES_REFUSED, from, to), series_sum(s, SERIES_GETS, from, to),
		series_sum(s, SERIES_THROTTLED, from, to),
		series_least(s, SERIES_CALLS, from, to, WINDOW_S),
		(double)calls * WINDOW_S / (double)(to - from),
		series_most(s, SERIES_CALLS, from, to, WINDOW_S),
		(double)series_sum(s, SERIES_STRANGER, from, to) * WINDOW_S / (double)(to - from));
}

/* Seconds after `from` until no more gets are refused in ten seconds than at worst before. */
static size_t calm_s(const struct series *s, size_t from)
{
	uint64_t worst = series_most(s, SERIES_REFUSED, BEGIN_S, TROUBLE_S, WINDOW_S);
	size_t at = from;

	while (at + WINDOW_S < END_S && series_sum(s, SERIES_REFUSED, at, at + WINDOW_S) > worst)
		at++;
	return at - from;
}

/* Seconds after `from` until ten have passed with 95% of the calls that there are without trouble.
 */
static size_t recovery_s(const struct series *s, const struct series *without, size_t from)
{
	size_t at = from + WINDOW_S;

	while (at < END_S &&
	       (double)series_sum(s, SERIES_CALLS, at - WINDOW_S, at) <
		   0.95 * (double)series_sum(without, SERIES_CALLS, at - WINDOW_S, at))
		at++;
	return at - from;
}

/* How far the busiest ten seconds are from the idlest, in parts of the mean. */
static double swing(const struct series *s, size_t from, size_t to)
{
	double mean =
	    (double)series_sum(s, SERIES_CALLS, from, to) * WINDOW_S / (double)(to - from);

	return ((double)series_most(s, SERIES_CALLS, from, to, WINDOW_S) -
		(double)series_least(s, SERIES_CALLS, from, to, WINDOW_S)) /
	       mean;
}

static void quiet_row(unsigned percent, unsigned budget_percent, const struct trace_shape *shape,
		      const struct tally *least, const struct output *to)
{
	struct policy p = { .kind = POLICY_OURS, .ms = SCENE_AUTO };
	struct tally_part sum;
	struct tally t;

	p.limit = share(shape, least, percent);
	p.budget = p.limit * budget_percent / 100;
	policy_run(&p, shape, &t);
	sum = tally_sum(&t);
	fprintf(to->table,
		"| %u%% | %u%% | %" PRIu64 " of %" PRIu64 " | %" PRIu64 " | %zu of %zu |\n",
		percent, budget_percent, sum.refused, sum.gets, t.throttled, t.busiest, p.limit);
	if (percent == 80)
		fprintf(to->reach,
			"| demand at 80%% of the limit, `budget = %u%%` | nobody refused, no 429 | "
			"%" PRIu64 " of %" PRIu64 " refused, %" PRIu64 " 429s | %s |\n",
			budget_percent, sum.refused, sum.gets, t.throttled,
			yes(sum.refused == 0 && t.throttled == 0));
}

static void stranger_reach(const char *demand, const struct series *s, const struct series *without,
			   size_t leaves_s, FILE *to)
{
	size_t rate = recovery_s(s, without, leaves_s), calm = calm_s(s, leaves_s);
	size_t settled_s = leaves_s + 60;
	double with = swing(s, TROUBLE_S + 60, leaves_s),
	       else_with = swing(without, TROUBLE_S + 60, leaves_s);
	double after = swing(s, settled_s, END_S), else_after = swing(without, settled_s, END_S);

	fprintf(to,
		"| a stranger takes half of the limit for 5 min, %s | recovery within 20 s, no "
		"oscillation | the rate is back after %zu s, nobody refused after %zu s; it swings "
		"by %.2f with the stranger and %.2f after, %.2f and %.2f without | %s |\n",
		demand, rate, calm, with, after, else_with, else_after,
		yes((rate <= 20 || calm <= 20) && with < 2 * else_with && after < 2 * else_after));
}

static void stranger_rows(unsigned percent, unsigned budget_percent, const struct tally *least,
			  const struct output *to)
{
	struct trace_shape shape = crowd;
	struct policy p = { .kind = POLICY_OURS, .ms = SCENE_AUTO };
	struct series s = series_new(END_S * 1000), without = series_new(END_S * 1000);
	size_t leaves_s = TROUBLE_S + 300;
	struct tally t;
	char demand[64], name[80];

	p.limit = share(&crowd, least, percent);
	p.budget = p.limit * budget_percent / 100;
	shape.length_ms = END_S * 1000;
	p.series = &without;
	policy_run(&p, &shape, &t);
	shape.weather = (struct weather){ .stranger_from_ms = TROUBLE_S * 1000,
					  .stranger_to_ms = (int64_t)leaves_s * 1000,
					  .stranger_percent = 50 };
	p.series = &s;
	policy_run(&p, &shape, &t);
	(void)snprintf(demand, sizeof(demand), "demand %u%%, `budget = %u%%`", percent,
		       budget_percent);
	(void)snprintf(name, sizeof(name), "%s: before", demand);
	phase_row(name, &s, BEGIN_S, TROUBLE_S, to->table);
	phase_row("with the stranger", &s, TROUBLE_S, leaves_s, to->table);
	phase_row("the first minute after", &s, leaves_s, leaves_s + 60, to->table);
	phase_row("later", &s, leaves_s + 60, END_S, to->table);
	stranger_reach(demand, &s, &without, leaves_s, to->reach);
	series_rows(demand, &s, to->tsv);
	series_free(&s);
	series_free(&without);
}

void scene_stranger(const struct output *to)
{
	struct tally least = least_of(&crowd);

	fputs("| least calls, of the limit | budget | refused | 429 | busiest 10 s |\n"
	      "| --- | --- | ---: | ---: | ---: |\n",
	      to->table);
	quiet_row(64, 80, &crowd, &least, to);
	quiet_row(80, 80, &crowd, &least, to);
	quiet_row(80, 90, &crowd, &least, to);
	quiet_row(80, 100, &crowd, &least, to);
	fputs("\n| | refused | 429 | calls in 10 s: least, mean, most | the stranger's |\n"
	      "| --- | ---: | ---: | ---: | ---: |\n",
	      to->table);
	stranger_rows(40, 80, &least, to);
	stranger_rows(64, 80, &least, to);
	stranger_rows(80, 90, &least, to);
}

/* Seconds after `from` until a call is answered again. */
static size_t answered_s(const struct series *s, size_t from)
{
	size_t at = from;

	while (at < END_S && series_sum(s, SERIES_CALLS, at, at + 1) <=
				 series_sum(s, SERIES_FAILED, at, at + 1) +
				     series_sum(s, SERIES_THROTTLED, at, at + 1))
		at++;
	return at - from;
}

static void outage_row(const char *name, const struct policy *policy, int64_t took_ms,
		       const struct output *to)
{
	struct trace_shape shape = crowd;
	struct policy p = *policy;
	struct series s = series_new(END_S * 1000);
	size_t back_s = TROUBLE_S + 180;
	struct tally t;

	p.series = &s;
	shape.length_ms = END_S * 1000;
	shape.weather = (struct weather){ .outage_from_ms = TROUBLE_S * 1000,
					  .outage_to_ms = (int64_t)back_s * 1000,
					  .outage_took_ms = took_ms };
	policy_run(&p, &shape, &t);
	fprintf(to->table,
		"| %s | %.2f | %" PRIu64 " | %zu s | %zu s | %" PRIu64 " of %zu | %" PRIu64 " |\n",
		name, (double)series_sum(&s, SERIES_FAILED, TROUBLE_S + 10, back_s) / 170,
		series_most(&s, SERIES_FAILED, TROUBLE_S + 10, back_s, 1), answered_s(&s, back_s),
		calm_s(&s, back_s), series_most(&s, SERIES_CALLS, back_s, back_s + 60, WINDOW_S),
		p.budget, series_sum(&s, SERIES_THROTTLED, back_s, END_S));
	series_rows(name, &s, to->tsv);
	series_free(&s);
}

void scene_outage(const struct output *to)
{
	struct tally least = least_of(&crowd);
	struct policy ours = { .kind = POLICY_OURS, .ms = SCENE_AUTO }, lazy;

	ours.limit = share(&crowd, &least, 64);
	ours.budget = ours.limit * 8 / 10;
	lazy = ours;
	lazy.kind = POLICY_LAZY;
	lazy.ms = 0;
	fputs("| | attempts a second, from the 10th second on | in the worst second | answered "
	      "again after | nobody refused after | busiest 10 s of the minute after | 429 |\n"
	      "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
	      to->table);
	outage_row("ours, calls fail at once", &ours, 10, to);
	outage_row("ours, calls hang for 5 s", &ours, 5000, to);
	outage_row("fetch on demand", &lazy, 10, to);
}

static void users_row(const char *name, double flood, const struct tally *least, FILE *to)
{
	struct trace_shape shape = crowd;
	struct policy p = { .kind = POLICY_OURS, .ms = SCENE_AUTO };
	struct tally_part *others, *flooder;
	struct tally t;

	p.budget = share(&crowd, least, 50);
	p.limit = p.budget * 10 / 8;
	shape.users = 4;
	shape.flood_per_s = flood * (double)p.budget / WINDOW_S;
	policy_run(&p, &shape, &t);
	others = &t.parts[PART_BROWSING];
	flooder = &t.parts[PART_JOBS];
	fprintf(to,
		"| %s | %" PRIu64 " of %" PRIu64 " | %.3f%% | %.0f ms, %" PRIu64 " ms | %" PRIu64
		" of %" PRIu64 " |\n",
		name, others->refused, others->gets, tally_waits(others),
		(double)others->wait_ms /
		    (double)(others->first + others->waited - others->refused + 1),
		others->longest_ms, flooder->refused, flooder->gets);
}

void scene_users(const struct output *to)
{
	struct tally least = least_of(&crowd);

	fputs("| | the others: refused | waited | for, on average and at most | the fifth: refused "
	      "|\n| --- | ---: | ---: | ---: | ---: |\n",
	      to->table);
	users_row("four users", 0, &least, to->table);
	users_row("and a fifth asks for as many keys as the budget has calls", 1, &least,
		  to->table);
	users_row("for ten times as many", 10, &least, to->table);
}

static void watchers_row(const char *name, double browsers, int64_t outage_ms, FILE *to)
{
	struct trace_shape shape = {
		.name = "watchers",
		.seed = 6,
		.length_ms = END_S * 1000,
		.browsers_per_s = browsers,
		.views = 10,
		.pollers = 2000,
		.period_min_ms = 10000,
		.period_max_ms = 300000,
		.poller_life_s = 1e9,
		.watched = true,
		.from_ms = BEGIN_S * 1000,
		.weather = { TROUBLE_S * 1000, 0, 0, TROUBLE_S * 1000, TROUBLE_S * 1000 + outage_ms,
			     10 },
	};
	struct policy p = { POLICY_OURS, SCENE_AUTO, SCENE_BUDGET, SCENE_PRODUCTION, NULL };
	double least = 2000.0 * (END_S - BEGIN_S) * 1000 / (CLERK_LIFETIME_MS - POLICY_MIN_TTL_MS);
	struct tally_part *watchers, *callers;
	struct tally t;

	policy_run(&p, &shape, &t);
	watchers = &t.parts[PART_POLLERS];
	callers = &t.parts[PART_BROWSING];
	fprintf(to,
		"| %s | %.3f | %" PRIu64 " of %" PRIu64 " | %" PRIu64 " | %" PRIu64 " of %" PRIu64
		" | %zu of %d |\n",
		name, (double)watchers->calls / least, watchers->dying, watchers->gets,
		watchers->refused, callers->refused, callers->gets, t.busiest, SCENE_BUDGET);
}

void scene_watchers(const struct output *to)
{
	fputs("| 2,000 watched keys | calls, of one every 55 s | looks at a copy with less than "
	      "`min_ttl` left | with none | callers refused | busiest 10 s |\n"
	      "| --- | ---: | ---: | ---: | ---: | ---: |\n",
	      to->table);
	watchers_row("alone", 0, 0, to->table);
	watchers_row("and browsers whose least calls are the rest of the budget", 7, 0, to->table);
	watchers_row("and more of them than there is room for", 20, 0, to->table);
	watchers_row("Clerk is away for 40 s", 0, 40000, to->table);
	watchers_row("Clerk is away for 3 min", 0, 180000, to->table);
}
