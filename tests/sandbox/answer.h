/* answer.h: what is to be answered to one request, and how it is to be delivered. */
#ifndef SANDBOX_ANSWER_H
#define SANDBOX_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

enum answer_delivery {
	ANSWER_WHOLE,
	ANSWER_CHUNKED, /* in chunks, without a Content-Length */
	ANSWER_HALF,	/* half of the body, then the connection closes */
	ANSWER_STALL,	/* half of the body, then nothing */
	ANSWER_HANG,	/* nothing, and the connection stays open */
	ANSWER_GARBAGE, /* bytes that aren't HTTP, then the connection closes */
	ANSWER_CLOSE,	/* the connection closes */
	ANSWER_RESET,	/* the connection is reset (TCP RST) */
};

#define ANSWER_MAX_CONTENT_TYPE 256u

/* All zero is an answer to be filled in. */
struct answer {
	int status;
	char content_type[ANSWER_MAX_CONTENT_TYPE]; /* none while "" */
	struct text headers;			    /* further header lines, each with CR LF */
	struct text body;
	enum answer_delivery delivery;
	int64_t delay_ms;
	int64_t date_s;	 /* for the Date header; 0: no such header */
	uint64_t ticket; /* the call's number in the statistics; 0: not counted there */
};

/* Frees what the answer holds and leaves an empty one. */
void answer_deinit(struct answer *answer);

/* Sets the content type; what is too long is cut. */
void answer_content_type(struct answer *answer, const char *content_type);

/* Starts a JSON answer: sets status and content type and drops any body. */
void answer_json(struct answer *answer, int status);

/* Appends the head of the answer, empty line included. `keep_alive_1_0` says that an HTTP/1.0
 * client asked for the connection to stay open. */
void answer_add_head(const struct answer *answer, bool close, bool keep_alive_1_0,
		     struct text *text);

/* Whether an answer of this status has a body at all (RFC 9110 section 6.4.1). */
bool answer_has_body(const struct answer *answer);

#endif
