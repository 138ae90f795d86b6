/* An asynchronous connection and what is under way on it: connecting, asking, answers, failures.
 * client/async.c is the interface to it. Nothing in here waits. */
#pragma once

#include "client/call.h"
#include "client/pending.h"

/* The members are those of flow.c; `client` and `all` are read by async.c too. */
struct clerktoken_async {
	struct clerktoken_client *client;
	int epoll;	   /* -1: not needed yet */
	uint32_t era;	   /* in which the epoll descriptor and the connection were made */
	struct conn *conn; /* or NULL */
	bool is_blocked;   /* it takes no more for now: its being writable is waited for */
	bool is_told;	   /* the watches know that there is no connection */
	struct pendings all;
	struct mono quiet;
	struct mono opened;   /* the connection */
	struct mono retry_at; /* when to connect, if there is no connection */
	int pause_ms;	      /* the next pause before connecting; 0: the shortest */
	int absence;	      /* why there is no connection; 0: not known */
	size_t room;	      /* for what is received next */
};

void flow_init(struct clerktoken_async *a, struct clerktoken_client *client);
void flow_deinit(struct clerktoken_async *a);

/* The first step of all that follows: the connection is one that may be used then, or there is
 * none. Returns the time. */
struct mono flow_enter(struct clerktoken_async *a);

/* Makes the epoll descriptor, if there is none. 0 or -errno. */
int flow_open(struct clerktoken_async *a);

/* Connects where that is due, and sends what is to be asked, as far as the socket takes it. */
void flow_ask(struct clerktoken_async *a, struct mono now);

/* Takes what has come, and ends what is late. */
void flow_take(struct clerktoken_async *a, struct mono now);

/* If it is a watch, tells the daemon to keep it renewed no more. */
void flow_unwatch(struct clerktoken_async *a, const struct pending *p, struct mono now);

/* When there is something to do, whatever comes; MONO_NEVER; {0}: now. */
struct mono flow_deadline(const struct clerktoken_async *a);
