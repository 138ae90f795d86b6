/* The renewal policy against what people do instead, on generated traces, in virtual time.
 *
 *     scale quick|day [DIRECTORY]     tables on standard output; DIRECTORY: *.tsv for plot.gp
 *
 * docs/SCALE.md explains what is shown.
 */
#include "bench/scale/front.h"
#include "bench/scale/policy.h"

#include <stdlib.h>
#include <string.h>

#define AUTO (-1)
#define UNLIMITED ((size_t)1 << 19)
#define PRODUCTION 1000
#define BUDGET 800
#define HOUR_MS INT64_C(3600000)
#define FOR_EVER (24 * HOUR_MS)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct trace_shape browsing = {
	.name = "browsing",
	.seed = 1,
	.length_ms = 2 * HOUR_MS,
	.browsers_per_s = 6000 / 7200.0,
	.views = 10,
};

static const struct trace_shape mixed = {
	.name = "mixed",
	.seed = 2,
	.length_ms = 3 * HOUR_MS,
	.browsers_per_s = 6000 / 10800.0,
	.views = 10,
	.pollers = 600,
	.period_min_ms = 10000,
	.period_max_ms = 300000,
	.poller_life_s = 7200,
	.jobs_per_s = 0.5,
};

static const struct trace_shape steady = {
	.name = "steady",
	.seed = 3,
	.length_ms = 2 * HOUR_MS,
	.pollers = 500,
	.period_min_ms = 500,
	.period_max_ms = 30000,
	.poller_life_s = 7200,
};

static const struct trace_shape crowd = {
	.name = "crowd",
	.seed = 4,
	.length_ms = HOUR_MS / 2,
	.browsers_per_s = 12,
	.views = 10,
};

static const struct trace_shape day = {
	.name = "day",
	.seed = 5,
	.length_ms = 24 * HOUR_MS,
	.browsers_per_s = 1000000 / 86400.0,
	.swing = 0.8,
	.views = 4,
	.pollers = 300,
	.period_min_ms = 10000,
	.period_max_ms = 300000,
	.poller_life_s = 14400,
	.jobs_per_s = 0.5,
};

static FILE *open_tsv(const char *directory, const char *name)
{
	char path[4096];
	FILE *file;

	if (!directory)
		return NULL;
	(void)snprintf(path, sizeof(path), "%s/%s.tsv", directory, name);
	file = fopen(path, "w");
	if (!file) {
		perror(path);
		exit(1);
	}
	return file;
}

static void label(const struct policy *p, char *to, size_t size)
{
	static const char *const names[] = {
		[POLICY_LEAST] = "least possible",    [POLICY_NONE] = "no cache",
		[POLICY_TTL] = "TTL from insertion",  [POLICY_LAZY] = "fetch on demand",
		[POLICY_ACCESS] = "on access, last",  [POLICY_TIMER] = "by timer, idle <",
		[POLICY_OURS] = "ours, renew_idle =",
	};

	if (p->kind == POLICY_OURS && p->ms < 0)
		(void)snprintf(to, size, "%s auto", names[p->kind]);
	else if (p->kind == POLICY_TIMER && p->ms == FOR_EVER)
		(void)snprintf(to, size, "renew every key");
	else if (p->ms)
		(void)snprintf(to, size, "%s %lld s", names[p->kind], (long long)p->ms / 1000);
	else
		(void)snprintf(to, size, "%s", names[p->kind]);
}

/* One of the simple rules: what ours has to be better than at the same number of calls. */
static bool is_simple(const struct policy *p)
{
	return p->kind == POLICY_LAZY || p->kind == POLICY_ACCESS || p->kind == POLICY_TIMER;
}

struct run {
	struct tally least;
	struct front access[PART_COUNT + 1], timer[PART_COUNT + 1]; /* the last: of all */
	FILE *tsv;
};

static struct tally_part part_of(const struct tally *t, size_t part)
{
	return part == PART_COUNT ? tally_sum(t) : t->parts[part];
}

static void add_to_fronts(struct run *run, const struct policy *p, const struct tally *t)
{
	for (size_t i = 0; i <= PART_COUNT; i++) {
		struct tally_part part = part_of(t, i), least = part_of(&run->least, i);
		double ratio = tally_ratio(&part, &least), waits = tally_waits(&part);

		if (p->kind != POLICY_TIMER)
			front_add(&run->access[i], ratio, waits);
		if (p->kind != POLICY_ACCESS)
			front_add(&run->timer[i], ratio, waits);
	}
}

