/* The requests and replies of the servers under measurement. No I/O.
 *
 * The key is the same in every protocol: a session (bench_session) and BENCH_TEMPLATE, 40 bytes
 * together. These functions run for each request: a slow client would make its server wait.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum protocol {
	PROTOCOL_TOKEND, /* "GET session template": one line */
	PROTOCOL_GET,	 /* memcached "get" */
	PROTOCOL_META,	 /* memcached "mg KEY v" */
	PROTOCOL_SET,	 /* memcached "set": fills it */
	PROTOCOL_HTTP,	 /* as Clerk's SDK asks for a token */
	PROTOCOL_COUNT,
};

enum {
	REPLY_MAX = 4096,  /* bytes of one reply, its end included */
	VALUE_MAX = 3072,  /* bytes of one value */
	REQUEST_MAX = 640, /* bytes of one request without a value */
};

struct reply {
	size_t size;	   /* bytes of the whole reply */
	const char *value; /* token or value, inside the bytes that were read; NULL: none (set) */
	size_t length;	   /* of the value */
};

/* The protocol that name stands for: tokend, get, meta, set, http. PROTOCOL_COUNT: none. */
enum protocol protocol_find(const char *name);

/* The most bytes that a request with a value of that length takes. */
size_t protocol_request_max(enum protocol protocol, size_t value_length);

/* Writes the request for session to the server at host, which HTTP wants to know, to out
 * (protocol_request_max bytes). Returns its length. */
size_t protocol_request(enum protocol protocol, const char *host, const char *session,
			size_t value_length, char *out);

/* Reads the reply to a request for session from the first bytes of text. False: more bytes are
 * needed. Dies (bench_die) on whatever is not a well-formed success for that session.
 */
bool protocol_reply(enum protocol protocol, const char *session, const char *text, size_t size,
		    struct reply *ret_reply);

/* Whether the claims of the JWT in reply name that session or, by the same 29 characters, the
 * user whom the sandbox gives it. The signature is not looked at.
 */
bool protocol_owns(const char *session, const struct reply *reply);
