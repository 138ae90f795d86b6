/* daemon/core/access, rule: who may have what. */
#include "daemon/core/access.h"

#include "base/mem.h"
#include "proto/wire.h"
#include "tests/unit/unit.h"

#include <errno.h>

#define RULES_MAX 8
#define OWN_UID 900
#define ANY WIRE_ANY

static const struct {
	const char *name;
	uint32_t id;
} known[] = { { "root", 0 }, { "adm", 4 }, { "www-data", 33 }, { "nobody", 65534 } };

static int find(const char *name, uint32_t *ret)
{
	if (strcmp(name, "broken") == 0)
		return -EIO;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strcmp(name, known[i].name) == 0) {
			*ret = known[i].id;
			return 0;
		}
	}
	return 1;
}

static char file_name[] = "a.conf";
static const struct rule_names names = { find, find };

struct rules {
	struct config_rule sources[RULES_MAX];
	char texts[RULES_MAX][300];
	struct access *access;
	struct config_error error;
};

/* Lines such as "allow uid=3", NULL at the end. */
static int parse(struct rules *r, const char *const lines[])
{
	static const char *const kinds[] = { "allow ", "deny ", "admin " };
	size_t n = 0;

	*r = (struct rules){ .error.text = "" };
	for (; lines[n]; n++) {
		unsigned kind = 0;

		while (strncmp(lines[n], kinds[kind], strlen(kinds[kind])) != 0)
			kind++;
		strcpy(r->texts[n], lines[n] + strlen(kinds[kind]));
		r->sources[n] = (struct config_rule){ (enum config_rule_kind)kind, r->texts[n],
						      file_name, (unsigned)n + 1 };
	}
	return access_new(r->sources, n, &names, &r->error, &r->access);
}

#define LINES(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define PARSE(r, ...)                                                                              \
	do {                                                                                       \
		if (parse(r, LINES(__VA_ARGS__)) != 0)                                             \
			fail_msg("%u: %s", (r)->error.line, (r)->error.text);                      \
	} while (0)

static struct identity user(uid_t uid)
{
	return (struct identity){ .uid = uid };
}

static struct identity in_unit(uid_t uid, const char *unit)
{
	return (struct identity){ .uid = uid, .unit = span_str(unit) };
}

static struct decision decide(const struct rules *r, struct identity who, const char *session,
			      const char *template)
{
	struct grant g;
	struct decision d;

	assert_int_equal(access_grant(r->access, OWN_UID, &who, &g), 0);
	d = access_decide(r->access, &g, span_str(session), span_str(template));
	/* What is worked out beforehand agrees with what is decided. */
	if (g.scope == ACCESS_ALL)
		assert_true(d.allowed);
	if (g.scope == ACCESS_NOTHING)
		assert_false(d.allowed);
	grant_deinit(&g);
	return d;
}

static bool may(const struct rules *r, struct identity who, const char *session,
		const char *template)
{
	return decide(r, who, session, template).allowed;
}

static enum access_scope scope(const struct rules *r, struct identity who)
{
	struct grant g;
	enum access_scope scope;

	assert_int_equal(access_grant(r->access, OWN_UID, &who, &g), 0);
	scope = g.scope;
	grant_deinit(&g);
	return scope;
}

static bool is_admin(const struct rules *r, struct identity who)
{
	struct grant g;
	bool admin;

	assert_int_equal(access_grant(r->access, OWN_UID, &who, &g), 0);
	admin = g.is_admin;
	grant_deinit(&g);
	return admin;
}

static void test_without_rules(void **state)
{
	struct rules r;

	(void)state;
	assert_int_equal(parse(&r, (const char *const[]){ NULL }), 0);
	assert_null(r.access);
	assert_int_equal(scope(&r, user(1000)), ACCESS_ALL);
	assert_true(may(&r, user(1000), "s", "-"));
	assert_null(decide(&r, user(1000), "s", "t").rule);
	assert_true(is_admin(&r, user(0)));
	assert_true(is_admin(&r, user(OWN_UID)));
	assert_false(is_admin(&r, user(1000)));
}

