/* What a call has to do with the library's own copies: look for one, keep one, forget.
 *
 * Nothing in here waits. With copies turned off nothing is found or kept.
 */
#pragma once

#include "client/client.h"
#include "proto/request.h"

/* A reference to the copy that answers a GET, or NULL. The names need not have been checked. */
struct clerktoken_token *own_find(struct clerktoken_client *client, const struct request *get);

/* What is to be known before the daemon is asked, to keep its answer. */
struct own_ticket {
	uint32_t stamp;
	const char *socket; /* of the daemon whose drops we are told of; NULL: none */
};

/* Before the GET is sent; for a request that is sent again, before it is sent first. */
struct own_ticket own_expect(struct clerktoken_client *client, const struct request *get);

/* Keeps the answer that came on `conn`, if that may be. The token was made for the request, with
 * token_new_for(), and isn't shared yet. */
void own_keep(struct clerktoken_client *client, struct own_ticket ticket, const struct conn *conn,
	      struct clerktoken_token *token);

/* After a DROP or FLUSH was answered, or failed. */
void own_drop(struct clerktoken_client *client, const struct request *drop);

static inline struct token_key own_key(const struct request *get)
{
	return (struct token_key){ get->session, get->template, get->expires_in_s };
}
