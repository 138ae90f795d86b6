/* daemon/sys/relay: what passes through stays inside the budget, goes nowhere else, and is noticed
 * where it concerns what is kept.
 */
#include "tests/unit/test_relay_world.h"

static void test_what_may_not_pass(void **state)
{
	const struct httpfield bad = { SPAN_LITERAL("A"), SPAN_LITERAL("b\r\nX: y") };
	const struct relay_request request = { .method = SPAN_LITERAL("GET"),
					       .target = SPAN_LITERAL("/"),
					       .fields = &bad,
					       .n_fields = 1,
					       .body_len = RELAY_NO_BODY };
	const struct relay_request with_body = { .method = SPAN_LITERAL("HEAD"),
						 .target = SPAN_LITERAL("/"),
						 .body_len = 5 };

	(void)state;
	assert_int_equal(simple(0, "GET", "http://elsewhere/"), -EINVAL);
	assert_int_equal(simple(0, "GET", "@elsewhere/"), -EINVAL);
	assert_int_equal(simple(0, "GET", "/a b"), -EINVAL);
	assert_int_equal(simple(0, "CONNECT", "/"), -EINVAL);
	assert_int_equal(start(0, &request), -EINVAL);
	assert_int_equal(start(0, &with_body), -EINVAL);
	f.client.grant.scope = ACCESS_SOME;
	assert_int_equal(simple(1, "GET", "/"), 0);
	WAIT_FOR(is_over(1));
	assert_int_equal(f.passing[1].failure.status, 403);
	assert_int_equal(f.origin.n_requests, 0);
}

static void set_budget(size_t budget)
{
	f.budget = budget;
	relays_free(f.relays);
	engine_client_deinit(f.engine, &f.client);
	settle(NULL);
	engine_free(f.engine);
	f.relays = NULL;
	make_engine();
	make_relays(f.origin.port);
}

static void test_the_budget(void **state)
{
	(void)state;
	set_budget(2);
	origin_expect(&f.origin, 0, OK_ANSWER, 0);
	for (size_t i = 0; i < 2; i++) {
		origin_expect(&f.origin, 0, OK_ANSWER, 0);
		assert_int_equal(simple(i, "GET", "/"), 0);
		WAIT_FOR(is_over(i));
		assert_true(f.passing[i].ended);
	}
	assert_int_equal(simple(2, "GET", "/"), 0);
	WAIT_FOR(is_over(2));
	assert_int_equal(f.passing[2].failure.status, 429);
	assert_in_range(f.passing[2].failure.retry_ms, 8000, 10000);
	assert_int_equal(f.origin.n_requests, 2);
}

