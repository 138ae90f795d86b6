/* The instance's public keys (GET /v1/jwks), kept so that one request to Clerk serves all who ask.
 *
 * They are fresh for as long as Cache-Control says (RFC 9111), within bounds, or a while where it
 * says nothing: Clerk's own SDKs keep them for five minutes whatever it says. Then they are fetched
 * anew by the next who asks, who waits for them, for the keys may just have been changed; what was
 * known is the answer still where that fails, for a day. After a failure it is not tried again at
 * once.
 */
#pragma once

#include "base/buf.h"
#include "base/instant.h"
#include "base/span.h"

#include <stdbool.h>

#define JWKS_MAX (256 * 1024) /* bytes of a body */
#define JWKS_TYPE_MAX 128     /* of its Content-Type, the NUL included */

struct jwks {
	struct buf body; /* empty: not known */
	char type[JWKS_TYPE_MAX];
	struct mono fresh_until, usable_until, retry_at;
	bool fetching;
};

enum jwks_state {
	JWKS_READY, /* buf_span(&j->body) is the answer */
	JWKS_FETCH, /* Clerk is to be asked; jwks_fetched() or jwks_failed() must follow */
	JWKS_WAIT,  /* it is being asked */
	JWKS_NONE,  /* it could not be had just now */
};

void jwks_init(struct jwks *j);
void jwks_deinit(struct jwks *j);

/* For somebody who wants them now. */
enum jwks_state jwks_ask(struct jwks *j, struct mono now);

/* For those who waited, when it is over: JWKS_READY or JWKS_NONE. */
enum jwks_state jwks_outcome(const struct jwks *j, struct mono now);

/* Clerk has answered with 200 what was asked for at `sent_at`. 0, or -ENOMEM, -EMSGSIZE: as if it
 * had failed. Absent spans are SPAN_NONE. */
int jwks_fetched(struct jwks *j, struct mono now, struct mono sent_at, struct span content_type,
		 struct span cache_control, struct span body);
void jwks_failed(struct jwks *j, struct mono now);
