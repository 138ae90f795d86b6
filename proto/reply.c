/* See reply.h. reply_write() of a token is on the path of every hit: one reservation, no format
 * strings. */
#include "proto/reply.h"

#include <errno.h>

/* Everything of a line beside the token and the texts: tag, names, four numbers, two words. */
#define LINE_OVERHEAD 256

static char *put(char *to, const char *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

#define PUT_LITERAL(to, s) put(to, "" s, sizeof(s) - 1)

static char *put_span(char *to, struct span s)
{
	return s.len ? put(to, s.ptr, s.len) : to;
}

static char *put_name(char *to, const char *name)
{
	return put_span(to, span_str(name));
}

/* What stands behind the numbers of a token; a push names no source. */
enum tail { TAIL_CACHE = SOURCE_CACHE, TAIL_CLERK = SOURCE_CLERK, TAIL_PUSH, TAIL_COUNT };

struct text {
	char bytes[24];
	size_t len;
};

#define TEXT(s)                                                                                    \
	{                                                                                          \
		s, sizeof(s) - 1                                                                   \
	}
#define TAILS(s)                                                                                   \
	{                                                                                          \
		TEXT(s " src=cache"), TEXT(s " src=clerk"), TEXT(s)                                \
	}

static const struct text tails[TOKEN_STATE_COUNT][TAIL_COUNT] = {
	[TOKEN_FRESH] = TAILS(" state=fresh"),
	[TOKEN_DUE] = TAILS(" state=due"),
	[TOKEN_STALE] = TAILS(" state=stale"),
};

static inline char *put_life(char *to, const struct token_view *t, const struct text *tail)
{
	to = put(to, t->text.ptr, t->text.len);
	to = PUT_LITERAL(to, " ttl=");
	to = format_two(to, (uint64_t)t->ttl_ms, SPAN_LITERAL(" reuse="), (uint64_t)t->reuse_ms);
	memcpy(to, tail->bytes, sizeof(tail->bytes)); /* LINE_OVERHEAD leaves room */
	return to + tail->len;
}

static char *put_token(char *to, const struct token_view *t, enum tail which)
{
	return put_life(to, t, &tails[t->state][which]);
}

static char *put_error(char *to, const struct reply *r)
{
	to = PUT_LITERAL(to, "ERR ");
	to = put_name(to, code_name(r->code));
	to = PUT_LITERAL(to, " retry=");
	if (r->retry_ms == RETRY_NEVER)
		to = PUT_LITERAL(to, "never");
	else
		to = format_u64(to, r->retry_ms > 0 ? (uint64_t)r->retry_ms : 0);
	*to++ = ' ';
	return put_span(to, r->text);
}

static char *put_push(char *to, const char *event, const struct reply *r)
{
	to = PUT_LITERAL(to, "* ");
	to = put_name(to, event);
	*to++ = ' ';
	to = put_span(to, r->session);
	*to++ = ' ';
	return put_span(to, r->template);
}

static char *put_token_reply(char *to, const struct token_view *t)
{
	return put_token(PUT_LITERAL(to, "OK "), t, (enum tail)t->source);
}

int reply_write_hit(struct buf *to, const struct token_view *token)
{
	size_t room = LINE_OVERHEAD + token->text.len;
	char *start = buf_reserve(to, room);
	char *at;

	if (!start)
		return room > to->max - buf_len(to) ? -EMSGSIZE : -ENOMEM;
	at = put_life(PUT_LITERAL(start, "OK "), token, &tails[TOKEN_FRESH][TAIL_CACHE]);
	*at++ = '\n';
	buf_commit(to, (size_t)(at - start));
	return 0;
}

static char *put_body(char *to, const struct reply *r)
{
	switch (r->type) {
	case REPLY_TOKEN:
		return put_token_reply(to, &r->token);
	case REPLY_DROPPED:
		return format_u64(PUT_LITERAL(to, "OK dropped="), r->dropped);
	case REPLY_TEXT:
		return put_span(PUT_LITERAL(to, "OK "), r->text);
	case REPLY_ERROR:
		return put_error(to, r);
	case PUSH_TOKEN:
		to = put_push(to, "TOKEN", r);
		*to++ = ' ';
		return put_token(to, &r->token, TAIL_PUSH);
	case PUSH_GONE:
		to = put_push(to, "GONE", r);
		*to++ = ' ';
		return put_name(to, code_name(r->code));
	case PUSH_DROP:
		return put_push(to, "DROP", r);
	default:
		return PUT_LITERAL(to, "OK");
	}
}

int reply_write(struct buf *to, const struct reply *r)
{
	size_t room =
	    LINE_OVERHEAD + r->token.text.len + r->text.len + r->session.len + r->template.len;
	char *start = buf_reserve(to, room);
	char *at = start;

	if (!start)
		return room > to->max - buf_len(to) ? -EMSGSIZE : -ENOMEM;
	if (r->tag.len) {
		*at++ = '#';
		at = put_span(at, r->tag);
		*at++ = ' ';
	}
	at = put_body(at, r);
	*at++ = '\n';
	buf_commit(to, (size_t)(at - start));
	return 0;
}

struct reply reply_error(enum code code, int64_t retry_ms, const char *text)
{
	return (struct reply){
		.type = REPLY_ERROR,
		.code = code,
		.retry_ms = code_is_permanent(code) ? RETRY_NEVER : retry_ms,
		.text = span_str(text ? text : code_text(code)),
	};
}

static int parse_ms(struct span value, int64_t *ret)
{
	uint64_t ms;

	if (span_parse_u64(value, INT64_MAX, &ms) < 0)
		return -EBADMSG;
	*ret = (int64_t)ms;
	return 0;
}

static int parse_token_field(struct span name, struct span value, struct token_view *t)
{
	if (span_is(name, "id"))
		return span_parse_hex64(value, &t->id) < 0 ? -EBADMSG : 0;
	if (span_is(name, "exp"))
		return span_parse_u64(value, INT64_MAX, &t->exp_s) < 0 ? -EBADMSG : 0;
	if (span_is(name, "ttl"))
		return parse_ms(value, &t->ttl_ms);
	if (span_is(name, "reuse"))
		return parse_ms(value, &t->reuse_ms);
	/* A value that a later version may have brings nobody down. */
	if (span_is(name, "state") && token_state_parse(value) != TOKEN_STATE_COUNT)
		t->state = token_state_parse(value);
	if (span_is(name, "src") && token_source_parse(value) != SOURCE_COUNT)
		t->source = token_source_parse(value);
	return 0;
}

/* A JWT, and id=… exp=… ttl=… and more: these four are what makes it a token. */
static int parse_token(struct span jwt, struct span fields, struct token_view *ret)
{
	struct token_view t = { .jwt = jwt, .exp_s = UINT64_MAX, .ttl_ms = -1 };
	const char *end = NULL;
	bool has_id = false;
	struct span field, name;

	while (span_split(&fields, ' ', &field)) {
		if (!span_split(&field, '=', &name) || !field.ptr)
			continue;
		if (parse_token_field(name, field, &t) < 0)
			return -EBADMSG;
		has_id |= span_is(name, "id");
		if (span_is(name, "exp"))
			end = field.ptr + field.len;
	}
	if (!has_id || t.exp_s == UINT64_MAX || t.ttl_ms < 0)
		return -EBADMSG;
	t.text = span_of(jwt.ptr, (size_t)(end - jwt.ptr)); /* as this daemon orders them */
	*ret = t;
	return 0;
}

static int parse_ok(struct span rest, struct reply *r)
{
	struct span first, fields = rest;

	if (!span_split(&fields, ' ', &first)) {
		r->type = REPLY_DONE;
		return 0;
	}
	if (wire_is_jwt(first)) {
		r->type = REPLY_TOKEN;
		return parse_token(first, fields, &r->token);
	}
	if (span_starts(first, "dropped=")) {
		r->type = REPLY_DROPPED;
		first = span_of(first.ptr + 8, first.len - 8);
		return span_parse_u64(first, UINT64_MAX, &r->dropped) < 0 ? -EBADMSG : 0;
	}
	r->type = REPLY_TEXT;
	r->text = rest;
	return 0;
}

static int parse_error(struct span rest, struct reply *r)
{
	struct span code, retry;

	r->type = REPLY_ERROR;
	if (!span_split(&rest, ' ', &code) || !span_split(&rest, ' ', &retry) ||
	    !span_starts(retry, "retry="))
		return -EBADMSG;
	r->code = code_parse(code);
	r->text = rest.ptr ? rest : span_of("", 0);
	retry = span_of(retry.ptr + 6, retry.len - 6);
	if (span_is(retry, "never")) {
		r->retry_ms = RETRY_NEVER;
		return 0;
	}
	return parse_ms(retry, &r->retry_ms);
}

static int parse_push(struct span rest, struct reply *r)
{
	struct span event, field;

	r->type = PUSH_OTHER;
	if (!span_split(&rest, ' ', &event))
		return -EBADMSG;
	if (!span_is(event, "TOKEN") && !span_is(event, "GONE") && !span_is(event, "DROP"))
		return 0;
	if (!span_split(&rest, ' ', &r->session) || !span_split(&rest, ' ', &r->template))
		return -EBADMSG;
	if (span_is(event, "DROP")) {
		r->type = PUSH_DROP;
		return 0;
	}
	if (!span_split(&rest, ' ', &field))
		return -EBADMSG;
	if (span_is(event, "GONE")) {
		r->type = PUSH_GONE;
		r->code = code_parse(field);
		return 0;
	}
	r->type = PUSH_TOKEN;
	return wire_is_jwt(field) ? parse_token(field, rest, &r->token) : -EBADMSG;
}

int reply_parse(struct span line, struct reply *ret)
{
	struct reply r = { 0 };
	struct span rest = line, word;
	int result;

	if (!wire_is_print(line) || !span_split(&rest, ' ', &word))
		return -EBADMSG;
	if (word.len > 1 && word.ptr[0] == '#') {
		r.tag = span_of(word.ptr + 1, word.len - 1);
		if (r.tag.len > WIRE_TAG_MAX || !wire_is_all(r.tag, CLASS_TAG) ||
		    !span_split(&rest, ' ', &word))
			return -EBADMSG;
	}
	if (span_is(word, "OK"))
		result = parse_ok(rest, &r);
	else if (span_is(word, "ERR"))
		result = parse_error(rest, &r);
	else if (span_is(word, "*") && r.tag.len == 0)
		result = parse_push(rest, &r);
	else
		result = -EBADMSG;
	if (result == 0)
		*ret = r;
	return result;
}
