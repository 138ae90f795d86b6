/* daemon/core/refusal: what is kept of Clerk's words, and who is told them. */
#include "tests/unit/test_engine_world.h"

#include "daemon/core/refusal.h"

#include <sodium.h>

#define BODY(errors) "{\"errors\":[" errors "],\"clerk_trace_id\":\"t1\"}"
#define ERROR                                                                                      \
	"{\"message\":\"m\",\"long_message\":\"l\",\"code\":\"c\",\"meta\":{\"param_name\":\"p\"}" \
	"}"

/* As the engine is given it. */
static void judge(int status, const char *body, struct outcome *ret)
{
	const struct answer a = { .status = status,
				  .content_type = SPAN_LITERAL("application/json"),
				  .body = span_str(body) };

	answer_judge(&a, 1024, ret);
}

static void assert_kept(int status, const char *body, const char *text)
{
	struct outcome o;

	judge(status, body, &o);
	assert_span(buf_span(&o.refusal), text);
	outcome_deinit(&o);
}

static void test_kept(void **state)
{
	static const int statuses[] = { 400, 401, 403, 404, 413, 415, 422 };
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		(void)snprintf(text, sizeof(text), "%d t1 %s", statuses[i], BODY(ERROR));
		assert_kept(statuses[i], BODY(ERROR), text);
	}
	assert_kept(404, BODY(ERROR "," ERROR), "404 t1 " BODY(ERROR "," ERROR));
	assert_kept(401, BODY("{\"message\":\"m\",\"code\":\"clerk_key_invalid\"}"),
		    "401 t1 " BODY("{\"message\":\"m\",\"code\":\"clerk_key_invalid\"}"));
	assert_kept(
	    422, "{\"errors\":[{\"message\":\"m\",\"code\":\"c\"}],\"meta\":{\"a\":[1,null]}}",
	    "422  {\"errors\":[{\"message\":\"m\",\"code\":\"c\"}],\"meta\":{\"a\":[1,null]}}");
}

/* It is JSON in one line, however it came. */
static void test_written_anew(void **state)
{
	(void)state;
	assert_kept(404,
		    " { \"errors\" :\n[ {\"message\":\"a\tb\\u003c\\r\\n\xc3\xa9\\u00e9\","
		    "\"code\" : \"c\\/\\\"\"} ] }\r\n",
		    "404  {\"errors\":[{\"message\":\"a\\tb<\\r\\n\xc3\xa9\xc3\xa9\","
		    "\"code\":\"c/\\\"\"}]}");
	/* what is no trace id is none in the fields of an answer either */
	assert_kept(
	    404, "{\"errors\":[{\"message\":\"m\",\"code\":\"c\"}],\"clerk_trace_id\":\"a b\"}",
	    "404  {\"errors\":[{\"message\":\"m\",\"code\":\"c\"}],\"clerk_trace_id\":\"a b\"}");
}

