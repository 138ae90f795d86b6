/* proto/reply: written as the grammar says, read back the same, and nothing odd is believed. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "proto/reply.h"

#include <errno.h>

#define JWT "eyJh.eyJz.c2ln"
#define TOKEN JWT " id=0123456789abcdef exp=1800000000 ttl=59000 reuse=30000 state=fresh"

static const struct token_view sample = {
	.text = SPAN_LITERAL(JWT " id=0123456789abcdef exp=1800000000"),
	.jwt = SPAN_LITERAL(JWT),
	.id = 0x0123456789abcdef,
	.exp_s = 1800000000,
	.ttl_ms = 59000,
	.reuse_ms = 30000,
};

static void assert_written(const struct reply *r, const char *line)
{
	struct buf b = BUF_INIT(10000);

	assert_int_equal(reply_write(&b, r), 0);
	assert_span(buf_span(&b), line);
	buf_deinit(&b);
}

static struct reply parsed(const char *line)
{
	struct reply r = { 0 };

	if (reply_parse(span_str(line), &r) != 0)
		fail_msg("\"%s\" was refused", line);
	return r;
}

static void test_write_token(void **state)
{
	struct reply r = { .type = REPLY_TOKEN, .token = sample };

	(void)state;
	assert_written(&r, "OK " TOKEN " src=cache\n");
	r.tag = SPAN_LITERAL("7");
	r.token.source = SOURCE_CLERK;
	r.token.state = TOKEN_STALE;
	r.token.ttl_ms = r.token.reuse_ms = 0;
	assert_written(&r, "#7 OK " JWT " id=0123456789abcdef exp=1800000000 ttl=0 reuse=0"
			   " state=stale src=clerk\n");
	r.token.state = TOKEN_DUE;
	assert_written(&r, "#7 OK " JWT " id=0123456789abcdef exp=1800000000 ttl=0 reuse=0"
			   " state=due src=clerk\n");
}

static void test_write_the_other_replies(void **state)
{
	struct reply r = { .type = REPLY_DONE };

	(void)state;
	assert_written(&r, "OK\n");
	r.tag = SPAN_LITERAL("a");
	assert_written(&r, "#a OK\n");
	r = (struct reply){ .type = REPLY_DROPPED, .dropped = 12 };
	assert_written(&r, "OK dropped=12\n");
	r = (struct reply){ .type = REPLY_TEXT, .text = SPAN_LITERAL("pong") };
	assert_written(&r, "OK pong\n");
}

static void test_write_errors(void **state)
{
	struct reply r = reply_error(CODE_TIMEOUT, 250, NULL);

	(void)state;
	assert_written(&r, "ERR timeout retry=250 wait has passed\n");
	r = reply_error(CODE_DENIED, 250, "no");
	assert_written(&r, "ERR denied retry=never no\n");
	r = reply_error(CODE_REJECTED, RETRY_NEVER, NULL);
	assert_written(&r, "ERR rejected retry=never Clerk rejected the request\n");
	r = reply_error(CODE_UNAVAILABLE, -7, "x");
	r.tag = SPAN_LITERAL("9");
	assert_written(&r, "#9 ERR unavailable retry=0 x\n");
}

static void test_write_pushes(void **state)
{
	struct reply r = { .type = PUSH_TOKEN,
			   .token = sample,
			   .session = SPAN_LITERAL("s"),
			   .template = SPAN_LITERAL("-") };

	(void)state;
	assert_written(&r, "* TOKEN s - " TOKEN "\n");
	r = (struct reply){ .type = PUSH_GONE,
			    .session = SPAN_LITERAL("s"),
			    .template = SPAN_LITERAL("t"),
			    .code = CODE_NOT_FOUND };
	assert_written(&r, "* GONE s t not_found\n");
	r = (struct reply){ .type = PUSH_DROP,
			    .session = SPAN_LITERAL("*"),
			    .template = SPAN_LITERAL("*") };
	assert_written(&r, "* DROP * *\n");
}

#define LONG_JWT 5000
#define LONG_TAIL " id=ffffffffffffffff exp=18446744073709551615"

/* A line is at most 512 bytes longer than its token, whatever stands in it, and a reply needs no
 * more room than that. */
