/* See own.h. */
#include "client/own.h"

#include "client/clock.h"

struct clerktoken_token *own_find(struct clerktoken_client *client, const struct request *get)
{
	struct token_key key = own_key(get);
	struct mono now;

	if (!tracking_is_current(client, &now) || key.session.len > WIRE_NAME_MAX ||
	    key.template.len > WIRE_NAME_MAX)
		return NULL;
	return copies_find(&client->copies, &key, now, (int64_t)get->min_ttl_s * MS_PER_S,
			   get->has_not ? &get->not_id : NULL);
}

struct own_ticket own_expect(struct clerktoken_client *client, const struct request *get)
{
	struct own_ticket ticket = { 0 };
	struct token_key key = own_key(get);

	if (!client->keeps_copies)
		return ticket;
	tracking_start(client);
	ticket.stamp = copies_stamp(&client->copies, &key);
	ticket.socket = tracking_socket(client); /* after the stamp */
	return ticket;
}

void own_keep(struct clerktoken_client *client, struct own_ticket ticket, const struct conn *conn,
	      struct clerktoken_token *token)
{
	if (ticket.socket && ticket.socket == conn->path)
		copies_keep(&client->copies, token, ticket.stamp, clock_boot());
}

void own_drop(struct clerktoken_client *client, const struct request *drop)
{
	if (!client->keeps_copies)
		return;
	if (drop->verb == VERB_DROP)
		copies_drop(&client->copies, drop->session);
	else
		copies_forget(&client->copies);
}
