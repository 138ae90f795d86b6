/* See clerk.h. */
#include "tests/replay/clerk.h"

#include <sodium.h>
#include <stdio.h>
#include <time.h>

#define TOKEN_MAX 65536

static enum outcome_kind kind_of(enum code code)
{
	switch (code) {
	case CODE_NOT_FOUND:
	case CODE_FORBIDDEN:
	case CODE_REJECTED:
		return OUTCOME_DEFINITE;
	case CODE_UNAUTHORIZED:
		return OUTCOME_KEY_REFUSED;
	case CODE_RATE_LIMITED:
		return OUTCOME_THROTTLED;
	case CODE_BAD_UPSTREAM:
		return OUTCOME_MALFORMED;
	default:
		return OUTCOME_TRANSIENT;
	}
}

/* The value of NAME=VALUE; NULL: it is another. */
static const char *value_of(const char *word, const char *name)
{
	size_t len = strlen(name);

	return strncmp(word, name, len) == 0 && word[len] == '=' ? word + len + 1 : NULL;
}

static bool number_of(const char *word, const char *name, int64_t *ret)
{
	const char *value = value_of(word, name);
	uint64_t number;

	if (!value || span_parse_u64(span_str(value), INT64_MAX / MS_PER_S, &number) < 0)
		return false;
	*ret = (int64_t)number;
	return true;
}

static const char *token(char *const words[], size_t count, struct mono now, struct outcome *ret)
{
	char jwt[128];
	int64_t life;

	if (count != 3 || !number_of(words[2], "life", &life))
		return "token NAME life=SECONDS";
	(void)snprintf(jwt, sizeof(jwt), "h.%s.s", words[1]);
	ret->lifetime_ms = life * MS_PER_S;
	ret->exp_s = (uint64_t)(now.ms / MS_PER_S + life);
	ret->id = answer_token_id(span_str(jwt));
	return secret_set(&ret->jwt, span_str(jwt)) < 0 ? "no memory" : NULL;
}

struct http {
	int64_t status, iat_s, exp_s, date_s; /* -1: not said */
	const char *retry_after, *code;
};

static bool read_http(char *const words[], size_t count, struct http *ret)
{
	*ret = (struct http){ .iat_s = -1, .exp_s = -1, .date_s = -1 };
	for (size_t i = 0; i < count; i++) {
		const char *retry_after = value_of(words[i], "retry_after");
		const char *code = value_of(words[i], "code");

		if (retry_after)
			ret->retry_after = retry_after;
		else if (code)
			ret->code = code;
		else if (!number_of(words[i], "iat", &ret->iat_s) &&
			 !number_of(words[i], "exp", &ret->exp_s) &&
			 !number_of(words[i], "date", &ret->date_s))
			return false;
	}
	return true;
}

/* A body with a token if it says when that ends, else with an error. */
static void write_body(const struct http *http, char *to, size_t size)
{
	char claims[128], base64[256];
	int len;

	if (http->exp_s < 0) {
		(void)snprintf(to, size, "{\"errors\":[{\"code\":\"%s\"}]}",
			       http->code ? http->code : "none");
		return;
	}
	len = snprintf(claims, sizeof(claims), "{\"exp\":%lld", (long long)http->exp_s);
	if (http->iat_s >= 0)
		len += snprintf(claims + len, sizeof(claims) - (size_t)len, ",\"iat\":%lld",
				(long long)http->iat_s);
	len += snprintf(claims + len, sizeof(claims) - (size_t)len, "}");
	(void)sodium_bin2base64(base64, sizeof(base64), (const unsigned char *)claims, (size_t)len,
				sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	(void)snprintf(to, size, "{\"object\":\"token\",\"jwt\":\"e30.%s.s\"}", base64);
}

/* RFC 9110, section 5.6.7. */
static void write_date(int64_t at_s, char *to, size_t size)
{
	time_t at = (time_t)at_s;
	struct tm tm;

	(void)strftime(to, size, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &tm));
}

static const char *http(char *const words[], size_t count, struct outcome *ret)
{
	struct answer answer = { .content_type = SPAN_LITERAL("application/json") };
	char body[512], date[64] = "";
	struct http said;
	uint64_t status;

	if (count < 2 || span_parse_u64(span_str(words[1]), 999, &status) < 0 ||
	    !read_http(words + 2, count - 2, &said))
		return "http STATUS [iat=S] [exp=S] [date=S] [retry_after=TEXT] [code=CODE]";
	write_body(&said, body, sizeof(body));
	answer.status = (int)status;
	answer.body = span_str(body);
	if (said.date_s >= 0) {
		write_date(said.date_s, date, sizeof(date));
		answer.date = span_str(date);
	}
	if (said.retry_after)
		answer.retry_after = span_str(said.retry_after);
	answer_judge(&answer, TOKEN_MAX, ret);
	return NULL;
}

const char *clerk_answer(char *const words[], size_t count, struct mono now, struct outcome *ret)
{
	int64_t retry_after_ms = -1;

	*ret = (struct outcome){ .retry_after_ms = -1 };
	if (strcmp(words[0], "token") == 0)
		return token(words, count, now, ret);
	if (strcmp(words[0], "http") == 0)
		return http(words, count, ret);
	ret->code = code_parse(span_str(words[0]));
	if (ret->code == CODE_COUNT)
		return "no such code";
	ret->kind = kind_of(ret->code);
	if (count > 1 && !number_of(words[1], "retry_after", &retry_after_ms))
		return "CODE retry_after=MS";
	ret->retry_after_ms = retry_after_ms;
	return NULL;
}
