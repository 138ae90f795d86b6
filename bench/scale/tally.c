/* See tally.h. */
#include "bench/scale/tally.h"

#include <inttypes.h>

static void part_add(struct tally_part *to, const struct tally_part *p)
{
	to->gets += p->gets;
	to->calls += p->calls;
	to->first += p->first;
	to->waited += p->waited;
	to->refused += p->refused;
	to->dying += p->dying;
	to->wait_ms += p->wait_ms;
	to->longest_ms = p->longest_ms > to->longest_ms ? p->longest_ms : to->longest_ms;
}

void tally_add(struct tally *to, const struct tally *t)
{
	for (size_t i = 0; i < PART_COUNT; i++)
		part_add(&to->parts[i], &t->parts[i]);
	to->throttled += t->throttled;
	to->renewals += t->renewals;
	to->busiest = t->busiest > to->busiest ? t->busiest : to->busiest;
	to->bytes = t->bytes > to->bytes ? t->bytes : to->bytes;
}

struct tally_part tally_sum(const struct tally *t)
{
	struct tally_part sum = { 0 };

	for (size_t i = 0; i < PART_COUNT; i++)
		part_add(&sum, &t->parts[i]);
	return sum;
}

double tally_ratio(const struct tally_part *p, const struct tally_part *least)
{
	return least->calls ? (double)p->calls / (double)least->calls : 0;
}

double tally_waits(const struct tally_part *p)
{
	return p->gets ? 100.0 * (double)p->waited / (double)p->gets : 0;
}

void tally_head(FILE *to)
{
	fputs("| policy | calls | of the least | gets that waited | and of all | refused | dying | "
	      "429 "
	      "| busiest 10 s | memory |\n"
	      "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
	      to);
}

void tally_row(FILE *to, const char *policy, const struct tally *t, const struct tally *least)
{
	struct tally_part sum = tally_sum(t), sum_least = tally_sum(least);
	double all = sum.gets ? 100.0 * (double)(sum.waited + sum.first) / (double)sum.gets : 0;

	fprintf(to,
		"| %s | %" PRIu64 " | %.3f | %.3f%% | %.2f%% | %" PRIu64 " | %" PRIu64 " | %" PRIu64
		" | %zu | %.1f MB |\n",
		policy, sum.calls, tally_ratio(&sum, &sum_least), tally_waits(&sum), all,
		sum.refused, sum.dying, t->throttled, t->busiest, (double)t->bytes / 1e6);
}

void tally_tsv(FILE *to, const char *family, const char *policy, const struct tally *t,
	       const struct tally *least)
{
	struct tally_part sum = tally_sum(t), sum_least = tally_sum(least);

	fprintf(to, "%s\t%s\t%.4f\t%.4f", family, policy, tally_ratio(&sum, &sum_least),
		tally_waits(&sum));
	for (size_t i = 0; i < PART_COUNT; i++)
		fprintf(to, "\t%.4f\t%.4f", tally_ratio(&t->parts[i], &least->parts[i]),
			tally_waits(&t->parts[i]));
	fprintf(to, "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%zu\t%zu\n", sum.calls, sum.refused,
		t->throttled, t->busiest, t->bytes);
}
