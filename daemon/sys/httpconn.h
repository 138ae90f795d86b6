/* A connection of the HTTP server's, which is its exchange, too: there is one
 * at a time.
 *
 * States:  HEAD      waits for a request
 *          EXCHANGE  the handler has it, until the answer and the body are
 * through LINGER    all is said; what still comes is thrown away until the
 * client closes, since a close with input unread would be a reset, which may
 * take the answer with it DEAD      freed as soon as nobody is in the middle of
 * using it
 *
 * What one wake reads stands in a buffer that all connections share, the head
 * that is being looked at too, and most answers leave from another: nothing is
 * allocated for a request that is answered at once. What is left over stays
 * with the connection.
 */
#pragma once

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "daemon/core/httpbody.h"
#include "daemon/core/httpdate.h"
#include "daemon/sys/http.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#define HTTP_READ_SIZE 16384
#define HTTP_IN_MAX (HTTPHEAD_MAX + HTTP_READ_SIZE)
#define HTTP_OUT_MAX (4 * 1024 * 1024) /* bytes of an answer given at once */
#define HTTP_OUT_HIGH HTTP_PIECE_MAX   /* no more pieces are taken */
#define HTTP_BODY_ROOM HTTP_PIECE_MAX  /* bytes of a body in pieces that wait for the handler */

enum http_state {
	HTTP_HEAD,
	HTTP_EXCHANGE,
	HTTP_LINGER,
	HTTP_DEAD,
};

/* What is done with the body. */
enum http_intake {
	INTAKE_NONE, /* it is not read yet */
	INTAKE_COLLECT,
	INTAKE_STREAM,
	INTAKE_SKIP,
};

enum http_answered {
	ANSWER_OWED,
	ANSWER_BEGUN,
	ANSWER_WHOLE, /* the handler has forgotten the exchange */
};

/* What it waits for its client to do. */
enum http_phase {
	PHASE_NONE,
	PHASE_IDLE,
	PHASE_HEAD,
	PHASE_BODY,
	PHASE_WRITE,
	PHASE_LINGER,
};

/* A head that is kept while its answer is made. */
struct http_held {
	struct httphead head;
	char text[];
};

struct http_exchange {
	struct event event;
	struct http_server *owner;
	struct list node; /* owner->all */
	struct heap_node timer;
	struct mono deadline; /* `timer` may stand for an earlier one */
	void *peer, *data;
	struct buf in;	 /* what has come, and waits for its turn */
	struct buf body; /* of the request, decoded */
	struct buf out;
	const struct httphead *head; /* owner->head, or held */
	struct http_held *held;
	struct httpbody rest; /* of the body, as it has been read */
	size_t seen;	      /* bytes of `in` that are no whole head */
	size_t body_max;      /* what may be in `body`; of INTAKE_SKIP, what may be skipped */
	int64_t answer_left;  /* bytes of the answer that was begun; HTTP_UNKNOWN: in
				 chunks */
	uint8_t state, intake, answered, phase, events;
	bool is_running;      /* the handler may be in the middle of it */
	bool unread;	      /* more may have come than was read, and no event will tell */
	bool end_is_near;     /* so it will be read to its end */
	bool is_new;	      /* it has not had a request yet */
	bool has_ended;	      /* the client will say no more */
	bool progress;	      /* its time runs anew */
	bool keeps;	      /* the connection lives on after the exchange */
	bool bare;	      /* the answer has no body, whatever is written */
	bool unframed;	      /* its end is the connection's */
	bool is_refused;      /* by the server itself */
	bool awaits_continue; /* the client does, before it sends the body */
	bool has_news;	      /* of the body, for the handler */
	bool awaits_room;     /* the handler does */
};

struct http_server {
	struct event_base *base;
	struct http_config config;
	const struct http_handler *handler;
	void *arg;
	struct listener *listener;
	struct list all; /* who has been quiet the longest comes first */
	size_t count;
	struct heap timers;
	struct event timer;
	struct mono armed_at;
	bool is_draining;
	int64_t date_s;
	char date[HTTPDATE_SIZE];
	struct httphead head;
	struct span head_text;
	struct span input; /* in `in`: of the connection that is being run */
	struct buf out;
	char in[HTTP_IN_MAX];
};

/* Sends what waits. */
void http_flush(struct http_exchange *x);

/* Tells the client to send the body, if it waits for that. */
void http_continue(struct http_exchange *x);

/* Its end will be a reset. */
void http_cut(struct http_exchange *x);

/* An answer of the server's own; the connection closes. */
void http_refuse(struct http_exchange *x, int status, const char *text);

/* Has it looked at, once nobody is in the middle of using it. */
void http_touch(struct http_exchange *x);

/* Takes over an accepted socket; NULL, and the socket stays the caller's, where
 * it can't be had. To be settled then. */
struct http_exchange *http_exchange_new(struct http_server *s, int fd);
void http_exchange_free(struct http_exchange *x);

/* At the end of each run: it is freed, or waits for what it waits for. */
void http_settle(struct http_exchange *x, struct mono now);

/* The server stops: who has just connected has a request under way, and may send it, as may who has
 * begun to; the connection is closed else. */
void http_drain(struct http_exchange *x, struct mono now);

/* Its client had so much time, and no more. */
void http_expire(struct http_exchange *x);

/* Sets the server's timer to the first deadline. */
void http_arm(struct http_server *s, struct mono now);
