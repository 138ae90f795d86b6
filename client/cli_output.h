/* Standard output of the command line client.
 *
 * Written at once and without a buffer, which would keep a token in memory; a pipe that nobody
 * reads any more and a full disk are noticed.
 */
#pragma once

#include "client/clerktoken.h"

#include <stdbool.h>

/* Makes sure that the descriptors 0 to 2 aren't given to something else. 0, or an errno if there is
 * no standard output. */
int output_init(void);

/* The token on a line, alone or as JSON. 0 or an errno. */
int output_token(const struct clerktoken_token *token, bool as_json);

/* The parts, one after the other. 0 or an errno. */
int output_text(const char *first, const char *second, const char *third);

/* 0, or EPIPE if nobody can read what is written any more. */
int output_check(void);
