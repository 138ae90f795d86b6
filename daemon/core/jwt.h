/* The times in the payload of a JWT (RFC 7519, sections 4.1.4 and 4.1.6).
 *
 * The token is opaque in every other respect: no signature is checked, for it came from Clerk over
 * TLS and whoever uses it has to check it anyway. Times are NumericDates, possibly with a
 * fraction, and are rounded so that no life gets longer: `exp` down, `iat` up.
 */
#pragma once

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

#define JWT_TIME_MAX_S 253402300799 /* the end of the year 9999 */

struct jwt_times {
	int64_t exp_s; /* 1 to JWT_TIME_MAX_S */
	bool has_iat;  /* an `iat` that makes no sense counts as none */
	int64_t iat_s; /* 0 to JWT_TIME_MAX_S */
};

#define JWT_MALFORMED 1

/* `jwt` has passed wire_is_jwt(). 0, -ENOMEM or JWT_MALFORMED: no payload, or no sane `exp`. */
int jwt_read_times(struct span jwt, struct jwt_times *ret);
