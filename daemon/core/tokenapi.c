/* See tokenapi.h. Statuses, codes and messages of errors are Clerk's own, since programs compare
 * them. */
#include "daemon/core/tokenapi.h"

#include "daemon/core/json.h"

#include <errno.h>

static bool take(struct span *rest, const char *prefix)
{
	size_t len = strlen(prefix);

	if (!span_starts(*rest, prefix))
		return false;
	*rest = span_of(rest->ptr + len, rest->len - len);
	return true;
}

bool tokenapi_parse_path(struct span path, struct span *ret_session, struct span *ret_template)
{
	size_t len;

	if (!take(&path, "/v1/sessions/"))
		return false;
	len = wire_class_len(path, CLASS_SESSION);
	*ret_session = span_of(path.ptr, len);
	path = span_of(path.ptr + len, path.len - len);
	if (!wire_is_session(*ret_session) || !take(&path, "/tokens"))
		return false;
	*ret_template = path;
	return path.len == 0 || (take(ret_template, "/") && wire_is_template(*ret_template));
}

static int read_expires_in(const struct json *body, uint64_t *ret_s)
{
	const struct json *item = json_member(body, "expires_in_seconds");
	double value;

	if ((json_is_null(item) && json_is_alone(item)) || json_is_empty(body)) {
		*ret_s = 0;
		return 0;
	}
	if (!json_is_alone(item) || !json_number(item, &value) || value < WIRE_EXPIRES_IN_MIN_S ||
	    value > WIRE_TTL_MAX_S || (double)(uint64_t)value != value)
		return TOKENAPI_UNKNOWN;
	*ret_s = (uint64_t)value;
	return 0;
}

int tokenapi_parse_body(struct span body, uint64_t *ret_expires_in_s)
{
	cleanup_json struct json *j = NULL;
	int result;

	if (body.len == 0) {
		*ret_expires_in_s = 0;
		return 0;
	}
	result = json_parse(body, &j);
	if (result)
		return result < 0 ? result : TOKENAPI_UNKNOWN;
	return read_expires_in(j, ret_expires_in_s);
}

int tokenapi_write_token(struct buf *to, struct span jwt)
{
	static const char before[] = "{\"object\":\"token\",\"jwt\":\"";
	static const char after[] = "\"}";
	size_t len = sizeof(before) - 1 + jwt.len + sizeof(after) - 1;
	char *at = buf_reserve(to, len);

	if (!at)
		return -ENOMEM;
	memcpy(at, before, sizeof(before) - 1);
	memcpy(at + sizeof(before) - 1, jwt.ptr, jwt.len);
	memcpy(at + sizeof(before) - 1 + jwt.len, after, sizeof(after) - 1);
	buf_commit(to, len);
	return 0;
}

#define KEY_INVALID                                                                                \
	"The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is "       \
	"correct."
#define UNAUTHORIZED "Unauthorized request"
#define UNAVAILABLE "Service unavailable"
#define BUSY 503, "service_unavailable", UNAVAILABLE

const struct tokenapi_error tokenapi_no_key = { 401, "could_not_authenticate_request",
						"Could not authenticate request.",
						"Could not authenticate request." };
const struct tokenapi_error tokenapi_bad_authorization = {
	401, "authorization_header_format_invalid", "Invalid Authorization header format",
	"Invalid Authorization header format. Must be 'Bearer <YOUR_API_KEY>'"
};
const struct tokenapi_error tokenapi_bad_key = { 401, "clerk_key_invalid", KEY_INVALID,
						 KEY_INVALID };
const struct tokenapi_error tokenapi_bad_host = {
	421, "host_invalid", "Misdirected request",
	"Host does not name the address that clerk-tokend listens at."
};
const struct tokenapi_error tokenapi_forwarded = {
	403, "authorization_invalid", UNAUTHORIZED,
	"clerk-tokend answers programs on its host only: no browsers, nothing forwarded."
};

static const struct tokenapi_error errors[CODE_COUNT] = {
	[CODE_DENIED] = { 403, "authorization_invalid", UNAUTHORIZED,
			  "The rules of clerk-tokend forbid it to this user." },
	[CODE_NOT_FOUND] = { 404, "resource_not_found", "not found", "Resource not found" },
	[CODE_UNAUTHORIZED] = { 401, "clerk_key_invalid", KEY_INVALID, KEY_INVALID },
	[CODE_FORBIDDEN] = { 403, "authorization_invalid", UNAUTHORIZED,
			     "You are not authorized to perform this request" },
	[CODE_REJECTED] = { 422, "form_param_value_invalid", "is invalid",
			    "Clerk rejected the request." },
	[CODE_RATE_LIMITED] = { 429, "too_many_requests", "Too many requests",
				"Too many requests, retry later" },
	[CODE_UNAVAILABLE] = { BUSY, "Clerk can't be reached or is failing." },
	[CODE_BAD_UPSTREAM] = { 502, "internal_clerk_error", "Oops, an unexpected error occurred",
				"Clerk's answer holds no usable token." },
	[CODE_TIMEOUT] = { 504, "gateway_timeout", "Gateway Timeout",
			   "Clerk did not answer in time." },
	[CODE_SHORT_LIVED] = { 422, "form_param_value_invalid", "is invalid",
			       "No token of it lives as long as clerk-tokend's min_ttl." },
	[CODE_OVERLOADED] = { BUSY, "A limit of clerk-tokend is reached." },
	[CODE_SHUTTING_DOWN] = { BUSY, "clerk-tokend is stopping." },
};

static const struct tokenapi_error internal = { 500, "internal_clerk_error",
						"Oops, an unexpected error occurred",
						"A fault of clerk-tokend." };

const struct tokenapi_error *tokenapi_error_of(enum code code)
{
	return errors[code].status ? &errors[code] : &internal;
}

int tokenapi_write_error(struct buf *to, const struct tokenapi_error *error,
			 const char trace[TOKENAPI_TRACE_LEN])
{
	const struct span parts[] = {
		span_str("{\"errors\":[{\"message\":\""),
		span_str(error->message),
		span_str("\",\"long_message\":\""),
		span_str(error->long_message),
		span_str("\",\"code\":\""),
		span_str(error->code),
		span_str("\"}],\"clerk_trace_id\":\""),
		span_of(trace, TOKENAPI_TRACE_LEN),
		span_str("\"}"),
	};
	int result = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && result == 0; i++)
		result = buf_append(to, parts[i].ptr, parts[i].len);
	return result;
}
