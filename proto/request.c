/* See request.h.
 *
 * The line is walked once: positional arguments by the table of verbs, then name=value. GET is
 * the path of every hit, so nothing is copied and a name is measured and checked in one pass.
 */
#include "proto/request.h"

#include <errno.h>

enum argument {
	ARG_NONE,
	ARG_SESSION,
	ARG_TEMPLATE,
	ARG_MAYBE_TEMPLATE,
	ARG_SWITCH,
	ARG_VERSION,
};

enum options {
	OPTIONS_NONE,
	OPTIONS_GET,
	OPTIONS_WHY,
};

static const struct {
	enum argument arguments[2];
	enum options options;
} grammar[VERB_COUNT] = {
	[VERB_GET] = { { ARG_SESSION, ARG_TEMPLATE }, OPTIONS_GET },
	[VERB_WATCH] = { { ARG_SESSION, ARG_TEMPLATE }, OPTIONS_GET },
	[VERB_UNWATCH] = { { ARG_SESSION, ARG_TEMPLATE }, OPTIONS_GET },
	[VERB_DROP] = { { ARG_SESSION, ARG_MAYBE_TEMPLATE }, OPTIONS_NONE },
	[VERB_TRACK] = { { ARG_SWITCH }, OPTIONS_NONE },
	[VERB_FLUSH] = { { ARG_NONE }, OPTIONS_NONE },
	[VERB_PING] = { { ARG_NONE }, OPTIONS_NONE },
	[VERB_HELLO] = { { ARG_VERSION }, OPTIONS_NONE },
	[VERB_STATS] = { { ARG_NONE }, OPTIONS_NONE },
	[VERB_WHY] = { { ARG_SESSION, ARG_TEMPLATE }, OPTIONS_WHY },
};

static int fail(struct request_error *error, enum code code, const char *text)
{
	*error = (struct request_error){ .code = code, .text = text };
	return -EBADMSG;
}

static int bad(struct request_error *error, const char *text)
{
	return fail(error, CODE_BAD_REQUEST, text);
}

/* Takes the field up to the next space off the front; the space is left for next_field(). */
static struct span take_field(struct span *rest)
{
	const char *space = rest->len ? memchr(rest->ptr, ' ', rest->len) : NULL;
	struct span field = span_of(rest->ptr, space ? (size_t)(space - rest->ptr) : rest->len);

	*rest = span_of(rest->ptr + field.len, rest->len - field.len);
	return field;
}

/* Steps over the one space between two fields. */
static bool has_field(struct span *rest)
{
	if (rest->len == 0)
		return false;
	*rest = span_of(rest->ptr + 1, rest->len - 1);
	return true;
}

static bool is_option(struct span rest)
{
	struct span field = take_field(&rest);

	return field.len && memchr(field.ptr, '=', field.len);
}

/* Takes a name of `len` good characters off the front, if it ends where the field does. */
static bool take_name(struct span *rest, size_t len, struct span *ret)
{
	if (len == 0 || len > WIRE_NAME_MAX || (len < rest->len && rest->ptr[len] != ' '))
		return false;
	*ret = span_of(rest->ptr, len);
	*rest = span_of(rest->ptr + len, rest->len - len);
	return true;
}

static int parse_session(struct span *rest, struct request *r, struct request_error *error)
{
	if (!take_name(rest, wire_session_len(*rest), &r->session))
		return bad(error, "a session id is 1 to 128 of A-Z a-z 0-9 _ -");
	return 0;
}

static int parse_template(struct span *rest, struct request *r, struct request_error *error)
{
	struct span name;

	if (!take_name(rest, wire_class_len(*rest, CLASS_TEMPLATE), &name) ||
	    (name.ptr[0] == '.' && !wire_is_template(name)))
		return bad(error, "a template's name is 1 to 128 of A-Z a-z 0-9 _ - . ~");
	if (!span_is(name, WIRE_NO_TEMPLATE))
		r->template = name;
	return 0;
}