static void test_none_matching_is_a_refusal(void **state)
{
	struct rules r;

	(void)state;
	PARSE(&r, "allow uid=1000");
	assert_true(may(&r, user(1000), "s", "t"));
	assert_false(may(&r, user(0), "s", "t"));
	assert_null(decide(&r, user(0), "s", "t").rule);
	assert_int_equal(scope(&r, user(0)), ACCESS_NOTHING);
	assert_false(is_admin(&r, user(0)));
	assert_false(is_admin(&r, user(OWN_UID)));
	access_free(r.access);
}

static void test_the_first_match_decides(void **state)
{
	struct rules r;

	(void)state;
	PARSE(&r, "deny uid=nobody", "allow session=sess_a", "deny template=secret", "allow *");
	assert_false(may(&r, user(65534), "sess_a", "t"));
	assert_int_equal(decide(&r, user(65534), "sess_a", "t").rule->source->line, 1);
	assert_int_equal(scope(&r, user(65534)), ACCESS_NOTHING);
	assert_true(may(&r, user(1), "sess_a", "secret"));
	assert_int_equal(decide(&r, user(1), "sess_a", "secret").rule->source->line, 2);
	assert_false(may(&r, user(1), "sess_b", "secret"));
	assert_true(may(&r, user(1), "sess_b", "other"));
	assert_int_equal(scope(&r, user(1)), ACCESS_SOME);
	access_free(r.access);
}

static void test_all_fields_any_value(void **state)
{
	const gid_t groups[] = { 100, 4 };
	struct identity who = { .uid = 33, .gids = groups, .n_gids = 2 };
	struct rules r;

	(void)state;
	PARSE(&r, "allow uid=root,33 gid=adm,7 session=sess_* template=hasura,-");
	assert_true(may(&r, who, "sess_1", "hasura"));
	assert_true(may(&r, who, "sess_1", "-"));
	assert_false(may(&r, who, "sess_1", "supabase"));
	assert_false(may(&r, who, "s", "hasura"));
	who.n_gids = 1;
	assert_false(may(&r, who, "sess_1", "hasura"));
	who.n_gids = 2;
	who.uid = 34;
	assert_false(may(&r, who, "sess_1", "hasura"));
	access_free(r.access);
}

