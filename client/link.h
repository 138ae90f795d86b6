/* One connection's state on the wire: bytes in, bytes out. No system calls, so it serves calls that
 * block and callers with an event loop alike.
 *
 * Each request has a number of its own, its tag, so that an answer can't be taken for that of
 * another request, whatever the other side sends. Which numbers still wait for their answer is the
 * caller's to know. The input is bounded: one line of LINK_LINE_MAX bytes, and what is read at
 * once.
 */
#pragma once

#include "base/buf.h"
#include "proto/reply.h"
#include "proto/request.h"

/* The client doesn't know the daemon's max_token_size; a mebibyte is beyond all of them. */
#define LINK_LINE_MAX ((1u << 20) + WIRE_REPLY_OVERHEAD)
#define LINK_CHUNK 4096u	   /* is read at once, at least */
#define LINK_CHUNK_MAX (1u << 16)  /* and at most */
#define LINK_OUTPUT_MAX (1u << 14) /* bytes of requests that may wait to be sent */

struct link {
	struct buf in, out;
	size_t scanned;	   /* bytes at the front of `in` that hold no LF */
	uint64_t asked;	   /* the highest number of a request; 0: none yet */
	uint64_t answered; /* the number that the latest LINK_ANSWER is to */
	bool is_answering; /* a byte has come since the latest request */
};

enum link_next {
	LINK_ANSWER, /* to `answered`, which is no higher than `asked` */
	LINK_PUSH,
	LINK_REFUSAL, /* an error without a tag: the connection's last words */
	LINK_WANTS_INPUT,
};

void link_init(struct link *link);
void link_deinit(struct link *link);

/* Queues a request under the next number. 0, -EINVAL, -ENOMEM. */
int link_ask(struct link *link, const struct request *request);

/* The same under a number that the caller has chosen and that no other request has. */
int link_ask_as(struct link *link, const struct request *request, uint64_t number);

/* True if the longest request may be queued. */
bool link_has_room(const struct link *link);

/* What is to be sent; link_sent() says how much of it was. */
struct span link_output(const struct link *link);
void link_sent(struct link *link, size_t len);

/* Where bytes may be received to: `want` of them, at most LINK_CHUNK_MAX. NULL if there is no
 * memory. link_received() says how many came. The spans of replies taken before end here. */
char *link_input(struct link *link, size_t want);
void link_received(struct link *link, size_t len);

/* Takes the next reply or push; its spans borrow until the next link_input() or link_rest().
 * An enum link_next, or -EBADMSG: it is no reply, or not to us. */
int link_next(struct link *link, struct reply *ret);

/* True if nothing is on its way as far as is known. */
bool link_is_quiet(const struct link *link);

/* Wipes and gives back the input's memory, tokens in it included. */
void link_rest(struct link *link);
