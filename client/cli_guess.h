/* What somebody may have meant who has mistyped a word. */
#pragma once

#include <stddef.h>

struct guess {
	const char *word, *best; /* best: NULL while nothing is near enough */
	size_t distance;	 /* of the best */
};

struct guess guess_init(const char *word);

/* Considers one of the words that there are; it is kept, not copied. */
void guess_consider(struct guess *guess, const char *candidate);
