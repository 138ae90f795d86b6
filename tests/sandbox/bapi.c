/*
 * bapi.c: routes of the Backend API, and what holds for all of them.
 *
 * Model: a request passes, in this order, the refusal of everything, the secret key, the rate limit
 * and the method; then its route's own function decides. The first to refuse has the last word. A
 * token request is counted before all of that: it did arrive.
 */
#include "bapi.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <openssl/crypto.h>

#include "clock.h"
#include "sandbox.h"
#include "tokencall.h"

#define BAPI_MAX_SEGMENTS 6u

enum route {
	ROUTE_NONE,
	ROUTE_PUBLIC_KEYS, /* the Frontend API's address for them, which needs no secret key */
	ROUTE_KEYS,
	ROUTE_SESSION,
	ROUTE_REVOKE,
	ROUTE_TOKEN,
};

static const char *const route_methods[] = {
	[ROUTE_NONE] = NULL,	 [ROUTE_PUBLIC_KEYS] = "GET", [ROUTE_KEYS] = "GET",
	[ROUTE_SESSION] = "GET", [ROUTE_REVOKE] = "POST",     [ROUTE_TOKEN] = "POST",
};

/* The names in a path, decoded; "" where there is none or it can't be one. */
struct names {
	char session[STATS_MAX_NAME];
	char template[STATS_MAX_NAME];
	bool has_template;
};

int bapi_refuse(struct bapi_call *call, enum api_error error, const char *detail)
{
	api_error_answer(error, detail, call->trace, call->answer);
	return -1;
}

void bapi_refuse_session(struct bapi_call *call, const char *session)
{
	(void)bapi_refuse(call, API_SESSION_NOT_FOUND, session);
}

struct segment {
	const char *start;
	size_t length;
};

/* Cuts a path at its slashes: the number of segments, or 0 for too many. */
static size_t cut_path(const char *path, struct segment *segments)
{
	size_t count = 0;

	while (*path == '/') {
		if (count == BAPI_MAX_SEGMENTS)
			return 0;
		path++;
		size_t length = strcspn(path, "/");
		segments[count++] = (struct segment){ path, length };
		path += length;
	}
	return count;
}

static bool segment_is(const struct segment *segment, const char *name)
{
	return segment->length == strlen(name) &&
	       memcmp(segment->start, name, segment->length) == 0;
}

static void decode_name(const struct segment *segment, char *name)
{
	if (http_decode_segment(segment->start, segment->length, name, STATS_MAX_NAME) < 0)
		name[0] = 0;
}

static enum route find_session_route(const struct segment *segments, size_t count,
				     struct names *names)
{
	decode_name(&segments[2], names->session);
	if (count == 3)
		return ROUTE_SESSION;
	if (count == 4 && segment_is(&segments[3], "revoke"))
		return ROUTE_REVOKE;
	if (!segment_is(&segments[3], "tokens") || count > 5)
		return ROUTE_NONE;
	names->has_template = count == 5;
	if (count == 5)
		decode_name(&segments[4], names->template);
	return count == 5 && segments[4].length == 0 ? ROUTE_NONE : ROUTE_TOKEN;
}

static enum route find_route(const char *path, struct names *names)
{
	struct segment segments[BAPI_MAX_SEGMENTS];
	size_t count = cut_path(path, segments);

	*names = (struct names){ .has_template = false };
	if (strcmp(path, "/.well-known/jwks.json") == 0)
		return ROUTE_PUBLIC_KEYS;
	if (count < 2 || !segment_is(&segments[0], "v1"))
		return ROUTE_NONE;
	if (count == 2 && segment_is(&segments[1], "jwks"))
		return ROUTE_KEYS;
	if (count >= 3 && segment_is(&segments[1], "sessions") && segments[2].length > 0)
		return find_session_route(segments, count, names);
	return ROUTE_NONE;
}

/* The index of the secret key that the request carries, or -1 with the refusal in the answer. */
static int check_key(struct bapi_call *call)
{
	const struct sandbox_setup *setup = call->sandbox->setup;
	const char *value = http_header_find(call->request, "Authorization");

	if (!value)
		return bapi_refuse(call, API_NOT_AUTHENTICATED, NULL);
	if (strncasecmp(value, "Bearer ", 7) != 0)
		return bapi_refuse(call, API_AUTHORIZATION_FORMAT, NULL);
	value += 7;
	value += strspn(value, " ");
	size_t length = strlen(value);
	for (size_t i = 0; i < setup->n_keys; i++) {
		if (strlen(setup->keys[i]) == length &&
		    CRYPTO_memcmp(setup->keys[i], value, length) == 0)
			return (int)i;
	}
	return bapi_refuse(call, API_KEY_INVALID, NULL);
}

