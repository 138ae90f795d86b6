/* daemon/core/stats: one line of JSON that says what happened. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/core/engine.h"
#include "daemon/core/stats.h"

#include <cjson/cJSON.h>
#include <errno.h>

#define ROOM 8192

static struct engine *engine_of(void)
{
	static const struct engine_config config = {
		.freshness = { .min_ttl_ms = 5000, .renew_idle_ms = -1 },
		.negative_ttl_ms = 10000,
		.default_wait_ms = 3000,
		.max_memory = 1 << 20,
		.max_clients = 100,
		.budget = 80,
		.budget_window_ms = 10000,
		.greeting = "clerk-tokend",
		.about = { .version = "1.2.3", .key = "production", .tls = "file", .rules = 7 },
	};
	struct hash_key hash_key;
	struct engine *e;

	memset(&hash_key, 0x5a, sizeof(hash_key));
	assert_int_equal(engine_new(&config, &hash_key, 1, &e), 0);
	return e;
}

static cJSON *stats_of(struct engine *e, int64_t now_ms)
{
	struct buf text = BUF_INIT(ROOM);
	cJSON *json;

	assert_int_equal(stats_write(e, (struct mono){ now_ms }, &text), 0);
	for (size_t i = 0; i < buf_len(&text); i++)
		assert_in_range(text.ptr[i], ' ', '~');
	json = cJSON_ParseWithLength(text.ptr + text.start, buf_len(&text));
	assert_non_null(json);
	assert_true(cJSON_IsObject(json));
	buf_deinit(&text);
	return json;
}

static double number(const cJSON *json, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);

	assert_true(cJSON_IsNumber(item));
	return item->valuedouble;
}

static void assert_number(const cJSON *json, const char *name, double expected)
{
	assert_true(number(json, name) == expected);
}

static void test_of_a_new_engine(void **state)
{
	static const char *const zeroes[] = {
		"gets",
		"hits",
		"waits",
		"drops",
		"flushes",
		"fetches",
		"retries",
		"cancelled",
		"throttled",
		"fetched_tokens",
		"same_tokens",
		"evictions",
		"entries",
		"tokens",
		"cache_bytes",
		"clients",
		"watches",
		"waiting",
		"in_flight",
		"queued",
		"budget_used",
		"fetches_for_callers",
		"fetches_for_renewal",
	};
	struct engine *e = engine_of();
	cJSON *json = stats_of(e, 0);

	(void)state;
	for (size_t i = 0; i < sizeof(zeroes) / sizeof(zeroes[0]); i++)
		assert_number(json, zeroes[i], 0);
	assert_number(json, "budget", 80);
	assert_number(json, "budget_allowed", 80);
	assert_number(json, "budget_window_ms", 10000);
	assert_number(json, "cache_max_bytes", 1 << 20);
	assert_number(json, "ready", 1);
	assert_string_equal(cJSON_GetObjectItemCaseSensitive(json, "clerk")->valuestring, "up");
	cJSON_Delete(json);
	engine_free(e);
}

static void test_no_name_comes_twice(void **state)
{
	struct engine *e = engine_of();
	cJSON *json = stats_of(e, 0);

	(void)state;
	for (const cJSON *it = json->child; it; it = it->next)
		assert_ptr_equal(cJSON_GetObjectItemCaseSensitive(json, it->string), it);
	cJSON_Delete(json);
	engine_free(e);
}

static void test_every_error_has_its_number(void **state)
{
	struct engine *e = engine_of();
	cJSON *json = stats_of(e, 0);
	const cJSON *errors = cJSON_GetObjectItemCaseSensitive(json, "errors");

	(void)state;
	assert_int_equal(cJSON_GetArraySize(errors), CODE_COUNT - 1);
	for (size_t i = CODE_OK + 1; i < CODE_COUNT; i++)
		assert_number(errors, code_name((enum code)i), 0);
	cJSON_Delete(json);
	engine_free(e);
}

static void pop_all(struct engine *e, struct effect *ret_fetch)
{
	struct effect effect;

	do {
		engine_pop(e, &effect);
		if (effect.type == EFFECT_FETCH)
			*ret_fetch = effect;
	} while (effect.type != EFFECT_NONE);
}

static void get(struct engine *e, struct client *client, struct effect *ret_fetch)
{
	struct request request = { .verb = VERB_GET, .session = SPAN_LITERAL("sess_1") };
	struct buf scratch = BUF_INIT(ROOM);
	struct waiter *waiter;
	struct reply reply;

	(void)engine_submit(e, (struct mono){ 0 }, client, &request, &scratch, &reply, &waiter);
	pop_all(e, ret_fetch);
	buf_deinit(&scratch);
}

static void test_what_happened_is_counted(void **state)
{
	struct outcome outcome = {
		.kind = OUTCOME_TOKEN, .id = 1, .exp_s = 60, .lifetime_ms = 60000
	};
	struct engine *e = engine_of();
	struct effect fetch = { .type = EFFECT_NONE };
	struct client client;
	cJSON *json;

	(void)state;
	assert_int_equal(engine_client_init(e, &client, &(struct identity){ .uid = 1000 }), 0);
	get(e, &client, &fetch);
	assert_int_equal(fetch.type, EFFECT_FETCH);
	json = stats_of(e, 0);
	assert_number(json, "clients", 1);
	assert_number(json, "waiting", 1);
	assert_number(json, "in_flight", 1);
	assert_number(json, "budget_used", 1);
	cJSON_Delete(json);
	assert_int_equal(secret_set(&outcome.jwt, SPAN_LITERAL("a.b.c")), 0);
	engine_fetched(e, (struct mono){ 5 }, fetch.flight, &outcome);
	pop_all(e, &fetch);
	outcome_deinit(&outcome);
	get(e, &client, &fetch);
	json = stats_of(e, 10005);
	assert_number(json, "gets", 2);
	assert_number(json, "hits", 1);
	assert_number(json, "waits", 1);
	assert_number(json, "waiting", 0);
	assert_number(json, "fetches_for_callers", 1);
	assert_number(json, "fetched_tokens", 1);
	assert_number(json, "tokens", 1);
	assert_number(json, "slowest_ms", 5);
	assert_number(json, "budget_used", 0);
	assert_true(number(json, "cache_bytes") > 0);
	cJSON_Delete(json);
	engine_client_deinit(e, &client);
	engine_free(e);
}

static void assert_reason(struct engine *e, const char *reason)
{
	cJSON *json = stats_of(e, 0);
	const cJSON *word = cJSON_GetObjectItemCaseSensitive(json, "clerk_reason");

	assert_string_equal(cJSON_GetStringValue(word), reason);
	cJSON_Delete(json);
}

static void fall(struct engine *e, struct client *client, enum outcome_kind kind, enum code code,
		 const char *text)
{
	struct outcome outcome = { .kind = kind, .code = code, .text = text, .retry_after_ms = -1 };
	struct effect fetch = { .type = EFFECT_NONE };

	get(e, client, &fetch);
	assert_int_equal(fetch.type, EFFECT_FETCH);
	engine_fetched(e, (struct mono){ 0 }, fetch.flight, &outcome);
	pop_all(e, &fetch);
}

/* Why, in words, until there is another reason; and a Clerk that answers nonsense is not ready. */
static void test_the_last_failure_is_named(void **state)
{
	struct engine *e = engine_of();
	struct client client;

	(void)state;
	assert_int_equal(engine_client_init(e, &client, &(struct identity){ .uid = 1000 }), 0);
	assert_reason(e, "");
	for (int i = 0; i < 3; i++) {
		assert_true(engine_is_ready(e));
		fall(e, &client, OUTCOME_MALFORMED, CODE_BAD_UPSTREAM, "no JSON");
	}
	assert_false(engine_is_ready(e));
	assert_reason(e, "no JSON");
	fall(e, &client, OUTCOME_DEFINITE, CODE_REJECTED, NULL);
	assert_true(engine_is_ready(e));
	assert_reason(e, "Clerk rejected the request");
	engine_client_deinit(e, &client);
	engine_free(e);
}