/* Waits over those of the best simple rule at the same number of calls: of each part, of all. */
static void compare(const struct run *run, const char *name, const struct tally *t)
{
	printf("| %s |", name);
	for (size_t i = 0; i <= PART_COUNT; i++) {
		struct tally_part part = part_of(t, i), least = part_of(&run->least, i);
		double ratio = tally_ratio(&part, &least), waits = tally_waits(&part);
		double a = front_at(&run->access[i], ratio), b = front_at(&run->timer[i], ratio);
		double best = a < b ? a : b;

		if (!part.gets)
			printf(" |");
		else if (best <= 0)
			printf(" %.3f, %.3f%%, - |", ratio, waits);
		else
			printf(" %.3f, %.3f%%, **%.2f** |", ratio, waits, waits / best);
	}
	printf("\n");
}

static void run_all(const struct trace_shape *shape, const struct policy *policies, size_t count,
		    const char *directory, struct tally tallies[])
{
	struct run run = { .tsv = open_tsv(directory, shape->name) };
	struct policy least = { .kind = POLICY_LEAST, .limit = UNLIMITED };
	char name[64];

	policy_run(&least, shape, &run.least);
	printf("\n");
	tally_head(stdout);
	tally_row(stdout, "least possible", &run.least, &run.least);
	for (size_t i = 0; i < count; i++) {
		label(&policies[i], name, sizeof(name));
		if (policies[i].kind == POLICY_OURS && policies[i].ms < 0)
			(void)snprintf(name + strlen(name), sizeof(name) - strlen(name),
				       ", budget %zu", policies[i].budget);
		policy_run(&policies[i], shape, &tallies[i]);
		tally_row(stdout, name, &tallies[i], &run.least);
		(void)fflush(stdout);
		if (is_simple(&policies[i]))
			add_to_fronts(&run, &policies[i], &tallies[i]);
		if (run.tsv)
			tally_tsv(run.tsv,
				  policies[i].kind != POLICY_OURS ? "simple"
				  : policies[i].ms < 0		  ? "auto"
								  : "idle",
				  name, &tallies[i], &run.least);
	}
	printf("\nCalls of the least, waits, **waits over the best simple rule's at as many "
	       "calls**:\n\n"
	       "| policy | browsing | pollers | jobs | all |\n"
	       "| --- | ---: | ---: | ---: | ---: |\n");
	for (size_t i = 0; i < count; i++) {
		if (policies[i].kind != POLICY_OURS)
			continue;
		label(&policies[i], name, sizeof(name));
		(void)snprintf(name + strlen(name), sizeof(name) - strlen(name), ", budget %zu",
			       policies[i].budget);
		compare(&run, name, &tallies[i]);
	}
	if (run.tsv)
		(void)fclose(run.tsv);
}

/* All simple rules, then ours over its knob and over budgets that are parts of what the least
 * takes: 0 is unlimited. */
static void run_fronts(const struct trace_shape *shape, const char *directory)
{
	static const int64_t access_ms[] = { 2500, 5000, 10000, 20000, 40000 };
	static const int64_t idle_ms[] = { 10000, 15000,  22000,  30000,  40000,  53000, 70000,
					   90000, 120000, 165000, 220000, 300000, 600000 };
	static const double budgets[] = { 1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 6, 20 };
	struct policy policies[64] = { { .kind = POLICY_LAZY, .limit = UNLIMITED } };
	struct policy least = { .kind = POLICY_LEAST, .limit = UNLIMITED };
	struct tally tallies[64], t;
	size_t n = 1;

	policy_run(&least, shape, &t);
	for (size_t i = 0; i < COUNT(access_ms); i++)
		policies[n++] = (struct policy){ POLICY_ACCESS, access_ms[i], 0, UNLIMITED };
	for (size_t i = 0; i < COUNT(idle_ms); i++)
		policies[n++] = (struct policy){ POLICY_TIMER, idle_ms[i], 0, UNLIMITED };
	for (size_t i = 0; i < COUNT(idle_ms); i++)
		policies[n++] = (struct policy){ POLICY_OURS, idle_ms[i], UNLIMITED, UNLIMITED };
	for (size_t i = 0; i < COUNT(budgets); i++) {
		size_t budget = (size_t)(budgets[i] * (double)tally_sum(&t).calls * 10000 /
					 (double)shape->length_ms);

		policies[n++] = (struct policy){ POLICY_OURS, AUTO, budget, UNLIMITED };
	}
	run_all(shape, policies, n, directory, tallies);
}

