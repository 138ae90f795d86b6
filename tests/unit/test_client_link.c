/* The wire's state machine, without a socket: client/link.c. */
#include "tests/unit/unit.h"

#include "client/link.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

static void receive(struct link *link, const char *data, size_t len)
{
	while (len) {
		size_t chunk = len < LINK_CHUNK ? len : LINK_CHUNK;
		char *to = link_input(link, LINK_CHUNK);

		assert_non_null(to);
		memcpy(to, data, chunk);
		link_received(link, chunk);
		data += chunk;
		len -= chunk;
	}
}

static void receive_text(struct link *link, const char *text)
{
	receive(link, text, strlen(text));
}

static struct link asked(void)
{
	struct request ping = { .verb = VERB_PING };
	struct link link;

	link_init(&link);
	assert_int_equal(link_ask(&link, &ping), 0);
	return link;
}

static void test_requests(void **state)
{
	struct request get = { .verb = VERB_GET, .session = SPAN_LITERAL("s") };
	struct request bad = { .verb = VERB_GET, .session = SPAN_LITERAL("s\nFLUSH") };
	struct link link = asked();

	(void)state;
	assert_true(span_is(link_output(&link), "#1 PING\n"));
	assert_int_equal(link_ask(&link, &get), 0);
	assert_true(span_is(link_output(&link), "#1 PING\n#2 GET s -\n"));
	link_sent(&link, 9);
	assert_int_equal(link_ask(&link, &bad), -EINVAL);
	assert_true(span_is(link_output(&link), "2 GET s -\n"));
	assert_int_equal(link.asked, 2);
	assert_false(link_is_quiet(&link));
	link_sent(&link, 10);
	assert_true(link_is_quiet(&link));
	link_deinit(&link);
}

static const char lines[] = "* NEWS x\n* DROP s *\n* GONE s t not_found\n#1 OK pong\nERR "
			    "overloaded retry=1 x\n";

/* The same bytes give the same answers, wherever they are cut in two. */
static void test_splits(void **state)
{
	static const int expected[] = { LINK_PUSH, LINK_PUSH, LINK_PUSH, LINK_ANSWER,
					LINK_REFUSAL };

	(void)state;
	for (size_t cut = 0; cut <= sizeof(lines) - 1; cut++) {
		struct link link = asked();
		struct reply reply;
		size_t n = 0;
		int next;

		receive(&link, lines, cut);
		while ((next = link_next(&link, &reply)) != LINK_WANTS_INPUT)
			assert_int_equal(next, expected[n++]);
		receive(&link, lines + cut, sizeof(lines) - 1 - cut);
		while ((next = link_next(&link, &reply)) != LINK_WANTS_INPUT)
			assert_int_equal(next, expected[n++]);
		assert_int_equal(n, 5);
		assert_int_equal(buf_len(&link.in), 0);
		link_deinit(&link);
	}
}

static void test_strangers(void **state)
{
	static const char *const bad[] = {
		"#2 OK pong\n", "#0 OK pong\n", "#01x OK\n",	"OK pong\n", "#1\n",
		"\n",		"#1 ok\n",	"#1 * TOKEN\n", "pong\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct link link = asked();
		struct reply reply;

		receive_text(&link, bad[i]);
		assert_int_equal(link_next(&link, &reply), -EBADMSG);
		link_deinit(&link);
	}
}

static void fill(struct link *link, size_t len)
{
	char *data = malloc(len);

	assert_non_null(data);
	memset(data, 'a', len);
	receive(link, data, len);
	free(data);
}

/* The longest line is taken, one byte more is refused, and no more than that is ever held. */
static void test_bound(void **state)
{
	struct link link = asked();
	struct reply reply;

	(void)state;
	receive_text(&link, "#1 OK ");
	fill(&link, LINK_LINE_MAX - 7);
	assert_int_equal(link_next(&link, &reply), LINK_WANTS_INPUT);
	receive_text(&link, "\n");
	assert_int_equal(link_next(&link, &reply), LINK_ANSWER);
	assert_int_equal(reply.text.len, LINK_LINE_MAX - 7);
	link_rest(&link);
	assert_int_equal(link.in.size, 0);

	fill(&link, LINK_LINE_MAX - 1);
	assert_int_equal(link_next(&link, &reply), LINK_WANTS_INPUT);
	fill(&link, 1);
	assert_int_equal(link_next(&link, &reply), -EBADMSG);
	assert_true(link.in.size <= LINK_LINE_MAX + LINK_CHUNK_MAX);
	link_deinit(&link);
}

static void test_no_memory(void **state)
{
	struct request ping = { .verb = VERB_PING };
	struct link link;

	(void)state;
	link_init(&link);
	mem_fail_after(0);
	assert_int_equal(link_ask(&link, &ping), -ENOMEM);
	assert_int_equal(link.asked, 0);
	mem_fail_after(0);
	assert_null(link_input(&link, LINK_CHUNK));
	assert_int_equal(link_ask(&link, &ping), 0);
	link_deinit(&link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),  cmocka_unit_test(test_splits),
		cmocka_unit_test(test_strangers), cmocka_unit_test(test_bound),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
