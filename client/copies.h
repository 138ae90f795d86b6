/* The library's own copies of tokens, to be handed out for as long as the daemon allows (`reuse`).
 *
 * A table of buckets with a few slots each; a bucket is a cache line. There is no lock: a slot is a
 * token's address and, beside it, a count of the references taken through the slot, in one word, so
 * that one atomic addition both finds the token and holds it. Nobody ever waits for anybody, and a
 * thread that a fork() didn't copy leaves nothing half done.
 *
 * A copy is good only while its stamp is: the stamp is read before the daemon is asked, and each
 * drop spoils those that were read before. So what was asked before a drop is not handed out after
 * it, whenever its answer comes. A drop spoils whatever shares a few buckets with its session,
 * which costs the others one question to the daemon, and nothing else.
 *
 * The hash is quick and has no secret: who could choose sessions so that they collide would have
 * the daemon asked instead, since a bucket doesn't grow.
 *
 * No system call, no clock: time is an argument.
 */
#pragma once

#include "client/token.h"

#include <stdatomic.h>

#define COPIES_WAYS 4
#define COPIES_DEFAULT_BYTES ((size_t)16 << 20)

struct copies_bucket {
	_Alignas(64) _Atomic uint32_t drops;
	_Atomic uint32_t tags[COPIES_WAYS]; /* of the keys' hashes; only a hint */
	_Atomic uint64_t slots[COPIES_WAYS];
};

struct copies {
	struct copies_bucket *buckets;
	size_t mask;
	_Atomic uint32_t forgets;
	void *memory; /* of the buckets */
	size_t max_bytes;
	_Atomic size_t bytes; /* of the tokens that are kept */
	_Atomic size_t hand;  /* of the sweep */
};

/* `max_bytes` bounds the tokens that are kept. 0 or -ENOMEM. */
int copies_init(struct copies *copies, size_t max_bytes);
void copies_deinit(struct copies *copies);

/* What a token must be stamped with to be kept; to be read before it is asked for. */
uint32_t copies_stamp(const struct copies *copies, const struct token_key *key);

/* Keeps a reference of its own to a token that was made with its key, if the stamp is still good
 * and there is room: what has ended makes room first, then what ends first. */
void copies_keep(struct copies *copies, struct clerktoken_token *token, uint32_t stamp,
		 struct mono now);

/* A reference for the caller to the copy of that key, with at least that life left, or NULL. A copy
 * whose id is `*refused` is forgotten (NULL: none is). */
struct clerktoken_token *copies_find(struct copies *copies, const struct token_key *key,
				     struct mono now, int64_t min_ttl_ms, const uint64_t *refused);

/* Forgets all of the session, and spoils its stamps. */
void copies_drop(struct copies *copies, struct span session);

/* Forgets everything, and spoils all stamps. */
void copies_forget(struct copies *copies);

/* Wipes what has ended from the part of the table whose turn it is: all of it in as many calls as
 * make up COPIES_SWEEP_MS, though never more than a few hundred buckets in one. */
#define COPIES_SWEEP_MS 8000
void copies_sweep(struct copies *copies, struct mono now, int64_t elapsed_ms);
