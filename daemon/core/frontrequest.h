/* A request to the HTTP front, by its head: may it be answered at all, and is it for a token? */
#pragma once

#include "daemon/core/httphead.h"
#include "daemon/core/keyring.h"
#include "daemon/core/tokenapi.h"

struct frontrequest {
	bool is_for_token; /* what may be in its body (tokenapi_parse_body()) left aside */
	bool has_body;
	struct span session, template; /* of what is for a token; borrowed from the head */
};

/* `address` is where it came in, ADDRESS:PORT; NULL: at a Unix socket, where the kernel says who
 * asks and a key is not needed. NULL, or why it is refused. */
const struct tokenapi_error *frontrequest_check(const struct httphead *head, const char *address,
						const struct keyring *keys,
						struct frontrequest *ret);
