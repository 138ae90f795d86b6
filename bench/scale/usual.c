/* Scenes of every day: steady use, browsing, a mix, a day with a million sessions. */
#include "bench/scale/scene.h"

#define POLICIES_MAX 320

static const struct trace_shape browsing = {
	.name = "browsing",
	.seed = 1,
	.length_ms = 2 * SCENE_HOUR_MS,
	.browsers_per_s = 6000 / 7200.0,
	.views = 10,
};

static const struct trace_shape mixed = {
	.name = "mixed",
	.seed = 2,
	.runs = 4,
	.from_ms = SCENE_HOUR_MS / 2, /* ours knows nothing at first */
	.length_ms = 3 * SCENE_HOUR_MS,
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
	.from_ms = SCENE_HOUR_MS / 6, /* ours does not know how slow Clerk can be */
	.length_ms = 2 * SCENE_HOUR_MS,
	.pollers = 500,
	.period_min_ms = 500,
	.period_max_ms = 30000,
	.poller_life_s = 7200,
};

static const struct trace_shape day = {
	.name = "day",
	.seed = 5,
	.length_ms = 24 * SCENE_HOUR_MS,
	.browsers_per_s = 1000000 / 86400.0,
	.swing = 0.8,
	.views = 4,
	.pollers = 300,
	.period_min_ms = 10000,
	.period_max_ms = 300000,
	.poller_life_s = 14400,
	.jobs_per_s = 0.5,
};

static const char *yes(bool reached)
{
	return reached ? "yes" : "**no**";
}

static const int64_t idle_ms[] = { 10000, 15000,  22000,  30000,  40000,  53000, 70000,
				   90000, 120000, 165000, 220000, 300000, 600000 };
static const double budgets[] = { 1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 6, 20 };

static size_t simple_rules(size_t budget, struct policy policies[])
{
	static const int64_t access_ms[] = { 2500, 5000, 10000, 20000, 40000 };
	size_t n = 0;

	policies[n++] = (struct policy){ .kind = POLICY_LAZY };
	for (size_t i = 0; i < COUNT(access_ms); i++)
		policies[n++] = (struct policy){ .kind = POLICY_ACCESS, .ms = access_ms[i] };
	for (size_t i = 0; i < COUNT(idle_ms); i++)
		policies[n++] = (struct policy){ .kind = POLICY_TIMER, .ms = idle_ms[i] };
	for (size_t i = 0; i < n; i++)
		policies[i].budget = budget;
	return n;
}

/* So many times what the least takes. */
static size_t budget_of(const struct trace_shape *shape, double times)
{
	struct policy least = { .kind = POLICY_LEAST, .limit = SCENE_UNLIMITED };
	struct tally t;

	policy_run(&least, shape, &t);
	return (size_t)(times * (double)tally_sum(&t).calls * CLERK_WINDOW_MS /
			(double)(shape->length_ms - shape->from_ms));
}

/* The simple rules, then ours over its knob, then, over budgets, ours with auto and, if wanted, the
 * simple rules with as much. */
static size_t all_policies(const struct trace_shape *shape, bool with_budgets,
			   struct policy policies[])
{
	size_t n = simple_rules(SCENE_UNLIMITED, policies);

	for (size_t i = 0; i < COUNT(idle_ms); i++)
		policies[n++] = (struct policy){ .kind = POLICY_OURS,
						 .ms = idle_ms[i],
						 .budget = SCENE_UNLIMITED };
	for (size_t i = 0; with_budgets && i < COUNT(budgets); i++)
		n += simple_rules(budget_of(shape, budgets[i]), policies + n);
	for (size_t i = 0; i < COUNT(budgets); i++)
		policies[n++] = (struct policy){ .kind = POLICY_OURS,
						 .ms = SCENE_AUTO,
						 .budget = budget_of(shape, budgets[i]) };
	for (size_t i = 0; i < n; i++)
		policies[i].limit = SCENE_UNLIMITED;
	return n;
}

/* The largest budget is the last. */
void scene_browsing(const struct output *to)
{
	struct policy policies[POLICIES_MAX];
	struct tally tallies[POLICIES_MAX], least;
	size_t n = all_policies(&browsing, false, policies);
	struct tally_part sum;

	compare_run(&browsing, policies, n, to->tsv, &least, tallies);
	compare_table(policies, n, &least, tallies, to->table);
	sum = tally_sum(&tallies[n - 1]);
	fprintf(to->reach,
		"| browsing, budget idle: gets that find no usable token, first of a session aside "
		"| under 0.5%% | %.3f%% | %s |\n",
		tally_waits(&sum), yes(tally_waits(&sum) < 0.5));
}

