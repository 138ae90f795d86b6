/* The fixture of tests that need a daemon that runs (test_client_daemon.h), and a client of it. */
#pragma once

#include "tests/unit/unit.h"

#include "client/clerktoken.h"
#include "tests/unit/test_client_daemon.h"

struct fixture {
	struct daemon *daemon;
	struct clerktoken_client *client;
	struct clerktoken_failure failure;
};

static inline int fixture_make(void **state, bool no_copies)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct clerktoken_options options = { .size = sizeof(options), .no_copies = no_copies };

	assert_non_null(f);
	f->daemon = daemon_new();
	daemon_run(f->daemon);
	options.socket = f->daemon->path;
	assert_int_equal(clerktoken_new(&options, &f->client, NULL), CLERKTOKEN_OK);
	*state = f;
	return 0;
}

/* Each get is a question to the daemon. */
static inline int fixture_setup(void **state)
{
	return fixture_make(state, true);
}

static inline int fixture_setup_copies(void **state)
{
	return fixture_make(state, false);
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	clerktoken_free(f->client);
	daemon_free(f->daemon);
	free(f);
	return 0;
}
