/* The client as the files of the library see it. */
#pragma once

#include "client/clerktoken.h"
#include "client/era.h"
#include "client/copies.h"
#include "client/pool.h"
#include "client/tracking.h"

struct clerktoken_client {
	_Atomic unsigned refs;	 /* the caller's and one of each watch */
	_Atomic bool has_worked; /* a daemon has answered before: worth waiting for its restart */
	struct era era;
	bool keeps_copies;
	struct tracking tracking;
	struct copies copies;
	struct pool pool;
	char *user_socket; /* to be used if it exists, or NULL */
	char *socket;
};

/* Written once: it is read by all threads. */
static inline void client_has_worked(struct clerktoken_client *client)
{
	if (!client->has_worked)
		client->has_worked = true;
}

struct clerktoken_client *client_ref(struct clerktoken_client *client);
void client_unref(struct clerktoken_client *client);
