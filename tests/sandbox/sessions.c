/*
 * sessions.c: the sessions.
 *
 * Model: the table holds only what differs from the rule: sessions that were created, and sessions
 * that ended. All others exist or don't by their name alone (or don't at all, when strict), so a
 * test may use any number of sessions without creating them.
 */
#include "sessions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "sess_"
#define PREFIX_MISSING "sess_missing"

struct session {
	struct table_node node; /* first: nodes are cast back */
	enum session_status status;
	bool created;
	int64_t created_ms;
	int64_t updated_ms;
	char user[sizeof(((struct session_view *)0)->user)];
	char id[];
};

static void session_free(struct table_node *node)
{
	free(node);
}

void sessions_init(struct sessions *sessions, bool strict, uint64_t seed, int64_t now_ms)
{
	*sessions = (struct sessions){ .strict = strict, .start_ms = now_ms };
	table_init(&sessions->table, seed);
}

void sessions_deinit(struct sessions *sessions)
{
	table_clear(&sessions->table, session_free);
}

bool session_id_is_valid(const char *id)
{
	size_t length = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789_-");

	return length > 0 && length <= SESSIONS_MAX_ID && !id[length];
}

static void default_user(const char *id, char *user, size_t size)
{
	size_t prefix = strncmp(id, PREFIX, strlen(PREFIX)) == 0 ? strlen(PREFIX) : 0;

	(void)snprintf(user, size, "user_%s", id + prefix);
}

static struct session *sessions_find(const struct sessions *sessions, const char *id)
{
	return (struct session *)table_find(&sessions->table, id);
}

void sessions_look_up(const struct sessions *sessions, const char *id,
		      struct session_view *ret_view)
{
	*ret_view = (struct session_view){ .created_ms = sessions->start_ms,
					   .updated_ms = sessions->start_ms };
	if (!session_id_is_valid(id))
		return;

	const struct session *session = sessions_find(sessions, id);
	if (session) {
		ret_view->status = session->status;
		ret_view->created_ms = session->created_ms;
		ret_view->updated_ms = session->updated_ms;
		memcpy(ret_view->user, session->user, sizeof(ret_view->user));
		return;
	}
	default_user(id, ret_view->user, sizeof(ret_view->user));
	if (!sessions->strict && strncmp(id, PREFIX, strlen(PREFIX)) == 0 &&
	    strncmp(id, PREFIX_MISSING, strlen(PREFIX_MISSING)) != 0)
		ret_view->status = SESSION_ACTIVE;
}

/* The session's own node, made if need be. */
static int sessions_ensure(struct sessions *sessions, const char *id, struct session **ret_session)
{
	struct session *session = sessions_find(sessions, id);

	if (session) {
		*ret_session = session;
		return 0;
	}
	if (sessions->table.n_nodes >= SESSIONS_MAX_COUNT)
		return -ENOSPC;
	size_t size = strlen(id) + 1;
	session = calloc(1, sizeof(*session) + size);
	if (!session)
		return -ENOMEM;
	memcpy(session->id, id, size);
	session->node.key = session->id;
	session->created_ms = sessions->start_ms;
	default_user(id, session->user, sizeof(session->user));
	int r = table_insert(&sessions->table, &session->node);
	if (r < 0) {
		free(session);
		return r;
	}
	*ret_session = session;
	return 0;
}

int sessions_create(struct sessions *sessions, const char *id, const char *user, int64_t now_ms)
{
	struct session *session = NULL;

	if (!session_id_is_valid(id) || (user && !session_id_is_valid(user)))
		return -EINVAL;
	int r = sessions_ensure(sessions, id, &session);
	if (r < 0)
		return r;
	session->status = SESSION_ACTIVE;
	session->created = true;
	session->created_ms = now_ms;
	session->updated_ms = now_ms;
	if (user)
		(void)snprintf(session->user, sizeof(session->user), "%s", user);
	return 0;
}

int sessions_end(struct sessions *sessions, const char *id, enum session_status status,
		 int64_t now_ms)
{
	struct session_view view;
	struct session *session = NULL;

	sessions_look_up(sessions, id, &view);
	if (view.status == SESSION_UNKNOWN)
		return -ENOENT;
	int r = sessions_ensure(sessions, id, &session);
	if (r < 0)
		return r;
	session->status = status;
	session->updated_ms = now_ms;
	return 0;
}

static int session_revive(struct table_node *node)
{
	struct session *session = (struct session *)node;

	session->status = SESSION_ACTIVE;
	return session->created;
}

void sessions_revive(struct sessions *sessions)
{
	table_filter(&sessions->table, session_revive, session_free);
}