static void test_a_clock_behind_and_ahead(void **state)
{
	struct engine *e = engine_of();
	struct outcome outcome = { .has_clock = true, .clerk_date_s = 1800000050 };
	struct skew skew;
	cJSON *json;

	(void)state;
	assert_true(engine_note_clock(e, (struct wall){ INT64_C(1800000000000) }, &outcome, &skew));
	json = stats_of(e, 0);
	assert_number(json, "clock_skew_s", -50);
	cJSON_Delete(json);
	outcome.has_clock = false;
	assert_false(engine_note_clock(e, (struct wall){ 0 }, &outcome, &skew));
	engine_free(e);
}

static void assert_word(const cJSON *json, const char *name, const char *expected)
{
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name)),
			    expected);
}

static void test_what_the_daemon_is(void **state)
{
	struct engine *e = engine_of();
	cJSON *json = stats_of(e, 0);

	(void)state;
	assert_word(json, "version", "1.2.3");
	assert_word(json, "key", "production");
	assert_word(json, "tls", "file");
	assert_number(json, "rules", 7);
	assert_number(json, "max_clients", 100);
	assert_number(json, "clock_known", 0);
	cJSON_Delete(json);
	engine_free(e);
}

/* Looked at when it is asked for, and once a second then. */
static void test_what_the_process_takes(void **state)
{
	const struct process_facts facts = {
		.at = { 5000 },
		.files_open = 3,
		.files_max = 1024,
		.locked_bytes = 4096,
		.resident_bytes = 1 << 20,
	};
	struct engine *e = engine_of();
	cJSON *json;

	(void)state;
	assert_true(stats_wants_process(e, (struct mono){ 5000 }));
	stats_note_process(e, &facts);
	assert_false(stats_wants_process(e, (struct mono){ 5999 }));
	assert_true(stats_wants_process(e, (struct mono){ 6000 }));
	json = stats_of(e, 5999);
	assert_number(json, "files_open", 3);
	assert_number(json, "files_max", 1024);
	assert_number(json, "locked_bytes", 4096);
	assert_number(json, "resident_bytes", 1 << 20);
	cJSON_Delete(json);
	engine_free(e);
}

