/* What the rules of access mean for requests, and for what is under way when they change. */
#pragma once

#include "daemon/core/state.h"

/* May the client ask for that? */
bool permit_request(const struct engine *e, const struct client *client, const struct request *r);

/* The answer to WHY; its text is in `scratch`. */
enum submission permit_explain(const struct engine *e, const struct client *client,
			       const struct request *r, struct buf *scratch, struct reply *ret);
