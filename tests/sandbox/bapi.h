/* bapi.h: the part of Clerk's Backend API that the sandbox stands in for. */
#ifndef SANDBOX_BAPI_H
#define SANDBOX_BAPI_H

#include "apierror.h"

struct sandbox;
struct http_request;

/* One request while it is being decided about. */
struct bapi_call {
	struct sandbox *sandbox;
	const struct http_request *request;
	struct answer *answer;
	char trace[TRACE_ID_SIZE];
};

/* Fills in the answer to a request for any path outside the control interface. */
void bapi_handle(struct sandbox *sandbox, const struct http_request *request,
		 struct answer *answer);

/* Makes the call's answer that error. Always -1, for the caller to return. */
int bapi_refuse(struct bapi_call *call, enum api_error error, const char *detail);

/* Makes the call's answer the error for a session that isn't there. */
void bapi_refuse_session(struct bapi_call *call, const char *session);

#endif
