/* See passage.h. */
#include "daemon/core/passage.h"

#include <string.h>
#include <strings.h>

#define RETRY_HINT_MS 1000

static bool is_token(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return s.len > 0;
}

static bool is_value(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* A fragment is no part of a request, and would be cut off on the way. */
static bool is_target(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c <= ' ' || c >= 0x7f || c == '#')
			return false;
	}
	return s.len <= PASSAGE_TARGET_MAX && span_starts(s, "/");
}

static bool is_method(struct span s)
{
	static const char *const methods[] = { "GET",	"HEAD",	  "POST",   "PUT",
					       "PATCH", "DELETE", "OPTIONS" };

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (span_is(s, methods[i]))
			return true;
	return false;
}

bool passage_field_is_acceptable(const struct httpfield *field)
{
	return is_token(field->name) && is_value(field->value);
}

bool passage_is_acceptable(struct span method, struct span target, const struct httpfield *fields,
			   size_t n_fields)
{
	if (!is_method(method) || !is_target(target) || n_fields > PASSAGE_FIELDS_MAX)
		return false;
	for (size_t i = 0; i < n_fields; i++)
		if (!passage_field_is_acceptable(&fields[i]))
			return false;
	return true;
}

/* True if the list, whose elements have commas between them, holds that name. */
static bool lists(struct span list, struct span name)
{
	struct span option;

	while (span_split(&list, ',', &option)) {
		option = span_trim(option);
		if (option.len == name.len && strncasecmp(option.ptr, name.ptr, name.len) == 0)
			return true;
	}
	return false;
}

bool passage_field_stays(struct span name, const struct httpfield *fields, size_t n_fields)
{
	static const char proxy[] = "proxy-";
	static const char *const names[] = { "connection", "keep-alive",	"te",
					     "trailer",	   "transfer-encoding", "upgrade",
					     "host",	   "content-length",	"expect" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (httphead_is(name, names[i]))
			return true;
	if (name.len >= sizeof(proxy) - 1 && strncasecmp(name.ptr, proxy, sizeof(proxy) - 1) == 0)
		return true;
	for (size_t i = 0; i < n_fields; i++)
		if (httphead_is(fields[i].name, "connection") && lists(fields[i].value, name))
			return true;
	return false;
}

bool passage_is_idempotent(struct span method)
{
	return !span_is(method, "POST") && !span_is(method, "PATCH");
}

bool passage_is_jwks(struct span method, struct span target)
{
	return span_is(method, "GET") && span_is(target, "/v1/jwks");
}

static bool is_read_only(struct span method)
{
	return span_is(method, "GET") || span_is(method, "HEAD") || span_is(method, "OPTIONS");
}

struct span passage_session(struct span method, struct span target)
{
	static const char prefix[] = "/v1/sessions/";
	struct span path, session;

	if (is_read_only(method) || !span_starts(target, prefix) ||
	    !span_split(&target, '?', &path))
		return SPAN_NONE;
	path = span_of(path.ptr + sizeof(prefix) - 1, path.len - (sizeof(prefix) - 1));
	if (!span_split(&path, '/', &session) || !wire_is_session(session))
		return SPAN_NONE;
	/* To ask for a token changes nothing. */
	return span_is(path, "tokens") || span_starts(path, "tokens/") ? SPAN_NONE : session;
}

struct relay_failure passage_failure(enum transport transport)
{
	static const struct relay_failure failures[] = {
		[TRANSPORT_OK] = { 502, "bad_gateway", "Clerk's answer can't be passed on", -1 },
		[TRANSPORT_UNREACHABLE] = { 502, "bad_gateway", "Clerk can't be reached",
					    RETRY_HINT_MS },
		[TRANSPORT_QUEUED] = { 503, "service_unavailable",
				       "no connection to Clerk was free in time", RETRY_HINT_MS },
		[TRANSPORT_BROKEN] = { 502, "bad_gateway", "the connection to Clerk broke", -1 },
		[TRANSPORT_TIMEOUT] = { 504, "gateway_timeout", "Clerk did not answer in time",
					-1 },
		[TRANSPORT_TOO_LARGE] = { 502, "bad_gateway", "Clerk's answer is too large", -1 },
		[TRANSPORT_NO_MEMORY] = { 503, "service_unavailable", "out of memory",
					  RETRY_HINT_MS },
	};

	return failures[transport];
}

struct relay_failure passage_refusal(const struct reply *error)
{
	static const struct {
		enum code code;
		int status;
		const char *text;
	} refusals[] = {
		{ CODE_RATE_LIMITED, 429, "too_many_requests" },
		{ CODE_DENIED, 403, "authorization_invalid" },
	};

	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		if (refusals[i].code == error->code)
			return (struct relay_failure){ refusals[i].status, refusals[i].text,
						       code_text(error->code), error->retry_ms };
	return (struct relay_failure){ 503, "service_unavailable", code_text(error->code),
				       error->retry_ms };
}
