/* apierror.h: the Backend API's errors. */
#ifndef SANDBOX_APIERROR_H
#define SANDBOX_APIERROR_H

#include "answer.h"

#define TRACE_ID_SIZE 33u /* 32 hex digits and the NUL */

enum api_error {
	API_KEY_INVALID,
	API_NOT_AUTHENTICATED,
	API_AUTHORIZATION_FORMAT,
	API_AUTHENTICATION_INVALID,
	API_AUTHORIZATION_INVALID,
	API_VERSION_INVALID,	/* detail: the reason */
	API_BODY_INVALID,	/* not the JSON that is expected */
	API_CONTENT_TYPE,	/* detail: the type that was sent */
	API_PARAM_TYPE,		/* detail: the parameter, which isn't an integer */
	API_PARAM_VALUE,	/* detail: the parameter */
	API_PARAM_TOO_LARGE,	/* detail: the parameter */
	API_SESSION_NOT_FOUND,	/* detail: its id */
	API_TEMPLATE_NOT_FOUND, /* detail: its name */
	API_NOT_FOUND,
	API_CONFLICT,
	API_TOO_MANY_REQUESTS,
	API_INTERNAL,
	API_UNAVAILABLE,
	API_GATEWAY_TIMEOUT,
	API_N_ERRORS,
};

/* Makes the answer that error, with its status and body. `detail` may be NULL where none is named
 * above. */
void api_error_answer(enum api_error error, const char *detail, const char *trace,
		      struct answer *answer);

/* The error that goes with a status best; API_N_ERRORS if there is none. */
enum api_error api_error_of_status(int status);

/* Makes the answer an error of any status, code and message; NULL stands for those of the
 * catalogue's error for that status. */
void api_error_custom(int status, const char *code, const char *message, const char *trace,
		      struct answer *answer);

#endif
