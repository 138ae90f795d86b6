/* proto/wire: the vocabulary, against what PROTOCOL.md says of it. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "proto/wire.h"

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static void assert_class(enum wire_class class, const char *members)
{
	for (int c = 0; c < 256; c++) {
		char byte = (char)c;
		bool expected = c && strchr(members, c);

		assert_int_equal(wire_is_all(span_of(&byte, 1), class), expected);
	}
}

static void test_classes(void **state)
{
	char printable[96];

	(void)state;
	for (int c = ' '; c <= '~'; c++)
		printable[c - ' '] = (char)c;
	printable[95] = '\0';
	assert_class(CLASS_SESSION, ALNUM "_-");
	assert_class(CLASS_TEMPLATE, ALNUM "_-.~");
	assert_class(CLASS_TAG, ALNUM "_-.:");
	assert_class(CLASS_PRINT, printable);
}

static void test_how_much_is_of_a_class(void **state)
{
	(void)state;
	assert_int_equal(wire_class_len(SPAN_LITERAL("sess_1.x"), CLASS_SESSION), 6);
	assert_int_equal(wire_class_len(SPAN_LITERAL(""), CLASS_SESSION), 0);
	assert_int_equal(wire_class_len(SPAN_NONE, CLASS_SESSION), 0);
	assert_int_equal(wire_class_len(SPAN_LITERAL("ab"), CLASS_SESSION), 2);
	assert_true(wire_is_all(SPAN_NONE, CLASS_SESSION));
}

/* Any byte at any place of any length, in a block that ends where the text ends. */
static void test_sixteen_at_once(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 50; len++) {
		char *name = mem_alloc(len);

		memset(name, 'n', len);
		assert_int_equal(wire_session_len(span_of(name, len)), len);
		for (size_t i = 0; i < len; i++) {
			for (int c = 0; c < 256; c++) {
				bool good = c && strchr(ALNUM "_-", c);

				name[i] = (char)c;
				assert_int_equal(wire_session_len(span_of(name, len)),
						 good ? len : i);
				assert_true(wire_is_print(span_of(name, len)) ==
					    (wire_classes[c] & CLASS_PRINT) / CLASS_PRINT);
			}
			name[i] = 'n';
		}
		mem_free(name);
	}
	assert_int_equal(wire_session_len(SPAN_NONE), 0);
}

static void test_lengths_of_names(void **state)
{
	char name[129];

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_true(wire_is_session(span_of(name, 128)));
	assert_true(wire_is_template(span_of(name, 128)));
	assert_false(wire_is_session(span_of(name, 129)));
	assert_false(wire_is_template(span_of(name, 129)));
	assert_false(wire_is_session(SPAN_NONE));
	assert_false(wire_is_template(SPAN_NONE));
	assert_true(wire_is_session(span_of(name, 1)));
	assert_true(wire_is_template(span_of(name, 1)));
}

static void test_names_that_are_none(void **state)
{
	static const char *const templates[] = { ".", "..", "-", "a/b", "a b", "a%2e", "*", "a=b" };
	static const char *const sessions[] = { "a.b", "a~", "a/b", "a b", "a=b", "*", "\xc3\xa4" };

	(void)state;
	for (size_t i = 0; i < sizeof(templates) / sizeof(*templates); i++)
		assert_false(wire_is_template(span_str(templates[i])));
	for (size_t i = 0; i < sizeof(sessions) / sizeof(*sessions); i++)
		assert_false(wire_is_session(span_str(sessions[i])));
	assert_true(wire_is_template(SPAN_LITERAL("...")));
	assert_true(wire_is_template(SPAN_LITERAL("--")));
	assert_true(wire_is_template(SPAN_LITERAL(".-")));
	assert_true(wire_is_session(SPAN_LITERAL("-")));
}

static void test_jwt(void **state)
{
	static const char *const none[] = {
		"",	".",	   "..",     "a.b",	"a..c",	  ".b.c",
		"a.b.", "a.b.c.d", "a.b.c=", "a.b.c d", "a+.b.c",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_false(wire_is_jwt(span_str(none[i])));
	assert_false(wire_is_jwt(SPAN_NONE));
	assert_true(wire_is_jwt(SPAN_LITERAL("a.b.c")));
	assert_true(wire_is_jwt(SPAN_LITERAL("eyJh-_09.eyJz.c2ln")));
}

static void test_verbs_come_back(void **state)
{
	static const char *const names[VERB_COUNT] = {
		"GET",	 "WATCH", "UNWATCH", "DROP",  "TRACK",
		"FLUSH", "PING",  "HELLO",   "STATS", "WHY",
	};

	(void)state;
	for (int v = 0; v < VERB_COUNT; v++) {
		assert_string_equal(verb_name((enum verb)v), names[v]);
		assert_int_equal(verb_parse(span_str(names[v])), v);
	}
	assert_int_equal(verb_parse(SPAN_LITERAL("get")), VERB_COUNT);
	assert_int_equal(verb_parse(SPAN_LITERAL("GETS")), VERB_COUNT);
	assert_int_equal(verb_parse(SPAN_LITERAL("GE")), VERB_COUNT);
	assert_int_equal(verb_parse(SPAN_NONE), VERB_COUNT);
}

static void test_codes_come_back(void **state)
{
	(void)state;
	for (int c = CODE_OK + 1; c < CODE_COUNT; c++) {
		struct span name = span_str(code_name((enum code)c));
		struct span text = span_str(code_text((enum code)c));

		assert_int_equal(code_parse(name), c);
		assert_true(name.len <= 32 && wire_is_all(name, CLASS_SESSION));
		assert_true(text.len > 0 && text.len <= 128 && wire_is_all(text, CLASS_PRINT));
	}
	assert_int_equal(code_parse(SPAN_LITERAL("OK")), CODE_COUNT);
	assert_int_equal(code_parse(SPAN_LITERAL("teapot")), CODE_COUNT);
	assert_int_equal(code_parse(SPAN_NONE), CODE_COUNT);
}

static void test_which_codes_are_permanent(void **state)
{
	static const char *const permanent[] = {
		"bad_request", "too_long", "unknown_command",
		"unsupported", "denied",   "short_lived",
	};
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(permanent) / sizeof(*permanent); i++)
		assert_true(code_is_permanent(code_parse(span_str(permanent[i]))));
	for (int c = 0; c < CODE_COUNT; c++)
		count += code_is_permanent((enum code)c);
	assert_int_equal(count, sizeof(permanent) / sizeof(*permanent));
}

static void test_states_and_sources_come_back(void **state)
{
	(void)state;
	for (int s = 0; s < TOKEN_STATE_COUNT; s++)
		assert_int_equal(token_state_parse(span_str(token_state_name((enum token_state)s))),
				 s);
	for (int s = 0; s < SOURCE_COUNT; s++)
		assert_int_equal(
		    token_source_parse(span_str(token_source_name((enum token_source)s))), s);
	assert_int_equal(token_state_parse(SPAN_LITERAL("FRESH")), TOKEN_STATE_COUNT);
	assert_int_equal(token_source_parse(SPAN_LITERAL("")), SOURCE_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_how_much_is_of_a_class),
		cmocka_unit_test(test_sixteen_at_once),
		cmocka_unit_test(test_lengths_of_names),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_jwt),
		cmocka_unit_test(test_verbs_come_back),
		cmocka_unit_test(test_codes_come_back),
		cmocka_unit_test(test_which_codes_are_permanent),
		cmocka_unit_test(test_states_and_sources_come_back),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
