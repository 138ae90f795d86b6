/* One call of the public interface, from its arguments to its reply. */
#pragma once

#include "client/clerktoken.h"
#include "client/sync.h"

struct call {
	struct clerktoken_client *client;
	struct request request;
	bool derives_wait; /* the request's wait from the deadline */
	struct deadline deadline;
	struct clerktoken_failure *failure; /* of the caller, or NULL */
	struct conn *conn;		    /* lends `reply` its bytes; see call_finish() */
	struct reply reply;
};

struct call call_init(struct clerktoken_client *client, enum verb verb, int timeout_ms,
		      struct clerktoken_failure *failure);

/* Each checks what goes into the request; the strings are borrowed. */
enum clerktoken_error call_set_names(struct call *call, const char *session,
				     const char *template_name);
enum clerktoken_error call_set_options(struct call *call,
				       const struct clerktoken_get_options *options);

/* Asks. An ERR, or another reply than `expected`, is an error. call_finish() in any case. */
enum clerktoken_error call_run(struct call *call, enum reply_type expected);

/* The token that was answered, made for what was asked. */
enum clerktoken_error call_take_token(struct call *call, struct clerktoken_token **ret);

/* A copy of the text that was answered, to be freed with clerktoken_string_free(). */
enum clerktoken_error call_take_text(struct call *call, char **ret);

/* Gives the connection back to the pool. */
void call_finish(struct call *call);

#define cleanup_call __attribute__((cleanup(call_finish)))