static void test_the_longest_lines(void **state)
{
	char text[LONG_JWT + sizeof(LONG_TAIL)], name[WIRE_NAME_MAX];
	struct buf b = BUF_INIT(LONG_JWT + WIRE_REPLY_OVERHEAD);
	struct reply r = {
		.type = REPLY_TOKEN,
		.tag = span_of(name, WIRE_TAG_MAX),
		.token = { .text = span_of(text, sizeof(text) - 1),
			   .ttl_ms = INT64_MAX,
			   .reuse_ms = INT64_MAX },
	};

	(void)state;
	memset(name, 'n', sizeof(name));
	memset(text, 'j', LONG_JWT);
	memcpy(text + LONG_JWT, LONG_TAIL, sizeof(LONG_TAIL));
	assert_int_equal(reply_write(&b, &r), 0);
	buf_reset(&b);
	r.type = PUSH_TOKEN;
	r.tag = SPAN_NONE;
	r.session = r.template = span_of(name, sizeof(name));
	b.max *= 2;
	assert_int_equal(reply_write(&b, &r), 0);
	assert_true(buf_len(&b) <= LONG_JWT + WIRE_REPLY_OVERHEAD);
	buf_deinit(&b);
}

static void test_write_hit(void **state)
{
	struct token_view token = sample;
	struct buf b = BUF_INIT(1000);

	(void)state;
	token.state = TOKEN_DUE; /* not looked at */
	mem_fail_after(0);
	assert_int_equal(reply_write_hit(&b, &token), -ENOMEM);
	assert_int_equal(reply_write_hit(&b, &token), 0);
	assert_span(buf_span(&b), "OK " JWT " id=0123456789abcdef exp=1800000000 ttl=59000"
				  " reuse=30000 state=fresh src=cache\n");
	buf_deinit(&b);
	b = BUF_INIT(100);
	assert_int_equal(buf_append_str(&b, "before"), 0);
	assert_int_equal(reply_write_hit(&b, &token), -EMSGSIZE);
	assert_span(buf_span(&b), "before");
	buf_deinit(&b);
}

static void test_nothing_is_appended_on_failure(void **state)
{
	struct reply r = { .type = REPLY_TOKEN, .token = sample };
	struct buf b = BUF_INIT(100);

	(void)state;
	assert_int_equal(buf_append_str(&b, "before"), 0);
	assert_int_equal(reply_write(&b, &r), -EMSGSIZE);
	assert_span(buf_span(&b), "before");
	b.max = 10000;
	while (b.size - b.end)
		assert_int_equal(buf_append(&b, "x", 1), 0);
	mem_fail_after(0);
	assert_int_equal(reply_write(&b, &r), -ENOMEM);
	assert_int_equal(buf_len(&b), b.size);
	assert_int_equal(reply_write(&b, &r), 0);
	buf_deinit(&b);
}

static void assert_token(const struct token_view *t)
{
	assert_span(t->jwt, JWT);
	assert_true(t->id == sample.id && t->exp_s == sample.exp_s);
	assert_true(t->ttl_ms == 59000 && t->reuse_ms == 30000);
	assert_int_equal(t->state, TOKEN_FRESH);
}

static void test_parse_token(void **state)
{
	struct reply r = parsed("#9 OK " TOKEN " src=clerk");

	(void)state;
	assert_int_equal(r.type, REPLY_TOKEN);
	assert_span(r.tag, "9");
	assert_token(&r.token);
	assert_int_equal(r.token.source, SOURCE_CLERK);
	r = parsed("OK " TOKEN " src=cache colour=blue more");
	assert_token(&r.token);
	assert_int_equal(r.token.source, SOURCE_CACHE);
	r = parsed("OK " JWT " x=y ttl=1 exp=2 id=0000000000000003");
	assert_true(r.token.ttl_ms == 1 && r.token.exp_s == 2 && r.token.id == 3);
}

