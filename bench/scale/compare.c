/* One trace, many policies: see scene.h. */
#include "bench/scale/front.h"
#include "bench/scale/scene.h"

#include <string.h>

#define SEED_STEP 1000

void scene_label(const struct policy *p, char *to, size_t size)
{
	static const char *const names[] = {
		[POLICY_LEAST] = "least possible",    [POLICY_NONE] = "no cache",
		[POLICY_TTL] = "TTL from insertion",  [POLICY_LAZY] = "fetch on demand",
		[POLICY_ACCESS] = "on access, last",  [POLICY_TIMER] = "by timer, idle <",
		[POLICY_OURS] = "ours, renew_idle =",
	};
	int len;

	if (p->kind == POLICY_TIMER && p->ms == SCENE_FOR_EVER)
		len = snprintf(to, size, "renew every key");
	else if (p->ms < 0)
		len = snprintf(to, size, "%s auto", names[p->kind]);
	else if (p->ms || p->kind == POLICY_OURS)
		len = snprintf(to, size, "%s %lld s", names[p->kind], (long long)p->ms / 1000);
	else
		len = snprintf(to, size, "%s", names[p->kind]);
	if (p->budget == SCENE_UNLIMITED && p->kind == POLICY_OURS)
		(void)snprintf(to + len, size - (size_t)len, ", budget unlimited");
	else if (p->budget && p->budget != SCENE_UNLIMITED)
		(void)snprintf(to + len, size - (size_t)len, ", budget %zu", p->budget);
}

static const char *family(const struct policy *p)
{
	if (p->kind != POLICY_OURS)
		return p->budget && p->budget != SCENE_UNLIMITED ? "budgeted" : "simple";
	return p->ms < 0 ? "auto" : "idle";
}

static void run(const struct policy *policy, const struct trace_shape *shape, struct tally *ret)
{
	struct trace_shape each = *shape;
	struct tally t;

	*ret = (struct tally){ 0 };
	for (unsigned i = 0; i < shape->runs || i == 0; i++) {
		each.seed = shape->seed + (uint64_t)i * SEED_STEP;
		policy_run(policy, &each, &t);
		tally_add(ret, &t);
	}
}

void compare_run(const struct trace_shape *shape, const struct policy *policies, size_t count,
		 FILE *tsv, struct tally *ret_least, struct tally tallies[])
{
	struct policy least = { .kind = POLICY_LEAST, .limit = SCENE_UNLIMITED };
	char name[64];

	run(&least, shape, ret_least);
	for (size_t i = 0; i < count; i++) {
		run(&policies[i], shape, &tallies[i]);
		scene_label(&policies[i], name, sizeof(name));
		tally_tsv(tsv, family(&policies[i]), name, &tallies[i], ret_least);
	}
}

void compare_table(const struct policy *policies, size_t count, const struct tally *least,
		   const struct tally tallies[], FILE *to)
{
	char name[64];

	tally_head(to);
	tally_row(to, "least possible", least, least);
	for (size_t i = 0; i < count; i++) {
		scene_label(&policies[i], name, sizeof(name));
		tally_row(to, name, &tallies[i], least);
	}
}

/* Of each part, and of all. */
struct fronts {
	struct front access[PART_COUNT + 1], timer[PART_COUNT + 1];
};

static struct tally_part part_of(const struct tally *t, size_t part)
{
	return part == PART_COUNT ? tally_sum(t) : t->parts[part];
}

static void add_to_fronts(struct fronts *f, const struct policy *p, const struct tally *t,
			  const struct tally *least)
{
	for (size_t i = 0; i <= PART_COUNT; i++) {
		struct tally_part part = part_of(t, i), least_part = part_of(least, i);
		double ratio = tally_ratio(&part, &least_part), waits = tally_waits(&part);

		if (p->kind != POLICY_TIMER)
			front_add(&f->access[i], ratio, waits);
		if (p->kind != POLICY_ACCESS)
			front_add(&f->timer[i], ratio, waits);
	}
}

/* Of the simple rules with that budget. */
static struct fronts fronts_of(const struct policy *policies, size_t count,
			       const struct tally *least, const struct tally tallies[],
			       size_t budget)
{
	struct fronts fronts = { 0 };

	for (size_t i = 0; i < count; i++)
		if ((policies[i].kind == POLICY_LAZY || policies[i].kind == POLICY_ACCESS ||
		     policies[i].kind == POLICY_TIMER) &&
		    policies[i].budget == budget)
			add_to_fronts(&fronts, &policies[i], &tallies[i], least);
	return fronts;
}

/* Waits over those of the best simple rule at the same number of calls: of each part, of all. */
static void compare(const struct fronts *f, const struct tally *t, const struct tally *least,
		    FILE *to, struct worst *worst)
{
	for (size_t i = 0; i <= PART_COUNT; i++) {
		struct tally_part part = part_of(t, i), least_part = part_of(least, i);
		double ratio = tally_ratio(&part, &least_part), waits = tally_waits(&part);
		double a = front_at(&f->access[i], ratio), b = front_at(&f->timer[i], ratio);
		double best = a < b ? a : b;

		fprintf(to, " %.3f, %.3f%%,", ratio, waits);
		if (best > 0)
			fprintf(to, " **%.2f** |", waits / best);
		else
			fprintf(to, " - |");
		if (best > 0 && worst && waits / best > worst->of_parts[i])
			worst->of_parts[i] = waits / best;
	}
}

static void print_worst(const char *name, const struct worst *worst, FILE *to)
{
	fprintf(to, "| %s |", name);
	for (size_t i = 0; i <= PART_COUNT; i++)
		fprintf(to, " **%.2f** |", worst->of_parts[i]);
	fprintf(to, "\n");
}

void compare_fronts(const struct policy *policies, size_t count, const struct tally *least,
		    const struct tally tallies[], size_t roomy, FILE *to,
		    struct worst *ret_duration, struct worst *ret_auto)
{
	struct fronts fronts;
	char name[64];

	*ret_duration = *ret_auto = (struct worst){ 0 };
	fputs("| policy | browsing | pollers | jobs | all |\n| --- | ---: | ---: | ---: | ---: |\n",
	      to);
	for (size_t i = 0; i < count; i++) {
		if (policies[i].kind != POLICY_OURS)
			continue;
		fronts = fronts_of(policies, count, least, tallies, policies[i].budget);
		scene_label(&policies[i], name, sizeof(name));
		fprintf(to, "| %s |", name);
		compare(&fronts, &tallies[i], least, to,
			policies[i].ms >= 0	      ? ret_duration
			: policies[i].budget >= roomy ? ret_auto
						      : NULL);
		fprintf(to, "\n");
	}
	print_worst("the worst with a duration", ret_duration, to);
	(void)snprintf(name, sizeof(name), "the worst with auto, budget %zu or more", roomy);
	print_worst(name, ret_auto, to);
}
