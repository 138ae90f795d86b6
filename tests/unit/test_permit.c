/* daemon/core/permit: what rules mean for requests, and for what is under way when they change. */
#include "tests/unit/test_engine_world.h"

#define RULES_MAX 8
#define USER 1000
#define OTHER 1001
#define ADMIN 1002

static struct config_rule sources[RULES_MAX];
static char texts[RULES_MAX][100];
static char file_name[] = "/etc/a b.conf";

/* Lines such as "allow uid=3"; everybody who is there is judged by them. */
static void set_rules(struct access **access, const char *const lines[])
{
	static const char *const kinds[] = { "allow ", "deny ", "admin " };
	static const struct rule_names names = { NULL, NULL };
	struct access *before = *access;
	struct config_error error;
	size_t n = 0;

	for (; lines && lines[n]; n++) {
		unsigned kind = 0;

		while (strncmp(lines[n], kinds[kind], strlen(kinds[kind])) != 0)
			kind++;
		strcpy(texts[n], lines[n] + strlen(kinds[kind]));
		sources[n] = (struct config_rule){ (enum config_rule_kind)kind, texts[n], file_name,
						   (unsigned)n + 1 };
	}
	assert_int_equal(access_new(sources, n, &names, &error, access), 0);
	engine_set_access(world.engine, *access);
	for (size_t i = 0; i < CLIENTS; i++) {
		const struct identity who = { .uid = world.clients[i].uid };

		if (world.present[i])
			assert_int_equal(engine_client_judge(world.engine, &world.clients[i], &who),
					 0);
	}
	engine_enforce(world.engine, now());
	drain();
	access_free(before);
}

#define SET_RULES(access, ...) set_rules(access, (const char *const[]){ __VA_ARGS__, NULL })

static struct asked *ask_for(size_t client, enum verb verb, const char *session,
			     const char *template)
{
	struct request request = { .verb = verb,
				   .session = span_str(session),
				   .template = span_str(template),
				   .on = true };

	return submit(client, &request);
}

static int set_up(void **state)
{
	(void)state;
	set_config();
	if (begin() < 0)
		return -1;
	return join(0, USER) && join(1, OTHER) && join(2, ADMIN) ? 0 : -1;
}

static void finish(struct access *access)
{
	access_free(access);
	end();
}

static void test_a_hit_is_denied_too(void **state)
{
	struct access *access = NULL;

	(void)state;
	SET_RULES(&access, "allow uid=1000 template=a", "allow uid=1001");
	(void)ask_for(1, VERB_GET, "s", "b");
	assert_true(land("s", "h.t1.s", 60));
	assert_token(ask_for(1, VERB_GET, "s", "b"), "h.t1.s");
	assert_error(ask_for(0, VERB_GET, "s", "b"), CODE_DENIED);
	assert_error(ask_for(0, VERB_WATCH, "s", "b"), CODE_DENIED);
	assert_error(ask_for(0, VERB_GET, "s", ""), CODE_DENIED);
	assert_error(ask_for(2, VERB_GET, "s", "b"), CODE_DENIED);
	assert_int_equal(under_way(NULL), 0);
	finish(access);
}

static void test_the_other_verbs(void **state)
{
	struct request session_wide = { .verb = VERB_DROP,
					.session = SPAN_LITERAL("s"),
					.all_templates = true };
	struct access *access = NULL;

	(void)state;
	SET_RULES(&access, "allow uid=1000 session=s template=a", "admin uid=1002");
	assert_error(ask_for(0, VERB_DROP, "s", "a"), CODE_OK);
	assert_error(ask_for(0, VERB_DROP, "s", "b"), CODE_DENIED);
	assert_error(submit(0, &session_wide), CODE_OK); /* it may have one of them */
	assert_error(submit(1, &session_wide), CODE_DENIED);
	session_wide.session = SPAN_LITERAL("other");
	assert_error(submit(0, &session_wide), CODE_DENIED);
	assert_error(submit(2, &session_wide), CODE_OK);
	assert_error(ask_for(0, VERB_FLUSH, "", ""), CODE_DENIED);
	assert_error(ask_for(2, VERB_FLUSH, "", ""), CODE_OK);
	assert_error(ask_for(0, VERB_STATS, "", ""), CODE_OK);
	assert_error(ask_for(1, VERB_STATS, "", ""), CODE_DENIED);
	assert_error(ask_for(0, VERB_TRACK, "", ""), CODE_OK);
	assert_error(ask_for(1, VERB_TRACK, "", ""), CODE_DENIED);
	assert_error(ask_for(1, VERB_PING, "", ""), CODE_OK);
	assert_error(ask_for(1, VERB_UNWATCH, "s", "a"), CODE_OK);
	finish(access);
}

/* Who waits for a fetch when the rules change is told at once; the fetch goes on for the others. */
static void test_a_change_while_somebody_waits(void **state)
{
	struct access *access = NULL;
	struct asked *loses, *stays, *watches;

	(void)state;
	SET_RULES(&access, "allow *");
	loses = ask_for(0, VERB_GET, "s", "a");
	watches = ask_for(0, VERB_WATCH, "s", "a");
	stays = ask_for(1, VERB_GET, "s", "a");
	(void)ask_for(0, VERB_GET, "alone", "a");
	SET_RULES(&access, "deny uid=1000", "allow *");
	assert_error(loses, CODE_DENIED);
	assert_error(watches, CODE_DENIED);
	assert_false(stays->answered);
	assert_true(land("s", "h.t1.s", 60));
	assert_token(stays, "h.t1.s");
	assert_int_equal(world.gone, 0); /* that watch never stood */
	SET_RULES(&access, "allow *");
	assert_token(ask_for(0, VERB_GET, "s", "a"), "h.t1.s");
	finish(access);
}