/* What a later version may say brings nobody down. */
static void test_values_that_are_not_known(void **state)
{
	struct reply r = parsed("OK " JWT " id=0123456789abcdef exp=1 ttl=1 state=old src=guess");

	(void)state;
	assert_int_equal(r.type, REPLY_TOKEN);
	assert_true(r.token.state < TOKEN_STATE_COUNT && r.token.source < SOURCE_COUNT);
}

static void test_parse_the_other_replies(void **state)
{
	struct reply r = parsed("OK");

	(void)state;
	assert_int_equal(r.type, REPLY_DONE);
	assert_int_equal(r.tag.len, 0);
	r = parsed("OK dropped=3 more=1");
	assert_int_equal(r.type, REPLY_DROPPED);
	assert_true(r.dropped == 3);
	r = parsed("#x OK {\"a\": [1, 2]}");
	assert_int_equal(r.type, REPLY_TEXT);
	assert_span(r.text, "{\"a\": [1, 2]}");
	r = parsed("OK clerk-tokend version=1.2.3 proto=1 max_line=66048");
	assert_int_equal(r.type, REPLY_TEXT);
}

static void test_parse_errors(void **state)
{
	struct reply r = parsed("ERR timeout retry=250 wait has passed");

	(void)state;
	assert_int_equal(r.type, REPLY_ERROR);
	assert_int_equal(r.code, CODE_TIMEOUT);
	assert_true(r.retry_ms == 250);
	assert_span(r.text, "wait has passed");
	r = parsed("#1 ERR teapot retry=never short");
	assert_int_equal(r.code, CODE_COUNT);
	assert_true(r.retry_ms == RETRY_NEVER);
	r = parsed("ERR internal retry=0");
	assert_span(r.text, "");
}

static void test_parse_pushes(void **state)
{
	struct reply r = parsed("* TOKEN s - " TOKEN);

	(void)state;
	assert_int_equal(r.type, PUSH_TOKEN);
	assert_span(r.session, "s");
	assert_span(r.template, "-");
	assert_token(&r.token);
	r = parsed("* GONE s t forbidden more=1");
	assert_int_equal(r.type, PUSH_GONE);
	assert_int_equal(r.code, CODE_FORBIDDEN);
	assert_int_equal(parsed("* GONE s t teapot").code, CODE_COUNT);
	r = parsed("* DROP s *");
	assert_int_equal(r.type, PUSH_DROP);
	assert_span(r.session, "s");
	assert_span(r.template, "*");
	assert_int_equal(parsed("* DROP s t why=logout").type, PUSH_DROP);
	assert_int_equal(parsed("* NEWS of a later version").type, PUSH_OTHER);
	assert_int_equal(parsed("* NEWS").type, PUSH_OTHER);
}

