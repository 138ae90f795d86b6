/* control.h: the control interface, for whoever runs the test. */
#ifndef SANDBOX_CONTROL_H
#define SANDBOX_CONTROL_H

#include "answer.h"
#include "http.h"

struct sandbox;

/* Fills in the answer to a request below /sandbox/. */
void control_handle(struct sandbox *sandbox, const struct http_request *request,
		    struct answer *answer);

#endif
