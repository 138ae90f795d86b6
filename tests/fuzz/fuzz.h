/* What every fuzz target includes.
 *
 * A target is LLVMFuzzerTestOneInput(), which holds for any input or ends the program. It is linked
 * with libFuzzer (`make fuzz`), or with driver.c, which replays the seeds and some mutations of
 * them (`make check`).
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As assert(), in every build. */
#define fuzz_require(condition)                                                                    \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);      \
			abort();                                                                   \
		}                                                                                  \
	} while (0)
