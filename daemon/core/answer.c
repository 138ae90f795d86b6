/* See answer.h. */
#include "daemon/core/answer.h"

#include "base/instant.h"
#include "daemon/core/httpdate.h"
#include "daemon/core/json.h"
#include "daemon/core/jwt.h"
#include "daemon/core/refusal.h"

#include <errno.h>
#include <sodium.h>

static const struct {
	enum outcome_kind kind;
	enum code code;
	const char *text;
} transports[] = {
	[TRANSPORT_UNREACHABLE] = { OUTCOME_TRANSIENT, CODE_UNAVAILABLE, "Clerk can't be reached" },
	[TRANSPORT_QUEUED] = { OUTCOME_TRANSIENT, CODE_OVERLOADED,
			       "no connection to Clerk was free in time" },
	[TRANSPORT_BROKEN] = { OUTCOME_TRANSIENT, CODE_UNAVAILABLE,
			       "the connection to Clerk broke" },
	[TRANSPORT_TIMEOUT] = { OUTCOME_TRANSIENT, CODE_UNAVAILABLE,
				"Clerk did not answer in time" },
	[TRANSPORT_TOO_LARGE] = { OUTCOME_MALFORMED, CODE_BAD_UPSTREAM,
				  "Clerk's answer is too large" },
	[TRANSPORT_NO_MEMORY] = { OUTCOME_TRANSIENT, CODE_OVERLOADED, "out of memory" },
};

/* What the status alone says; the first range that it is in counts. */
static const struct {
	int first, last;
	enum outcome_kind kind;
	enum code code;
	const char *text;
} statuses[] = {
	{ 401, 401, OUTCOME_KEY_REFUSED, CODE_UNAUTHORIZED, NULL },
	{ 403, 403, OUTCOME_DEFINITE, CODE_FORBIDDEN, NULL },
	{ 404, 404, OUTCOME_DEFINITE, CODE_NOT_FOUND, NULL },
	{ 408, 409, OUTCOME_TRANSIENT, CODE_UNAVAILABLE, "Clerk is busy with that session" },
	{ 425, 425, OUTCOME_TRANSIENT, CODE_UNAVAILABLE, "Clerk is busy with that session" },
	{ 429, 429, OUTCOME_THROTTLED, CODE_RATE_LIMITED, "Clerk's rate limit is reached" },
	{ 400, 499, OUTCOME_DEFINITE, CODE_REJECTED, NULL },
	{ 500, 599, OUTCOME_TRANSIENT, CODE_UNAVAILABLE, "Clerk is failing" },
	{ 0, INT32_MAX, OUTCOME_MALFORMED, CODE_BAD_UPSTREAM, NULL },
};

/* The errors of a 401 that are about the secret key; all others are about the session. */
static const char *const key_errors[] = {
	"clerk_key_invalid",
	"could_not_authenticate_request",
	"authorization_header_format_invalid",
};

static void set(struct outcome *o, enum outcome_kind kind, enum code code, const char *text)
{
	o->kind = kind;
	o->code = code;
	o->text = text;
}

static void set_malformed(struct outcome *o, const char *text)
{
	set(o, OUTCOME_MALFORMED, CODE_BAD_UPSTREAM, text);
}

static void set_no_memory(struct outcome *o)
{
	set(o, OUTCOME_TRANSIENT, CODE_OVERLOADED, "out of memory");
}

uint64_t answer_token_id(struct span jwt)
{
	unsigned char hash[crypto_generichash_BYTES];
	uint64_t id = 0;

	(void)crypto_generichash(hash, sizeof(hash), (const unsigned char *)jwt.ptr, jwt.len, NULL,
				 0); /* fails for bad sizes only */
	for (size_t i = 0; i < sizeof(id); i++)
		id = id << 8 | hash[i];
	return id;
}

/* Copies a trace id that is safe to print; any other is none. */
static void set_trace_id(struct outcome *o, struct span id)
{
	id = span_trim(id);
	if (id.len >= sizeof(o->trace_id) || !wire_is_all(id, CLASS_TAG))
		return;
	if (id.len)
		memcpy(o->trace_id, id.ptr, id.len);
	o->trace_id[id.len] = '\0';
}

/* Seconds with an optional fraction, which counts as one more. */
static bool read_delay(struct span text, uint64_t *ret_s)
{
	struct span whole, fraction = text;
	uint64_t part = 1;
	int r;

	if (!span_split(&fraction, '.', &whole))
		return false;
	if (fraction.ptr && span_parse_u64(fraction, UINT64_MAX, &part) == -EINVAL)
		return false;
	r = span_parse_u64(whole, ANSWER_RETRY_AFTER_MAX_MS / MS_PER_S, ret_s);
	if (r == -ERANGE)
		*ret_s = ANSWER_RETRY_AFTER_MAX_MS / MS_PER_S;
	else if (r == 0 && fraction.ptr && part != 0)
		*ret_s += 1;
	return r != -EINVAL;
}

/* RFC 9110, section 10.2.3. A date is held against BAPI's own clock only. */
int64_t answer_retry_after_ms(struct span retry_after, struct span date)
{
	struct span text = span_trim(retry_after);
	uint64_t delay_s;
	int64_t now_s, date_s, delay_ms;

	if (read_delay(text, &delay_s))
		delay_ms = (int64_t)delay_s * MS_PER_S;
	else if (httpdate_parse(date, &now_s) == 0 && httpdate_parse(text, &date_s) == 0)
		delay_ms = (date_s - now_s) * MS_PER_S;
	else
		return -1;
	if (delay_ms < 0)
		return -1;
	return delay_ms < ANSWER_RETRY_AFTER_MAX_MS ? delay_ms : ANSWER_RETRY_AFTER_MAX_MS;
}