static int parse_switch(struct span *rest, struct request *r, struct request_error *error)
{
	struct span field = take_field(rest);

	r->on = span_is(field, "on");
	if (!r->on && !span_is(field, "off"))
		return bad(error, "on or off is expected");
	return 0;
}

static int parse_version(struct span *rest, struct request *r, struct request_error *error)
{
	struct span field = take_field(rest);
	int result;

	result = span_parse_u64(field, UINT64_MAX, &r->version);
	if (result == -EINVAL)
		return bad(error, "a protocol number is expected");
	if (result < 0 || r->version != WIRE_VERSION)
		return fail(error, CODE_UNSUPPORTED, code_text(CODE_UNSUPPORTED));
	return 0;
}

static int parse_argument(enum argument argument, struct span *rest, struct request *r,
			  struct request_error *error)
{
	if (argument == ARG_MAYBE_TEMPLATE &&
	    (rest->len == 0 || is_option(span_of(rest->ptr + 1, rest->len - 1)))) {
		r->all_templates = true;
		return 0;
	}
	if (!has_field(rest))
		return bad(error, "an argument is missing");
	switch (argument) {
	case ARG_SESSION:
		return parse_session(rest, r, error);
	case ARG_TEMPLATE:
	case ARG_MAYBE_TEMPLATE:
		return parse_template(rest, r, error);
	case ARG_SWITCH:
		return parse_switch(rest, r, error);
	default:
		return parse_version(rest, r, error);
	}
}

static int parse_get_option(struct span name, struct span value, struct request *r,
			    struct request_error *error)
{
	if (span_is(name, "min_ttl")) {
		if (r->has_min_ttl || span_parse_u64(value, WIRE_TTL_MAX_S, &r->min_ttl_s) < 0)
			return bad(error, "min_ttl is given once, in seconds, at most 315360000");
		r->has_min_ttl = true;
	} else if (span_is(name, "wait")) {
		if (r->has_wait || span_parse_u64(value, WIRE_WAIT_MAX_MS, &r->wait_ms) < 0)
			return bad(error, "wait is given once, in milliseconds, at most 3600000");
		r->has_wait = true;
	} else if (span_is(name, "expires_in")) {
		if (r->expires_in_s ||
		    span_parse_u64(value, WIRE_TTL_MAX_S, &r->expires_in_s) < 0 ||
		    r->expires_in_s < WIRE_EXPIRES_IN_MIN_S)
			return bad(error, "expires_in is given once, 30 to 315360000 seconds");
	} else if (span_is(name, "not")) {
		if (r->has_not || span_parse_hex64(value, &r->not_id) < 0)
			return bad(error, "not is given once, the 16 hex digits of an id");
		r->has_not = true;
	}
	return 0;
}

bool request_next_group(struct span *rest, uint32_t *ret)
{
	struct span after = *rest, text;
	uint64_t number;

	if (!span_split(&after, ',', &text) || span_parse_u64(text, UINT32_MAX, &number) < 0)
		return false;
	*rest = after;
	*ret = (uint32_t)number;
	return true;
}

static bool are_groups(struct span list)
{
	uint32_t group;
	size_t n = 0;

	while (request_next_group(&list, &group))
		n++;
	return !list.ptr && n <= WIRE_GROUPS_MAX;
}

static int parse_why_option(struct span name, struct span value, struct request *r,
			    struct request_error *error)
{
	if (span_is(name, "uid")) {
		if (r->has_uid || span_parse_u64(value, UINT32_MAX, &r->uid) < 0)
			return bad(error, "uid is given once, as a number");
		r->has_uid = true;
	} else if (span_is(name, "gid")) {
		if (r->groups.len || !are_groups(value))
			return bad(error, "gid is given once, at most 128 numbers and commas");
		r->groups = value;
	} else if (span_is(name, "unit")) {
		if (r->unit.len || value.len == 0 || value.len > WIRE_UNIT_MAX)
			return bad(error, "unit is given once, a name of 1 to 255 characters");
		r->unit = value;
	}
	return 0;
}

