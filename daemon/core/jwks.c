/* See jwks.h. */
#include "daemon/core/jwks.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define FRESH_S 300
#define FRESH_MIN_S 60
#define FRESH_MAX_S 3600
#define USABLE_S 86400
#define RETRY_MS 1000

void jwks_init(struct jwks *j)
{
	*j = (struct jwks){ .body = BUF_INIT(JWKS_MAX),
			    .fresh_until = { INT64_MIN },
			    .usable_until = { INT64_MIN },
			    .retry_at = { INT64_MIN } };
}

void jwks_deinit(struct jwks *j)
{
	buf_deinit(&j->body);
}

enum jwks_state jwks_outcome(const struct jwks *j, struct mono now)
{
	return mono_is_due(j->usable_until, now) ? JWKS_NONE : JWKS_READY;
}

enum jwks_state jwks_ask(struct jwks *j, struct mono now)
{
	if (!mono_is_due(j->fresh_until, now))
		return JWKS_READY;
	if (j->fetching)
		return JWKS_WAIT;
	if (!mono_is_due(j->retry_at, now))
		return jwks_outcome(j, now);
	j->fetching = true;
	return JWKS_FETCH;
}

/* "max-age" of the directives, within bounds; the first one counts. */
static int64_t lifetime_s(struct span cache_control)
{
	static const char name[] = "max-age=";
	struct span directive;
	uint64_t s;

	while (span_split(&cache_control, ',', &directive)) {
		directive = span_trim(directive);
		if (directive.len < sizeof(name) - 1 ||
		    strncasecmp(directive.ptr, name, sizeof(name) - 1) != 0)
			continue;
		directive =
		    span_of(directive.ptr + sizeof(name) - 1, directive.len - (sizeof(name) - 1));
		if (span_parse_u64(directive, FRESH_MAX_S, &s) == -EINVAL)
			break;
		if (span_parse_u64(directive, FRESH_MAX_S, &s) == -ERANGE)
			return FRESH_MAX_S;
		return s < FRESH_MIN_S ? FRESH_MIN_S : (int64_t)s;
	}
	return FRESH_S;
}

int jwks_fetched(struct jwks *j, struct mono now, struct mono sent_at, struct span content_type,
		 struct span cache_control, struct span body)
{
	struct buf fresh = BUF_INIT(JWKS_MAX);
	int result = body.len ? buf_append(&fresh, body.ptr, body.len) : -EMSGSIZE;

	if (result == 0 && content_type.len >= sizeof(j->type))
		result = -EMSGSIZE;
	if (result < 0) {
		buf_deinit(&fresh);
		jwks_failed(j, now);
		return result;
	}
	buf_deinit(&j->body);
	j->body = fresh;
	if (content_type.len)
		memcpy(j->type, content_type.ptr, content_type.len);
	j->type[content_type.len] = '\0';
	j->fetching = false;
	j->fresh_until = mono_add_ms(sent_at, lifetime_s(cache_control) * MS_PER_S);
	j->usable_until = mono_add_ms(sent_at, (int64_t)USABLE_S * MS_PER_S);
	return 0;
}

void jwks_failed(struct jwks *j, struct mono now)
{
	j->fetching = false;
	j->retry_at = mono_add_ms(now, RETRY_MS);
}