/* 0, -ENOMEM or JWT_MALFORMED. The result may be negative. */
static int read_lifetime(struct outcome *o, struct span jwt)
{
	struct jwt_times times;
	int64_t life_s = INT64_MAX;
	int r;

	r = jwt_read_times(jwt, &times);
	if (r)
		return r;
	if (!times.has_iat && !o->has_clock)
		return JWT_MALFORMED;
	if (times.has_iat)
		life_s = times.exp_s - times.iat_s;
	if (o->has_clock && times.exp_s - o->clerk_date_s < life_s)
		life_s = times.exp_s - o->clerk_date_s;
	if (life_s > ANSWER_LIFETIME_MAX_S)
		life_s = ANSWER_LIFETIME_MAX_S;
	o->exp_s = (uint64_t)times.exp_s;
	o->lifetime_ms = life_s * MS_PER_S;
	return 0;
}

static void judge_token(struct outcome *o, struct span jwt, size_t max_token_size)
{
	int r;

	if (jwt.len > max_token_size)
		return set_malformed(o, "Clerk's token is larger than max_token_size");
	if (!wire_is_jwt(jwt))
		return set_malformed(o, "Clerk's token is no JWT");
	r = read_lifetime(o, jwt);
	if (r == 0 && o->lifetime_ms <= 0)
		return set_malformed(o, "Clerk's token has expired already");
	if (r == 0)
		r = secret_set(&o->jwt, jwt);
	if (r < 0)
		return set_no_memory(o);
	if (r)
		return set_malformed(o, "Clerk's token does not say how long it is valid");
	o->id = answer_token_id(jwt);
	set(o, OUTCOME_TOKEN, CODE_OK, NULL);
}

static bool is_json_type(struct span content_type)
{
	static const char json[] = "application/json";

	return content_type.len >= sizeof(json) - 1 &&
	       strncasecmp(content_type.ptr, json, sizeof(json) - 1) == 0;
}

/* `body` is NULL if it's no JSON. */
static void judge_success(const struct answer *a, const struct json *body, size_t max_token_size,
			  struct outcome *o)
{
	struct span jwt;

	if (json_string(json_member(body, "jwt"), &jwt))
		judge_token(o, jwt, max_token_size);
	else if (body)
		set_malformed(o, "Clerk's answer holds no token");
	else if (is_json_type(a->content_type))
		set_malformed(o, "Clerk's answer is broken JSON");
	else
		set_malformed(o, "the answer is no JSON: is it Clerk that answers there?");
}

static bool is_key_error(struct span code)
{
	for (size_t i = 0; i < sizeof(key_errors) / sizeof(*key_errors); i++)
		if (span_is(code, key_errors[i]))
			return true;
	return false;
}

/* Any proxy on the way says 403 or 404 too, and must not make Clerk's tokens go. */
static bool needs_an_error(const struct outcome *o)
{
	return o->code == CODE_NOT_FOUND || o->code == CODE_FORBIDDEN;
}

static void judge_failure(const struct json *body, struct outcome *o)
{
	const struct json *error = json_first(json_member(body, "errors"));
	struct span code;
	size_t i = 0;

	while (o->status < statuses[i].first || o->status > statuses[i].last)
		i++;
	set(o, statuses[i].kind, statuses[i].code, statuses[i].text);
	if (needs_an_error(o) && !error)
		set_malformed(o, "the answer is not Clerk's: is there a proxy on the way?");
	else if (o->kind == OUTCOME_KEY_REFUSED && json_string(json_member(error, "code"), &code) &&
		 !is_key_error(code))
		set(o, OUTCOME_DEFINITE, CODE_FORBIDDEN, NULL);
	if (o->kind == OUTCOME_DEFINITE || o->kind == OUTCOME_KEY_REFUSED)
		(void)refusal_write(&o->refusal, o->status, span_str(o->trace_id),
				    body); /* else it is said in our words */
}

static void judge_http(const struct answer *a, size_t max_token_size, struct outcome *o)
{
	cleanup_json struct json *body = NULL;
	struct span trace_id;

	o->status = a->status;
	o->has_clock = httpdate_parse(a->date, &o->clerk_date_s) == 0;
	if (a->status == 429 || a->status == 503)
		o->retry_after_ms = answer_retry_after_ms(a->retry_after, a->date);
	set_trace_id(o, a->trace_id);
	if (json_parse(a->body, &body) < 0)
		return set_no_memory(o);
	if (json_string(json_member(body, "clerk_trace_id"), &trace_id))
		set_trace_id(o, trace_id);
	if (a->status == 200)
		judge_success(a, body, max_token_size, o);
	else
		judge_failure(body, o);
}

void answer_judge(const struct answer *a, size_t max_token_size, struct outcome *ret)
{
	*ret = (struct outcome){ .retry_after_ms = -1,
				 .refusal = BUF_INIT(REFUSAL_MAX),
				 .is_exclusive = a->is_exclusive,
				 .detail = a->detail };
	if (a->transport == TRANSPORT_OK)
		judge_http(a, max_token_size, ret);
	else
		set(ret, transports[a->transport].kind, transports[a->transport].code,
		    transports[a->transport].text);
}

void outcome_deinit(struct outcome *o)
{
	secret_deinit(&o->jwt);
	buf_deinit(&o->refusal);
}
