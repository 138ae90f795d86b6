/* A request line, parsed and written. Grammar: PROTOCOL.md, "Requests". */
#pragma once

#include "base/buf.h"
#include "proto/wire.h"

struct request {
	enum verb verb;
	struct span tag;      /* empty: none */
	struct span session;  /* GET, WATCH, UNWATCH, DROP */
	struct span template; /* empty: the plain session token */
	bool all_templates;   /* DROP without a template */
	bool on;	      /* TRACK */
	bool has_min_ttl, has_wait, has_not;
	uint64_t min_ttl_s, wait_ms;
	uint64_t expires_in_s; /* 0: the template's own lifetime */
	uint64_t not_id;
	uint64_t version;   /* HELLO */
	bool has_uid;	    /* WHY: about that caller, not this one, as is one of the next two */
	uint64_t uid;	    /* WHY */
	struct span groups; /* WHY: numbers with commas between them; see request_next_group() */
	struct span unit;   /* WHY */
};

struct request_error {
	enum code code;
	const char *text; /* static; what is wrong */
	bool close;	  /* the peer speaks something else: answer, then close */
};

/* Parses a line (without its LF); the spans of *ret borrow from it. On failure *ret holds the tag,
 * if it could be read, so that the error can carry it. 0, or -EBADMSG and *ret_error set. */
int request_parse(struct span line, struct request *ret, struct request_error *ret_error);

/* Appends the line with its LF. Names are checked: what could not be parsed is never written.
 * 0, -EINVAL (a name or number out of the grammar), -ENOMEM, -EMSGSIZE. */
int request_write(struct buf *to, const struct request *request);

/* Takes the next number off a list of groups that was parsed; false if there is none. */
bool request_next_group(struct span *rest, uint32_t *ret);

/* True for a request line of HTTP/1.x: a browser or a confused proxy. */
bool request_is_http(struct span line);
