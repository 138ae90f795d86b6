/* What may pass through the daemon to Clerk's Backend API, and what that means: which parts of a
 * message belong to one connection and stay there, which request may change a session, and how it
 * is said that Clerk gave no answer.
 */
#pragma once

#include "base/span.h"
#include "daemon/core/answer.h"
#include "daemon/core/httphead.h"
#include "proto/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PASSAGE_TARGET_MAX 8192 /* bytes */
#define PASSAGE_FIELDS_MAX 128
#define PASSAGE_TIMES 4 /* as many pass at a time as there may be connections for tokens */

/* A method that Clerk's API may know; a target that is a path and query, so that no other host can
 * be meant; fields without bytes that could be understood as something else. */
bool passage_is_acceptable(struct span method, struct span target, const struct httpfield *fields,
			   size_t n_fields);
bool passage_field_is_acceptable(const struct httpfield *field);

/* Whether it is of one connection only (RFC 9110, 7.6.1), or says where a body ends, which each
 * connection says in its own way: it is not passed on. `fields` are those that it came with. */
bool passage_field_stays(struct span name, const struct httpfield *fields, size_t n_fields);

/* A method that may be repeated without harm (RFC 9110, 9.2.2). */
bool passage_is_idempotent(struct span method);

/* GET of the instance's public keys, all of it. */
bool passage_is_jwks(struct span method, struct span target);

/* The session that the request may change, if Clerk doesn't refuse it; SPAN_NONE: none. Whatever is
 * done to a session but reading it counts, as the tokens that are kept are easily had again. */
struct span passage_session(struct span method, struct span target);

/* Why there is no answer of Clerk's, in terms of HTTP and of Clerk's errors. Static texts. */
struct relay_failure {
	int status;
	const char *code, *message;
	int64_t retry_ms; /* when it may do better; -1: not known, or never */
};

struct relay_failure passage_failure(enum transport transport);
struct relay_failure passage_refusal(const struct reply *error);