/* The kind of the key is all that is told of it. */
static void test_about_the_key(void **state)
{
	static char https[] = "https://api.clerk.com", http[] = "http://127.0.0.1:1",
		    file[] = "/ca";
	struct config c = { .api_url = https, .n_rules = 2 };
	struct about about = about_of(&c, SPAN_LITERAL("sk_live_x"), "1");

	(void)state;
	assert_string_equal(about.key, "production");
	assert_string_equal(about.tls, "system");
	assert_int_equal(about.rules, 2);
	c.ca_file = file;
	about = about_of(&c, SPAN_LITERAL("sk_test_x"), "1");
	assert_string_equal(about.key, "development");
	assert_string_equal(about.tls, "file");
	c.api_url = http;
	about = about_of(&c, SPAN_LITERAL("sk_other"), "1");
	assert_string_equal(about.key, "unknown");
	assert_string_equal(about.tls, "off");
}

/* However little room there is, and whenever memory runs out. */
static void test_without_room(void **state)
{
	struct engine *e = engine_of();
	struct buf text = BUF_INIT(ROOM);
	int result = -ENOMEM;
	size_t len;

	(void)state;
	assert_int_equal(stats_write(e, (struct mono){ 0 }, &text), 0);
	len = buf_len(&text);
	buf_deinit(&text);
	for (size_t max = 0; max < len; max++) {
		text = BUF_INIT(max);
		result = stats_write(e, (struct mono){ 0 }, &text);
		assert_true(result == -EMSGSIZE || result == -ENOMEM);
		buf_deinit(&text);
	}
	for (size_t n = 0; result < 0; n++) {
		text = BUF_INIT(ROOM);
		mem_fail_after(n);
		result = stats_write(e, (struct mono){ 0 }, &text);
		mem_fail_after(SIZE_MAX);
		assert_true(result == 0 || result == -ENOMEM);
		buf_deinit(&text);
	}
	engine_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_a_new_engine),
		cmocka_unit_test(test_no_name_comes_twice),
		cmocka_unit_test(test_every_error_has_its_number),
		cmocka_unit_test(test_what_happened_is_counted),
		cmocka_unit_test(test_the_last_failure_is_named),
		cmocka_unit_test(test_a_clock_behind_and_ahead),
		cmocka_unit_test(test_what_the_daemon_is),
		cmocka_unit_test(test_what_the_process_takes),
		cmocka_unit_test(test_about_the_key),
		cmocka_unit_test(test_without_room),
	};

	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
