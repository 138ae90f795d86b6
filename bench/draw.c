#include "draw.h"

#include <math.h>
#include <stdlib.h>
#include "bench.h"

void draw_init(struct draw *draw, uint64_t keys, double exponent)
{
	double sum = 0;

	*draw = (struct draw){ .state = 0x9e3779b97f4a7c15, .keys = keys };
	if (exponent <= 0)
		return;
	draw->weights = bench_array(keys, sizeof(*draw->weights));
	for (uint64_t i = 0; i < keys; i++)
		draw->weights[i] = sum += pow((double)(i + 1), -exponent);
}

void draw_deinit(struct draw *draw)
{
	free(draw->weights);
}

/* xorshift64* */
static uint64_t next_random(struct draw *draw)
{
	draw->state ^= draw->state >> 12;
	draw->state ^= draw->state << 25;
	draw->state ^= draw->state >> 27;
	return draw->state * 0x2545f4914f6cdd1d;
}

/* The first key whose cumulative weight exceeds wanted. */
static uint64_t find_weight(const struct draw *draw, double wanted)
{
	uint64_t low = 0, high = draw->keys - 1;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (draw->weights[middle] > wanted)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

uint64_t draw_next(struct draw *draw)
{
	uint64_t random = next_random(draw);

	if (!draw->weights)
		return (uint64_t)(((unsigned __int128)random * draw->keys) >> 64);
	/* 53 bits: as many as a double holds */
	return find_weight(draw, (double)(random >> 11) * 0x1p-53 * draw->weights[draw->keys - 1]);
}
