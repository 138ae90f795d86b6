/* sessions.h: which sessions exist, whose they are, and which have ended. */
#ifndef SANDBOX_SESSIONS_H
#define SANDBOX_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "table.h"

#define SESSIONS_MAX_COUNT 200000u
#define SESSIONS_MAX_ID 128u

enum session_status {
	SESSION_UNKNOWN,
	SESSION_ACTIVE,
	SESSION_ENDED,	 /* by the control interface */
	SESSION_REVOKED, /* by POST /v1/sessions/{id}/revoke */
};

struct sessions {
	struct table table;
	bool strict; /* only sessions that were created exist */
	int64_t start_ms;
};

/* What is known of one session. */
struct session_view {
	enum session_status status;
	char user[SESSIONS_MAX_ID + 8];
	int64_t created_ms; /* wall clock */
	int64_t updated_ms;
};

/* `now_ms` is wall time: sessions that simply exist began then. */
void sessions_init(struct sessions *sessions, bool strict, uint64_t seed, int64_t now_ms);

void sessions_deinit(struct sessions *sessions);

/* Whether it is 1 to 128 of the characters A-Z a-z 0-9 _ and -. */
bool session_id_is_valid(const char *id);

/* Looks a session up; its status says whether there is one. */
void sessions_look_up(const struct sessions *sessions, const char *id,
		      struct session_view *ret_view);

/* Creates a session, or begins it anew, of that user (NULL: one named after it). 0; -EINVAL for an
 * impossible name; -ENOSPC when there are too many; -ENOMEM. */
int sessions_create(struct sessions *sessions, const char *id, const char *user, int64_t now_ms);

/* Ends a session. 0; -ENOENT if it doesn't exist; -ENOSPC; -ENOMEM. */
int sessions_end(struct sessions *sessions, const char *id, enum session_status status,
		 int64_t now_ms);

/* Makes every session that ended active again; those that were created remain. */
void sessions_revive(struct sessions *sessions);

#endif