static void run_steady(const char *directory)
{
	static const struct policy policies[] = {
		{ POLICY_LAZY, 0, 0, UNLIMITED },
		{ POLICY_TIMER, 60000, 0, UNLIMITED },
		{ POLICY_OURS, 60000, UNLIMITED, UNLIMITED },
		{ POLICY_OURS, AUTO, UNLIMITED, UNLIMITED },
		{ POLICY_OURS, AUTO, BUDGET, PRODUCTION },
	};
	struct tally tallies[COUNT(policies)];

	run_all(&steady, policies, COUNT(policies), directory, tallies);
}

/* What comes in the second half, when the crowd is as large as it gets. */
static struct tally second_half(const struct policy *p, const struct trace_shape *shape)
{
	struct trace_shape half = *shape;
	struct tally whole, first;

	half.length_ms /= 2;
	policy_run(p, &half, &first);
	policy_run(p, shape, &whole);
	for (size_t i = 0; i < PART_COUNT; i++) {
		struct tally_part *w = &whole.parts[i], *f = &first.parts[i];

		w->gets -= f->gets;
		w->calls -= f->calls;
		w->first -= f->first;
		w->waited -= f->waited;
		w->refused -= f->refused;
	}
	whole.renewals -= first.renewals;
	whole.throttled -= first.throttled;
	return whole;
}

/* A crowd whose least calls are `percent` of the budget. */
static void run_crowd(unsigned percent)
{
	struct policy p = { .kind = POLICY_LEAST, .limit = UNLIMITED };
	struct tally least = second_half(&p, &crowd), t;
	double windows = (double)crowd.length_ms / 2 / 10000;
	struct tally_part sum;
	char name[64];

	p = (struct policy){ .kind = POLICY_OURS, .ms = AUTO };
	p.budget = (size_t)((double)tally_sum(&least).calls / windows * 100 / percent);
	p.limit = p.budget * 10 / 8;
	t = second_half(&p, &crowd);
	sum = tally_sum(&t);
	(void)snprintf(name, sizeof(name), "ours, least calls are %u%% of the budget", percent);
	tally_row(stdout, name, &t, &least);
	(void)snprintf(name, sizeof(name), "budget %zu, used %.1f%%, renewals %.1f%%", p.budget,
		       100 * (double)sum.calls / windows / (double)p.budget,
		       100 * (double)t.renewals / (double)sum.calls);
	printf("| %s | | | | | | | | | |\n", name);
	(void)fflush(stdout);
}

static void run_day(const char *directory)
{
	static const struct policy policies[] = {
		{ POLICY_NONE, 0, 0, PRODUCTION },
		{ POLICY_TTL, 0, 0, PRODUCTION },
		{ POLICY_LAZY, 0, 0, PRODUCTION },
		{ POLICY_ACCESS, 10000, 0, PRODUCTION },
		{ POLICY_TIMER, 53000, 0, PRODUCTION },
		{ POLICY_TIMER, 165000, 0, PRODUCTION },
		{ POLICY_TIMER, FOR_EVER, 0, PRODUCTION },
		{ POLICY_OURS, 53000, BUDGET, PRODUCTION },
		{ POLICY_OURS, 165000, BUDGET, PRODUCTION },
		{ POLICY_OURS, AUTO, BUDGET, PRODUCTION },
		{ POLICY_OURS, AUTO, 2 * BUDGET, 2 * PRODUCTION },
	};
	struct tally tallies[COUNT(policies)];

	run_all(&day, policies, COUNT(policies), directory, tallies);
}

int main(int argc, char **argv)
{
	const char *directory = argc > 2 ? argv[2] : NULL;
	static const unsigned loads[] = { 50, 70, 80, 90, 100, 300 };

	if (argc < 2 || (strcmp(argv[1], "quick") != 0 && strcmp(argv[1], "day") != 0)) {
		(void)fputs("usage: scale quick|day [DIRECTORY]\n", stderr);
		return 2;
	}
	if (strcmp(argv[1], "day") == 0) {
		printf("\n### A day, a million sessions\n");
		run_day(directory);
		return 0;
	}
	printf("\n### Steady use\n");
	run_steady(directory);
	printf("\n### Browsing\n");
	run_fronts(&browsing, directory);
	printf("\n### Mixed\n");
	run_fronts(&mixed, directory);
	printf("\n### A crowd and a budget\n\n");
	tally_head(stdout);
	for (size_t i = 0; i < COUNT(loads); i++)
		run_crowd(loads[i]);
	return 0;
}
