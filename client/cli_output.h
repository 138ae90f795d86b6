/* What the command line client writes: standard output, and tokens to wherever.
 *
 * Written at once and without a buffer, which would keep a token in memory; a pipe that nobody
 * reads any more and a full disk are noticed.
 */
#pragma once

#include "client/clerktoken.h"

/* Makes sure that the descriptors 0 to 2 aren't given to something else. 0, or an errno if there is
 * no standard output. */
int output_init(void);

enum token_form {
	TOKEN_LINE,
	TOKEN_ALONE, /* without a LF */
	TOKEN_JSON,  /* a line with all that is known of it */
};

/* 0 or an errno. */
int output_token(int fd, const struct clerktoken_token *token, enum token_form form);

/* The parts, one after the other, to standard output. 0 or an errno. */
int output_text(const char *first, const char *second, const char *third);

/* 0, or EPIPE if nobody can read what is written any more. */
int output_check(void);
