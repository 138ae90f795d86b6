/* See cli_guess.h. The distance is Levenshtein's, but for two neighbours that changed places, which
 * count as one mistake. */
#include "client/cli_guess.h"

#include <string.h>

#define WORD_MAX 32
#define DISTANCE_MAX 2

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t distance_of(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t d[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= a_len; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= b_len; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		for (size_t j = 1; j <= b_len; j++) {
			size_t change = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			d[i][j] = least(change, least(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[a_len][b_len];
}

struct guess guess_init(const char *word)
{
	return (struct guess){ .word = word, .distance = DISTANCE_MAX + 1 };
}

void guess_consider(struct guess *guess, const char *candidate)
{
	size_t len = strcspn(guess->word, "="), candidate_len = strlen(candidate);
	size_t distance;

	if (len > WORD_MAX || candidate_len > WORD_MAX)
		return;
	distance = distance_of(guess->word, len, candidate, candidate_len);
	if (distance < guess->distance && distance < candidate_len) {
		guess->distance = distance;
		guess->best = candidate;
	}
}
