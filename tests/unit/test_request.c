/* proto/request: what a line means, what is wrong with it, and that what is written comes back. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "proto/request.h"

#include <errno.h>

#define ID "0123456789abcdef"

static struct request parsed(const char *line)
{
	struct request r = { 0 };
	struct request_error error = { 0 };

	if (request_parse(span_str(line), &r, &error) < 0)
		fail_msg("\"%s\": %s", line, error.text);
	return r;
}

static struct request_error refused(struct span line, struct request *ret)
{
	struct request_error error = { 0 };

	if (request_parse(line, ret, &error) != -EBADMSG)
		fail_msg("\"%.*s\" was accepted", (int)line.len, line.ptr);
	assert_non_null(error.text);
	assert_true(span_str(error.text).len > 0);
	return error;
}

static void assert_refused(const char *line, enum code code)
{
	struct request r;
	struct request_error error = refused(span_str(line), &r);

	if (error.code != code || error.close)
		fail_msg("\"%s\": %s%s", line, code_name(error.code),
			 error.close ? ", closes" : "");
}

static void test_get(void **state)
{
	struct request r = parsed("GET sess_1 hasura");

	(void)state;
	assert_int_equal(r.verb, VERB_GET);
	assert_span(r.session, "sess_1");
	assert_span(r.template, "hasura");
	assert_int_equal(r.tag.len, 0);
	assert_false(r.has_min_ttl || r.has_wait || r.has_not || r.all_templates);
	assert_true(r.expires_in_s == 0);
	r = parsed("GET sess_1 -");
	assert_int_equal(r.template.len, 0);
	assert_false(r.all_templates);
}

static void test_options(void **state)
{
	struct request r = parsed("WATCH s t min_ttl=0 wait=3600000 expires_in=30 not=" ID);

	(void)state;
	assert_int_equal(r.verb, VERB_WATCH);
	assert_true(r.has_min_ttl && r.min_ttl_s == 0);
	assert_true(r.has_wait && r.wait_ms == 3600000);
	assert_true(r.expires_in_s == 30);
	assert_true(r.has_not && r.not_id == 0x0123456789abcdef);
	r = parsed("GET s t not=0000000000000000 expires_in=315360000 min_ttl=315360000 wait=0");
	assert_true(r.has_not && r.not_id == 0);
	assert_true(r.has_wait && r.wait_ms == 0);
	assert_true(r.min_ttl_s == 315360000 && r.expires_in_s == 315360000);
}

static void test_unknown_options_are_ignored(void **state)
{
	struct request r = parsed("GET s t colour=blue min_ttl=7 colour= x==y%/!~ colour=red");

	(void)state;
	assert_true(r.has_min_ttl && r.min_ttl_s == 7);
	(void)parsed("PING x=1");
	(void)parsed("FLUSH x=1 y=2");
	(void)parsed("TRACK on wait=no_number");
	(void)parsed("HELLO 1 client=test");
	(void)parsed("DROP s t wait=x");
	(void)parsed("STATS pretty=1");
}

static void test_drop(void **state)
{
	struct request r = parsed("DROP s");

	(void)state;
	assert_true(r.all_templates);
	r = parsed("DROP s t");
	assert_false(r.all_templates);
	assert_span(r.template, "t");
	r = parsed("DROP s -");
	assert_false(r.all_templates);
	assert_int_equal(r.template.len, 0);
	r = parsed("DROP s why=logout");
	assert_true(r.all_templates);
}

static void test_the_others(void **state)
{
	struct request r;

	(void)state;
	assert_true(parsed("TRACK on").on);
	assert_false(parsed("TRACK off").on);
	assert_int_equal(parsed("FLUSH").verb, VERB_FLUSH);
	assert_int_equal(parsed("PING").verb, VERB_PING);
	assert_int_equal(parsed("STATS").verb, VERB_STATS);
	assert_true(parsed("HELLO 1").version == 1);
	r = parsed("UNWATCH s t expires_in=60");
	assert_int_equal(r.verb, VERB_UNWATCH);
	assert_true(r.expires_in_s == 60);
}

static void test_why(void **state)
{
	struct request r = parsed("WHY s t");
	uint32_t group = 0;

	(void)state;
	assert_int_equal(r.verb, VERB_WHY);
	assert_span(r.session, "s");
	assert_span(r.template, "t");
	assert_false(r.has_uid || r.groups.len || r.unit.len);
	r = parsed("WHY s - uid=0 gid=4,4294967295 unit=web@1.service colour=blue");
	assert_true(r.has_uid && r.uid == 0);
	assert_span(r.unit, "web@1.service");
	assert_true(request_next_group(&r.groups, &group));
	assert_int_equal(group, 4);
	assert_true(request_next_group(&r.groups, &group));
	assert_true(group == UINT32_MAX);
	assert_false(request_next_group(&r.groups, &group));
}

static void test_tags(void **state)
{
	struct request r = parsed("#a-Z_0.9: GET s t");

	(void)state;
	assert_span(r.tag, "a-Z_0.9:");
	assert_span(parsed("#12345678901234567890123456789012 PING").tag,
		    "12345678901234567890123456789012");
	assert_refused("#123456789012345678901234567890123 PING", CODE_BAD_REQUEST);
	assert_refused("# PING", CODE_BAD_REQUEST);
	assert_refused("#a/b PING", CODE_BAD_REQUEST);
	assert_refused("##a PING", CODE_BAD_REQUEST);
	assert_refused("#a", CODE_BAD_REQUEST);
	assert_refused("#", CODE_BAD_REQUEST);
	assert_refused("#a ", CODE_BAD_REQUEST);
	assert_refused("#a  PING", CODE_BAD_REQUEST);
	assert_refused("#a #b PING", CODE_UNKNOWN_COMMAND);
}

/* So that the error finds the request that it answers. */
static void test_an_error_keeps_the_tag(void **state)
{
	static const char *const lines[] = { "#t NOPE",	   "#t GET", "#t GET s t min_ttl=x",
					     "#t HELLO 2", "#t ",    "#t PING\tx" };
	struct request r;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		(void)refused(span_str(lines[i]), &r);
		assert_span(r.tag, "t");
	}
	(void)refused(SPAN_LITERAL("#t/ PING"), &r);
	assert_int_equal(r.tag.len, 0);
}

