/* The fixture of tests of the asynchronous interface, and an event loop of a few lines. */
#pragma once

#include "tests/unit/unit.h"

#include "client/clerktoken.h"
#include "tests/unit/test_client_daemon.h"

#include <time.h>

#define ENOUGH_MS 10000 /* for what should take no time at all */

struct fixture {
	struct daemon *daemon;
	struct clerktoken_client *client;
	struct clerktoken_async *async;
	struct clerktoken_failure failure;
	struct clerktoken_event event;
};

static inline int make(void **state, bool no_copies)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct clerktoken_options options = { .size = sizeof(options), .no_copies = no_copies };

	assert_non_null(f);
	f->daemon = daemon_new();
	daemon_run(f->daemon);
	options.socket = f->daemon->path;
	assert_int_equal(clerktoken_new(&options, &f->client, NULL), CLERKTOKEN_OK);
	assert_int_equal(clerktoken_async_new(f->client, &f->async, &f->failure), CLERKTOKEN_OK);
	*state = f;
	return 0;
}

static inline int setup(void **state)
{
	return make(state, true);
}

static inline int setup_with_copies(void **state)
{
	return make(state, false);
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	clerktoken_free(f->client); /* before what uses it: allowed */
	clerktoken_async_free(f->async);
	daemon_free(f->daemon);
	free(f);
	return 0;
}

static inline int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One turn of an event loop. */
static inline void turn(struct fixture *f, int limit_ms)
{
	struct pollfd pollfd = { .fd = clerktoken_async_fd(f->async), .events = POLLIN };
	int timeout_ms = clerktoken_async_timeout_ms(f->async);

	if (timeout_ms < 0 || timeout_ms > limit_ms)
		timeout_ms = limit_ms;
	assert_true(poll(&pollfd, 1, timeout_ms) >= 0);
	clerktoken_async_dispatch(f->async);
}

/* The next event; its token and text are given back. */
static inline enum clerktoken_error next(struct fixture *f)
{
	int64_t end = now_ms() + ENOUGH_MS;

	while (!clerktoken_async_next(f->async, &f->event)) {
		assert_true(now_ms() < end);
		turn(f, ENOUGH_MS);
	}
	assert_true((f->event.error == CLERKTOKEN_OK) == (f->event.failure.error == CLERKTOKEN_OK));
	return f->event.error;
}

static inline void expect_token(struct fixture *f, const char *id, bool is_over)
{
	assert_int_equal(next(f), CLERKTOKEN_OK);
	assert_non_null(f->event.token);
	assert_string_equal(clerktoken_token_id(f->event.token), id);
	assert_true(f->event.is_over == is_over);
	clerktoken_token_unref(f->event.token);
}

static inline uint64_t get(struct fixture *f, const char *session, int timeout_ms)
{
	uint64_t id = 0;

	assert_int_equal(
	    clerktoken_async_get(f->async, session, NULL, NULL, timeout_ms, NULL, &id, &f->failure),
	    CLERKTOKEN_OK);
	assert_true(id > 0);
	return id;
}

static inline uint64_t watch(struct fixture *f, const char *session)
{
	uint64_t id = 0;

	assert_int_equal(
	    clerktoken_async_watch(f->async, session, "t", NULL, ENOUGH_MS, f, &id, &f->failure),
	    CLERKTOKEN_OK);
	return id;
}