static void reach_of_mix(const char *knob, const struct worst *w, FILE *to)
{
	double part = 0;

	for (size_t i = 0; i < PART_COUNT; i++)
		part = w->of_parts[i] > part ? w->of_parts[i] : part;
	fprintf(to,
		"| a mixed day, %s: waits against the best simple rule at as many calls | at most "
		"0.8 on the mix, 1.0 on any part | %.2f on the mix; browsing %.2f, pollers %.2f, "
		"jobs %.2f | %s |\n",
		knob, w->of_parts[PART_COUNT], w->of_parts[PART_BROWSING],
		w->of_parts[PART_POLLERS], w->of_parts[PART_JOBS],
		yes(w->of_parts[PART_COUNT] < 0.805 && part < 1.005)); /* as printed */
}

void scene_mixed(const struct output *to)
{
	static struct tally tallies[POLICIES_MAX];
	struct policy policies[POLICIES_MAX];
	struct tally least;
	size_t n = all_policies(&mixed, true, policies);
	struct worst duration, automatic;
	size_t roomy = budget_of(&mixed, 1.75);

	compare_run(&mixed, policies, n, to->tsv, &least, tallies);
	compare_fronts(policies, n, &least, tallies, roomy, to->table, &duration, &automatic);
	reach_of_mix("`renew_idle` 10 s to 10 min", &duration, to->reach);
	reach_of_mix("`renew_idle = auto`, budget 1.75 times the least or more", &automatic,
		     to->reach);
}

void scene_steady(const struct output *to)
{
	static const struct policy policies[] = {
		{ .kind = POLICY_LAZY, .limit = SCENE_UNLIMITED },
		{ .kind = POLICY_TIMER, .ms = 60000, .limit = SCENE_UNLIMITED },
		{ .kind = POLICY_OURS, 60000, SCENE_UNLIMITED, SCENE_UNLIMITED, NULL },
		{ .kind = POLICY_OURS, SCENE_AUTO, SCENE_UNLIMITED, SCENE_UNLIMITED, NULL },
		{ .kind = POLICY_OURS, SCENE_AUTO, SCENE_BUDGET, SCENE_PRODUCTION, NULL },
	};
	struct tally tallies[COUNT(policies)], least;
	struct tally_part sum, sum_least;

	compare_run(&steady, policies, COUNT(policies), to->tsv, &least, tallies);
	compare_table(policies, COUNT(policies), &least, tallies, to->table);
	sum = tally_sum(&tallies[COUNT(policies) - 1]);
	sum_least = tally_sum(&least);
	fprintf(
	    to->reach,
	    "| steady use: calls over the least; gets that wait after the first | at most 1.10; "
	    "none | %.3f; %llu of %llu | %s |\n",
	    tally_ratio(&sum, &sum_least), (unsigned long long)sum.waited,
	    (unsigned long long)sum.gets,
	    yes(tally_ratio(&sum, &sum_least) <= 1.10 && sum.waited == 0));
}

/* The simple rules twice: as they are, and with the same budget as ours. */
void scene_day(const struct output *to)
{
	static const struct policy rules[] = {
		{ .kind = POLICY_TTL },
		{ .kind = POLICY_LAZY },
		{ .kind = POLICY_ACCESS, .ms = 10000 },
		{ .kind = POLICY_TIMER, .ms = 53000 },
		{ .kind = POLICY_TIMER, .ms = 165000 },
		{ .kind = POLICY_TIMER, .ms = SCENE_FOR_EVER },
	};
	static const int64_t knob_ms[] = { 0,	   15000,  30000,  53000,     90000,
					   165000, 300000, 600000, SCENE_AUTO };
	struct policy policies[POLICIES_MAX] = { { .kind = POLICY_NONE } };
	struct tally tallies[POLICIES_MAX], least;
	size_t n = 1;

	for (size_t i = 0; i < COUNT(rules); i++)
		policies[n++] = rules[i];
	for (size_t i = 0; i < COUNT(rules); i++) {
		policies[n] = rules[i];
		policies[n++].budget = SCENE_BUDGET;
	}
	for (size_t i = 0; i < COUNT(knob_ms); i++)
		policies[n++] = (struct policy){ .kind = POLICY_OURS,
						 .ms = knob_ms[i],
						 .budget = SCENE_BUDGET };
	for (size_t i = 0; i < n; i++)
		policies[i].limit = SCENE_PRODUCTION;
	policies[n++] = (struct policy){ .kind = POLICY_OURS,
					 .ms = SCENE_AUTO,
					 .budget = 2 * SCENE_BUDGET,
					 .limit = 2 * SCENE_PRODUCTION };
	compare_run(&day, policies, n, to->tsv, &least, tallies);
	compare_table(policies, n, &least, tallies, to->table);
}
