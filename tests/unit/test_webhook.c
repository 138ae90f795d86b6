/* daemon/core/webhook, svix, replay: only what Clerk signed, now and for the first time, ends a
 * session. */
#include "daemon/core/webhook.h"
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/core/json.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

/* From Svix's documentation. */
#define DOC_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define DOC_ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define DOC_TIME "1614265330"
#define DOC_BODY "{\"test\": 2432232314}"
#define DOC_SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

#define SECRET "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
#define SECOND_SECRET "whsec_ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="
#define NOW_S INT64_C(1800000000)

static struct svix_secrets secrets;
static struct replay *replay;
static struct webhook_session session;
static struct mono now;
static int64_t wall_s;

static void use_secrets(const char *text)
{
	assert_int_equal(svix_secrets_parse(span_str(text), &secrets), 0);
}

static int begin(void **state)
{
	struct hash_key key;
	struct unit_random r = { 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		((unsigned char *)&key)[i] = (unsigned char)unit_random(&r);
	now = (struct mono){ 5000 };
	wall_s = NOW_S;
	session = (struct webhook_session){ 0 };
	use_secrets(SECRET);
	return replay_new(&key, &replay);
}

static int end(void **state)
{
	(void)state;
	replay_free(replay);
	svix_secrets_deinit(&secrets);
	return mem_held() != 0;
}

static int judge(const char *id, const char *timestamp, const char *signatures, struct span body)
{
	struct svix_message m = { span_str(id), span_str(timestamp), span_str(signatures), body };
	int result =
	    webhook_judge(&secrets, replay, now, (struct wall){ wall_s * MS_PER_S }, &m, &session);

	return result;
}

/* As `judge`, signed with the `index`th secret. */
static int judge_signed_by(size_t index, const char *id, int64_t timestamp_s, const char *body)
{
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	char timestamp[32], text[2048], signature[128] = "v1,";
	crypto_auth_hmacsha256_state hmac;

	(void)snprintf(timestamp, sizeof(timestamp), "%lld", (long long)timestamp_s);
	(void)snprintf(text, sizeof(text), "%s.%s.%s", id, timestamp, body);
	crypto_auth_hmacsha256_init(&hmac, (unsigned char *)secrets.secret[index].ptr,
				    secrets.secret[index].len);
	crypto_auth_hmacsha256_update(&hmac, (unsigned char *)text, strlen(text));
	crypto_auth_hmacsha256_final(&hmac, mac);
	assert_non_null(sodium_bin2base64(signature + 3, sizeof(signature) - 3, mac, sizeof(mac),
					  sodium_base64_VARIANT_ORIGINAL));
	return judge(id, timestamp, signature, span_str(body));
}

static int judge_signed(const char *id, int64_t timestamp_s, const char *body)
{
	return judge_signed_by(0, id, timestamp_s, body);
}

#define EVENT(type) "{\"data\":{\"id\":\"sess_2abc\",\"object\":\"session\"},\"type\":\"" type "\"}"

static void test_the_documented_example_is_genuine(void **state)
{
	(void)state;
	use_secrets(DOC_SECRET);
	wall_s = 1614265330 + SVIX_TOLERANCE_S;
	assert_int_equal(judge(DOC_ID, DOC_TIME, DOC_SIGNATURE, span_str(DOC_BODY)), WEBHOOK_OTHER);
	assert_int_equal(
	    judge(DOC_ID, DOC_TIME, "v1a,xx v2,yy " DOC_SIGNATURE " v1,zz", span_str(DOC_BODY)),
	    WEBHOOK_OTHER);
}

static void test_each_way_to_end_ends_the_session(void **state)
{
	(void)state;
	assert_int_equal(judge_signed("msg_1", NOW_S, EVENT("session.ended")), WEBHOOK_ENDED);
	assert_span(span_of(session.id, session.len), "sess_2abc");
	assert_int_equal(judge_signed("msg_2", NOW_S, EVENT("session.removed")), WEBHOOK_ENDED);
	assert_int_equal(judge_signed("msg_3", NOW_S, EVENT("session.revoked")), WEBHOOK_ENDED);
}

static void test_other_events_are_none_of_ours(void **state)
{
	static const char *const others[] = {
		EVENT("session.created"),
		EVENT("Session.ended"),
		EVENT("session.ended "),
		"{\"type\":\"session.ended\"}",
		"{\"type\":\"session.ended\",\"data\":\"sess_2abc\"}",
		"{\"type\":\"session.ended\",\"data\":{\"id\":7}}",
		"{\"type\":\"session.ended\",\"data\":{\"id\":\"\"}}",
		"{\"type\":\"session.ended\",\"data\":{\"id\":\"sess 1\"}}",
		"{\"type\":\"session.ended\",\"data\":{\"id\":\"sess_1\\nFLUSH\"}}",
		"{\"type\":\"session.ended\",\"data\":{\"id\":\"*\"}}",
		"[]",
		"",
		"no json",
		EVENT("session.ended") "x",
		"\xff\xfe{",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_int_equal(judge_signed("msg_1", NOW_S, others[i]), WEBHOOK_OTHER);
}

static void test_every_byte_of_a_message_counts(void **state)
{
	char body[] = DOC_BODY;

	(void)state;
	use_secrets(DOC_SECRET);
	wall_s = 1614265330;
	for (size_t i = 0; i < sizeof(body) - 1; i++) {
		body[i] ^= 1;
		assert_int_equal(judge(DOC_ID, DOC_TIME, DOC_SIGNATURE, span_str(body)),
				 WEBHOOK_FORGED);
		body[i] ^= 1;
	}
	for (size_t len = 0; len < sizeof(body) - 1; len++)
		assert_int_equal(judge(DOC_ID, DOC_TIME, DOC_SIGNATURE, span_of(body, len)),
				 WEBHOOK_FORGED);
	assert_int_equal(judge("msg_other", DOC_TIME, DOC_SIGNATURE, span_str(body)),
			 WEBHOOK_FORGED);
	assert_int_equal(judge(DOC_ID, "1614265331", DOC_SIGNATURE, span_str(body)),
			 WEBHOOK_FORGED);
}

static void test_what_is_no_signature_of_ours(void **state)
{
	static const char *const signatures[] = {
		"g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"V1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"v1,",
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1O",
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OEA",
		"v1,g0hM9SsE-OTPJTGt_tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"v1,v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		" ",
	};
	char many[2048] = "";

	(void)state;
	use_secrets(DOC_SECRET);
	wall_s = 1614265330;
	for (size_t i = 0; i < sizeof(signatures) / sizeof(*signatures); i++)
		assert_int_equal(judge(DOC_ID, DOC_TIME, signatures[i], span_str(DOC_BODY)),
				 WEBHOOK_FORGED);
	for (size_t i = 0; i < SVIX_SIGNATURES_MAX; i++)
		memcpy(many + i * 3, "v0 ", 3);
	memcpy(many + SVIX_SIGNATURES_MAX * 3, DOC_SIGNATURE, sizeof(DOC_SIGNATURE));
	assert_int_equal(judge(DOC_ID, DOC_TIME, many, span_str(DOC_BODY)), WEBHOOK_FORGED);
}

static void test_no_message_at_all(void **state)
{
	static const char *const times[] = {
		"",	"-1",		"+1614265330",	       "1614265330.0", " 1614265330",
		"0x60", "999999999999", "99999999999999999999"
	};
	char long_id[SVIX_ID_MAX + 2];

	(void)state;
	use_secrets(DOC_SECRET);
	wall_s = 1614265330;
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
		assert_int_equal(judge(DOC_ID, times[i], DOC_SIGNATURE, span_str(DOC_BODY)),
				 WEBHOOK_MALFORMED);
	assert_int_equal(judge("", DOC_TIME, DOC_SIGNATURE, span_str(DOC_BODY)), WEBHOOK_MALFORMED);
	assert_int_equal(judge("a\tb", DOC_TIME, DOC_SIGNATURE, span_str(DOC_BODY)),
			 WEBHOOK_MALFORMED);
	assert_int_equal(judge(DOC_ID, DOC_TIME, "", span_str(DOC_BODY)), WEBHOOK_MALFORMED);
	memset(long_id, 'm', sizeof(long_id) - 1);
	long_id[sizeof(long_id) - 1] = '\0';
	assert_int_equal(judge(long_id, DOC_TIME, DOC_SIGNATURE, span_str(DOC_BODY)),
			 WEBHOOK_MALFORMED);
}

static void test_only_what_was_signed_lately(void **state)
{
	(void)state;
	assert_int_equal(
	    judge_signed("msg_1", NOW_S - SVIX_TOLERANCE_S - 1, EVENT("session.ended")),
	    WEBHOOK_STALE);
	assert_int_equal(
	    judge_signed("msg_1", NOW_S + SVIX_TOLERANCE_S + 1, EVENT("session.ended")),
	    WEBHOOK_STALE);
	assert_int_equal(judge_signed("msg_1", 0, EVENT("session.ended")), WEBHOOK_STALE);
	assert_int_equal(judge_signed("msg_1", NOW_S - SVIX_TOLERANCE_S, EVENT("session.ended")),
			 WEBHOOK_ENDED);
	assert_int_equal(judge_signed("msg_2", NOW_S + SVIX_TOLERANCE_S, EVENT("session.ended")),
			 WEBHOOK_ENDED);
}

static void test_a_message_has_its_effect_once(void **state)
{
	(void)state;
	assert_int_equal(judge_signed("msg_1", NOW_S, EVENT("session.ended")), WEBHOOK_ENDED);
	session.len = 0;
	assert_int_equal(judge_signed("msg_1", NOW_S, EVENT("session.ended")), WEBHOOK_REPLAYED);
	assert_int_equal(judge_signed("msg_1", NOW_S + 5, EVENT("session.ended")), WEBHOOK_AGAIN);
	assert_int_equal(session.len, 0);

	/* As long as its timestamp is good, though it be from the future. */
	now.ms += (2 * SVIX_TOLERANCE_S - 1) * MS_PER_S;
	assert_int_equal(judge_signed("msg_1", NOW_S, EVENT("session.ended")), WEBHOOK_REPLAYED);
}

static void test_a_forged_message_keeps_no_genuine_one_out(void **state)
{
	(void)state;
	assert_int_equal(judge("msg_1", "1800000000", "v1,AAAA", span_str(EVENT("session.ended"))),
			 WEBHOOK_FORGED);
	assert_int_equal(judge_signed("msg_1", NOW_S, EVENT("session.ended")), WEBHOOK_ENDED);
}

static void test_more_messages_than_places_lose_the_oldest_only(void **state)
{
	char id[32];

	(void)state;
	for (int i = 0; i < 4 * REPLAY_PLACES; i++) {
		(void)snprintf(id, sizeof(id), "msg_%d", i);
		now.ms++;
		assert_int_equal(replay_note(replay, now, span_str(id), 1, 1000000), REPLAY_NEW);
		assert_int_equal(replay_note(replay, now, span_str(id), 1, 1000000), REPLAY_SAME);
	}
	/* The last eighth of what fits is still known, but for a bucket that was luckless. */
	int known = 0;

	for (int i = 4 * REPLAY_PLACES - REPLAY_PLACES / 8; i < 4 * REPLAY_PLACES; i++) {
		(void)snprintf(id, sizeof(id), "msg_%d", i);
		known += replay_note(replay, now, span_str(id), 1, 1000000) == REPLAY_SAME;
	}
	assert_true(known > REPLAY_PLACES / 8 - 10);
}

static void test_while_a_secret_is_changed_both_are_good(void **state)
{
	(void)state;
	use_secrets(SECRET "\n" SECOND_SECRET "\n");
	assert_int_equal(secrets.count, 2);
	assert_int_equal(judge_signed_by(0, "msg_1", NOW_S, EVENT("session.ended")), WEBHOOK_ENDED);
	assert_int_equal(judge_signed_by(1, "msg_2", NOW_S, EVENT("session.ended")), WEBHOOK_ENDED);
	use_secrets(SECOND_SECRET);
	assert_int_equal(secrets.count, 1);
	assert_int_equal(judge_signed_by(0, "msg_3", NOW_S, EVENT("session.ended")), WEBHOOK_ENDED);
}

static void test_secrets_that_are_none(void **state)
{
	static const char *const bad[] = {
		"",
		" \n",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
		"whsec_",
		"whsec_AAEC",
		"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRY!",
		SECRET " " SECOND_SECRET " " SECRET,
		SECRET " sk_test_x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(svix_secrets_parse(span_str(bad[i]), &secrets), SVIX_BAD_SECRET);
	assert_int_equal(secrets.count, 1);
	assert_int_equal(judge_signed("msg_1", NOW_S, EVENT("session.ended")), WEBHOOK_ENDED);
}

/* What could not be read for want of memory has had no effect, and is taken when it comes again. */
static void test_no_memory(void **state)
{
	size_t n = 0;
	int result;

	(void)state;
	do {
		mem_fail_after(n++);
		result = judge_signed("msg_1", NOW_S, EVENT("session.ended"));
		mem_fail_after(SIZE_MAX);
		assert_true(result == -ENOMEM || result == WEBHOOK_ENDED);
	} while (result == -ENOMEM);
	assert_true(n > 3);
	assert_span(span_of(session.id, session.len), "sess_2abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_documented_example_is_genuine, begin, end),
		cmocka_unit_test_setup_teardown(test_each_way_to_end_ends_the_session, begin, end),
		cmocka_unit_test_setup_teardown(test_other_events_are_none_of_ours, begin, end),
		cmocka_unit_test_setup_teardown(test_every_byte_of_a_message_counts, begin, end),
		cmocka_unit_test_setup_teardown(test_what_is_no_signature_of_ours, begin, end),
		cmocka_unit_test_setup_teardown(test_no_message_at_all, begin, end),
		cmocka_unit_test_setup_teardown(test_only_what_was_signed_lately, begin, end),
		cmocka_unit_test_setup_teardown(test_a_message_has_its_effect_once, begin, end),
		cmocka_unit_test_setup_teardown(test_a_forged_message_keeps_no_genuine_one_out,
						begin, end),
		cmocka_unit_test_setup_teardown(test_more_messages_than_places_lose_the_oldest_only,
						begin, end),
		cmocka_unit_test_setup_teardown(test_while_a_secret_is_changed_both_are_good, begin,
						end),
		cmocka_unit_test_setup_teardown(test_secrets_that_are_none, begin, end),
		cmocka_unit_test_setup_teardown(test_no_memory, begin, end),
	};

	json_global_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
