/* The instance's public keys (GET /v1/jwks): fetched from BAPI when somebody wants them and what is
 * known is too old (core/jwks.h). BAPI doesn't count these requests, so they take no place in the
 * budget.
 */
#pragma once

#include "daemon/core/jwks.h"
#include "daemon/sys/exchange.h"

struct keyset;

/* `over` says that a fetch has ended, whatever came of it. 0 or -ENOMEM. */
int keyset_new(struct exchanges *exchanges, void (*over)(void *arg), void *arg,
	       struct keyset **ret);
void keyset_free(struct keyset *k);

/* They are another Clerk's from now on, or may be. Strings and key are copied. 0 or -ENOMEM. */
int keyset_configure(struct keyset *k, const char *api_url, const char *api_version,
		     const struct secret *key);

/* JWKS_READY, JWKS_WAIT (until `over`) or JWKS_NONE. */
enum jwks_state keyset_ask(struct keyset *k, struct mono now);

/* What there is for who waited. `generation` changes with the keys. */
struct keyset_view {
	enum jwks_state state;
	struct span type, body;
	uint64_t generation;
};

struct keyset_view keyset_view(const struct keyset *k, struct mono now);