static int check_limit(struct bapi_call *call, size_t key)
{
	int64_t wait_s = limit_take(&call->sandbox->config.limit, key, clock_mono_ms());

	if (wait_s == 0)
		return 0;
	text_printf(&call->answer->headers, "Retry-After: %" PRId64 "\r\n", wait_s);
	return bapi_refuse(call, API_TOO_MANY_REQUESTS, NULL);
}

static int check_method(struct bapi_call *call, enum route route)
{
	const char *method = route_methods[route];

	if (!method)
		return bapi_refuse(call, API_NOT_FOUND, NULL);
	if (strcmp(call->request->method, method) == 0)
		return 0;
	call->answer->status = 405;
	text_printf(&call->answer->headers, "Allow: %s\r\n", method);
	return -1;
}

static int check_all(struct bapi_call *call, enum route route)
{
	if (strncmp(call->request->path, "/v1/", 4) == 0) {
		int key = check_key(call);
		if (key < 0 || (route != ROUTE_KEYS && check_limit(call, (size_t)key) < 0))
			return -1;
	}
	return check_method(call, route);
}

static void answer_keys(struct bapi_call *call)
{
	answer_json(call->answer, 200);
	if (minter_key_set(&call->sandbox->minter, &call->answer->body) < 0)
		(void)bapi_refuse(call, API_INTERNAL, NULL);
}

static const char *status_name(enum session_status status)
{
	switch (status) {
	case SESSION_ENDED:
		return "ended";
	case SESSION_REVOKED:
		return "revoked";
	default:
		return "active";
	}
}

static void answer_session(struct bapi_call *call, const char *id)
{
	const int64_t day_ms = 86400000;
	struct session_view view;
	struct text *body = &call->answer->body;

	sessions_look_up(&call->sandbox->sessions, id, &view);
	if (view.status == SESSION_UNKNOWN) {
		bapi_refuse_session(call, id);
		return;
	}
	answer_json(call->answer, 200);
	text_puts(body, "{\"object\":\"session\",\"id\":");
	text_json(body, id);
	text_puts(body, ",\"user_id\":");
	text_json(body, view.user);
	text_printf(body,
		    ",\"client_id\":\"client_sandbox\",\"actor\":null,\"status\":\"%s\","
		    "\"last_active_organization_id\":null,\"last_active_at\":%" PRId64
		    ",\"expire_at\":%" PRId64 ",\"abandon_at\":%" PRId64 ",\"updated_at\":%" PRId64
		    ",\"created_at\":%" PRId64 "}",
		    status_name(view.status), view.updated_ms, view.created_ms + 7 * day_ms,
		    view.created_ms + 30 * day_ms, view.updated_ms, view.created_ms);
}

static void answer_revoke(struct bapi_call *call, const char *id)
{
	int r = sessions_end(&call->sandbox->sessions, id, SESSION_REVOKED, clock_wall_ms());

	if (r < 0 && r != -ENOENT)
		(void)bapi_refuse(call, API_INTERNAL, NULL);
	else
		answer_session(call, id);
}

static void start_call(struct bapi_call *call)
{
	struct sandbox *sandbox = call->sandbox;
	const struct sandbox_config *config = &sandbox->config;

	(void)snprintf(call->trace, sizeof(call->trace), "%016" PRIx64 "%016" PRIx64,
		       sandbox_draw(sandbox), sandbox_draw(sandbox));
	text_printf(&call->answer->headers, "Clerk-Trace-Id: %s\r\nX-Clerk-Trace-Id: %s\r\n",
		    call->trace, call->trace);
	call->answer->delay_ms = config->latency_ms;
	if (config->latency_jitter_ms > 0)
		call->answer->delay_ms +=
		    (int64_t)(sandbox_draw(sandbox) % (uint64_t)(config->latency_jitter_ms + 1));
}

void bapi_handle(struct sandbox *sandbox, const struct http_request *request, struct answer *answer)
{
	struct bapi_call call = { .sandbox = sandbox, .request = request, .answer = answer };
	struct token_stamp *last = NULL;
	struct names names;
	enum route route = find_route(request->path, &names);
	const char *template = names.has_template ? names.template : NULL;

	start_call(&call);
	if (route == ROUTE_TOKEN && strcmp(request->method, "POST") == 0)
		answer->ticket =
		    stats_begin(&sandbox->stats, names.session[0] ? names.session : NULL, template,
				clock_mono_ms(), &last);
	if (sandbox->config.refuse) {
		answer->delay_ms = 0;
		answer->delivery = ANSWER_CLOSE;
		return;
	}
	if (check_all(&call, route) < 0)
		return;
	if (route == ROUTE_TOKEN)
		token_call(&call, names.session, template, last);
	else if (route == ROUTE_SESSION)
		answer_session(&call, names.session);
	else if (route == ROUTE_REVOKE)
		answer_revoke(&call, names.session);
	else
		answer_keys(&call);
}