static int parse_known_option(enum options options, struct span name, struct span value,
			      struct request *r, struct request_error *error)
{
	switch (options) {
	case OPTIONS_GET:
		return parse_get_option(name, value, r, error);
	case OPTIONS_WHY:
		return parse_why_option(name, value, r, error);
	default:
		return 0;
	}
}

static int parse_options(enum options options, struct span rest, struct request *r,
			 struct request_error *error)
{
	while (has_field(&rest)) {
		struct span value = take_field(&rest);
		struct span name;
		int result;

		if (!value.len || !memchr(value.ptr, '=', value.len))
			return bad(error, "more arguments than expected, or a space too many");
		if (!wire_is_all(value, CLASS_PRINT))
			return bad(error, "printable ASCII is expected");
		span_split(&value, '=', &name);
		if (name.len == 0)
			return bad(error, "a name is missing before =");
		result = parse_known_option(options, name, value, r, error);
		if (result < 0)
			return result;
	}
	return 0;
}

static int parse_tag(struct span *rest, struct request *r, struct request_error *error)
{
	struct span field;

	field = take_field(rest);
	field = span_of(field.ptr + 1, field.len - 1);
	if (field.len == 0 || field.len > WIRE_TAG_MAX || !wire_is_all(field, CLASS_TAG))
		return bad(error, "a tag is # and 1 to 32 of A-Z a-z 0-9 _ - . :");
	if (!has_field(rest))
		return bad(error, "a command is missing behind the tag");
	r->tag = field;
	return 0;
}

static int parse_verb(struct span *rest, struct request *r, struct request_error *error)
{
	struct span name;

	if (rest->len > 4 && memcmp(rest->ptr, "GET ", 4) == 0) {
		r->verb = VERB_GET;
		*rest = span_of(rest->ptr + 3, rest->len - 3);
		return 0;
	}
	name = take_field(rest);
	r->verb = verb_parse(name);
	if (name.len == 0)
		return bad(error, "a command is missing");
	if (r->verb == VERB_COUNT)
		return fail(error, CODE_UNKNOWN_COMMAND, code_text(CODE_UNKNOWN_COMMAND));
	return 0;
}

static int parse_fields(struct span rest, struct request *r, struct request_error *error)
{
	int result = 0;

	if (rest.len && rest.ptr[0] == '#')
		result = parse_tag(&rest, r, error);
	if (result == 0)
		result = parse_verb(&rest, r, error);
	for (size_t i = 0; result == 0 && i < 2 && grammar[r->verb].arguments[i]; i++)
		result = parse_argument(grammar[r->verb].arguments[i], &rest, r, error);
	if (result == 0 && rest.len)
		result = parse_options(grammar[r->verb].options, rest, r, error);
	return result;
}

bool request_is_http(struct span line)
{
	static const char version[] = " HTTP/1.";
	size_t len = sizeof(version) - 1;

	return line.len > len && memcmp(line.ptr + line.len - len - 1, version, len) == 0;
}

int request_parse(struct span line, struct request *ret, struct request_error *ret_error)
{
	int result;

	*ret = (struct request){ 0 };
	result = parse_fields(line, ret, ret_error);
	if (result == 0)
		return 0;
	if (!wire_is_all(line, CLASS_PRINT)) {
		(void)bad(ret_error, "printable ASCII is expected");
		ret_error->close = true;
	} else if (request_is_http(line)) {
		(void)bad(ret_error, "this is not HTTP");
		ret_error->close = true;
	}
	return result;
}

static int append_option(struct buf *to, const char *name, uint64_t value)
{
	int result = buf_append_str(to, name);

	return result < 0 ? result : buf_append_u64(to, value);
}

static int append_field(struct buf *to, struct span field)
{
	int result = buf_append(to, " ", 1);

	return result < 0 ? result : buf_append(to, field.ptr, field.len);
}

