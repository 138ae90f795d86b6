/* clerktoken_why(): client/why.c. */
#include "tests/unit/unit.h"

#include "client/clerktoken.h"
#include "tests/unit/test_client_fixture.h"

#define ENOUGH_MS 10000 /* for what should take no time at all */
#define TOO_MANY 129

static void test_what_is_asked(void **state)
{
	const uint32_t gids[] = { 33, 4 };
	struct fixture *f = *state;
	struct clerktoken_who who = { .size = sizeof(who),
				      .has_uid = true,
				      .uid = 33,
				      .gids = gids,
				      .n_gids = 2,
				      .unit = "web@1.service" };
	bool allowed = false;
	char *text;

	assert_int_equal(
	    clerktoken_why(f->client, "s", "t", NULL, ENOUGH_MS, &allowed, &text, &f->failure),
	    CLERKTOKEN_OK);
	assert_true(allowed);
	assert_string_equal(text, "allowed because=no_rules admin=no");
	clerktoken_string_free(text);
	assert_true(daemon_heard(f->daemon, "#1 WHY s t"));
	assert_int_equal(
	    clerktoken_why(f->client, "s", NULL, &who, ENOUGH_MS, &allowed, &text, NULL),
	    CLERKTOKEN_OK);
	clerktoken_string_free(text);
	assert_true(daemon_heard(f->daemon, "#2 WHY s - uid=33 gid=33,4 unit=web@1.service"));
}

static void test_what_is_refused(void **state)
{
	static const uint32_t gids[TOO_MANY];
	static const struct clerktoken_who bad[] = {
		{ .size = 1 },
		{ .size = sizeof(bad[0]) },
		{ .size = sizeof(bad[0]), .gids = gids, .n_gids = TOO_MANY },
		{ .size = sizeof(bad[0]), .unit = "" },
		{ .size = sizeof(bad[0]), .unit = "a b.service" },
		{ .size = sizeof(bad[0]), .unit = "a.service\nFLUSH" },
	};
	struct fixture *f = *state;
	bool allowed;
	char *text;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    clerktoken_why(f->client, "s", NULL, &bad[i], ENOUGH_MS, &allowed, &text, NULL),
		    CLERKTOKEN_INVALID_ARGUMENT);
	assert_int_equal(
	    clerktoken_why(f->client, "s/", NULL, NULL, ENOUGH_MS, &allowed, &text, &f->failure),
	    CLERKTOKEN_INVALID_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_asked, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_what_is_refused, fixture_setup,
						fixture_teardown),
	};

	return cmocka_run_group_tests_name("client_why", tests, NULL, NULL);
}
