/* Any line is a reply or a push, which comes back as it was when it is written, or is none. */
#include "tests/fuzz/fuzz.h"

#include "proto/reply.h"

#include <errno.h>

#define ROOM 16384

static bool is_same_token(const struct token_view *a, const struct token_view *b)
{
	return span_equal(a->text, b->text) && span_equal(a->jwt, b->jwt) && a->id == b->id &&
	       a->exp_s == b->exp_s && a->ttl_ms == b->ttl_ms && a->reuse_ms == b->reuse_ms &&
	       a->state == b->state && a->source == b->source;
}

static bool is_same(const struct reply *a, const struct reply *b)
{
	return a->type == b->type && span_equal(a->tag, b->tag) &&
	       is_same_token(&a->token, &b->token) && a->dropped == b->dropped &&
	       a->code == b->code && a->retry_ms == b->retry_ms && span_equal(a->text, b->text) &&
	       span_equal(a->session, b->session) && span_equal(a->template, b->template);
}

static bool is_within(struct span part, struct span whole)
{
	return part.len == 0 ||
	       (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

/* What a client relies on. */
static void check(struct span line, const struct reply *r)
{
	const struct token_view *t = &r->token;

	fuzz_require(wire_is_all(line, CLASS_PRINT));
	fuzz_require(r->type <= PUSH_OTHER && r->code <= CODE_COUNT);
	fuzz_require(is_within(r->tag, line) && is_within(r->text, line) &&
		     is_within(t->jwt, line));
	fuzz_require(is_within(t->text, line) && t->text.len >= t->jwt.len);
	fuzz_require(is_within(r->session, line) && is_within(r->template, line));
	fuzz_require(r->tag.len <= WIRE_TAG_MAX && wire_is_all(r->tag, CLASS_TAG));
	fuzz_require(r->type < PUSH_TOKEN || r->tag.len == 0);
	fuzz_require(r->retry_ms >= RETRY_NEVER);
	if (r->type == REPLY_TOKEN || r->type == PUSH_TOKEN)
		fuzz_require(wire_is_jwt(t->jwt) && t->ttl_ms >= 0 && t->reuse_ms >= 0 &&
			     t->exp_s <= INT64_MAX && t->state < TOKEN_STATE_COUNT &&
			     t->source < SOURCE_COUNT);
}

/* JWT id=ID exp=UNIX, in this order, nothing between, and neither given again. */
static bool is_in_our_order(const struct token_view *t)
{
	struct span rest = span_of(t->text.ptr + t->jwt.len, t->text.len - t->jwt.len);
	uint64_t id, exp_s;

	if (rest.len < 26 || !span_starts(rest, " id=") ||
	    !span_starts(span_of(rest.ptr + 20, rest.len - 20), " exp="))
		return false;
	return span_parse_hex64(span_of(rest.ptr + 4, 16), &id) == 0 && id == t->id &&
	       span_parse_u64(span_of(rest.ptr + 25, rest.len - 25), UINT64_MAX, &exp_s) == 0 &&
	       exp_s == t->exp_s;
}

/* What this version doesn't know can't be written, nor the fields of a token in another order. */
static bool is_writable(const struct reply *r)
{
	bool has_code = r->type == REPLY_ERROR || r->type == PUSH_GONE;
	bool has_token = r->type == REPLY_TOKEN || r->type == PUSH_TOKEN;

	return r->type != PUSH_OTHER && !(has_code && r->code == CODE_COUNT) &&
	       !(has_token && !is_in_our_order(&r->token));
}

static void write_and_read(const struct reply *r)
{
	struct buf text = BUF_INIT(ROOM);
	struct reply again;

	fuzz_require(reply_write(&text, r) == 0);
	fuzz_require(text.ptr[text.end - 1] == '\n');
	fuzz_require(reply_parse(span_of(text.ptr, buf_len(&text) - 1), &again) == 0);
	again.token.source = r->type == PUSH_TOKEN ? r->token.source : again.token.source;
	fuzz_require(is_same(r, &again));
	buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span line = span_of((const char *)data, size);
	struct reply r;
	int result;

	if (size > ROOM / 2)
		return 0;
	result = reply_parse(line, &r);
	fuzz_require(result == 0 || result == -EBADMSG);
	if (result < 0)
		return 0;
	check(line, &r);
	if (is_writable(&r))
		write_and_read(&r);
	return 0;
}
