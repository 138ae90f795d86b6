/* What each local user makes the daemon hold.
 *
 * An account is kept for every uid that holds something. The rule is dbus-broker's: a user may
 * take one more as long as it holds less than is still free, so that one user alone can have half,
 * two a third each, and nobody can be starved by somebody who came before. Administrators may take
 * all that is free, a reserve included that is kept for them.
 */
#pragma once

#include "base/hash.h"
#include "base/list.h"
#include "daemon/core/limiter.h"

#include <sys/types.h>

#define QUOTA_MAX_ACCOUNTS 4096

enum quota_kind {
	QUOTA_CONNECTIONS,
	QUOTA_WAITERS, /* requests that wait for Clerk */
	QUOTA_CALLS,   /* requests that are passed on to Clerk */
	QUOTA_WATCHES,
	QUOTA_TRACKERS,	    /* connections that are told of each drop */
	QUOTA_PINNED_BYTES, /* of entries that stay because they are watched */
	QUOTA_CACHE_BYTES,  /* charged without a limit of its own: over its share, a user's entries
			       are evicted first */
	QUOTA_KINDS,
};

struct account {
	struct map_node chain;
	struct list queue_node; /* in the ring of those who have something queued */
	struct list queued;	/* these: struct place.node */
	size_t queued_count;
	uid_t uid;
	uint16_t index;
	size_t held[QUOTA_KINDS];
	struct hints hints;
};

struct quota {
	struct map by_uid;
	struct account *accounts[QUOTA_MAX_ACCOUNTS];
	size_t count;
	size_t held[QUOTA_KINDS];
	size_t max[QUOTA_KINDS];
};

int quota_init(struct quota *q);
void quota_deinit(struct quota *q);

/* The account of that uid, made if there is none; NULL if there is no room for one more user. It
 * lives until quota_release() finds that it holds nothing. */
struct account *quota_account(struct quota *q, uid_t uid);

/* 0, or 1 where the user would hold more than its part. */
int quota_take(struct quota *q, struct account *a, enum quota_kind kind, size_t n, bool admin);

/* Charges without asking. */
void quota_charge(struct quota *q, struct account *a, enum quota_kind kind, size_t n);

/* Gives back; frees the account where that was the last it held. */
void quota_release(struct quota *q, struct account *a, enum quota_kind kind, size_t n);

/* Frees the account if it holds nothing: after quota_account() that led to no charge. */
void quota_forget(struct quota *q, struct account *a);

/* True if the user holds more than an equal part of what all hold. */
bool quota_is_over_share(const struct quota *q, uint16_t account_index, enum quota_kind kind);
