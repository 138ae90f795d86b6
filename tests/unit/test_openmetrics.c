/* daemon/core/openmetrics: which format, and what is in it. That Prometheus takes it is shown by
 * tests/integ/test_metrics.py. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/core/engine.h"
#include "daemon/core/openmetrics.h"

#include <errno.h>

static struct engine *engine_of(void)
{
	static const struct engine_config config = {
		.freshness = { .min_ttl_ms = 5000, .renew_idle_ms = -1 },
		.default_wait_ms = 3000,
		.max_memory = 1 << 20,
		.max_clients = 100,
		.budget = 80,
		.budget_window_ms = 10500,
		.greeting = "clerk-tokend",
		.about = { .version = "1.2.3", .key = "development", .tls = "system" },
	};
	struct hash_key hash_key;
	struct engine *e;

	memset(&hash_key, 0x5a, sizeof(hash_key));
	assert_int_equal(engine_new(&config, &hash_key, 1, &e), 0);
	return e;
}

static void write_text(struct engine *e, enum openmetrics_format format, struct buf *to)
{
	buf_reset(to);
	assert_int_equal(openmetrics_write(e, (struct mono){ 20000 }, format, to), 0);
	assert_int_equal(buf_append(to, "", 1), 0);
}

static void assert_has(const struct buf *text, const char *line)
{
	if (!strstr(text->ptr, line))
		fail_msg("no %s in %s", line, text->ptr);
}

static void assert_has_not(const struct buf *text, const char *line)
{
	if (strstr(text->ptr, line))
		fail_msg("%s in %s", line, text->ptr);
}

static void test_both_formats(void **state)
{
	struct buf text = BUF_INIT(OPENMETRICS_MAX);
	struct engine *e = engine_of();

	(void)state;
	write_text(e, OPENMETRICS_1_0, &text);
	assert_has(&text, "# TYPE clerk_tokend_build info\n");
	assert_has(&text, "\nclerk_tokend_build_info{version=\"1.2.3\",key=\"development\"} 1\n");
	assert_has(&text, "\n# TYPE clerk_tokend_gets counter\n");
	assert_has(&text, "\nclerk_tokend_gets_total 0\n");
	assert_has(&text, "\n# UNIT clerk_tokend_budget_window_seconds seconds\n");
	assert_has(&text, "\nclerk_tokend_budget_window_seconds 10.500\n");
	assert_string_equal(text.ptr + text.end - 1 - strlen("\n# EOF\n"), "\n# EOF\n");
	write_text(e, OPENMETRICS_TEXT, &text);
	assert_has(&text, "# TYPE clerk_tokend_build_info gauge\n");
	assert_has(&text, "\n# TYPE clerk_tokend_gets_total counter\n");
	assert_has(&text, "\n# HELP clerk_tokend_gets_total ");
	assert_has_not(&text, "# UNIT");
	assert_has_not(&text, "# EOF");
	buf_deinit(&text);
	engine_free(e);
}

static void ask(struct engine *e, struct client *client, int64_t now_ms, struct effect *ret_fetch)
{
	struct request request = { .verb = VERB_GET, .session = SPAN_LITERAL("sess_1") };
	struct buf scratch = BUF_INIT(64);
	struct waiter *waiter;
	struct effect effect;
	struct reply reply;

	(void)engine_submit(e, (struct mono){ now_ms }, client, &request, &scratch, &reply,
			    &waiter);
	do {
		engine_pop(e, &effect);
		if (effect.type == EFFECT_FETCH)
			*ret_fetch = effect;
	} while (effect.type != EFFECT_NONE);
	buf_deinit(&scratch);
}

/* A fetch of 230 ms, for two who waited 230 and 100 ms, and then a hit. */
static void test_durations_are_counted(void **state)
{
	struct outcome outcome = { .kind = OUTCOME_TOKEN, .exp_s = 60, .lifetime_ms = 60000 };
	struct effect effect = { .type = EFFECT_NONE };
	struct buf text = BUF_INIT(OPENMETRICS_MAX);
	struct engine *e = engine_of();
	struct client client;

	(void)state;
	assert_int_equal(secret_set(&outcome.jwt, SPAN_LITERAL("a.b.c")), 0);
	assert_int_equal(engine_client_init(e, &client, &(struct identity){ .uid = 1000 }), 0);
	ask(e, &client, 1000, &effect);
	ask(e, &client, 1130, &effect);
	engine_fetched(e, (struct mono){ 1230 }, effect.flight, &outcome);
	outcome_deinit(&outcome);
	ask(e, &client, 1231, &effect);
	write_text(e, OPENMETRICS_TEXT, &text);
	assert_has(&text, "clerk_tokend_fetch_duration_seconds_bucket{le=\"0.2\"} 0\n");
	assert_has(&text, "clerk_tokend_fetch_duration_seconds_bucket{le=\"0.3\"} 1\n");
	assert_has(&text, "clerk_tokend_fetch_duration_seconds_bucket{le=\"+Inf\"} 1\n");
	assert_has(&text, "clerk_tokend_fetch_duration_seconds_bucket{le=\"0.025\"} 0\n");
	assert_has(&text, "clerk_tokend_fetch_duration_seconds_bucket{le=\"1.0\"} 1\n");
	assert_has(&text, "clerk_tokend_fetch_duration_seconds_bucket{le=\"10.0\"} 1\n");
	assert_has(&text, "clerk_tokend_fetch_duration_seconds_sum 0.230\n");
	assert_has(&text, "clerk_tokend_wait_duration_seconds_bucket{le=\"0.1\"} 1\n");
	assert_has(&text, "clerk_tokend_wait_duration_seconds_bucket{le=\"0.3\"} 2\n");
	assert_has(&text, "clerk_tokend_wait_duration_seconds_sum 0.330\n");
	assert_has(&text, "clerk_tokend_wait_duration_seconds_count 2\n");
	assert_has(&text, "clerk_tokend_fetches_total{for=\"caller\"} 1\n");
	assert_has(&text, "clerk_tokend_hits_total 1\n");
	buf_deinit(&text);
	engine_client_deinit(e, &client);
	engine_free(e);
}