static void test_exactly_one_space(void **state)
{
	static const char *const lines[] = {
		"",
		" ",
		" PING",
		"PING ",
		"GET  s t",
		"GET s  t",
		"GET s t ",
		"GET s t  a=b",
		"GET s t a=b ",
		"DROP s ",
		"DROP  s",
		"DROP s  t",
		"TRACK  on",
		"GET s t a=b  c=d",
		"HELLO  1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_refused(lines[i], CODE_BAD_REQUEST);
}

static void test_arguments_are_counted(void **state)
{
	static const char *const lines[] = {
		"GET",	     "GET s",	  "WATCH s",	"UNWATCH s",	"DROP",		 "TRACK",
		"HELLO",     "GET s t u", "DROP s t u", "TRACK on off", "FLUSH all",	 "PING 1",
		"HELLO 1 2", "STATS x",	  "WHY s",	"GET s t =x",	"GET s t a=b u", "PING =",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_refused(lines[i], CODE_BAD_REQUEST);
}

static void test_bad_values(void **state)
{
	static const char *const lines[] = {
		"GET s.1 t",
		"GET s/1 t",
		"GET s ..",
		"GET s .",
		"GET s a/b",
		"GET s a*",
		"GET * t",
		"GET s min_ttl=5",
		"DROP s *",
		"TRACK ON",
		"TRACK 1",
		"HELLO one",
		"HELLO -1",
		"HELLO 1.0",
		"WHY s t uid=root",
		"WHY s t uid=4294967296",
		"WHY s t uid=1 uid=1",
		"WHY s t gid=",
		"WHY s t gid=1,",
		"WHY s t gid=1,x",
		"WHY s t gid=,1",
		"WHY s t gid=1 gid=2",
		"WHY s t unit=",
		"GET s t min_ttl=",
		"GET s t min_ttl=-1",
		"GET s t min_ttl=1.5",
		"GET s t min_ttl=5s",
		"GET s t min_ttl=315360001",
		"GET s t min_ttl=18446744073709551621",
		"GET s t min_ttl=1 min_ttl=1",
		"GET s t wait=3600001",
		"GET s t wait=x",
		"GET s t wait=0 wait=0",
		"GET s t expires_in=29",
		"GET s t expires_in=0",
		"GET s t expires_in=315360001",
		"GET s t expires_in=60 expires_in=60",
		"GET s t not=",
		"GET s t not=0123456789ABCDEF",
		"GET s t not=0123456789abcde",
		"GET s t not=" ID " not=" ID,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_refused(lines[i], CODE_BAD_REQUEST);
}

static void test_what_is_not_known(void **state)
{
	(void)state;
	assert_refused("get s t", CODE_UNKNOWN_COMMAND);
	assert_refused("QUIT", CODE_UNKNOWN_COMMAND);
	assert_refused("GETX s t", CODE_UNKNOWN_COMMAND);
	assert_refused("* DROP s t", CODE_UNKNOWN_COMMAND);
	assert_refused("HELLO 0", CODE_UNSUPPORTED);
	assert_refused("HELLO 2", CODE_UNSUPPORTED);
	assert_refused("HELLO 18446744073709551615", CODE_UNSUPPORTED);
}

static void assert_closes(struct span line)
{
	struct request r;
	struct request_error error = refused(line, &r);

	assert_int_equal(error.code, CODE_BAD_REQUEST);
	assert_true(error.close);
}

static void test_control_bytes_close(void **state)
{
	char line[] = "GET s t x=?";

	(void)state;
	for (int c = 0; c < 256; c++) {
		if (c >= ' ' && c <= '~')
			continue;
		line[10] = (char)c;
		assert_closes(span_of(line, 11)); /* in a value that is ignored */
		line[4] = (char)c;
		assert_closes(span_of(line, 10)); /* in a name */
		line[4] = 's';
		assert_closes(span_of(line + 10, 1)); /* as the command */
	}
	assert_closes(SPAN_LITERAL("PING\r"));
	assert_closes(span_of("PING\0", 5));
}

static void test_http_closes(void **state)
{
	(void)state;
	assert_closes(SPAN_LITERAL("GET / HTTP/1.1"));
	assert_closes(SPAN_LITERAL("POST /x HTTP/1.0"));
	assert_closes(SPAN_LITERAL("GET sess_1 HTTP/1.1"));
	assert_closes(SPAN_LITERAL("OPTIONS * HTTP/1.1"));
	assert_true(request_is_http(SPAN_LITERAL("x HTTP/1.1")));
	assert_false(request_is_http(SPAN_LITERAL(" HTTP/1.")));
	assert_false(request_is_http(SPAN_LITERAL("HTTP/1.1 200 OK")));
	assert_false(request_is_http(SPAN_LITERAL("")));
	assert_false(request_is_http(SPAN_NONE));
}

static void assert_written(const struct request *r, const char *line)
{
	struct buf b = BUF_INIT(WIRE_REQUEST_MAX);

	assert_int_equal(request_write(&b, r), 0);
	assert_span(buf_span(&b), line);
	buf_deinit(&b);
}

static void test_write(void **state)
{
	struct request r = { .verb = VERB_GET, .session = SPAN_LITERAL("s") };

	(void)state;
	assert_written(&r, "GET s -\n");
	r.tag = SPAN_LITERAL("t:1");
	r.template = SPAN_LITERAL("hasura");
	r.has_min_ttl = r.has_wait = r.has_not = true;
	r.min_ttl_s = 5;
	r.expires_in_s = 600;
	r.not_id = 0xab;
	assert_written(&r, "#t:1 GET s hasura min_ttl=5 wait=0 expires_in=600"
			   " not=00000000000000ab\n");
	r = (struct request){ .verb = VERB_DROP, .session = SPAN_LITERAL("s") };
	assert_written(&r, "DROP s -\n");
	r.all_templates = true;
	assert_written(&r, "DROP s\n");
	r = (struct request){ .verb = VERB_TRACK, .on = true };
	assert_written(&r, "TRACK on\n");
	r.on = false;
	assert_written(&r, "TRACK off\n");
	r = (struct request){ .verb = VERB_HELLO, .version = 1 };
	assert_written(&r, "HELLO 1\n");
	r = (struct request){ .verb = VERB_FLUSH };
	assert_written(&r, "FLUSH\n");
}

static void assert_same(const struct request *a, const struct request *b)
{
	assert_int_equal(a->verb, b->verb);
	assert_true(span_equal(a->tag, b->tag));
	assert_true(span_equal(a->session, b->session));
	assert_true(span_equal(a->template, b->template));
	assert_int_equal(a->all_templates, b->all_templates);
	assert_int_equal(a->on, b->on);
	assert_true(a->has_min_ttl == b->has_min_ttl && a->min_ttl_s == b->min_ttl_s);
	assert_true(a->has_wait == b->has_wait && a->wait_ms == b->wait_ms);
	assert_true(a->has_not == b->has_not && a->not_id == b->not_id);
	assert_true(a->expires_in_s == b->expires_in_s && a->version == b->version);
	assert_true(a->has_uid == b->has_uid && a->uid == b->uid);
	assert_true(span_equal(a->groups, b->groups) && span_equal(a->unit, b->unit));
}

static void test_what_is_written_comes_back(void **state)
{
	static const char *const lines[] = {
		"GET sess_1 hasura",
		"#1 WATCH s - min_ttl=5 wait=100 expires_in=30 not=0123456789abcdef",
		"UNWATCH s t expires_in=31",
		"DROP s",
		"DROP s t",
		"#x DROP s -",
		"TRACK on",
		"TRACK off",
		"FLUSH",
		"PING",
		"HELLO 1",
		"STATS",
		"GET s t unknown=1 wait=1",
		"WHY s -",
		"WHY s t uid=0 gid=0,100 unit=dev-x\\x2dy.service",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct buf b = BUF_INIT(WIRE_REQUEST_MAX);
		struct request r = parsed(lines[i]);
		struct request again;
		struct request_error error;

		assert_int_equal(request_write(&b, &r), 0);
		assert_int_equal(b.ptr[b.end - 1], '\n');
		assert_int_equal(request_parse(span_of(b.ptr, buf_len(&b) - 1), &again, &error), 0);
		assert_same(&r, &again);
		buf_deinit(&b);
	}
}

static void assert_not_written(const struct request *r)
{
	struct buf b = BUF_INIT(WIRE_REQUEST_MAX);

	assert_int_equal(buf_append_str(&b, "before"), 0);
	assert_int_equal(request_write(&b, r), -EINVAL);
	assert_span(buf_span(&b), "before");
	buf_deinit(&b);
}

static void test_names_are_checked_before_they_are_written(void **state)
{
	static const char *const sessions[] = { "", "a b", "a\nFLUSH", "a/b", "*" };
	static const char *const templates[] = { ".", "..", "-", "a b", "a\nFLUSH", "*" };
	static const char *const tags[] = { "a b", "a\n", "123456789012345678901234567890123" };
	struct request r = { .verb = VERB_GET };

	(void)state;
	for (size_t i = 0; i < sizeof(sessions) / sizeof(*sessions); i++) {
		r.session = span_str(sessions[i]);
		assert_not_written(&r);
	}
	r.session = SPAN_LITERAL("s");
	for (size_t i = 0; i < sizeof(templates) / sizeof(*templates); i++) {
		r.template = span_str(templates[i]);
		assert_not_written(&r);
	}
	r.template = SPAN_NONE;
	for (size_t i = 0; i < sizeof(tags) / sizeof(*tags); i++) {
		r.tag = span_str(tags[i]);
		assert_not_written(&r);
	}
}

static void test_numbers_are_checked_before_they_are_written(void **state)
{
	const struct request good = { .verb = VERB_GET, .session = SPAN_LITERAL("s") };
	struct request r = good;

	(void)state;
	r.has_min_ttl = true;
	r.min_ttl_s = WIRE_TTL_MAX_S + UINT64_C(1);
	assert_not_written(&r);
	r = good;
	r.has_wait = true;
	r.wait_ms = WIRE_WAIT_MAX_MS + UINT64_C(1);
	assert_not_written(&r);
	r = good;
	r.expires_in_s = WIRE_EXPIRES_IN_MIN_S - 1;
	assert_not_written(&r);
	r.expires_in_s = WIRE_TTL_MAX_S + UINT64_C(1);
	assert_not_written(&r);
}

/* A line of the longest names and numbers fits in what a request may have. */
static void test_the_longest_request_fits(void **state)
{
	char name[WIRE_NAME_MAX];
	struct request r = { .verb = VERB_UNWATCH };
	struct buf b = BUF_INIT(WIRE_REQUEST_MAX);

	(void)state;
	memset(name, 'n', sizeof(name));
	r.session = r.template = span_of(name, sizeof(name));
	r.tag = span_of(name, WIRE_TAG_MAX);
	r.has_min_ttl = r.has_wait = r.has_not = true;
	r.min_ttl_s = r.expires_in_s = WIRE_TTL_MAX_S;
	r.wait_ms = WIRE_WAIT_MAX_MS;
	assert_int_equal(request_write(&b, &r), 0);
	assert_true(buf_len(&b) <= WIRE_REQUEST_MAX);
	buf_deinit(&b);
}

/* Whichever append finds no room, the buffer is as it was. */
static void test_nothing_is_appended_on_failure(void **state)
{
	struct request r = parsed("#1 WATCH s t min_ttl=5 wait=100 expires_in=30 not=" ID);
	const size_t whole = sizeof("#1 WATCH s t min_ttl=5 wait=100 expires_in=30 not=" ID);

	(void)state;
	for (size_t max = 0; max < whole; max++) {
		struct buf b = BUF_INIT(3 + max);

		assert_int_equal(buf_append_str(&b, "abc"), 0);
		buf_consume(&b, 1);
		b.max--;
		assert_int_equal(request_write(&b, &r), -EMSGSIZE);
		assert_span(buf_span(&b), "bc");
		buf_deinit(&b);
	}
}

static void test_nothing_is_appended_without_memory(void **state)
{
	struct request r = parsed("GET s t");
	struct buf b = BUF_INIT(WIRE_REQUEST_MAX);

	(void)state;
	mem_fail_after(0);
	assert_int_equal(request_write(&b, &r), -ENOMEM);
	assert_int_equal(buf_len(&b), 0);
	while (b.end < b.size || !b.ptr)
		assert_int_equal(buf_append(&b, "x", 1), 0);
	mem_fail_after(0);
	assert_int_equal(request_write(&b, &r), -ENOMEM);
	assert_int_equal(buf_len(&b), b.size);
	assert_int_equal(request_write(&b, &r), 0);
	buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_unknown_options_are_ignored),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_the_others),
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_an_error_keeps_the_tag),
		cmocka_unit_test(test_exactly_one_space),
		cmocka_unit_test(test_arguments_are_counted),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_what_is_not_known),
		cmocka_unit_test(test_control_bytes_close),
		cmocka_unit_test(test_http_closes),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_what_is_written_comes_back),
		cmocka_unit_test(test_names_are_checked_before_they_are_written),
		cmocka_unit_test(test_numbers_are_checked_before_they_are_written),
		cmocka_unit_test(test_the_longest_request_fits),
		cmocka_unit_test(test_nothing_is_appended_on_failure),
		cmocka_unit_test(test_nothing_is_appended_without_memory),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
