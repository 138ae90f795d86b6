/* The event loop: libevent's base, the signals, and the one timer. */
#pragma once

#include "base/instant.h"

struct event_base;
struct loop;

struct loop_callbacks {
	void (*timer)(void *arg);
	void (*signal)(void *arg, int number); /* SIGTERM, SIGINT, SIGHUP */
	void (*turn)(void *arg);	       /* at the end of each wake */
	void *arg;
};

/* Once in a process, before loop_new(): libevent uses our allocator. */
void loop_global_init(void);

/* 0 or negative errno. */
int loop_new(const struct loop_callbacks *callbacks, struct loop **ret);
void loop_free(struct loop *l);

struct event_base *loop_base(struct loop *l);

/* Calls `timer` at that time, once; replaces what was armed before. */
void loop_arm(struct loop *l, struct mono at);

/* Runs until loop_stop(). 0, or -EIO if the backend fails. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);