static void test_states_and_clocks(void **state)
{
	struct outcome outcome = { .has_clock = true, .clerk_date_s = 1800000050 };
	struct buf text = BUF_INIT(OPENMETRICS_MAX);
	struct engine *e = engine_of();
	struct skew skew;

	(void)state;
	write_text(e, OPENMETRICS_1_0, &text);
	assert_has(&text, "\nclerk_tokend_clerk_state{state=\"up\"} 1\n");
	assert_has(&text, "\nclerk_tokend_clerk_state{state=\"down\"} 0\n");
	assert_has(&text, "\nclerk_tokend_errors_total{code=\"rate_limited\"} 0\n");
	assert_has_not(&text, "\nclerk_tokend_clock_skew_seconds ");
	(void)engine_note_clock(e, (struct wall){ INT64_C(1800000000000) }, &outcome, &skew);
	write_text(e, OPENMETRICS_1_0, &text);
	assert_has(&text, "\nclerk_tokend_clock_skew_seconds -50\n");
	buf_deinit(&text);
	engine_free(e);
}

static void test_what_the_client_likes(void **state)
{
	static const struct {
		const char *accept;
		enum openmetrics_format format;
	} cases[] = {
		{ "", OPENMETRICS_TEXT },
		{ "*/*", OPENMETRICS_TEXT },
		{ "text/html, */*;q=0.1", OPENMETRICS_TEXT },
		{ "application/openmetrics-text", OPENMETRICS_1_0 },
		{ "application/openmetrics-text; version=1.0.0; charset=utf-8", OPENMETRICS_1_0 },
		{ "application/openmetrics-text;version=0.0.1", OPENMETRICS_TEXT },
		{ "application/openmetrics-text;q=0", OPENMETRICS_TEXT },
		{ "application/openmetrics-text;q=0.000, text/plain;q=0.001", OPENMETRICS_TEXT },
		{ "application/openmetrics-text;q=0.4,text/plain;q=0.5", OPENMETRICS_TEXT },
		{ "application/openmetrics-text;q=0.5,text/plain;q=0.45", OPENMETRICS_1_0 },
		{ "application/openmetrics-text;q=.5", OPENMETRICS_TEXT },
		{ "application/openmetrics-text;q=0.1234", OPENMETRICS_TEXT },
		{ "application/openmetrics-text;q=", OPENMETRICS_TEXT },
		{ "application/openmetrics-text;q=2,text/plain", OPENMETRICS_TEXT },
		{ "application/openmetrics-text;version=1.0.0,application/"
		  "openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		  OPENMETRICS_1_0 },
		{ ",;,;q=1,=,;;", OPENMETRICS_TEXT },
	};

	(void)state;
	assert_int_equal(openmetrics_choose(SPAN_NONE), OPENMETRICS_TEXT);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (openmetrics_choose(span_str(cases[i].accept)) != cases[i].format)
			fail_msg("%s", cases[i].accept);
	assert_non_null(strstr(openmetrics_content_type(OPENMETRICS_1_0), "version=1.0.0"));
	assert_non_null(strstr(openmetrics_content_type(OPENMETRICS_TEXT), "version=0.0.4"));
}

static void test_without_room(void **state)
{
	struct engine *e = engine_of();
	struct buf text = BUF_INIT(OPENMETRICS_MAX);
	int result = -ENOMEM;
	size_t len;

	(void)state;
	write_text(e, OPENMETRICS_1_0, &text);
	len = buf_len(&text) - 1;
	assert_in_range(len, 1000, OPENMETRICS_MAX / 4);
	buf_deinit(&text);
	for (size_t max = 0; max < len; max += 7) {
		text = BUF_INIT(max);
		result = openmetrics_write(e, (struct mono){ 0 }, OPENMETRICS_1_0, &text);
		assert_int_equal(result, -EMSGSIZE);
		buf_deinit(&text);
	}
	for (size_t n = 0; result < 0; n++) {
		text = BUF_INIT(OPENMETRICS_MAX);
		mem_fail_after(n);
		result = openmetrics_write(e, (struct mono){ 0 }, OPENMETRICS_1_0, &text);
		mem_fail_after(SIZE_MAX);
		assert_true(result == 0 || result == -ENOMEM);
		buf_deinit(&text);
	}
	engine_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_formats),
		cmocka_unit_test(test_durations_are_counted),
		cmocka_unit_test(test_states_and_clocks),
		cmocka_unit_test(test_what_the_client_likes),
		cmocka_unit_test(test_without_room),
	};

	return cmocka_run_group_tests_name("openmetrics", tests, NULL, NULL);
}
