/* See series.h. */
#include "bench/scale/series.h"

#include <stdlib.h>

struct series series_new(int64_t length_ms)
{
	struct series s = { .length = (size_t)(length_ms / 1000) + 1 };

	s.seconds = calloc(s.length, sizeof(*s.seconds));
	if (!s.seconds)
		abort();
	return s;
}

void series_free(struct series *s)
{
	free(s->seconds);
	*s = (struct series){ 0 };
}

void series_add(struct series *s, int64_t at_ms, enum what what)
{
	if (s && (size_t)(at_ms / 1000) < s->length)
		s->seconds[at_ms / 1000][what]++;
}

uint64_t series_sum(const struct series *s, enum what what, size_t from, size_t to)
{
	uint64_t sum = 0;

	for (size_t i = from; i < to && i < s->length; i++)
		sum += s->seconds[i][what];
	return sum;
}

uint64_t series_least(const struct series *s, enum what what, size_t from, size_t to, size_t width)
{
	uint64_t least = UINT64_MAX;

	for (size_t i = from; i + width <= to; i++) {
		uint64_t sum = series_sum(s, what, i, i + width);

		least = sum < least ? sum : least;
	}
	return least;
}

uint64_t series_most(const struct series *s, enum what what, size_t from, size_t to, size_t width)
{
	uint64_t most = 0;

	for (size_t i = from; i + width <= to; i++) {
		uint64_t sum = series_sum(s, what, i, i + width);

		most = sum > most ? sum : most;
	}
	return most;
}