static void test_a_change_while_somebody_watches(void **state)
{
	struct access *access = NULL;

	(void)state;
	(void)ask_for(0, VERB_WATCH, "s", "a");
	(void)ask_for(1, VERB_WATCH, "s", "a");
	assert_true(land("s", "h.t1.s", 60));
	SET_RULES(&access, "allow uid=1000 template=b", "allow uid=1001");
	assert_int_equal(world.gone, 1);
	pass_to(58000);
	assert_true(land("s", "h.t2.s", 60));
	assert_int_equal(world.pushes, 1); /* for the other */
	SET_RULES(&access, "deny *");
	assert_int_equal(world.gone, 2);
	pass_to(116000);
	(void)land("s", "h.t3.s", 60); /* if it is renewed for its last use */
	assert_int_equal(world.pushes, 1);
	finish(access);
}

static void test_an_administrator_who_is_none_any_more(void **state)
{
	struct access *access = NULL;

	(void)state;
	assert_true(join(3, ROOT));
	assert_error(ask_for(3, VERB_FLUSH, "", ""), CODE_OK);
	SET_RULES(&access, "allow *");
	assert_error(ask_for(3, VERB_FLUSH, "", ""), CODE_DENIED);
	set_rules(&access, NULL);
	assert_null(access);
	assert_error(ask_for(3, VERB_FLUSH, "", ""), CODE_OK);
	finish(access);
}

/* What is said to `client`. */
static void expect(size_t client, const struct request *request, const char *expected)
{
	struct waiter *waiter;
	struct reply reply;

	assert_int_equal(engine_submit(world.engine, now(), &world.clients[client], request,
				       &world.scratch, &reply, &waiter),
			 SUBMIT_REPLIED);
	if (reply.type == REPLY_ERROR)
		assert_string_equal(code_name(reply.code), expected);
	else
		assert_span(reply.text, expected);
}

static void test_why(void **state)
{
	const struct request own = { .verb = VERB_WHY,
				     .session = SPAN_LITERAL("s"),
				     .template = SPAN_LITERAL("a") };
	struct request another = own;
	struct access *access = NULL;

	(void)state;
	expect(0, &own, "allowed because=no_rules admin=no");
	another.has_uid = true;
	another.uid = OTHER;
	expect(0, &another, "denied");
	SET_RULES(&access, "deny uid=1001   gid=4", "allow uid=1001 unit=web@*.service template=-",
		  "allow uid=1000,1001 template=a", "admin uid=1002");
	expect(0, &own,
	       "allowed because=rule admin=no file=/etc/a%20b.conf line=3 rule=allow "
	       "uid=1000,1001 template=a");
	expect(0, &another, "denied");
	another.template = SPAN_NONE;
	expect(2, &another, "denied because=no_match admin=no");
	another.unit = SPAN_LITERAL("web@1.service");
	expect(2, &another,
	       "allowed because=rule admin=no file=/etc/a%20b.conf line=2 rule=allow uid=1001 "
	       "unit=web@*.service template=-");
	another.groups = SPAN_LITERAL("100,4");
	expect(2, &another,
	       "denied because=rule admin=no file=/etc/a%20b.conf line=1 rule=deny uid=1001 gid=4");
	another = own;
	another.unit = SPAN_LITERAL("web@1.service"); /* of no user in particular */
	expect(2, &another, "denied because=no_match admin=no");
	another = own;
	another.has_uid = true;
	another.uid = ADMIN;
	expect(2, &another,
	       "allowed because=rule admin=yes file=/etc/a%20b.conf line=4 rule=admin uid=1002");
	finish(access);
}

static void test_why_an_unclear_unit(void **state)
{
	const struct request own = { .verb = VERB_WHY,
				     .session = SPAN_LITERAL("s"),
				     .template = SPAN_LITERAL("a") };
	const struct identity gone = { .uid = USER, .unit_is_unclear = true };
	struct access *access = NULL;

	(void)state;
	SET_RULES(&access, "allow unit=*");
	assert_int_equal(engine_client_judge(world.engine, &world.clients[0], &gone), 0);
	expect(
	    0, &own,
	    "denied because=unclear_unit admin=no file=/etc/a%20b.conf line=1 rule=allow unit=*");
	finish(access);
}

static void test_without_memory_nothing_is_allowed(void **state)
{
	const struct identity who = { .uid = USER };
	struct access *access = NULL;

	(void)state;
	SET_RULES(&access, "allow *");
	mem_fail_after(0);
	assert_true(engine_client_judge(world.engine, &world.clients[0], &who) < 0);
	mem_fail_after(SIZE_MAX);
	assert_error(ask_for(0, VERB_GET, "s", "a"), CODE_DENIED);
	finish(access);
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_hit_is_denied_too),
		TEST(test_the_other_verbs),
		TEST(test_a_change_while_somebody_waits),
		TEST(test_a_change_while_somebody_watches),
		TEST(test_an_administrator_who_is_none_any_more),
		TEST(test_why),
		TEST(test_why_an_unclear_unit),
		TEST(test_without_memory_nothing_is_allowed),
	};

	return cmocka_run_group_tests_name("permit", tests, NULL, NULL);
}