static int append_not(struct buf *to, uint64_t id)
{
	char digits[16];
	int result = buf_append_str(to, " not=");

	(void)format_hex64(digits, id); /* exactly 16 */
	return result < 0 ? result : buf_append(to, digits, sizeof(digits));
}

static int append_key(struct buf *to, const struct request *r)
{
	struct span template = r->template.len ? r->template : SPAN_LITERAL(WIRE_NO_TEMPLATE);
	int result;

	if (!wire_is_session(r->session) || (r->template.len && !wire_is_template(r->template)))
		return -EINVAL;
	result = append_field(to, r->session);
	if (result < 0 || (r->all_templates && r->verb == VERB_DROP))
		return result;
	return append_field(to, template);
}

static int append_options(struct buf *to, const struct request *r)
{
	int result = 0;

	if (r->min_ttl_s > WIRE_TTL_MAX_S || r->wait_ms > WIRE_WAIT_MAX_MS ||
	    r->expires_in_s > WIRE_TTL_MAX_S ||
	    (r->expires_in_s && r->expires_in_s < WIRE_EXPIRES_IN_MIN_S))
		return -EINVAL;
	if (r->has_min_ttl)
		result = append_option(to, " min_ttl=", r->min_ttl_s);
	if (result == 0 && r->has_wait)
		result = append_option(to, " wait=", r->wait_ms);
	if (result == 0 && r->expires_in_s)
		result = append_option(to, " expires_in=", r->expires_in_s);
	if (result == 0 && r->has_not)
		result = append_not(to, r->not_id);
	return result;
}

static int append_text(struct buf *to, const char *name, struct span value)
{
	int result;

	if (value.len == 0)
		return 0;
	if (memchr(value.ptr, ' ', value.len) || !wire_is_all(value, CLASS_PRINT))
		return -EINVAL;
	result = buf_append_str(to, name);
	return result < 0 ? result : buf_append(to, value.ptr, value.len);
}

static int append_caller(struct buf *to, const struct request *r)
{
	int result = 0;

	if (r->uid > UINT32_MAX || (r->groups.len && !are_groups(r->groups)) ||
	    r->unit.len > WIRE_UNIT_MAX)
		return -EINVAL;
	if (r->has_uid)
		result = append_option(to, " uid=", r->uid);
	if (result == 0)
		result = append_text(to, " gid=", r->groups);
	return result < 0 ? result : append_text(to, " unit=", r->unit);
}

static int append_tag(struct buf *to, struct span tag)
{
	int result;

	if (tag.len == 0)
		return 0;
	if (tag.len > WIRE_TAG_MAX || !wire_is_all(tag, CLASS_TAG))
		return -EINVAL;
	result = buf_append(to, "#", 1);
	if (result == 0)
		result = buf_append(to, tag.ptr, tag.len);
	return result < 0 ? result : buf_append(to, " ", 1);
}

static int append_request(struct buf *to, const struct request *r)
{
	enum argument first = grammar[r->verb].arguments[0];
	int result = append_tag(to, r->tag);

	if (result == 0)
		result = buf_append_str(to, verb_name(r->verb));
	if (result == 0 && first == ARG_SESSION)
		result = append_key(to, r);
	if (result == 0 && first == ARG_SWITCH)
		result = buf_append_str(to, r->on ? " on" : " off");
	if (result == 0 && first == ARG_VERSION)
		result = append_option(to, " ", r->version);
	if (result == 0 && grammar[r->verb].options == OPTIONS_GET)
		result = append_options(to, r);
	if (result == 0 && grammar[r->verb].options == OPTIONS_WHY)
		result = append_caller(to, r);
	return result < 0 ? result : buf_append(to, "\n", 1);
}

int request_write(struct buf *to, const struct request *request)
{
	size_t before = buf_len(to);
	int result = append_request(to, request);

	if (result == 0 && buf_len(to) - before > WIRE_REQUEST_MAX)
		result = -EINVAL;
	if (result < 0)
		to->end = to->start + before;
	return result;
}