static void test_clerk_objects(void **state)
{
	(void)state;
	origin_expect(&f.origin, 0,
		      "HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 0);
	assert_int_equal(simple(0, "GET", "/"), 0);
	WAIT_FOR(is_over(0));
	assert_int_equal(f.passing[0].status, 429);
	assert_string_equal(f.passing[0].fields, "Retry-After: 7\n");
	assert_int_equal(simple(1, "GET", "/"), 0);
	WAIT_FOR(is_over(1));
	assert_int_equal(f.passing[1].failure.status, 429);
	assert_in_range(f.passing[1].failure.retry_ms, 6000, 7000);
	assert_int_equal(f.origin.n_requests, 1);
}

static void test_a_session_that_ends_is_dropped(void **state)
{
	static const struct {
		const char *method, *target, *answer;
		bool drops;
	} cases[] = {
		{ "POST", "/v1/sessions/sess_1/revoke", OK_ANSWER, true },
		{ "GET", "/v1/sessions/sess_1", OK_ANSWER, false },
		{ "POST", "/v1/sessions/sess_1/revoke",
		  "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		f.n_dropped = 0;
		origin_expect(&f.origin, 0, cases[i].answer, 0);
		assert_int_equal(simple(i, cases[i].method, cases[i].target), 0);
		WAIT_FOR(is_over(i));
		assert_int_equal(f.n_dropped, cases[i].drops);
	}
	f.origin.cuts = true; /* who knows? */
	origin_expect(&f.origin, 0, "HTTP/1.1 200 OK\r\n", 0);
	assert_int_equal(simple(5, "POST", "/v1/sessions/sess_1/revoke"), 0);
	WAIT_FOR(is_over(5));
	assert_int_equal(f.n_dropped, 1);
}

/* Clerk's answer may let a fetch go that waited for its turn, and end the session that it is for.
 */
static void test_a_session_ends_that_is_being_fetched(void **state)
{
	const struct request get = { .verb = VERB_GET,
				     .session = SPAN_LITERAL("sess_1"),
				     .has_wait = true,
				     .wait_ms = 60000 };
	struct engine_config config;
	struct buf scratch = BUF_INIT(TEXT_MAX);
	struct waiter *waiter;
	struct reply reply;

	(void)state;
	set_budget(1);
	origin_expect(&f.origin, 0, OK_ANSWER, 0);
	assert_int_equal(simple(0, "POST", "/v1/sessions/sess_1/revoke"), 0);
	assert_int_equal(
	    engine_submit(f.engine, clock_boot(), &f.client, &get, &scratch, &reply, &waiter),
	    SUBMIT_PENDING);
	settle(NULL);
	config = engine_config();
	config.budget = 1000;
	assert_int_equal(engine_configure(f.engine, &config), 0);
	while (!f.passing[0].status) /* no tick tells the engine of it before */
		assert_int_equal(event_base_loop(f.base, EVLOOP_ONCE), 0);
	assert_int_equal(f.n_dropped, 1);
	assert_int_equal(engine_stats(f.engine)->fetches, 1);
	engine_abandon(f.engine, waiter);
	settle(NULL);
}

/* The request may have come through before its caller went. */
static void test_who_has_gone_may_have_ended_a_session(void **state)
{
	(void)state;
	origin_expect(&f.origin, 0, NULL, 0);
	assert_int_equal(simple(0, "POST", "/v1/sessions/sess_1/revoke"), 0);
	WAIT_FOR(*f.origin.head);
	relay_cancel(f.passing[0].relay);
	settle(NULL);
	assert_int_equal(f.n_dropped, 1);
	set_budget(1);
	origin_expect(&f.origin, 0, NULL, 0);
	for (size_t i = 1; i < 3; i++) {
		assert_int_equal(simple(i, "POST", "/v1/sessions/sess_1/revoke"), 0);
		WAIT_FOR(i == 2 || *f.origin.head);
	}
	relay_cancel(f.passing[2].relay); /* it has not been sent */
	settle(NULL);
	assert_int_equal(f.n_dropped, 1);
}

static void test_the_public_keys(void **state)
{
	(void)state;
	origin_expect(&f.origin, 0,
		      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
		      "Content-Length: 11\r\n\r\n{\"keys\":[]}",
		      0);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(simple(i, "GET", "/v1/jwks"), 0);
	relay_cancel(f.passing[9].relay);
	for (size_t i = 0; i < 9; i++) {
		WAIT_FOR(is_over(i));
		assert_true(f.passing[i].ended);
		assert_int_equal(f.passing[i].status, 200);
		assert_int_equal(f.passing[i].body_len, 11);
		assert_string_equal(f.passing[i].fields, "Content-Type: application/json\n");
		assert_string_equal(f.passing[i].body, "{\"keys\":[]}");
	}
	assert_non_null(strstr(f.origin.head, "\r\nAuthorization: Bearer " KEY "\r\n"));
	assert_int_equal(simple(11, "GET", "/v1/jwks"), 0);
	f.passing[11].takes = 5;
	WAIT_FOR(f.passing[11].body_bytes);
	relay_resume(f.passing[11].relay);
	WAIT_FOR(f.passing[11].body_bytes == 10);
	relay_resume(f.passing[11].relay);
	WAIT_FOR(is_over(11));
	assert_string_equal(f.passing[11].body, "{\"keys\":[]}");
	assert_int_equal(f.origin.n_requests, 1);
	assert_int_equal(engine_stats(f.engine)->calls, 0);
	make_relays(9); /* another Clerk */
	assert_int_equal(simple(12, "GET", "/v1/jwks"), 0);
	WAIT_FOR(is_over(12));
	assert_int_equal(f.passing[12].failure.status, 502);
}

/* Whichever allocation fails, each relay ends, once, and what comes later is served. */
static void test_no_memory(void **state)
{
	size_t failed = 0, good_in_a_row = 0;

	(void)state;
	f.timeout_ms = 50;
	make_relays(f.origin.port);
	for (size_t n = 0; good_in_a_row < 50; n++) {
		assert_true(n < 900); /* the budget */
		f.passing[0] = (struct passing){ .takes = SIZE_MAX };
		origin_expect(&f.origin, 0, OK_ANSWER, 0);
		mem_fail_after(n);
		if (simple(0, "GET", "/v1/users") < 0)
			f.passing[0].failed = true;
		WAIT_FOR(is_over(0));
		mem_fail_after(SIZE_MAX);
		failed += f.passing[0].failed;
		good_in_a_row = f.passing[0].failed ? 0 : good_in_a_row + 1;
	}
	assert_true(failed > 20);
	origin_expect(&f.origin, 0, OK_ANSWER, 0);
	assert_int_equal(simple(1, "GET", "/v1/users"), 0);
	WAIT_FOR(is_over(1));
	assert_true(f.passing[1].ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_may_not_pass),
		TEST(test_the_budget),
		TEST(test_clerk_objects),
		TEST(test_a_session_that_ends_is_dropped),
		TEST(test_a_session_ends_that_is_being_fetched),
		TEST(test_who_has_gone_may_have_ended_a_session),
		TEST(test_the_public_keys),
		TEST(test_no_memory),
	};

	return run(tests, sizeof(tests) / sizeof(*tests));
}
