/* The client's life: options, where the daemon is, who holds the client. See clerktoken.h. */
#include "client/client.h"

#include "base/mem.h"
#include "client/failure.h"
#include "client/options.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef CLERK_TOKEND_VERSION
#define CLERK_TOKEND_VERSION "0.0.0-dev"
#endif

#define SYSTEM_SOCKET "/run/clerk-tokend/clerk-tokend.sock"
#define USER_SOCKET "clerk-tokend/clerk-tokend.sock" /* below $XDG_RUNTIME_DIR */

#define SOCKET_PATH_SIZE sizeof(((struct sockaddr_un *)NULL)->sun_path)

static enum clerktoken_error set_given(struct clerktoken_client *client, const char *path,
				       struct clerktoken_failure *ret_failure)
{
	if (path[0] == '\0' || strlen(path) >= SOCKET_PATH_SIZE)
		return failure_set(ret_failure, CLERKTOKEN_INVALID_ARGUMENT,
				   "a socket's path has 1 to 107 bytes");
	client->socket = mem_strdup(path);
	return client->socket ? CLERKTOKEN_OK
			      : failure_set(ret_failure, CLERKTOKEN_NO_MEMORY, "out of memory");
}

/* The user's own and the system's socket; which of them it is shows when it is needed. */
static enum clerktoken_error set_defaults(struct clerktoken_client *client,
					  struct clerktoken_failure *ret_failure)
{
	const char *directory = secure_getenv("XDG_RUNTIME_DIR");
	char path[SOCKET_PATH_SIZE];

	if (directory && directory[0] == '/' &&
	    (size_t)snprintf(path, sizeof(path), "%s/" USER_SOCKET, directory) < sizeof(path)) {
		client->user_socket = mem_strdup(path);
		if (!client->user_socket)
			return failure_set(ret_failure, CLERKTOKEN_NO_MEMORY, "out of memory");
	}
	return set_given(client, SYSTEM_SOCKET, ret_failure);
}

static enum clerktoken_error set_socket(struct clerktoken_client *client, const char *given,
					struct clerktoken_failure *ret_failure)
{
	const char *environment;

	if (given)
		return set_given(client, given, ret_failure);
	environment = secure_getenv("CLERK_TOKEND_SOCKET");
	if (environment && environment[0] != '\0')
		return set_given(client, environment, ret_failure);
	return set_defaults(client, ret_failure);
}

static enum clerktoken_error set_copies(struct clerktoken_client *client, size_t max_bytes,
					struct clerktoken_failure *ret_failure)
{
	if (copies_init(&client->copies, max_bytes ? max_bytes : COPIES_DEFAULT_BYTES) < 0)
		return failure_set(ret_failure, CLERKTOKEN_NO_MEMORY, "out of memory");
	client->keeps_copies = true;
	return CLERKTOKEN_OK;
}

enum clerktoken_error clerktoken_new(const struct clerktoken_options *options,
				     struct clerktoken_client **ret,
				     struct clerktoken_failure *ret_failure)
{
	struct clerktoken_options known = { 0 };
	struct clerktoken_client *client;
	enum clerktoken_error error;

	if (options && options_copy(&known, sizeof(known), OPTIONS_FIRST_SIZE, options) < 0)
		return failure_set(ret_failure, CLERKTOKEN_INVALID_ARGUMENT, OPTIONS_BAD_SIZE);
	client = mem_zalloc(sizeof(*client));
	if (!client || era_init(&client->era) < 0) {
		mem_free(client);
		return failure_set(ret_failure, CLERKTOKEN_NO_MEMORY, "out of memory");
	}
	client->refs = 1;
	tracking_init(&client->tracking, era_now(&client->era));
	error = set_socket(client, known.socket, ret_failure);
	if (error == CLERKTOKEN_OK && !known.no_copies)
		error = set_copies(client, known.copies_max_bytes, ret_failure);
	if (error == CLERKTOKEN_OK)
		*ret = client;
	else
		client_unref(client);
	return error;
}

struct clerktoken_client *client_ref(struct clerktoken_client *client)
{
	atomic_fetch_add_explicit(&client->refs, 1, memory_order_relaxed);
	return client;
}

void client_unref(struct clerktoken_client *client)
{
	if (atomic_fetch_sub_explicit(&client->refs, 1, memory_order_acq_rel) != 1)
		return;
	tracking_deinit(&client->tracking, era_now(&client->era));
	copies_deinit(&client->copies);
	pool_drain(&client->pool, era_now(&client->era));
	era_deinit(&client->era);
	mem_free(client->user_socket);
	mem_free(client->socket);
	mem_free(client);
}

void clerktoken_free(struct clerktoken_client *client)
{
	if (client)
		client_unref(client);
}

const char *clerktoken_socket(const struct clerktoken_client *client)
{
	if (client->user_socket && access(client->user_socket, F_OK) == 0)
		return client->user_socket;
	return client->socket;
}

const char *clerktoken_version(void)
{
	return CLERK_TOKEND_VERSION;
}
