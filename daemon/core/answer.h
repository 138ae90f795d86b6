/* An HTTP answer of Clerk's Backend API (BAPI) -> what it means to the cache.
 *
 * One table of status codes decides, refined by the `code` of the first error in the body; the
 * text of a message decides nothing. A 403 or 404 without an error of Clerk's is nobody's word. A
 * body is nonsense until proven otherwise: whatever it holds, there is exactly one outcome, and
 * only OUTCOME_TOKEN comes with a token.
 *
 * The life of a token is counted by BAPI's own clock: the smaller of `exp - iat` and `exp - Date`,
 * in whole seconds of that clock. The caller anchors it at the instant before the request was
 * sent, so that neither the host's wall clock nor the time on the wire can lengthen it.
 */
#pragma once

#include "base/buf.h"
#include "base/secret.h"
#include "base/span.h"
#include "proto/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_TRACE_SIZE 64		     /* bytes, the terminating NUL included */
#define ANSWER_RETRY_AFTER_MAX_MS 3600000    /* an hour; a longer Retry-After counts as this */
#define ANSWER_LIFETIME_MAX_S WIRE_TTL_MAX_S /* a longer life counts as this */

enum transport {
	TRANSPORT_OK,
	TRANSPORT_UNREACHABLE, /* name, connection or TLS: the request was never sent */
	TRANSPORT_QUEUED,      /* no connection was free for it in time */
	TRANSPORT_BROKEN,      /* a reset, half an answer, no HTTP */
	TRANSPORT_TIMEOUT,     /* not answered in time, most likely sent */
	TRANSPORT_TOO_LARGE,
	TRANSPORT_NO_MEMORY,
};

/* All is borrowed; an absent span is SPAN_NONE. Without TRANSPORT_OK only the key, the time and the
 * detail mean something. */
struct answer {
	enum transport transport;
	int status;
	bool is_exclusive;  /* the connection takes one request at a time: HTTP/1.1 */
	const char *key_id; /* of the key that the request was made with */
	int64_t took_ms;
	struct span content_type, date, retry_after, trace_id, body;
	const char *detail; /* of a transport that failed: a static text for the log, or NULL */
};

enum outcome_kind {
	OUTCOME_TOKEN,
	OUTCOME_DEFINITE,    /* about this session and template: worth remembering */
	OUTCOME_KEY_REFUSED, /* about the secret key: holds for the whole instance */
	OUTCOME_THROTTLED,   /* 429: the whole instance waits */
	OUTCOME_TRANSIENT,   /* 5xx, 408, 409, 425, transport: may pass */
	OUTCOME_MALFORMED,   /* answered, but no usable token in it */
};

struct outcome {
	enum outcome_kind kind;
	enum code code;			  /* CODE_OK with OUTCOME_TOKEN */
	struct secret jwt;		  /* OUTCOME_TOKEN only, like the next three */
	uint64_t id;			  /* of the token: the front of its BLAKE2b hash */
	uint64_t exp_s;			  /* the claim, in seconds since 1970 */
	int64_t lifetime_ms;		  /* > 0 */
	int64_t retry_after_ms;		  /* of a 429 or 503; -1: none, or nonsense */
	int status;			  /* 0 where the transport failed */
	char trace_id[ANSWER_TRACE_SIZE]; /* Clerk's, printable without blanks; "": none */
	bool is_exclusive;		  /* as in the answer */
	bool has_clock;			  /* BAPI said what time it is: */
	int64_t clerk_date_s;		  /* seconds since 1970 */
	struct buf refusal;		  /* a definite one, of the key too: see refusal.h */
	const char *text;		  /* a static sentence for the error reply, or NULL */
	const char *detail;		  /* a static text for the log, or NULL */
};

/* Fills *ret in whatever happens; outcome_deinit() afterwards. Out of memory is OUTCOME_TRANSIENT
 * with CODE_OVERLOADED. `max_token_size` in bytes. */
void answer_judge(const struct answer *a, size_t max_token_size, struct outcome *ret);

/* When Retry-After says that it may do better, in milliseconds; -1: it doesn't. */
int64_t answer_retry_after_ms(struct span retry_after, struct span date);

/* Wipes the token and the refusal. */
void outcome_deinit(struct outcome *o);

/* The id of a token: the first 8 bytes of crypto_generichash (BLAKE2b-256), big-endian. */
uint64_t answer_token_id(struct span jwt);
