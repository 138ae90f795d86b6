/* See refusal.h. */
#include "daemon/core/refusal.h"

#include <errno.h>

#define STATUS_MAX 999

static bool has_form(const struct json *body)
{
	const struct json *error = json_first(json_member(body, "errors"));
	struct span text;

	if (!error)
		return false;
	for (; error; error = json_next(error))
		if (!json_string(json_member(error, "message"), &text) ||
		    !json_string(json_member(error, "code"), &text))
			return false;
	return true;
}

int refusal_write(struct buf *to, int status, struct span trace_id, const struct json *body)
{
	char *start, *at;
	size_t len;

	if (!has_form(body) || trace_id.len + FORMAT_U64_ROOM + 2 >= REFUSAL_MAX)
		return REFUSAL_NONE;
	start = buf_reserve(to, REFUSAL_MAX);
	if (!start)
		return -ENOMEM;
	at = format_u64(start, (uint64_t)status);
	*at++ = ' ';
	if (trace_id.len)
		at = mempcpy(at, trace_id.ptr, trace_id.len);
	*at++ = ' ';
	len = json_write(body, at, REFUSAL_MAX - (size_t)(at - start));
	if (len == 0)
		return REFUSAL_NONE;
	buf_commit(to, (size_t)(at - start) + len);
	return 0;
}

bool refusal_read(struct span text, struct refusal *ret)
{
	struct span number;
	uint64_t status;

	if (!text.len || !span_split(&text, ' ', &number) ||
	    span_parse_u64(number, STATUS_MAX, &status) < 0 ||
	    !span_split(&text, ' ', &ret->trace_id))
		return false;
	ret->status = (int)status;
	ret->body = text;
	return true;
}