static void test_not_kept(void **state)
{
	static const struct {
		int status;
		const char *body;
	} cases[] = {
		{ 404, "" },
		{ 404, "not found" },
		{ 404, "[" ERROR "]" },
		{ 404, "{\"errors\":" ERROR "}" },
		{ 404, BODY("") },
		{ 404, BODY("1") },
		{ 404, BODY("[]") },
		{ 404, BODY(ERROR ",null") },
		{ 404, BODY("{\"message\":\"m\"}") },
		{ 404, BODY("{\"code\":\"c\"}") },
		{ 404, BODY("{\"message\":\"m\",\"code\":1}") },
		{ 404, BODY("{\"message\":null,\"code\":\"c\"}") },
		{ 404, BODY("{\"message\":\"\\u0000\",\"code\":\"c\"}") },
		{ 404, BODY(ERROR) "x" },
		{ 401, "{\"message\":\"m\"}" },
		{ 200, BODY(ERROR) },
		{ 302, BODY(ERROR) },
		{ 408, BODY(ERROR) },
		{ 409, BODY(ERROR) },
		{ 429, BODY(ERROR) },
		{ 500, BODY(ERROR) },
		{ 503, BODY(ERROR) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct outcome o;

		judge(cases[i].status, cases[i].body, &o);
		if (buf_len(&o.refusal))
			fail_msg("%d %s", cases[i].status, cases[i].body);
		outcome_deinit(&o);
	}
}

static void test_so_long(void **state)
{
	char body[2 * REFUSAL_MAX], filler[REFUSAL_MAX];
	bool was_kept = true;
	struct outcome o;
	size_t longest = 0;

	(void)state;
	for (size_t len = 0; len < REFUSAL_MAX; len++) {
		memset(filler, 'm', len);
		filler[len] = '\0';
		(void)snprintf(body, sizeof(body), BODY("{\"message\":\"%s\",\"code\":\"c\"}"),
			       filler);
		judge(404, body, &o);
		assert_int_equal(o.kind, OUTCOME_DEFINITE); /* kept or not */
		if (buf_len(&o.refusal)) {
			assert_true(was_kept && o.refusal.size <= REFUSAL_MAX);
			longest = buf_len(&o.refusal);
		}
		was_kept = buf_len(&o.refusal);
		outcome_deinit(&o);
	}
	assert_false(was_kept);
	assert_in_range(longest, REFUSAL_MAX - 16, REFUSAL_MAX);
}

static void test_read(void **state)
{
	struct refusal r;

	(void)state;
	assert_true(refusal_read(SPAN_LITERAL("422 t1 {\"a\": 1}"), &r));
	assert_int_equal(r.status, 422);
	assert_span(r.trace_id, "t1");
	assert_span(r.body, "{\"a\": 1}");
	assert_true(refusal_read(SPAN_LITERAL("404  {}"), &r));
	assert_int_equal(r.trace_id.len, 0);
	assert_span(r.body, "{}");
	assert_false(refusal_read(SPAN_NONE, &r));
	assert_false(refusal_read(SPAN_LITERAL(""), &r));
}

static int setup(void **state)
{
	(void)state;
	set_config();
	return begin() < 0 || !join(0, 1000) || !join(1, 1001);
}

static bool refuse(const char *session, int status, const char *body)
{
	struct outcome o;
	bool found;

	judge(status, body, &o);
	o.retry_after_ms = -1;
	found = answer(session, &o);
	outcome_deinit(&o);
	return found;
}

/* Who waited, and who asks later, as long as it is remembered. */
static void test_who_is_told(void **state)
{
	const struct asked *first, *second;

	(void)state;
	first = ask(0, VERB_GET, "s", 3000);
	second = ask(1, VERB_GET, "s", 3000);
	assert_true(refuse("s", 401, BODY(ERROR)));
	assert_error(first, CODE_FORBIDDEN);
	assert_string_equal(first->refusal, "401 t1 " BODY(ERROR));
	assert_string_equal(second->refusal, "401 t1 " BODY(ERROR));
	assert_string_equal(ask(0, VERB_GET, "s", 0)->refusal, "401 t1 " BODY(ERROR));
	assert_int_equal(world.flight_count, 1);
	assert_string_equal(ask(0, VERB_GET, "other", 0)->refusal, "");
	pass_to(world.now_ms + config.negative_ttl_ms);
	first = ask(0, VERB_GET, "s", 3000);
	assert_true(land("s", "t.t.t", 60));
	assert_token(first, "t.t.t");
	assert_string_equal(first->refusal, "");
	end();
}

/* Those for whom a second look comes too late, and those for whom it doesn't. */
static void test_told_at_the_second_look(void **state)
{
	const struct asked *hasty, *patient;

	(void)state;
	hasty = ask(0, VERB_GET, "s", 10);
	patient = ask(0, VERB_GET, "s", 3000);
	assert_true(refuse("s", 404, BODY(ERROR)));
	assert_string_equal(hasty->refusal, "404 t1 " BODY(ERROR));
	assert_false(patient->answered);
	pass_to(world.now_ms + 1000);
	assert_true(refuse("s", 404, BODY("{\"message\":\"2\",\"code\":\"c\"}")));
	assert_string_equal(patient->refusal, "404 t1 " BODY("{\"message\":\"2\",\"code\":\"c\"}"));
	end();
}

/* The token that is in hand stays, for who can use it. */
static void test_a_token_in_hand(void **state)
{
	struct request request = {
		.verb = VERB_GET, .session = SPAN_LITERAL("s"), .has_min_ttl = true, .min_ttl_s = 40
	};
	const struct asked *a = ask(0, VERB_GET, "s", 3000);

	(void)state;
	assert_true(land("s", "t.t.t", 60));
	pass_to(world.now_ms + 30000);
	a = submit(0, &request);
	assert_true(refuse("s", 422, BODY(ERROR)));
	assert_error(a, CODE_REJECTED);
	assert_string_equal(a->refusal, "422 t1 " BODY(ERROR));
	assert_token(ask(0, VERB_GET, "s", 0), "t.t.t");
	end();
}

static void test_the_key(void **state)
{
	static const char body[] = BODY("{\"message\":\"m\",\"code\":\"clerk_key_invalid\"}");
	const struct asked *a = ask(0, VERB_GET, "s", 3000);
	char text[256];

	(void)state;
	(void)snprintf(text, sizeof(text), "401 t1 %s", body);
	assert_true(refuse("s", 401, body));
	assert_error(a, CODE_UNAUTHORIZED);
	assert_string_equal(a->refusal, text);
	end();
}

static void test_a_drop_ends_it(void **state)
{
	(void)state;
	(void)ask(0, VERB_GET, "s", 3000);
	assert_true(refuse("s", 403, BODY(ERROR)));
	(void)ask(0, VERB_DROP, "s", 0);
	(void)ask(0, VERB_GET, "s", 3000);
	assert_int_equal(world.flight_count, 2);
	end();
}

/* Without memory for the words, the refusal alone is remembered. */
static void test_no_memory(void **state)
{
	bool was_told = false, was_not = false;

	for (size_t n = 0; n < 20; n++) {
		struct outcome o;
		const struct asked *a;

		assert_int_equal(setup(state), 0);
		a = ask(0, VERB_GET, "s", 3000);
		judge(403, BODY(ERROR), &o);
		mem_fail_after(n);
		assert_true(answer("s", &o));
		mem_fail_after(SIZE_MAX);
		outcome_deinit(&o);
		assert_error(a, CODE_FORBIDDEN);
		a = ask(0, VERB_GET, "s", 0);
		assert_error(a, CODE_FORBIDDEN);
		assert_int_equal(world.flight_count, 1);
		was_told |= *a->refusal;
		was_not |= !*a->refusal;
		end();
	}
	assert_true(was_told && was_not);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_written_anew),
		cmocka_unit_test(test_not_kept),
		cmocka_unit_test(test_so_long),
		cmocka_unit_test(test_read),
		cmocka_unit_test_setup(test_who_is_told, setup),
		cmocka_unit_test_setup(test_told_at_the_second_look, setup),
		cmocka_unit_test_setup(test_a_token_in_hand, setup),
		cmocka_unit_test_setup(test_the_key, setup),
		cmocka_unit_test_setup(test_a_drop_ends_it, setup),
		cmocka_unit_test(test_no_memory),
	};

	if (sodium_init() < 0)
		return 1;
	json_global_init();
	return cmocka_run_group_tests_name("refusal", tests, NULL, NULL);
}