static void test_what_is_no_reply(void **state)
{
	static const char *const lines[] = {
		"",
		" OK",
		"ok",
		"OKAY",
		"PING",
		"#",
		"# OK",
		"#a",
		"#a/b OK",
		"##a OK",
		"#123456789012345678901234567890123 OK",
		"#a * DROP s t",
		"OK\tpong",
		"OK pong\r",
		"OK p\xc3\xb6ng",
		"*",
		"*TOKEN s t",
		"* DROP s",
		"* DROP",
		"* GONE s t",
		"* TOKEN s t",
		"* TOKEN s t a.b id=0123456789abcdef exp=1 ttl=1",
		"ERR",
		"ERR timeout",
		"ERR timeout text",
		"ERR timeout retry=",
		"ERR timeout retry=-1 x",
		"ERR timeout retry=soon x",
		"ERR timeout retry=9223372036854775808 x",
		"OK dropped=",
		"OK dropped=x",
		"OK dropped=18446744073709551616",
		"OK " JWT,
		"OK " JWT " id=0123456789abcdef exp=1",
		"OK " JWT " id=0123456789abcdef ttl=1",
		"OK " JWT " id=0123 exp=1 ttl=1",
		"OK " JWT " id=0123456789abcdef exp=x ttl=1",
		"OK " JWT " id=0123456789abcdef exp=1 ttl=-1",
		"OK " JWT " id=0123456789abcdef exp=1 ttl=1 reuse=9223372036854775808",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct reply r = { .dropped = 7 };

		if (reply_parse(span_str(lines[i]), &r) != -EBADMSG)
			fail_msg("\"%s\" was accepted", lines[i]);
		assert_true(r.dropped == 7); /* untouched */
	}
	assert_int_equal(reply_parse(SPAN_NONE, &(struct reply){ 0 }), -EBADMSG);
	assert_int_equal(reply_parse(span_of("OK\0", 3), &(struct reply){ 0 }), -EBADMSG);
}

static void assert_comes_back(const char *line)
{
	struct buf b = BUF_INIT(10000);
	struct reply r = parsed(line);

	assert_int_equal(reply_write(&b, &r), 0);
	assert_span(span_of(b.ptr, buf_len(&b) - 1), line);
	assert_int_equal(b.ptr[b.end - 1], '\n');
	buf_deinit(&b);
}

static void test_what_is_read_is_written_the_same(void **state)
{
	static const char *const lines[] = {
		"OK " TOKEN " src=cache",
		"#a:b OK " TOKEN " src=clerk",
		"OK",
		"#1 OK",
		"OK dropped=0",
		"OK pong",
		"OK {}",
		"OK clerk-tokend version=0.1 proto=1 max_line=66048",
		"ERR not_found retry=9000 Clerk knows no such session or template",
		"#1 ERR bad_request retry=never a command is missing",
		"* TOKEN s t " TOKEN,
		"* GONE s t unauthorized",
		"* DROP s t",
		"* DROP s *",
		"* DROP * *",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_comes_back(lines[i]);
}

static void test_every_error_comes_back(void **state)
{
	(void)state;
	for (int c = CODE_OK + 1; c < CODE_COUNT; c++) {
		struct reply r = reply_error((enum code)c, 1234, NULL);
		struct buf b = BUF_INIT(1000);
		struct reply again;

		assert_int_equal(r.retry_ms == RETRY_NEVER, code_is_permanent((enum code)c));
		assert_int_equal(reply_write(&b, &r), 0);
		assert_true(buf_len(&b) <= WIRE_REPLY_OVERHEAD);
		assert_int_equal(reply_parse(span_of(b.ptr, buf_len(&b) - 1), &again), 0);
		assert_int_equal(again.code, c);
		assert_true(again.retry_ms == r.retry_ms);
		assert_true(span_equal(again.text, r.text));
		buf_deinit(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_token),
		cmocka_unit_test(test_write_the_other_replies),
		cmocka_unit_test(test_write_errors),
		cmocka_unit_test(test_write_pushes),
		cmocka_unit_test(test_the_longest_lines),
		cmocka_unit_test(test_write_hit),
		cmocka_unit_test(test_nothing_is_appended_on_failure),
		cmocka_unit_test(test_parse_token),
		cmocka_unit_test(test_values_that_are_not_known),
		cmocka_unit_test(test_parse_the_other_replies),
		cmocka_unit_test(test_parse_errors),
		cmocka_unit_test(test_parse_pushes),
		cmocka_unit_test(test_what_is_no_reply),
		cmocka_unit_test(test_what_is_read_is_written_the_same),
		cmocka_unit_test(test_every_error_comes_back),
	};

	return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
