/* sandbox.h: everything that one run of the sandbox consists of. */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"
#include "apierror.h"
#include "fault.h"
#include "http.h"
#include "limit.h"
#include "server.h"
#include "sessions.h"
#include "stats.h"
#include "token.h"

#define SANDBOX_MAX_TEMPLATES 256u
#define SANDBOX_MAX_TEMPLATE_NAME 128u
#define SANDBOX_MAX_LIFETIME_S 315360000
#define SANDBOX_MAX_SKEW_S 315360000

struct sandbox_template {
	char name[SANDBOX_MAX_TEMPLATE_NAME + 1];
	int64_t lifetime_s; /* 0: the usual one */
};

/* What the control interface can change. */
struct sandbox_config {
	int64_t latency_ms;
	int64_t latency_jitter_ms; /* at most so much is added, evenly */
	int64_t lifetime_s;
	int64_t token_size; /* 0: as long as they come */
	int64_t date_skew_s;
	int64_t ended_status;
	bool refuse;
	bool date;
	struct limit limit;
};

/* What is decided at the start, for good. */
struct sandbox_setup {
	const char *keys[LIMIT_MAX_KEYS];
	size_t n_keys;
	struct sandbox_template templates[SANDBOX_MAX_TEMPLATES];
	size_t n_templates; /* 0: every template exists but missing… */
	bool strict_sessions;
	bool fast;
	struct sandbox_config config;
};

struct sandbox {
	const struct sandbox_setup *setup;
	struct sandbox_config config;
	struct minter minter;
	struct sessions sessions;
	struct stats stats;
	struct faults faults;
	struct server server;
	uint64_t seed;
	uint64_t last_draw;
};

/* `setup` must outlive the sandbox; `base` and `tls` as for server_init. 0 or -errno; call
 * sandbox_deinit either way. */
int sandbox_init(struct sandbox *sandbox, const struct sandbox_setup *setup,
		 struct event_base *base, SSL_CTX *tls);

void sandbox_deinit(struct sandbox *sandbox);

/* A pseudo-random number, for jitter and trace ids. */
uint64_t sandbox_draw(struct sandbox *sandbox);

/* Seconds since 1970 on Clerk's clock, which may be off. */
int64_t sandbox_wall_s(const struct sandbox *sandbox);

#endif
