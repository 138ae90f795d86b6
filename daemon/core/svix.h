/* Is a webhook's message from who holds the secret, and of now? As Svix signs them, for Clerk and
 * others (standardwebhooks.com, symmetric signatures).
 *
 * The signature is HMAC-SHA256 over "ID.TIMESTAMP.BODY", in base64 behind "v1,"; there may be
 * several, with blanks between them, and while a secret is changed there are two of those. All of
 * them are compared, each in constant time.
 */
#pragma once

#include "base/instant.h"
#include "base/secret.h"

#define SVIX_SECRETS_MAX 2
#define SVIX_SECRETS_TEXT_MAX 256 /* bytes */
#define SVIX_ID_MAX 128
#define SVIX_SIGNATURES_MAX 16
#define SVIX_TOLERANCE_S 300 /* either way */

struct svix_secrets {
	struct secret secret[SVIX_SECRETS_MAX]; /* as bytes */
	size_t count;
};

/* The message's three header fields, and its body as it came. */
struct svix_message {
	struct span id, timestamp, signatures;
	struct span body;
};

enum svix_verdict {
	SVIX_GENUINE,
	SVIX_MALFORMED, /* no message of this kind */
	SVIX_STALE,	/* its timestamp is not of now */
	SVIX_FORGED,	/* no signature is one of ours */
};

#define SVIX_BAD_SECRET 1

/* One or two secrets, "whsec_" and base64, with blanks or line ends between them. What *ret held
 * is wiped. 0, -ENOMEM, or SVIX_BAD_SECRET and nothing is changed. */
int svix_secrets_parse(struct span text, struct svix_secrets *ret);
void svix_secrets_deinit(struct svix_secrets *s);

/* `now` is the time by the sender's clock, as far as is known. *ret_timestamp_s is the message's
 * own if it is genuine. */
enum svix_verdict svix_verify(const struct svix_secrets *s, const struct svix_message *m,
			      struct wall now, int64_t *ret_timestamp_s);
