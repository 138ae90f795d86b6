/* daemon/core/keyring: which key is used after a reload, and for how long. */
#include "daemon/core/keyring.h"
#include "tests/unit/unit.h"

#include "base/mem.h"

static struct keyring keys;

static bool configure(const char *key)
{
	struct secret copy = SECRET_NONE;
	bool changed;

	assert_int_equal(secret_set(&copy, span_str(key)), 0);
	changed = keyring_configure(&keys, &copy);
	assert_null(copy.ptr);
	return changed;
}

/* What an answer to a request with that key leads to. */
static enum key_verdict answered(const char *key, enum outcome_kind kind)
{
	struct secret copy = SECRET_NONE;
	char id[SECRET_ID_SIZE];
	enum key_verdict verdict;

	assert_int_equal(secret_set(&copy, span_str(key)), 0);
	secret_id(&copy, id);
	secret_deinit(&copy);
	verdict = keyring_judge(&keys, id, kind);
	keyring_follow(&keys, verdict);
	return verdict;
}

static void assert_keys(const char *current, const char *other, const char *text)
{
	assert_true(secret_equal(&keys.current, span_str(current)));
	if (other)
		assert_true(secret_equal(&keys.other, span_str(other)));
	else
		assert_null(keys.other.ptr);
	assert_string_equal(keyring_text(&keys), text);
}

static int begin(void **state)
{
	(void)state;
	keys = (struct keyring){ 0 };
	assert_true(configure("old"));
	return 0;
}

static int end(void **state)
{
	(void)state;
	keyring_deinit(&keys);
	return mem_held() != 0;
}

/* The old key works, the new one is on trial. */
static void begin_trial(void)
{
	assert_int_equal(answered("old", OUTCOME_TOKEN), KEY_WORKS);
	assert_keys("old", NULL, "accepted");
	assert_true(configure("new"));
	assert_keys("new", "old", "trial");
}

static void test_one_key(void **state)
{
	(void)state;
	assert_keys("old", NULL, "untried");
	assert_int_equal(answered("old", OUTCOME_TRANSIENT), KEY_NO_NEWS);
	assert_int_equal(answered("old", OUTCOME_THROTTLED), KEY_NO_NEWS);
	assert_keys("old", NULL, "untried");
	assert_int_equal(answered("old", OUTCOME_KEY_REFUSED), KEY_IS_REFUSED);
	assert_keys("old", NULL, "refused");
	assert_int_equal(answered("old", OUTCOME_DEFINITE), KEY_WORKS);
	assert_false(configure("old"));
	assert_keys("old", NULL, "accepted");
}

static void test_a_new_key_that_works(void **state)
{
	(void)state;
	begin_trial();
	assert_int_equal(answered("old", OUTCOME_TOKEN), KEY_NO_NEWS);
	assert_int_equal(answered("new", OUTCOME_TRANSIENT), KEY_NO_NEWS);
	assert_keys("new", "old", "trial");
	assert_int_equal(answered("new", OUTCOME_TOKEN), KEY_PROVEN);
	assert_keys("new", NULL, "accepted");
	assert_int_equal(answered("old", OUTCOME_KEY_REFUSED), KEY_NO_NEWS);
	assert_keys("new", NULL, "accepted");
}

static void test_a_new_key_that_is_refused(void **state)
{
	(void)state;
	begin_trial();
	assert_int_equal(answered("new", OUTCOME_KEY_REFUSED), KEY_FALLS_BACK);
	assert_keys("old", "new", "fallback");
	assert_true(secret_equal(keyring_configured(&keys), SPAN_LITERAL("new")));
	assert_int_equal(answered("new", OUTCOME_KEY_REFUSED), KEY_NO_NEWS);
	assert_int_equal(answered("old", OUTCOME_TOKEN), KEY_WORKS);
	assert_keys("old", "new", "fallback");
	assert_int_equal(answered("old", OUTCOME_KEY_REFUSED), KEY_GIVES_UP);
	assert_keys("new", NULL, "refused");
	assert_int_equal(answered("new", OUTCOME_KEY_REFUSED), KEY_IS_REFUSED);
	assert_int_equal(answered("new", OUTCOME_TOKEN), KEY_WORKS);
	assert_keys("new", NULL, "accepted");
}

static void test_a_key_that_never_worked_is_no_fallback(void **state)
{
	(void)state;
	assert_true(configure("new"));
	assert_keys("new", NULL, "untried");
	(void)answered("new", OUTCOME_TOKEN);
	(void)answered("new", OUTCOME_KEY_REFUSED);
	assert_true(configure("newer"));
	assert_keys("newer", NULL, "untried");
}

static void test_the_last_is_revoked_during_the_trial(void **state)
{
	(void)state;
	begin_trial();
	assert_int_equal(answered("old", OUTCOME_KEY_REFUSED), KEY_OTHER_IS_REFUSED);
	assert_keys("new", NULL, "untried");
	assert_int_equal(answered("new", OUTCOME_KEY_REFUSED), KEY_IS_REFUSED);
}

static void test_reloads_during_a_trial(void **state)
{
	(void)state;
	begin_trial();
	assert_false(configure("new"));
	assert_keys("new", "old", "trial");
	assert_true(configure("newer")); /* what is kept is the one that worked */
	assert_keys("newer", "old", "trial");
	assert_true(configure("old"));
	assert_keys("old", NULL, "accepted");
}

static void test_reloads_during_a_fallback(void **state)
{
	(void)state;
	begin_trial();
	(void)answered("new", OUTCOME_KEY_REFUSED);
	assert_true(configure("new")); /* once more */
	assert_keys("new", "old", "trial");
	(void)answered("new", OUTCOME_KEY_REFUSED);
	assert_true(configure("newer"));
	assert_keys("newer", "old", "trial");
	(void)answered("newer", OUTCOME_KEY_REFUSED);
	assert_keys("old", "newer", "fallback");
	assert_false(configure("old"));
	assert_keys("old", NULL, "accepted");
}

static void test_another_clerk(void **state)
{
	(void)state;
	begin_trial();
	keyring_start_over(&keys);
	assert_keys("new", NULL, "untried");
	assert_int_equal(answered("new", OUTCOME_KEY_REFUSED), KEY_IS_REFUSED);
	assert_keys("new", NULL, "refused");
}

static void test_verdicts_that_swap(void **state)
{
	(void)state;
	assert_true(key_verdict_swaps(KEY_FALLS_BACK));
	assert_true(key_verdict_swaps(KEY_GIVES_UP));
	assert_false(key_verdict_swaps(KEY_PROVEN));
	assert_false(key_verdict_swaps(KEY_IS_REFUSED));
	assert_false(key_verdict_swaps(KEY_OTHER_IS_REFUSED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_key, begin, end),
		cmocka_unit_test_setup_teardown(test_a_new_key_that_works, begin, end),
		cmocka_unit_test_setup_teardown(test_a_new_key_that_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(test_a_key_that_never_worked_is_no_fallback, begin,
						end),
		cmocka_unit_test_setup_teardown(test_the_last_is_revoked_during_the_trial, begin,
						end),
		cmocka_unit_test_setup_teardown(test_reloads_during_a_trial, begin, end),
		cmocka_unit_test_setup_teardown(test_reloads_during_a_fallback, begin, end),
		cmocka_unit_test_setup_teardown(test_another_clerk, begin, end),
		cmocka_unit_test_setup_teardown(test_verdicts_that_swap, begin, end),
	};

	return cmocka_run_group_tests_name("keyring", tests, NULL, NULL);
}
