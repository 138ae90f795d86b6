/* See webhook.h. */
#include "daemon/core/webhook.h"

#include "daemon/core/json.h"

#include <errno.h>

/* A message is taken while its timestamp is at most so far from now, on either side of it. */
#define KEEP_MS (INT64_C(2) * SVIX_TOLERANCE_S * MS_PER_S)

_Static_assert(SVIX_ID_MAX <= REPLAY_ID_MAX, "an id is remembered as a whole");

static bool ends_session(struct span type)
{
	return span_is(type, "session.ended") || span_is(type, "session.removed") ||
	       span_is(type, "session.revoked");
}

/* WEBHOOK_ENDED, WEBHOOK_OTHER or -ENOMEM. */
static int read_event(struct span body, struct webhook_session *ret)
{
	cleanup_json struct json *event = NULL;
	struct span type, id;
	int result = json_parse(body, &event);

	if (result)
		return result < 0 ? result : WEBHOOK_OTHER;
	if (!json_string(json_member(event, "type"), &type) || !ends_session(type) ||
	    !json_string(json_member(json_member(event, "data"), "id"), &id) ||
	    !wire_is_session(id))
		return WEBHOOK_OTHER;
	ret->len = id.len;
	memcpy(ret->id, id.ptr, id.len); /* WIRE_NAME_MAX at most */
	return WEBHOOK_ENDED;
}

static enum webhook_verdict refusal(enum svix_verdict verdict)
{
	if (verdict == SVIX_STALE)
		return WEBHOOK_STALE;
	return verdict == SVIX_FORGED ? WEBHOOK_FORGED : WEBHOOK_MALFORMED;
}

int webhook_judge(const struct svix_secrets *secrets, struct replay *replay, struct mono now,
		  struct wall clerk_now, const struct svix_message *message,
		  struct webhook_session *ret_session)
{
	struct webhook_session session;
	enum svix_verdict verdict;
	int64_t timestamp_s;
	int meaning;

	verdict = svix_verify(secrets, message, clerk_now, &timestamp_s);
	if (verdict != SVIX_GENUINE)
		return refusal(verdict);
	meaning = read_event(message->body, &session);
	if (meaning != WEBHOOK_ENDED)
		return meaning;
	switch (replay_note(replay, now, message->id, timestamp_s, KEEP_MS)) {
	case REPLAY_SAME:
		return WEBHOOK_REPLAYED;
	case REPLAY_AGAIN:
		return WEBHOOK_AGAIN;
	default:
		*ret_session = session;
		return WEBHOOK_ENDED;
	}
}

bool webhook_is_refused(enum webhook_verdict verdict)
{
	return verdict >= WEBHOOK_REPLAYED;
}

const char *webhook_verdict_name(enum webhook_verdict verdict)
{
	static const char *const names[WEBHOOK_VERDICTS] = {
		[WEBHOOK_ENDED] = "ended",	   [WEBHOOK_OTHER] = "other",
		[WEBHOOK_AGAIN] = "again",	   [WEBHOOK_REPLAYED] = "replayed",
		[WEBHOOK_MALFORMED] = "malformed", [WEBHOOK_STALE] = "stale",
		[WEBHOOK_FORGED] = "forged",
	};

	return names[verdict];
}
