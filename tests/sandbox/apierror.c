/*
 * apierror.c: the Backend API's errors.
 *
 * Model: the catalogue has a status, a code, a message and a long message for each; the long one
 * may hold one detail. Codes, statuses and messages are Clerk's own, since programs compare them.
 */
#include "apierror.h"

#include <stdbool.h>
#include <stddef.h>

#include "http.h"

struct entry {
	int status;
	const char *code;
	const char *message;
	const char *long_head; /* before the detail */
	const char *long_tail; /* after it; NULL: no detail */
	bool is_parameter;     /* the detail is named in the error's meta */
};

static const char value_invalid[] = "form_param_value_invalid";

static const struct entry catalogue[API_N_ERRORS] = {
	[API_KEY_INVALID] = { 401, "clerk_key_invalid",
			      "The provided Clerk Secret Key is invalid. Make sure that your Clerk "
			      "Secret Key is correct.",
			      "The provided Clerk Secret Key is invalid. Make sure that your Clerk "
			      "Secret Key is correct.",
			      NULL, false },
	[API_NOT_AUTHENTICATED] = { 401, "could_not_authenticate_request",
				    "Could not authenticate request.",
				    "Could not authenticate request.", NULL, false },
	[API_AUTHORIZATION_FORMAT] = { 401, "authorization_header_format_invalid",
				       "Invalid Authorization header format",
				       "Invalid Authorization header format. Must be 'Bearer "
				       "<YOUR_API_KEY>'",
				       NULL, false },
	[API_AUTHENTICATION_INVALID] = { 401, "authentication_invalid", "Invalid authentication",
					 "Unable to authenticate the request, you need to supply "
					 "an active session",
					 NULL, false },
	[API_AUTHORIZATION_INVALID] = { 403, "authorization_invalid", "Unauthorized request",
					"You are not authorized to perform this request", NULL,
					false },
	[API_VERSION_INVALID] = { 400, "api_version_invalid", "invalid API version",
				  "Invalid Clerk API version: ", "", false },
	[API_BODY_INVALID] = { 400, "request_body_invalid", "Request body invalid",
			       "The request body is invalid. Please consult the API documentation "
			       "for more information.",
			       NULL, false },
	[API_CONTENT_TYPE] = { 415, "unsupported_content_type", "Content-Type is unsupported",
			       "Content-Type ",
			       " is unsupported. You should use application/json instead.", false },
	[API_PARAM_TYPE] = { 422, "form_param_type_invalid", "is invalid", "`",
			     "` must be a `integer`.", true },
	[API_PARAM_VALUE] = { 422, value_invalid, "is invalid", "", " is invalid", true },
	[API_PARAM_TOO_LARGE] = { 422, "form_param_value_too_large", "Value too large",
				  "The value of ", " can't be greater than 315360000", true },
	[API_SESSION_NOT_FOUND] = { 404, "resource_not_found", "Session not found",
				    "No session was found with id ", "", false },
	[API_TEMPLATE_NOT_FOUND] = { 404, "resource_not_found", "JWT template not found",
				     "No JWT template exists with name: ", "", false },
	[API_NOT_FOUND] = { 404, "resource_not_found", "not found", "Resource not found", NULL,
			    false },
	[API_CONFLICT] = { 409, "conflict", "Conflict", "Conflict", NULL, false },
	[API_TOO_MANY_REQUESTS] = { 429, "too_many_requests", "Too many requests",
				    "Too many requests, retry later", NULL, false },
	[API_INTERNAL] = { 500, "internal_clerk_error", "Oops, an unexpected error occurred",
			   "There was an internal error on our servers. We've been notified and "
			   "are working on fixing it.",
			   NULL, false },
	[API_UNAVAILABLE] = { 503, "service_unavailable", "Service unavailable",
			      "Service unavailable", NULL, false },
	[API_GATEWAY_TIMEOUT] = { 504, "gateway_timeout", "Gateway Timeout",
				  "A request to a 3rd party service timed out", NULL, false },
};

static void print_error(const char *code, const char *message, const char *long_message,
			const char *parameter, const char *trace, struct text *text)
{
	text_puts(text, "{\"errors\":[{\"message\":");
	text_json(text, message);
	text_puts(text, ",\"long_message\":");
	text_json(text, long_message);
	text_puts(text, ",\"code\":");
	text_json(text, code);
	if (parameter) {
		text_puts(text, ",\"meta\":{\"param_name\":");
		text_json(text, parameter);
		text_puts(text, "}");
	}
	text_puts(text, "}],\"clerk_trace_id\":");
	text_json(text, trace);
	text_puts(text, "}");
}

void api_error_answer(enum api_error error, const char *detail, const char *trace,
		      struct answer *answer)
{
	const struct entry *entry = &catalogue[error];
	struct text long_message = { .data = NULL };

	text_puts(&long_message, entry->long_head);
	if (entry->long_tail && detail) {
		text_puts(&long_message, detail);
		text_puts(&long_message, entry->long_tail);
	}
	answer_json(answer, entry->status);
	print_error(entry->code, entry->message,
		    long_message.failed ? entry->message : long_message.data,
		    entry->is_parameter ? detail : NULL, trace, &answer->body);
	text_deinit(&long_message);
}

enum api_error api_error_of_status(int status)
{
	static const enum api_error best[] = {
		API_BODY_INVALID,
		API_AUTHENTICATION_INVALID,
		API_AUTHORIZATION_INVALID,
		API_NOT_FOUND,
		API_CONFLICT,
		API_CONTENT_TYPE,
		API_PARAM_VALUE,
		API_TOO_MANY_REQUESTS,
		API_INTERNAL,
		API_UNAVAILABLE,
		API_GATEWAY_TIMEOUT,
	};

	for (size_t i = 0; i < sizeof(best) / sizeof(best[0]); i++) {
		if (catalogue[best[i]].status == status)
			return best[i];
	}
	return API_N_ERRORS;
}

void api_error_custom(int status, const char *code, const char *message, const char *trace,
		      struct answer *answer)
{
	enum api_error error = api_error_of_status(status);
	const char *usual_code = status >= 500 ? "internal_clerk_error" : "request_body_invalid";
	const char *usual_message = http_reason(status);

	if (error != API_N_ERRORS) {
		usual_code = catalogue[error].code;
		usual_message = catalogue[error].message;
	}
	answer_json(answer, status);
	message = message ? message : usual_message;
	print_error(code ? code : usual_code, message, message, NULL, trace, &answer->body);
}
