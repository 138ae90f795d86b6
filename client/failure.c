/* See failure.h. The numbers of enum code and of enum clerktoken_error are the same. */
#include "client/failure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

_Static_assert((int)CODE_OK == (int)CLERKTOKEN_OK &&
		   (int)CODE_BAD_REQUEST == (int)CLERKTOKEN_BAD_REQUEST &&
		   (int)CODE_TOO_LONG == (int)CLERKTOKEN_TOO_LONG &&
		   (int)CODE_UNKNOWN_COMMAND == (int)CLERKTOKEN_UNKNOWN_COMMAND &&
		   (int)CODE_UNSUPPORTED == (int)CLERKTOKEN_UNSUPPORTED &&
		   (int)CODE_DENIED == (int)CLERKTOKEN_DENIED &&
		   (int)CODE_NOT_FOUND == (int)CLERKTOKEN_NOT_FOUND &&
		   (int)CODE_UNAUTHORIZED == (int)CLERKTOKEN_UNAUTHORIZED &&
		   (int)CODE_FORBIDDEN == (int)CLERKTOKEN_FORBIDDEN &&
		   (int)CODE_REJECTED == (int)CLERKTOKEN_REJECTED &&
		   (int)CODE_RATE_LIMITED == (int)CLERKTOKEN_RATE_LIMITED &&
		   (int)CODE_UNAVAILABLE == (int)CLERKTOKEN_UNAVAILABLE &&
		   (int)CODE_BAD_UPSTREAM == (int)CLERKTOKEN_BAD_UPSTREAM &&
		   (int)CODE_TIMEOUT == (int)CLERKTOKEN_TIMEOUT &&
		   (int)CODE_SHORT_LIVED == (int)CLERKTOKEN_SHORT_LIVED &&
		   (int)CODE_OVERLOADED == (int)CLERKTOKEN_OVERLOADED &&
		   (int)CODE_SHUTTING_DOWN == (int)CLERKTOKEN_SHUTTING_DOWN &&
		   (int)CODE_INTERNAL == (int)CLERKTOKEN_INTERNAL &&
		   (int)CODE_COUNT == (int)CLERKTOKEN_INTERNAL + 1,
	       "the numbers of the codes are part of the ABI");

enum clerktoken_error failure_set(struct clerktoken_failure *ret, enum clerktoken_error error,
				  const char *text)
{
	if (!ret)
		return error;
	*ret = (struct clerktoken_failure){
		.error = error,
		.retry_ms = clerktoken_error_is_retryable(error) ? 0 : CLERKTOKEN_NEVER,
	};
	(void)snprintf(ret->text, sizeof(ret->text), "%s", text); /* a long one may be cut */
	return error;
}

static enum clerktoken_error error_of_system(int result)
{
	switch (-result) {
	case ENOMEM:
		return CLERKTOKEN_NO_MEMORY;
	case EINVAL:
		return CLERKTOKEN_INVALID_ARGUMENT;
	case ETIMEDOUT:
		return CLERKTOKEN_DEADLINE;
	case EBADMSG:
		return CLERKTOKEN_PROTOCOL;
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:
		return CLERKTOKEN_NO_DAEMON;
	case EACCES:
	case EPERM:
		return CLERKTOKEN_DENIED;
	default:
		return CLERKTOKEN_IO;
	}
}

enum clerktoken_error failure_set_system(struct clerktoken_failure *ret, int result,
					 const char *socket)
{
	enum clerktoken_error error = error_of_system(result);
	char why[64];

	(void)failure_set(ret, error, clerktoken_error_text(error));
	if (!ret)
		return error;
	if (error == CLERKTOKEN_NO_DAEMON || error == CLERKTOKEN_DENIED || error == CLERKTOKEN_IO) {
		ret->system_error = -result;
		(void)snprintf(ret->text, sizeof(ret->text), "%s: %s: %s", socket,
			       error == CLERKTOKEN_DENIED ? "may not connect"
							  : clerktoken_error_text(error),
			       strerror_r(-result, why, sizeof(why))); /* it may be cut */
	}
	return error;
}

enum clerktoken_error failure_set_reply(struct clerktoken_failure *ret, const struct reply *reply)
{
	enum clerktoken_error error = reply->code < CODE_COUNT ? (enum clerktoken_error)reply->code
							       : CLERKTOKEN_UNKNOWN_ERROR;

	(void)failure_set(ret, error, clerktoken_error_text(error));
	if (!ret || reply->type != REPLY_ERROR)
		return error;
	ret->retry_ms = reply->retry_ms;
	if (reply->text.len)
		(void)snprintf(ret->text, sizeof(ret->text), "%.*s", (int)reply->text.len,
			       reply->text.ptr); /* a long one may be cut */
	return error;
}
