/*
 * control.c: the control interface.
 *
 * Model: JSON in, JSON out, effective at once, without a key: whoever can reach the loopback
 * interface may steer a sandbox. It is strict: what it doesn't know is an error, with a message
 * for a person.
 */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cjson/cJSON.h>

#include "clock.h"
#include "config.h"
#include "json.h"
#include "sandbox.h"

static const char sessions_path[] = "/sandbox/sessions/";
static const char end_suffix[] = "/end";

struct control_call {
	struct sandbox *sandbox;
	const struct http_request *request;
	struct answer *answer;
	cJSON *json; /* the body; NULL if it holds none */
};

static void refuse(struct control_call *call, int status, const char *message, const char *detail)
{
	answer_json(call->answer, status);
	text_puts(&call->answer->body, "{\"error\":\"");
	text_puts(&call->answer->body, message);
	text_puts(&call->answer->body, "\"");
	if (detail) {
		text_puts(&call->answer->body, ",\"detail\":");
		text_json(&call->answer->body, detail);
	}
	text_puts(&call->answer->body, "}");
}

static void accept_call(struct control_call *call)
{
	answer_json(call->answer, 200);
	text_puts(&call->answer->body, "{\"ok\":true}");
}

static void get_stats(struct control_call *call)
{
	char brief[2] = "";

	(void)http_query_find(call->request->query, "brief", brief, sizeof(brief));
	answer_json(call->answer, 200);
	stats_print(&call->sandbox->stats, strcmp(brief, "1") == 0, &call->answer->body);
}

static void post_reset(struct control_call *call)
{
	struct sandbox *sandbox = call->sandbox;

	/* First the connections, whose end is counted, then the counts. */
	server_release_stuck(&sandbox->server);
	faults_clear(&sandbox->faults);
	sessions_revive(&sandbox->sessions);
	limit_reset(&sandbox->config.limit);
	stats_reset(&sandbox->stats);
	accept_call(call);
}

static void get_config(struct control_call *call)
{
	answer_json(call->answer, 200);
	config_print(&call->sandbox->config, &call->answer->body);
}

static void post_config(struct control_call *call)
{
	const char *member = NULL;

	if (config_change(&call->sandbox->config, call->json, &member) < 0)
		refuse(call, 400, member ? "bad setting" : "a JSON object is needed", member);
	else
		get_config(call);
}

static void get_faults(struct control_call *call)
{
	answer_json(call->answer, 200);
	faults_print(&call->sandbox->faults, &call->answer->body);
}

static void post_faults(struct control_call *call)
{
	char error[FAULT_ERROR_SIZE] = "";

	if (faults_add(&call->sandbox->faults, call->json, error) < 0)
		refuse(call, 400, "bad fault", error);
	else
		get_faults(call);
}

static void delete_faults(struct control_call *call)
{
	faults_clear(&call->sandbox->faults);
	accept_call(call);
}

static void answer_result(struct control_call *call, int r)
{
	if (r == 0)
		accept_call(call);
	else if (r == -ENOENT)
		refuse(call, 404, "no such session", NULL);
	else if (r == -EINVAL)
		refuse(call, 400, "bad id or user_id", NULL);
	else
		refuse(call, 503, "too many sessions", NULL);
}

static void post_sessions(struct control_call *call)
{
	const cJSON *id = cJSON_GetObjectItemCaseSensitive(call->json, "id");
	const cJSON *user = cJSON_GetObjectItemCaseSensitive(call->json, "user_id");

	if (!cJSON_IsString(id) || (user && !cJSON_IsString(user))) {
		refuse(call, 400, "a JSON object with id, and maybe user_id, is needed", NULL);
		return;
	}
	answer_result(call, sessions_create(&call->sandbox->sessions, id->valuestring,
					    user ? user->valuestring : NULL, clock_wall_ms()));
}

/* POST /sandbox/sessions/{id}/end */
static void post_session_end(struct control_call *call)
{
	char id[SESSIONS_MAX_ID + 1] = "";
	const char *name = call->request->path + strlen(sessions_path);
	size_t length = strlen(name) - strlen(end_suffix);

	int r = http_decode_segment(name, length, id, sizeof(id));
	if (r == 0)
		r = sessions_end(&call->sandbox->sessions, id, SESSION_ENDED, clock_wall_ms());
	answer_result(call, r);
}

static bool is_session_end(const char *path)
{
	size_t head = strlen(sessions_path);
	size_t tail = strlen(end_suffix);
	size_t length = strlen(path);

	return length > head + tail && strncmp(path, sessions_path, head) == 0 &&
	       strcmp(path + length - tail, end_suffix) == 0;
}

static const struct control_route {
	const char *method;
	const char *path;
	void (*handle)(struct control_call *call);
} routes[] = {
	{ "GET", "/sandbox/stats", get_stats },
	{ "POST", "/sandbox/reset", post_reset },
	{ "GET", "/sandbox/config", get_config },
	{ "POST", "/sandbox/config", post_config },
	{ "GET", "/sandbox/faults", get_faults },
	{ "POST", "/sandbox/faults", post_faults },
	{ "DELETE", "/sandbox/faults", delete_faults },
	{ "POST", "/sandbox/sessions", post_sessions },
	{ "POST", NULL, post_session_end },
};

static void dispatch(struct control_call *call)
{
	bool known = false;

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const struct control_route *route = &routes[i];
		if (route->path ? strcmp(call->request->path, route->path) != 0
				: !is_session_end(call->request->path))
			continue;
		known = true;
		if (strcmp(call->request->method, route->method) == 0) {
			text_deinit(&call->answer->headers); /* the path allows another one too */
			route->handle(call);
			return;
		}
		text_printf(&call->answer->headers, "Allow: %s\r\n", route->method);
	}
	if (known)
		refuse(call, 405, "wrong method", NULL);
	else
		refuse(call, 404, "no such path", NULL);
}

void control_handle(struct sandbox *sandbox, const struct http_request *request,
		    struct answer *answer)
{
	struct control_call call = { .sandbox = sandbox, .request = request, .answer = answer };

	call.json = json_parse(request->body, request->body_length);
	dispatch(&call);
	cJSON_Delete(call.json);
}
