/* Replies and pushes: written by the daemon, parsed by clients. Grammar: PROTOCOL.md, "Replies". */
#pragma once

#include "base/buf.h"
#include "proto/wire.h"

#define RETRY_NEVER (-1)

/* A token as it is handed out. The bytes are borrowed. Written is `text`; `jwt`, `id` and `exp_s`
 * are what was parsed. */
struct token_view {
	struct span text; /* JWT id=ID exp=UNIX */
	struct span jwt;
	uint64_t id;	  /* the same for the same token; safe to log */
	uint64_t exp_s;	  /* the token's own claim, Unix seconds */
	int64_t ttl_ms;	  /* life left; never negative, nor is `reuse_ms` */
	int64_t reuse_ms; /* how long a client may hand out its own copy */
	enum token_state state;
	enum token_source source;
};

enum reply_type {
	REPLY_TOKEN,
	REPLY_DONE,    /* OK, nothing more */
	REPLY_DROPPED, /* OK dropped=N */
	REPLY_TEXT,    /* OK and `text`: pong, the greeting, the statistics */
	REPLY_ERROR,
	PUSH_TOKEN,
	PUSH_GONE,
	PUSH_DROP,
	PUSH_OTHER, /* a push that this version doesn't know: to be ignored (parsed only) */
};

struct reply {
	enum reply_type type;
	struct span tag;
	struct token_view token;
	uint64_t dropped;
	enum code code;	      /* REPLY_ERROR, PUSH_GONE; CODE_COUNT: one that is not known here */
	int64_t retry_ms;     /* REPLY_ERROR: RETRY_NEVER, or when it may be worth asking again */
	struct span text;     /* REPLY_ERROR, REPLY_TEXT */
	struct span refusal;  /* REPLY_ERROR: Clerk's own, for who speaks HTTP; not on the wire */
	struct span session;  /* pushes */
	struct span template; /* pushes, as on the wire: "-" the plain token, "*" all */
};

/* An error with the code's own sentence where `text` is NULL. A permanent code has no retry. */
struct reply reply_error(enum code code, int64_t retry_ms, const char *text);

/* Appends the line with its LF. 0, -ENOMEM, -EMSGSIZE; nothing is appended on failure. */
int reply_write(struct buf *to, const struct reply *reply);

/* The same for what most replies are: an untagged one, of a token that is fresh and from memory,
 * whatever `token` says of that. */
int reply_write_hit(struct buf *to, const struct token_view *token);

/* Parses a line (without its LF) that answers a request or is a push; the spans of *ret borrow from
 * it. Unknown fields are ignored. 0, or -EBADMSG where the line is no reply. */
int reply_parse(struct span line, struct reply *ret);
