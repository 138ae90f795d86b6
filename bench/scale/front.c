/* See front.h. */
#include "bench/scale/front.h"

#include <stdlib.h>

void front_add(struct front *f, double ratio, double waits)
{
	if (f->count && (ratio <= f->ratio[f->count - 1] || waits >= f->waits[f->count - 1]))
		return;
	if (f->count == FRONT_MAX)
		abort();
	f->ratio[f->count] = ratio;
	f->waits[f->count++] = waits;
}

double front_at(const struct front *f, double ratio)
{
	size_t i = 0;
	double part;

	while (i < f->count && f->ratio[i] <= ratio)
		i++;
	if (i == 0)
		return -1;
	if (i == f->count)
		return f->waits[i - 1];
	part = (ratio - f->ratio[i - 1]) / (f->ratio[i] - f->ratio[i - 1]);
	return f->waits[i - 1] + part * (f->waits[i] - f->waits[i - 1]);
}