static void test_globs(void **state)
{
	static const struct {
		const char *glob, *text;
		bool matches;
	} cases[] = {
		{ "*", "x", true },	     { "*", "-", true },     { "a*", "a", true },
		{ "a*", "abc", true },	     { "a*", "ba", false },  { "*c", "abc", true },
		{ "*c", "acb", false },	     { "a*c", "ac", true },  { "a*b*c", "aXbYbc", true },
		{ "a*b*c", "aXcYb", false }, { "?", "x", true },     { "?", "xy", false },
		{ "a?c", "abc", true },	     { "a?c", "ac", false }, { "*??", "x", false },
		{ "*??", "xyz", true },	     { "**", "x", true },    { "ab", "abc", false },
		{ "abc", "ab", false },	     { "-", "-", true },     { "-", "x", false },
		{ "a.b", "aXb", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[100] = "allow template=";
		struct rules r;

		PARSE(&r, strcat(text, cases[i].glob));
		if (may(&r, user(1), "s", cases[i].text) != cases[i].matches)
			fail_msg("%s: %s", cases[i].glob, cases[i].text);
		access_free(r.access);
	}
}

/* Time that a peer chooses is bounded by what the operator wrote. */
static void test_many_stars(void **state)
{
	char text[200] = "allow session=";
	char session[WIRE_NAME_MAX + 1];
	struct rules r;

	(void)state;
	memset(session, 'a', WIRE_NAME_MAX);
	session[WIRE_NAME_MAX] = '\0';
	for (size_t i = 0; i < 40; i++)
		strcat(text, "*a");
	PARSE(&r, strcat(text, "b"));
	assert_false(may(&r, user(1), session, "t"));
	access_free(r.access);
}

static void test_units(void **state)
{
	struct rules r;

	(void)state;
	PARSE(&r, "allow unit=web@*.service,dev-x\\x2dy.service");
	assert_true(r.access->names_units);
	assert_false(r.access->names_groups);
	assert_true(may(&r, in_unit(33, "web@1.service"), "s", "t"));
	assert_true(may(&r, in_unit(33, "dev-x\\x2dy.service"), "s", "t"));
	assert_false(may(&r, in_unit(33, "web.service"), "s", "t"));
	assert_false(may(&r, in_unit(33, "xweb@1.service"), "s", "t"));
	assert_false(may(&r, user(33), "s", "t"));
	access_free(r.access);

	PARSE(&r, "deny unit=*", "allow *");
	assert_false(may(&r, in_unit(33, "session-1.scope"), "s", "t"));
	assert_true(may(&r, user(33), "s", "t")); /* it is known to be in none */
	access_free(r.access);
}

static void test_an_unclear_unit_is_refused(void **state)
{
	struct identity who = { .uid = 33, .unit_is_unclear = true };
	struct rules r;

	(void)state;
	PARSE(&r, "allow uid=1", "allow uid=33 template=open", "deny unit=evil.service template=x",
	      "allow uid=33");
	assert_true(may(&r, who, "s", "open")); /* before the unit matters */
	assert_true(may(&r, who, "s", "other"));
	assert_false(may(&r, who, "s", "x"));
	assert_true(decide(&r, who, "s", "x").unclear);
	assert_int_equal(scope(&r, who), ACCESS_SOME);
	access_free(r.access);

	PARSE(&r, "allow unit=web.service", "admin uid=33");
	assert_false(may(&r, who, "s", "t"));
	assert_int_equal(decide(&r, who, "s", "t").rule->source->line, 1);
	assert_int_equal(scope(&r, who), ACCESS_NOTHING);
	assert_true(is_admin(&r, who));
	access_free(r.access);

	PARSE(&r, "deny unit=web.service", "admin uid=33");
	assert_false(is_admin(&r, who));
	assert_false(may(&r, who, "s", "t"));
	access_free(r.access);

	PARSE(&r, "allow unit=web.service uid=34", "allow *"); /* about somebody else */
	assert_true(may(&r, who, "s", "t"));
	access_free(r.access);
}

static void test_administrators(void **state)
{
	const gid_t adm[] = { 4 };
	struct identity who = { .uid = 1, .gids = adm, .n_gids = 1 };
	struct rules r;

	(void)state;
	PARSE(&r, "allow *", "admin gid=adm");
	assert_true(is_admin(&r, who)); /* allow is about tokens */
	assert_false(is_admin(&r, user(1)));
	access_free(r.access);

	PARSE(&r, "admin gid=adm");
	assert_true(may(&r, who, "s", "t"));
	access_free(r.access);

	PARSE(&r, "deny uid=1", "admin gid=adm");
	assert_false(is_admin(&r, who));
	access_free(r.access);

	PARSE(&r, "deny gid=adm session=*", "admin gid=adm"); /* an administrator without tokens */
	assert_true(is_admin(&r, who));
	assert_int_equal(scope(&r, who), ACCESS_NOTHING);
	access_free(r.access);
}

/* Of several keys: one that may be had is enough. */
static void test_several_keys(void **state)
{
	struct rules r;

	(void)state;
	PARSE(&r, "deny session=sess_x", "allow session=sess_* template=a");
	assert_true(may(&r, user(1), "sess_1", ANY));
	assert_false(may(&r, user(1), "sess_x", ANY));
	assert_false(may(&r, user(1), "other", ANY));
	assert_true(may(&r, user(1), ANY, ANY));
	assert_int_equal(scope(&r, user(1)), ACCESS_SOME);
	access_free(r.access);

	PARSE(&r, "deny template=a", "deny *");
	assert_false(may(&r, user(1), ANY, ANY));
	assert_int_equal(scope(&r, user(1)), ACCESS_NOTHING);
	access_free(r.access);

	PARSE(&r, "allow template=a", "allow session=* template=*");
	assert_int_equal(scope(&r, user(1)), ACCESS_ALL);
	access_free(r.access);

	PARSE(&r, "allow template=a");
	assert_int_equal(scope(&r, user(1)), ACCESS_SOME);
	access_free(r.access);
}

static const struct {
	const char *rule, *message;
} bad_rules[] = {
	{ "allow user=x", "expected uid=, gid=, unit=, session=, template= or * alone, "
			  "not: user=x" },
	{ "allow hello", "expected uid=, gid=, unit=, session=, template= or * alone, "
			 "not: hello" },
	{ "allow uid:33",
	  "expected uid=, gid=, unit=, session=, template= or * alone, not: uid:33" },
	{ "allow * uid=1", "expected uid=, gid=, unit=, session=, template= or * alone, not: *" },
	{ "allow =x", "expected uid=, gid=, unit=, session=, template= or * alone, not: =x" },
	{ "allow sk_test_0123456789012345678901234567890123",
	  "expected uid=, gid=, unit=, session=, template= or * alone, not" },
	{ "allow uid", "a value is missing for: uid" },
	{ "allow uid=", "a value is missing for: uid" },
	{ "allow uid=1 unit=", "a value is missing for: unit" },
	{ "allow uid=1,,2", "a value is missing for: uid" },
	{ "allow session=a,", "a value is missing for: session" },
	{ "allow uid=1 uid=2", "its values are to be listed once, separated by commas: uid" },
	{ "allow sk_test_1", "expected uid=, gid=, unit=, session=, template= or * alone, not" },
	{ "allow uid=webb", "unknown user: webb" },
	{ "allow gid=1,webb", "unknown group: webb" },
	{ "allow uid=broken", "users and groups can't be looked up: broken" },
	{ "allow uid=*", "unknown user: *" },
	{ "allow uid=4294967295", "a number that is too large: 4294967295" },
	{ "allow uid=99999999999999999999999", "a number that is too large: "
					       "99999999999999999999999" },
	{ "allow unit=web", "a unit's name ends with its type, such as .service: web" },
	{ "allow unit=we b.service", "a unit's name ends with its type, such as .service: we" },
	{ "allow unit=web[12].service",
	  "no unit can have that name (* and ? are the wildcards): web[12].service" },
	{ "allow unit=/system.slice/web.service",
	  "no unit can have that name (* and ? are the wildcards): "
	  "/system.slice/web.service" },
	{ "allow session=sess.1",
	  "no session can have that id (* and ? are the wildcards): sess.1" },
	{ "allow template=a/b", "no template can have that name (* and ? are the wildcards): a/b" },
	{ "allow template={a,b}",
	  "no template can have that name (* and ? are the wildcards): {a" },
	{ "admin uid=1 session=*", "who is an administrator doesn't depend on: session" },
	{ "admin template=-", "who is an administrator doesn't depend on: template" },
	{ "allow uid=\xc3\xa9", "expected printable ASCII, spaces between fields" },
	{ "allow uid=1\tgid=2", "expected printable ASCII, spaces between fields" },
};

static void test_bad_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_rules) / sizeof(*bad_rules); i++) {
		size_t held = mem_held();
		char message[400] = "[access] ";
		struct rules r;

		assert_int_equal(parse(&r, LINES("deny uid=1", bad_rules[i].rule)), CONFIG_INVALID);
		strcat(message, bad_rules[i].rule[1] == 'l' ? "allow: " : "admin: ");
		assert_string_equal(r.error.text, strcat(message, bad_rules[i].message));
		assert_string_equal(r.error.file, "a.conf");
		assert_int_equal(r.error.line, 2);
		assert_int_equal(mem_held(), held);
	}
}

static void test_without_memory(void **state)
{
	static const char *const lines[] = { "allow uid=1,2 session=a", "deny *", NULL };
	const struct identity who = user(1);
	size_t held = mem_held();
	struct rules r;
	struct grant g;
	size_t n = 0;

	(void)state;
	for (;; n++) {
		int result;

		mem_fail_after(n);
		result = parse(&r, lines);
		mem_fail_after(SIZE_MAX);
		if (result == 0)
			break;
		assert_int_equal(result, -ENOMEM);
		assert_int_equal(mem_held(), held);
	}
	assert_true(n >= 3);
	mem_fail_after(0);
	assert_int_equal(access_grant(r.access, OWN_UID, &who, &g), -ENOMEM);
	mem_fail_after(SIZE_MAX);
	access_free(r.access);
	assert_int_equal(mem_held(), held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_rules),
		cmocka_unit_test(test_none_matching_is_a_refusal),
		cmocka_unit_test(test_the_first_match_decides),
		cmocka_unit_test(test_all_fields_any_value),
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_many_stars),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_an_unclear_unit_is_refused),
		cmocka_unit_test(test_administrators),
		cmocka_unit_test(test_several_keys),
		cmocka_unit_test(test_bad_rules),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
