/* The secret key that Clerk is asked with, and, while another has not proved itself, the one from
 * before it.
 *
 *   SETTLED   `current` is the configured key, and there is no other
 *   TRIAL     `current` is the configured key, of which Clerk has said nothing yet; `other` is the
 *             last one that Clerk has accepted
 *   FALLBACK  Clerk has refused the configured key, which is `other`; `current` is the
 *             last one that it has accepted, for as long as it does
 *
 * A key is known to Clerk's answers by its id. What was asked with a key that is not `current` any
 * more decides nothing, but that the one from before is of no use as a fallback either.
 */
#pragma once

#include "base/secret.h"
#include "daemon/core/answer.h"

enum keyring_state {
	KEYRING_SETTLED,
	KEYRING_TRIAL,
	KEYRING_FALLBACK,
};

enum key_standing {
	KEY_UNTRIED,
	KEY_ACCEPTED,
	KEY_REFUSED,
};

struct keyring {
	enum keyring_state state;
	enum key_standing standing; /* of `current` */
	struct secret current, other;
	char current_id[SECRET_ID_SIZE], other_id[SECRET_ID_SIZE];
	struct secret_digest current_digest, other_digest; /* of no use without their key */
};

/* What an answer says of the keys. */
enum key_verdict {
	KEY_NO_NEWS,
	KEY_WORKS,
	KEY_PROVEN,	/* a trial has ended well: the key from before is forgotten */
	KEY_FALLS_BACK, /* it has not: the key from before is to be used again */
	KEY_GIVES_UP,	/* the key from before works no more either: back to the configured one */
	KEY_IS_REFUSED,
	KEY_OTHER_IS_REFUSED, /* the one from before: there is nothing to fall back to */
};

void keyring_deinit(struct keyring *k);

/* The key that was configured last. */
const struct secret *keyring_configured(const struct keyring *k);

/* A key was configured, which is moved in and is `current` from now on. If there is one that works,
 * it is on trial; after a fallback too, where it is the same that was refused. True if requests
 * were made with another one until now. */
bool keyring_configure(struct keyring *k, struct secret *key);

/* The configured key is for another Clerk than the ones before, which are nothing to it. */
void keyring_start_over(struct keyring *k);

/* What follows from an answer to a request that was made with the key of that id. Nothing is
 * changed: that is keyring_follow()'s, once the key to be used is in use. */
enum key_verdict keyring_judge(const struct keyring *k, const char *key_id, enum outcome_kind kind);
void keyring_follow(struct keyring *k, enum key_verdict verdict);

/* True if it is `other` that is to be used. */
static inline bool key_verdict_swaps(enum key_verdict verdict)
{
	return verdict == KEY_FALLS_BACK || verdict == KEY_GIVES_UP;
}

/* Is that one of the keys? Takes as long whatever it is; only its own length shows. */
bool keyring_knows(const struct keyring *k, struct span key);

/* For people: "accepted", "untried", "refused", "trial", "fallback". */
const char *keyring_text(const struct keyring *k);
