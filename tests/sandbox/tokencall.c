/*
 * tokencall.c: requests for a token.
 *
 * Model: first the fault, if one matches. Some faults are the whole answer. The others go with the
 * usual way, in which the version, the body, the session and the template are checked and a token
 * is minted, and change the token or the way its answer is delivered. The token is minted when the
 * request arrives, so that a delay ages it as a slow network would.
 */
#include "tokencall.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <cjson/cJSON.h>

#include "bapi.h"
#include "clock.h"
#include "json.h"
#include "number.h"
#include "sandbox.h"

#define MIN_EXPIRES_IN_S 30
#define EXPIRED_AGO_S 60

static const char version_parameter[] = "__clerk_api_version";

struct wish {
	const char *session;
	const char *template;
	const struct fault *fault; /* NULL: none */
	struct session_view view;
	int64_t lifetime_s;
	int64_t expires_in_s; /* 0: not asked for */
};

static bool has_kind(const struct wish *wish, enum fault_kind kind)
{
	return wish->fault && wish->fault->kind == kind;
}

/* YYYY-MM-DD with a possible month and day. */
static bool version_is_valid(const char *version)
{
	int64_t year = 0;
	int64_t month = 0;
	int64_t day = 0;

	return strlen(version) == 10 && version[4] == '-' && version[7] == '-' &&
	       number_parse(version, 4, 2021, 9999, &year) == 0 &&
	       number_parse(version + 5, 2, 1, 12, &month) == 0 &&
	       number_parse(version + 8, 2, 1, 31, &day) == 0;
}

static int check_version(struct bapi_call *call)
{
	char parameter[64];
	const char *header = http_header_find(call->request, "Clerk-API-Version");
	bool has_parameter =
	    http_query_find(call->request->query, version_parameter, parameter, sizeof(parameter));

	if (header && has_parameter)
		return bapi_refuse(call, API_VERSION_INVALID,
				   "the version may be given in the header or in the query, not "
				   "in both");
	if ((header && !version_is_valid(header)) ||
	    (has_parameter && !version_is_valid(parameter)))
		return bapi_refuse(call, API_VERSION_INVALID, "it must be a date, as 2025-11-10");
	return 0;
}

static int check_content_type(struct bapi_call *call)
{
	static const char json[] = "application/json";
	const char *type = http_header_find(call->request, "Content-Type");
	size_t length = type ? strcspn(type, "; \t") : 0;

	if (length == sizeof(json) - 1 && strncasecmp(type, json, length) == 0)
		return 0;
	return bapi_refuse(call, API_CONTENT_TYPE, type ? type : "(none)");
}

static int check_expires_in(struct bapi_call *call, const cJSON *body, int64_t *ret_expires_in_s)
{
	static const char name[] = "expires_in_seconds";
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, name);
	int64_t value = 0;

	if (!item || cJSON_IsNull(item))
		return 0;
	if (!cJSON_IsNumber(item) ||
	    number_from_double(item->valuedouble, INT64_C(-9007199254740992),
			       INT64_C(9007199254740992), &value) < 0)
		return bapi_refuse(call, API_PARAM_TYPE, name);
	if (value < MIN_EXPIRES_IN_S)
		return bapi_refuse(call, API_PARAM_VALUE, name);
	if (value > SANDBOX_MAX_LIFETIME_S)
		return bapi_refuse(call, API_PARAM_TOO_LARGE, name);
	*ret_expires_in_s = value;
	return 0;
}

static int check_body(struct bapi_call *call, int64_t *ret_expires_in_s)
{
	const struct http_request *request = call->request;

	if (request->body_length == 0)
		return 0;
	if (check_content_type(call) < 0)
		return -1;
	cJSON *body = json_parse(request->body, request->body_length);
	int r = cJSON_IsObject(body) ? check_expires_in(call, body, ret_expires_in_s)
				     : bapi_refuse(call, API_BODY_INVALID, NULL);
	cJSON_Delete(body);
	return r;
}

static int refuse_ended(struct bapi_call *call, const char *session)
{
	switch (call->sandbox->config.ended_status) {
	case 401:
		return bapi_refuse(call, API_AUTHENTICATION_INVALID, NULL);
	case 403:
		return bapi_refuse(call, API_AUTHORIZATION_INVALID, NULL);
	case 422:
		return bapi_refuse(call, API_PARAM_VALUE, "session_id");
	default:
		return bapi_refuse(call, API_SESSION_NOT_FOUND, session);
	}
}

static int check_session(struct bapi_call *call, struct wish *wish)
{
	sessions_look_up(&call->sandbox->sessions, wish->session, &wish->view);
	if (wish->view.status == SESSION_ACTIVE)
		return 0;
	if (wish->view.status == SESSION_UNKNOWN)
		return bapi_refuse(call, API_SESSION_NOT_FOUND, wish->session);
	return refuse_ended(call, wish->session);
}

/* Also learns the template's lifetime. */
static int check_template(struct bapi_call *call, struct wish *wish)
{
	const struct sandbox_setup *setup = call->sandbox->setup;

	wish->lifetime_s = call->sandbox->config.lifetime_s;
	if (!wish->template)
		return 0;
	for (size_t i = 0; i < setup->n_templates; i++) {
		if (strcmp(setup->templates[i].name, wish->template) != 0)
			continue;
		if (setup->templates[i].lifetime_s)
			wish->lifetime_s = setup->templates[i].lifetime_s;
		return 0;
	}
	if (setup->n_templates > 0 || !wish->template[0] ||
	    strncmp(wish->template, "missing", 7) == 0)
		return bapi_refuse(call, API_TEMPLATE_NOT_FOUND, wish->template);
	return 0;
}

