/* What has been taken already: the ids of messages, for as long as each would be taken again.
 *
 * A table of so many places whatever comes; where it is full the oldest goes. Only who can sign a
 * message gets one in here.
 */
#pragma once

#include "base/hash.h"
#include "base/instant.h"

#define REPLAY_PLACES 32768
#define REPLAY_ID_MAX HASH_MAX_BYTES

struct replay;

enum replay_verdict {
	REPLAY_NEW,
	REPLAY_AGAIN, /* that id was taken with another timestamp: it was sent again */
	REPLAY_SAME,  /* the very same message */
};

/* `key` is random. 0 or -ENOMEM. */
int replay_new(const struct hash_key *key, struct replay **ret);
void replay_free(struct replay *r);

/* Has it been taken? From now on, for `keep_ms`, it has. */
enum replay_verdict replay_note(struct replay *r, struct mono now, struct span id,
				int64_t timestamp_s, int64_t keep_ms);
