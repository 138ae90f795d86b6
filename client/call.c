/* See call.h; and the calls that are one request and one reply. */
#include "client/call.h"

#include "base/mem.h"
#include "client/failure.h"
#include "client/options.h"
#include "client/own.h"
#include "client/token.h"

struct call call_init(struct clerktoken_client *client, enum verb verb, int timeout_ms,
		      struct clerktoken_failure *failure)
{
	return (struct call){
		.client = client,
		.request = { .verb = verb },
		.deadline = deadline_in_ms(timeout_ms < 0 ? 0 : timeout_ms),
		.failure = failure,
	};
}

static enum clerktoken_error invalid(struct call *call, const char *text)
{
	return failure_set(call->failure, CLERKTOKEN_INVALID_ARGUMENT, text);
}

enum clerktoken_error call_set_names(struct call *call, const char *session,
				     const char *template_name)
{
	struct span template = span_str(template_name);

	call->request.session = span_str(session);
	if (!wire_is_session(call->request.session))
		return invalid(call, "a session id is 1 to 128 of A-Z a-z 0-9 _ -");
	if (!template_name || span_is(template, WIRE_NO_TEMPLATE))
		return CLERKTOKEN_OK;
	if (!wire_is_template(template))
		return invalid(call, "a template's name is 1 to 128 of A-Z a-z 0-9 _ - . ~");
	call->request.template = template;
	return CLERKTOKEN_OK;
}

/* What is wrong with them, or NULL and they are in the request. */
static const char *read_options(const struct clerktoken_get_options *options, struct request *r)
{
	struct clerktoken_get_options o = { 0 };

	if (options_copy(&o, sizeof(o), GET_OPTIONS_FIRST_SIZE, options) < 0)
		return OPTIONS_BAD_SIZE;
	if (o.has_min_ttl && o.min_ttl_s > WIRE_TTL_MAX_S)
		return "min_ttl is at most 315360000 seconds";
	if (o.has_wait && o.wait_ms > WIRE_WAIT_MAX_MS)
		return "wait is at most 3600000 milliseconds";
	if (o.expires_in_s &&
	    (o.expires_in_s < WIRE_EXPIRES_IN_MIN_S || o.expires_in_s > WIRE_TTL_MAX_S))
		return "expires_in is 30 to 315360000 seconds";
	if (o.refused_id && span_parse_hex64(span_str(o.refused_id), &r->not_id) < 0)
		return "a token's id is 16 hex digits, in lower case";
	r->has_not = o.refused_id;
	r->has_min_ttl = o.has_min_ttl;
	r->min_ttl_s = o.has_min_ttl ? o.min_ttl_s : 0;
	r->has_wait = o.has_wait;
	r->wait_ms = o.has_wait ? o.wait_ms : 0;
	r->expires_in_s = o.expires_in_s;
	return NULL;
}

enum clerktoken_error call_set_options(struct call *call,
				       const struct clerktoken_get_options *options)
{
	const char *wrong = options ? read_options(options, &call->request) : NULL;

	if (wrong)
		return invalid(call, wrong);
	call->derives_wait = !call->request.has_wait;
	return CLERKTOKEN_OK;
}

enum clerktoken_error call_run(struct call *call, enum reply_type expected)
{
	int result = sync_ask(call->client, &call->request, call->derives_wait, call->deadline,
			      &call->conn, &call->reply);

	if (result < 0)
		return failure_set_system(call->failure, result, clerktoken_socket(call->client));
	if (call->reply.type == REPLY_ERROR)
		return failure_set_reply(call->failure, &call->reply);
	if (call->reply.type == expected)
		return CLERKTOKEN_OK;
	call->conn->is_spent = true;
	return failure_set(call->failure, CLERKTOKEN_PROTOCOL,
			   clerktoken_error_text(CLERKTOKEN_PROTOCOL));
}

/* When the daemon said it lies between the question and the answer, and not after `wait`. From the
 * cache it answers at once. So a process that was stopped meanwhile doesn't think a token young. */
static struct mono said_at(const struct call *call)
{
	struct mono asked = call->conn->asked;

	if (call->reply.token.source == SOURCE_CACHE)
		return asked;
	return mono_min(clock_boot(), mono_add_ms(asked, (int64_t)call->request.wait_ms));
}

enum clerktoken_error call_take_token(struct call *call, struct clerktoken_token **ret)
{
	enum clerktoken_source source = (enum clerktoken_source)call->reply.token.source;
	struct token_key key = own_key(&call->request);

	if (token_new_for(&key, &call->reply.token, said_at(call), source, ret) < 0)
		return failure_set(call->failure, CLERKTOKEN_NO_MEMORY, "out of memory");
	return CLERKTOKEN_OK;
}

enum clerktoken_error call_take_text(struct call *call, char **ret)
{
	struct span said = call->reply.text;
	char *text = mem_alloc(said.len + 1);

	if (!text)
		return failure_set(call->failure, CLERKTOKEN_NO_MEMORY, "out of memory");
	memcpy(text, said.ptr, said.len);
	text[said.len] = '\0';
	*ret = text;
	return CLERKTOKEN_OK;
}

