/* What this process has resident. */
#pragma once

#include "tests/unit/unit.h"

#include <stdio.h>

/* In bytes, without the pages of files, of the program itself among them. */
static inline size_t resident(void)
{
	FILE *rollup = fopen("/proc/self/smaps_rollup", "r");
	char line[200];
	size_t kib = 0;

	assert_non_null(rollup);
	while (!kib && fgets(line, sizeof(line), rollup))
		(void)sscanf(line, "Anonymous: %zu kB", &kib);
	(void)fclose(rollup);
	assert_true(kib);
	return kib * 1024;
}