static void make_stamp(const struct bapi_call *call, const struct wish *wish,
		       struct token_stamp *stamp)
{
	struct sandbox *sandbox = call->sandbox;
	int64_t lifetime_s = wish->expires_in_s ? wish->expires_in_s : wish->lifetime_s;
	int64_t now_s = sandbox_wall_s(sandbox);

	if (has_kind(wish, FAULT_LIFETIME))
		lifetime_s = wish->fault->number[FAULT_FIELD_S];
	if (has_kind(wish, FAULT_EXPIRED))
		now_s -= lifetime_s + EXPIRED_AGO_S;
	stamp->serial = minter_serial(&sandbox->minter);
	stamp->issued_s = now_s;
	stamp->expires_s = has_kind(wish, FAULT_NO_EXP) ? 0 : now_s + lifetime_s;
	stamp->size = (size_t)sandbox->config.token_size;
	if (has_kind(wish, FAULT_HUGE))
		stamp->size = (size_t)wish->fault->number[FAULT_FIELD_BYTES];
}

static void mint(struct bapi_call *call, const struct wish *wish, struct token_stamp *last)
{
	struct sandbox *sandbox = call->sandbox;
	struct answer *answer = call->answer;
	const struct token_subject subject = { wish->session, wish->view.user, wish->template };
	struct token_stamp stamp = { .serial = 0 };

	if (last && has_kind(wish, FAULT_SAME))
		stamp = *last;
	if (!stamp.serial)
		make_stamp(call, wish, &stamp);
	answer_json(answer, 200);
	text_puts(&answer->body, "{\"object\":\"token\",\"jwt\":\"");
	if (minter_mint(&sandbox->minter, &subject, &stamp, &answer->body) < 0) {
		(void)bapi_refuse(call, API_INTERNAL, NULL);
		return;
	}
	text_puts(&answer->body, "\"}");
	sandbox->stats.tokens_minted++;
	if (last)
		*last = stamp;
}

static void answer_usual(struct bapi_call *call, struct wish *wish, struct token_stamp *last)
{
	if (check_version(call) < 0 || check_body(call, &wish->expires_in_s) < 0 ||
	    check_session(call, wish) < 0 || check_template(call, wish) < 0)
		return;
	if (has_kind(wish, FAULT_NO_JWT)) {
		answer_json(call->answer, 200);
		text_puts(&call->answer->body, "{\"object\":\"token\"}");
	} else if (has_kind(wish, FAULT_JWT)) {
		answer_json(call->answer, 200);
		text_puts(&call->answer->body, "{\"object\":\"token\",\"jwt\":");
		text_json(&call->answer->body, wish->fault->string[FAULT_FIELD_JWT]);
		text_puts(&call->answer->body, "}");
	} else {
		mint(call, wish, last);
	}
}

static void answer_status(struct bapi_call *call, const struct fault *fault)
{
	struct answer *answer = call->answer;
	int status = (int)fault->number[FAULT_FIELD_STATUS];
	const char *body = fault->string[FAULT_FIELD_BODY];
	const char *retry_after = fault->string[FAULT_FIELD_RETRY_AFTER];

	if (retry_after)
		text_printf(&answer->headers, "Retry-After: %s\r\n", retry_after);
	if (body) {
		answer_json(answer, status);
		text_puts(&answer->body, body);
	} else {
		api_error_custom(status, fault->string[FAULT_FIELD_CODE],
				 fault->string[FAULT_FIELD_MESSAGE], call->trace, answer);
	}
}

/* Whether the fault was the whole answer. */
static bool answer_fault(struct bapi_call *call, const struct fault *fault)
{
	struct answer *answer = call->answer;

	switch (fault->kind) {
	case FAULT_STATUS:
		answer_status(call, fault);
		return true;
	case FAULT_NOT_JSON:
		answer_json(answer, 200);
		text_puts(&answer->body, "<html><body>This is no JSON.</body></html>");
		return true;
	case FAULT_HANG:
		answer->delivery = ANSWER_HANG;
		return true;
	case FAULT_RESET:
		answer->delivery = ANSWER_RESET;
		return true;
	case FAULT_CLOSE:
		answer->delivery = ANSWER_CLOSE;
		return true;
	case FAULT_GARBAGE:
		answer->delivery = ANSWER_GARBAGE;
		return true;
	default:
		return false;
	}
}

/* Changes how the usual answer is delivered. */
static void apply_fault(struct answer *answer, const struct fault *fault)
{
	switch (fault->kind) {
	case FAULT_HALF:
		answer->delivery = ANSWER_HALF;
		break;
	case FAULT_STALL:
		answer->delivery = ANSWER_STALL;
		break;
	case FAULT_CHUNKED:
		answer->delivery = ANSWER_CHUNKED;
		break;
	case FAULT_CONTENT_TYPE:
		answer_content_type(answer, fault->string[FAULT_FIELD_VALUE]);
		break;
	default:
		break;
	}
}

void token_call(struct bapi_call *call, const char *session, const char *template,
		struct token_stamp *last)
{
	struct faults *faults = &call->sandbox->faults;
	struct fault *fault = faults_match(faults, session, template);
	struct wish wish = { .session = session, .template = template, .fault = fault };

	if (fault)
		call->answer->delay_ms +=
		    fault->number[FAULT_FIELD_AFTER_MS] + fault->number[FAULT_FIELD_MS];
	if (!fault || !answer_fault(call, fault))
		answer_usual(call, &wish, last);
	if (fault)
		apply_fault(call->answer, fault);
	faults_settle(faults, fault);
}
