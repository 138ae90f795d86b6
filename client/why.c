/* clerktoken_why(): who may have what, and which rule of the daemon's says so. */
#include "base/buf.h"
#include "client/call.h"
#include "client/failure.h"
#include "client/options.h"

static enum clerktoken_error invalid(const struct call *call, const char *text)
{
	return failure_set(call->failure, CLERKTOKEN_INVALID_ARGUMENT, text);
}

/* Numbers with commas between them. 0, -ENOMEM or -EMSGSIZE. */
static int list_groups(struct buf *to, const uint32_t *gids, size_t n)
{
	int result = 0;

	for (size_t i = 0; i < n && result == 0; i++) {
		if (i)
			result = buf_append(to, ",", 1);
		if (result == 0)
			result = buf_append_u64(to, gids[i]);
	}
	return result;
}

/* `groups` lends its bytes to the request. */
static enum clerktoken_error set_who(struct call *call, const struct clerktoken_who *who,
				     struct buf *groups)
{
	struct clerktoken_who w = { 0 };

	if (options_copy(&w, sizeof(w), WHO_FIRST_SIZE, who) < 0)
		return invalid(call, OPTIONS_BAD_SIZE);
	if (!w.has_uid && w.n_gids == 0 && !w.unit)
		return invalid(call, "somebody is a user, a group or a unit");
	if (w.n_gids > WIRE_GROUPS_MAX)
		return invalid(call, "at most 128 groups can be named");
	if (w.unit && (!*w.unit || strlen(w.unit) > WIRE_UNIT_MAX))
		return invalid(call, "a unit's name has 1 to 255 characters");
	if (list_groups(groups, w.gids, w.n_gids) < 0)
		return failure_set(call->failure, CLERKTOKEN_NO_MEMORY, "out of memory");
	call->request.has_uid = w.has_uid;
	call->request.uid = w.has_uid ? w.uid : 0;
	call->request.groups = buf_span(groups);
	call->request.unit = span_str(w.unit);
	return CLERKTOKEN_OK;
}

enum clerktoken_error clerktoken_why(struct clerktoken_client *client, const char *session,
				     const char *template_name, const struct clerktoken_who *who,
				     int timeout_ms, bool *ret_allowed, char **ret_text,
				     struct clerktoken_failure *ret_failure)
{
	__attribute__((cleanup(buf_deinit))) struct buf groups = BUF_INIT(WIRE_REQUEST_MAX * 2);
	cleanup_call struct call call = call_init(client, VERB_WHY, timeout_ms, ret_failure);
	enum clerktoken_error error = call_set_names(&call, session, template_name);

	if (error == CLERKTOKEN_OK && who)
		error = set_who(&call, who, &groups);
	if (error == CLERKTOKEN_OK)
		error = call_run(&call, REPLY_TEXT);
	if (error == CLERKTOKEN_OK)
		error = call_take_text(&call, ret_text);
	if (error == CLERKTOKEN_OK)
		*ret_allowed = span_starts(call.reply.text, "allowed");
	return error;
}
