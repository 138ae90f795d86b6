/* What callers of Clerk's Backend API (BAPI) say and expect, as far as it is about tokens: the
 * request of a token, its answer, and errors.
 *
 *     POST /v1/sessions/{id}/tokens[/{template}]     {"expires_in_seconds": N}
 *
 * What is not understood is no error here: BAPI is to be asked what it says of it.
 */
#pragma once

#include "base/buf.h"
#include "proto/reply.h"

#define TOKENAPI_BODY_MAX 4096 /* bytes of a request's */
#define TOKENAPI_TRACE_LEN 32  /* hexadecimal digits */

/* True if the path asks for a token by names that the daemon uses, too. *ret_template is empty for
 * the plain session token. */
bool tokenapi_parse_path(struct span path, struct span *ret_session, struct span *ret_template);

/* Of a body, which may be empty: the lifetime in seconds that is asked for, or 0. 0, -ENOMEM, or
 * TOKENAPI_UNKNOWN where it says anything else. */
#define TOKENAPI_UNKNOWN 1
int tokenapi_parse_body(struct span body, uint64_t *ret_expires_in_s);

/* {"object":"token","jwt":"…"}. 0, -ENOMEM, -EMSGSIZE. */
int tokenapi_write_token(struct buf *to, struct span jwt);

struct tokenapi_error {
	int status;
	const char *code, *message, *long_message; /* without what JSON escapes */
};

/* The error of BAPI's that comes nearest to an error of the daemon's. */
const struct tokenapi_error *tokenapi_error_of(enum code code);

/* What is wrong with who asks. */
extern const struct tokenapi_error tokenapi_no_key, tokenapi_bad_authorization, tokenapi_bad_key,
    tokenapi_bad_host, tokenapi_forwarded;

/* {"errors":[…],"clerk_trace_id":"…"} */
int tokenapi_write_error(struct buf *to, const struct tokenapi_error *error,
			 const char trace[TOKENAPI_TRACE_LEN]);