void call_finish(struct call *call)
{
	struct conn *conn = call->conn;

	call->conn = NULL;
	if (!conn)
		return;
	if (conn->is_spent || !link_is_quiet(&conn->link)) {
		conn_close(conn);
		return;
	}
	link_rest(&conn->link);
	pool_put(&call->client->pool, conn);
}

/* The own copy, if there is one. Arguments that are wrong find none, and are complained of later.
 */
static struct clerktoken_token *get_own(struct clerktoken_client *client, const char *session,
					const char *template_name,
					const struct clerktoken_get_options *options)
{
	struct request r = { .session = span_str(session), .template = span_str(template_name) };

	if (span_is(r.template, WIRE_NO_TEMPLATE))
		r.template = SPAN_NONE;
	else if (template_name && r.template.len == 0)
		return NULL;
	if (options && read_options(options, &r))
		return NULL;
	return own_find(client, &r);
}

static enum clerktoken_error get_asking(struct call *call, struct clerktoken_token **ret)
{
	struct own_ticket ticket = own_expect(call->client, &call->request);
	enum clerktoken_error error = call_run(call, REPLY_TOKEN);
	struct clerktoken_token *token;

	if (error == CLERKTOKEN_OK)
		error = call_take_token(call, &token);
	if (error != CLERKTOKEN_OK)
		return error;
	own_keep(call->client, ticket, call->conn, token);
	*ret = token;
	return CLERKTOKEN_OK;
}

static enum clerktoken_error get(struct clerktoken_client *client, const char *session,
				 const char *template_name,
				 const struct clerktoken_get_options *options, int timeout_ms,
				 struct clerktoken_token **ret,
				 struct clerktoken_failure *ret_failure)
{
	cleanup_call struct call call = call_init(client, VERB_GET, timeout_ms, ret_failure);
	enum clerktoken_error error = call_set_names(&call, session, template_name);

	if (error == CLERKTOKEN_OK)
		error = call_set_options(&call, options);
	return error == CLERKTOKEN_OK ? get_asking(&call, ret) : error;
}

enum clerktoken_error clerktoken_get(struct clerktoken_client *client, const char *session,
				     const char *template_name,
				     const struct clerktoken_get_options *options, int timeout_ms,
				     struct clerktoken_token **ret,
				     struct clerktoken_failure *ret_failure)
{
	struct clerktoken_token *own = get_own(client, session, template_name, options);

	if (!own)
		return get(client, session, template_name, options, timeout_ms, ret, ret_failure);
	*ret = own;
	return CLERKTOKEN_OK;
}

static enum clerktoken_error run_drop(struct call *call, uint64_t *ret_dropped)
{
	enum clerktoken_error error = call_run(call, REPLY_DROPPED);

	own_drop(call->client, &call->request); /* whatever came of it */
	if (error == CLERKTOKEN_OK && ret_dropped)
		*ret_dropped = call->reply.dropped;
	return error;
}

enum clerktoken_error clerktoken_drop(struct clerktoken_client *client, const char *session,
				      const char *template_name, int timeout_ms,
				      uint64_t *ret_dropped, struct clerktoken_failure *ret_failure)
{
	cleanup_call struct call call = call_init(client, VERB_DROP, timeout_ms, ret_failure);
	enum clerktoken_error error = call_set_names(&call, session, template_name);

	return error == CLERKTOKEN_OK ? run_drop(&call, ret_dropped) : error;
}

enum clerktoken_error clerktoken_drop_session(struct clerktoken_client *client, const char *session,
					      int timeout_ms, uint64_t *ret_dropped,
					      struct clerktoken_failure *ret_failure)
{
	cleanup_call struct call call = call_init(client, VERB_DROP, timeout_ms, ret_failure);
	enum clerktoken_error error = call_set_names(&call, session, NULL);

	call.request.all_templates = true;
	return error == CLERKTOKEN_OK ? run_drop(&call, ret_dropped) : error;
}

enum clerktoken_error clerktoken_flush(struct clerktoken_client *client, int timeout_ms,
				       uint64_t *ret_dropped,
				       struct clerktoken_failure *ret_failure)
{
	cleanup_call struct call call = call_init(client, VERB_FLUSH, timeout_ms, ret_failure);

	return run_drop(&call, ret_dropped);
}

enum clerktoken_error clerktoken_ping(struct clerktoken_client *client, int timeout_ms,
				      struct clerktoken_failure *ret_failure)
{
	cleanup_call struct call call = call_init(client, VERB_PING, timeout_ms, ret_failure);

	return call_run(&call, REPLY_TEXT);
}

enum clerktoken_error clerktoken_stats(struct clerktoken_client *client, int timeout_ms,
				       char **ret_json, struct clerktoken_failure *ret_failure)
{
	cleanup_call struct call call = call_init(client, VERB_STATS, timeout_ms, ret_failure);
	enum clerktoken_error error = call_run(&call, REPLY_TEXT);

	return error == CLERKTOKEN_OK ? call_take_text(&call, ret_json) : error;
}

void clerktoken_string_free(char *string)
{
	mem_free(string);
}
