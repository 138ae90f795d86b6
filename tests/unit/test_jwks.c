/* daemon/core/jwks: one request to Clerk serves all who ask, and an outage does not show. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/core/jwks.h"

#include <errno.h>
#include <string.h>

#define S(s) ((struct mono){ INT64_C(1000) * (s) })

static struct jwks j;

static int setup(void **state)
{
	(void)state;
	jwks_init(&j);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	jwks_deinit(&j);
	return mem_held() == 0 ? 0 : -1;
}

static void fetch(int64_t at_s, const char *cache_control, const char *body)
{
	assert_int_equal(jwks_ask(&j, S(at_s)), JWKS_FETCH);
	assert_int_equal(jwks_fetched(&j, S(at_s), S(at_s), span_str("application/json"),
				      span_str(cache_control), span_str(body)),
			 0);
	assert_int_equal(jwks_outcome(&j, S(at_s)), JWKS_READY);
}

static void test_one_fetch_for_all(void **state)
{
	(void)state;
	assert_int_equal(jwks_ask(&j, S(1)), JWKS_FETCH);
	assert_int_equal(jwks_ask(&j, S(1)), JWKS_WAIT);
	assert_int_equal(jwks_ask(&j, S(2)), JWKS_WAIT);
	assert_int_equal(
	    jwks_fetched(&j, S(2), S(1), SPAN_LITERAL("a/b"), SPAN_NONE, SPAN_LITERAL("{}")), 0);
	assert_int_equal(jwks_ask(&j, S(2)), JWKS_READY);
	assert_span(buf_span(&j.body), "{}");
	assert_string_equal(j.type, "a/b");
	assert_int_equal(jwks_ask(&j, S(300)), JWKS_READY);
	assert_int_equal(jwks_ask(&j, S(301)), JWKS_FETCH);
}

static void test_cache_control(void **state)
{
	static const struct {
		const char *text;
		int64_t life_s;
	} cases[] = {
		{ "max-age=120", 120 },
		{ "public, Max-Age=600, must-revalidate", 600 },
		{ "max-age=0", 60 },
		{ "no-store", 300 },
		{ "max-age=99999999999999999999", 3600 },
		{ "max-age=86400", 3600 },
		{ "max-age=-1", 300 },
		{ "max-age", 300 },
		{ "", 300 },
	};
	int64_t at = 1000;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		fetch(at, cases[i].text, "{}");
		assert_int_equal(jwks_ask(&j, S(at + cases[i].life_s - 1)), JWKS_READY);
		at += cases[i].life_s;
	}
	assert_int_equal(jwks_ask(&j, S(at)), JWKS_FETCH);
}

static void test_an_outage(void **state)
{
	(void)state;
	assert_int_equal(jwks_ask(&j, S(1)), JWKS_FETCH);
	jwks_failed(&j, S(1));
	assert_int_equal(jwks_outcome(&j, S(1)), JWKS_NONE);
	assert_int_equal(jwks_ask(&j, (struct mono){ 1999 }), JWKS_NONE); /* not again at once */
	fetch(2, "", "{\"keys\":[]}");
	assert_int_equal(jwks_ask(&j, S(400)), JWKS_FETCH);
	jwks_failed(&j, S(400));
	assert_int_equal(jwks_outcome(&j, S(400)), JWKS_READY); /* what was known */
	assert_int_equal(jwks_ask(&j, S(400)), JWKS_READY);
	assert_int_equal(jwks_ask(&j, S(401)), JWKS_FETCH);
	jwks_failed(&j, S(401));
	assert_int_equal(jwks_outcome(&j, S(86401)), JWKS_READY);
	assert_int_equal(jwks_outcome(&j, S(86402)), JWKS_NONE);
}

static void test_what_is_no_answer(void **state)
{
	static char large[JWKS_MAX + 1], type[JWKS_TYPE_MAX];

	(void)state;
	memset(type, 'a', sizeof(type));
	fetch(1, "", "{}");
	assert_int_equal(jwks_ask(&j, S(1000)), JWKS_FETCH);
	assert_true(jwks_fetched(&j, S(1000), S(1000), SPAN_NONE, SPAN_NONE,
				 span_of(large, sizeof(large))) < 0);
	assert_int_equal(jwks_ask(&j, S(1001)), JWKS_FETCH);
	assert_true(jwks_fetched(&j, S(1001), S(1001), SPAN_NONE, SPAN_NONE, SPAN_NONE) < 0);
	assert_int_equal(jwks_ask(&j, S(1002)), JWKS_FETCH);
	assert_true(jwks_fetched(&j, S(1002), S(1002), span_of(type, sizeof(type)), SPAN_NONE,
				 SPAN_LITERAL("{}")) < 0);
	assert_span(buf_span(&j.body), "{}");
	assert_int_equal(jwks_ask(&j, S(1002)), JWKS_READY);
	assert_int_equal(jwks_ask(&j, S(1003)), JWKS_FETCH);
	mem_fail_after(0);
	assert_int_equal(
	    jwks_fetched(&j, S(1003), S(1003), SPAN_NONE, SPAN_NONE, SPAN_LITERAL("{ }")), -ENOMEM);
	mem_fail_after(SIZE_MAX);
	assert_span(buf_span(&j.body), "{}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_fetch_for_all),
		TEST(test_cache_control),
		TEST(test_an_outage),
		TEST(test_what_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
