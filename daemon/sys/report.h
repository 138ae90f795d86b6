/* What the operator is told of what happens inside: events of the engine as messages of the log. */
#pragma once

#include "daemon/core/engine.h"

/* A fetch is over, successful or not. */
void report_fetch(const struct answer *answer, const struct outcome *outcome);

/* What has become of a secret key, if anything. */
void report_key(enum key_verdict verdict, const struct keyring *keys);

/* The host's clock and Clerk's differ, or agree again. */
void report_clock(const struct skew *skew);

/* The audit: that client, of that unit (NULL: not known), got that token, of which only the ids are
 * told. */
void report_token(const struct client *client, const char *unit, struct span session,
		  struct span template, const struct token_view *token);
