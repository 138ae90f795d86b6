/* What a webhook of Clerk's means: which session has ended, if it is genuine.
 *
 * session.ended, session.removed and session.revoked are acted on; others are none of our business.
 * Nothing of a message is believed, or read, before its signature is found to be good; and each has
 * its effect once.
 */
#pragma once

#include "daemon/core/replay.h"
#include "daemon/core/svix.h"
#include "proto/wire.h"

#define WEBHOOK_BODY_MAX (256 * 1024) /* bytes */

enum webhook_verdict {
	WEBHOOK_ENDED,	   /* *ret_session has */
	WEBHOOK_OTHER,	   /* genuine, and about something else */
	WEBHOOK_AGAIN,	   /* sent again; it has had its effect */
	WEBHOOK_REPLAYED,  /* from here on refused: the very same one once more */
	WEBHOOK_MALFORMED, /* these three as in svix.h */
	WEBHOOK_STALE,
	WEBHOOK_FORGED,
	WEBHOOK_VERDICTS,
};

struct webhook_session {
	size_t len;
	char id[WIRE_NAME_MAX];
};

/* `now` runs on, `clerk_now` is the time by Clerk's clock. An enum webhook_verdict, or -ENOMEM: it
 * has had no effect, and may come again. */
int webhook_judge(const struct svix_secrets *secrets, struct replay *replay, struct mono now,
		  struct wall clerk_now, const struct svix_message *message,
		  struct webhook_session *ret_session);

/* Not of Clerk, or not of now. */
bool webhook_is_refused(enum webhook_verdict verdict);

/* "ended", "other", "again", … Static. */
const char *webhook_verdict_name(enum webhook_verdict verdict);
