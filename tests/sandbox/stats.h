/* stats.h: what the sandbox counts, for the tests that ask it. */
#ifndef SANDBOX_STATS_H
#define SANDBOX_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "table.h"
#include "text.h"
#include "token.h"

#define STATS_MAX_KEYS 200000u
#define STATS_MAX_RECENT 2000u
#define STATS_MAX_STATUS 600u
#define STATS_MAX_NAME 129u /* of a session or template, NUL included */

struct stats_call;

struct stats {
	int64_t start_ms; /* monotonic */
	uint64_t token_calls;
	uint64_t tokens_minted;
	uint64_t connections_accepted;
	uint64_t connections_open;
	uint64_t tls_handshakes;
	uint64_t in_flight;
	uint64_t max_in_flight;
	uint64_t by_status[STATS_MAX_STATUS]; /* [0]: ended without an HTTP answer */
	uint64_t last_ticket;		      /* never goes back, not even at a reset */
	uint64_t first_ticket;		      /* the first one since the last reset */
	struct stats_call *recent;	      /* a ring, indexed by ticket */
	struct table keys;
};

/* 0 or -ENOMEM. */
int stats_init(struct stats *stats, uint64_t seed, int64_t now_ms);

void stats_deinit(struct stats *stats);

/* Zeroes the counters; what is open or in flight stays counted as such. */
void stats_reset(struct stats *stats);

/* Counts the arrival of a token request (`template` NULL: the plain token; `session` NULL: none
 * that could exist) and answers its ticket, never 0. *ret_last is where the stamp of the key's last
 * token is kept, valid until the next call of this module, or NULL when the key isn't kept. */
uint64_t stats_begin(struct stats *stats, const char *session, const char *template, int64_t now_ms,
		     struct token_stamp **ret_last);

/* Counts the end of that request: the status that was sent, or 0 for none. */
void stats_end(struct stats *stats, uint64_t ticket, int status);

/* Appends all of it as a JSON object; `brief` leaves out what grows with the number of calls. */
void stats_print(const struct stats *stats, bool brief, struct text *text);

#endif
