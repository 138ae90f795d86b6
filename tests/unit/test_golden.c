/* The transcripts of tests/golden, held against the parsers.
 *
 * Each request is framed and parsed, and what its reply says of it must agree; each reply, with
 * its placeholders filled in, must parse and be written back byte for byte. The format of the
 * files is described in tests/golden/README.md.
 */
#include "tests/unit/unit.h"

#include "base/buf.h"
#include "proto/frame.h"
#include "proto/reply.h"
#include "proto/request.h"

#include <glob.h>
#include <stdio.h>

#define FILES "tests/golden/*.txt"
#define FILE_MAX 200000
#define LINE_MAX_BYTES 8192
#define QUEUE_MAX 64

/* A request that waits for its reply. */
struct sent {
	char tag[WIRE_TAG_MAX];
	size_t tag_len;
	bool parsed;
	enum verb verb;	 /* if parsed */
	enum code error; /* if not */
};

struct player {
	const char *file;
	size_t line;
	struct buf input; /* sent and not yet framed */
	struct sent queue[QUEUE_MAX];
	size_t count;
	bool shut;    /* the client has shut down its writing side */
	bool closing; /* an error that closes the connection was met */
	bool closed;
	bool verbs[VERB_COUNT]; /* seen in requests and in replies */
	bool codes[CODE_COUNT];
	bool types[PUSH_OTHER + 1];
};

#define require(p, condition)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("%s:%zu: %s", (p)->file, (p)->line, #condition);                  \
	} while (0)

static const struct {
	const char *name, *sample;
} samples[] = {
	{ "jwt", "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE4MDAwMDAwMDB9.c2lnbmF0dXJl" },
	{ "id", "0123456789abcdef" },
	{ "unix", "1800000000" },
	{ "ms", "59000" },
	{ "n", "3" },
	{ "text", "a sentence, for people" },
	{ "json", "{\"gets\":1,\"clerk\":\"up\"}" },
	{ "version", "0.1.0" },
};

/* {x*1000}, {0x0d}. */
static bool expand_bytes(struct buf *to, struct span inside)
{
	uint64_t n = 0;

	if (inside.len > 2 && inside.ptr[1] == '*') {
		assert_int_equal(span_parse_u64(span_of(inside.ptr + 2, inside.len - 2), 4096, &n),
				 0);
		while (n--)
			assert_int_equal(buf_append(to, inside.ptr, 1), 0);
		return true;
	}
	if (inside.len == 4 && span_starts(inside, "0x")) {
		char digits[17] = "00000000000000";
		char byte;

		memcpy(digits + 14, inside.ptr + 2, 2);
		assert_int_equal(span_parse_hex64(span_of(digits, 16), &n), 0);
		byte = (char)n;
		assert_int_equal(buf_append(to, &byte, 1), 0);
		return true;
	}
	return false;
}

static bool expand_sample(struct buf *to, struct span inside)
{
	struct span kind;

	(void)span_split(&inside, ':', &kind);
	for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++)
		if (span_is(kind, samples[i].name))
			return buf_append_str(to, samples[i].sample) == 0;
	return false;
}

static void expand(const struct player *p, struct buf *to, struct span text)
{
	struct span plain, inside;

	while (span_split(&text, '{', &plain)) {
		assert_int_equal(buf_append(to, plain.ptr, plain.len), 0);
		if (!text.ptr)
			return;
		require(p, span_split(&text, '}', &inside) && text.ptr);
		require(p, expand_bytes(to, inside) || expand_sample(to, inside));
	}
}

static void begin_connection(struct player *p)
{
	p->input = BUF_INIT(LINE_MAX_BYTES);
	p->count = 0;
	p->shut = p->closing = p->closed = false;
}

static void end_connection(struct player *p)
{
	require(p, p->count == 0);
	require(p, p->closed || !(p->shut || p->closing));
	require(p, buf_len(&p->input) == 0 || p->shut || p->closing);
	buf_deinit(&p->input);
	begin_connection(p);
}

static void enqueue(struct player *p, const struct request *r, const struct request_error *error)
{
	struct sent *sent = &p->queue[p->count++];

	require(p, p->count < QUEUE_MAX);
	*sent = (struct sent){ .parsed = !error, .verb = r->verb, .tag_len = r->tag.len };
	if (r->tag.len)
		memcpy(sent->tag, r->tag.ptr, r->tag.len);
	if (error) {
		sent->error = error->code;
		p->closing = error->close;
	} else {
		p->verbs[r->verb] = true;
	}
}

static void take_request(struct player *p, struct span line)
{
	struct request r = { 0 };
	struct request_error error = { 0 };

	if (request_parse(line, &r, &error) == 0)
		enqueue(p, &r, NULL);
	else
		enqueue(p, &r, &error);
}

static void take_requests(struct player *p)
{
	static const struct request_error too_long = { CODE_TOO_LONG, "", true };
	const struct request none = { 0 };
	struct span line = SPAN_NONE;

	while (!p->closing) {
		struct span input = buf_span(&p->input);
		enum frame_result result = frame_next(&input, WIRE_REQUEST_MAX, &line);

		if (result == FRAME_TOO_LONG)
			enqueue(p, &none, &too_long);
		if (result != FRAME_LINE)
			return;
		take_request(p, line);
		buf_consume(&p->input, buf_len(&p->input) - input.len);
	}
}

static struct sent take_sent(struct player *p, struct span tag)
{
	struct sent sent;
	size_t i = 0;

	while (i < p->count && !span_equal(tag, span_of(p->queue[i].tag, p->queue[i].tag_len)))
		i++;
	require(p, i < p->count);
	sent = p->queue[i];
	p->count--;
	memmove(&p->queue[i], &p->queue[i + 1], (p->count - i) * sizeof(*p->queue));
	return sent;
}

static bool is_parse_error(enum code code)
{
	return code == CODE_BAD_REQUEST || code == CODE_TOO_LONG || code == CODE_UNKNOWN_COMMAND ||
	       code == CODE_UNSUPPORTED;
}

static void check_answer(const struct player *p, const struct sent *sent, const struct reply *r)
{
	static const enum reply_type types[VERB_COUNT] = {
		[VERB_GET] = REPLY_TOKEN,    [VERB_WATCH] = REPLY_TOKEN,
		[VERB_UNWATCH] = REPLY_DONE, [VERB_DROP] = REPLY_DROPPED,
		[VERB_TRACK] = REPLY_DONE,   [VERB_FLUSH] = REPLY_DROPPED,
		[VERB_PING] = REPLY_TEXT,    [VERB_HELLO] = REPLY_TEXT,
		[VERB_STATS] = REPLY_TEXT,   [VERB_WHY] = REPLY_TEXT,
	};

	if (!sent->parsed) {
		require(p, r->type == REPLY_ERROR && r->code == sent->error);
	} else if (r->type == REPLY_ERROR) {
		require(p, !is_parse_error(r->code) && r->code != CODE_COUNT);
	} else {
		require(p, r->type == types[sent->verb]);
	}
}

static void take_reply(struct player *p, struct span line)
{
	struct buf again = BUF_INIT(LINE_MAX_BYTES);
	struct reply r = { 0 };
	struct sent sent;

	require(p, !p->closed);
	require(p, reply_parse(line, &r) == 0);
	require(p, reply_write(&again, &r) == 0);
	require(p, span_equal(span_of(again.ptr, buf_len(&again) - 1), line));
	buf_deinit(&again);
	p->types[r.type] = true;
	if (r.type == REPLY_ERROR) {
		p->codes[r.code] = true;
		require(p, (r.retry_ms == RETRY_NEVER) == code_is_permanent(r.code));
	}
	if (r.type >= PUSH_TOKEN)
		return;
	sent = take_sent(p, r.tag);
	check_answer(p, &sent, &r);
}

static void take_eof(struct player *p)
{
	require(p, p->shut || p->closing);
	require(p, p->count == 0);
	p->closed = true;
}

static struct span behind(struct span line, size_t len)
{
	return line.len > len ? span_of(line.ptr + len, line.len - len) : span_of("", 0);
}

static void play_line(struct player *p, struct span line)
{
	struct buf text = BUF_INIT(LINE_MAX_BYTES);

	if (line.len == 0) {
		end_connection(p);
	} else if (span_is(line, "> EOF")) {
		p->shut = true;
	} else if (span_is(line, "< EOF")) {
		take_eof(p);
	} else if (span_starts(line, ">~ ")) {
		expand(p, &p->input, behind(line, 3));
		take_requests(p);
	} else if (line.ptr[0] == '>') {
		expand(p, &p->input, behind(line, 2));
		assert_int_equal(buf_append(&p->input, "\n", 1), 0);
		take_requests(p);
	} else if (line.ptr[0] == '<') {
		expand(p, &text, behind(line, 2));
		take_reply(p, buf_span(&text));
	} else {
		require(p, line.ptr[0] == '#' || line.ptr[0] == '!');
	}
	buf_deinit(&text);
}

static struct span read_file(const char *path, char *to)
{
	FILE *file = fopen(path, "r");
	size_t len = 0;

	assert_non_null(file);
	len = fread(to, 1, FILE_MAX, file);
	assert_true(len > 0 && len < FILE_MAX);
	assert_int_equal(fclose(file), 0);
	return span_of(to, len);
}

static void play_file(struct player *p, const char *path)
{
	static char text[FILE_MAX];
	struct span rest = read_file(path, text);
	struct span line;

	p->file = path;
	p->line = 0;
	begin_connection(p);
	while (span_split(&rest, '\n', &line)) {
		p->line++;
		play_line(p, line);
	}
	end_connection(p);
}

static struct player played; /* by the first test; the others look at what it saw */

static void test_transcripts_agree_with_the_parsers(void **state)
{
	glob_t found;

	(void)state;
	assert_int_equal(glob(FILES, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		play_file(&played, found.gl_pathv[i]);
	globfree(&found);
}

static void test_every_verb_is_shown(void **state)
{
	(void)state;
	for (int v = 0; v < VERB_COUNT; v++)
		if (!played.verbs[v])
			fail_msg("%s is not shown", verb_name((enum verb)v));
}

static void test_every_type_of_reply_is_shown(void **state)
{
	(void)state;
	for (int t = 0; t < PUSH_OTHER; t++)
		assert_true(played.types[t]);
}

/* Those that no request can provoke by what stands in it are shown by other tests. */
static void test_every_code_is_shown(void **state)
{
	(void)state;
	for (int c = CODE_OK + 1; c < CODE_COUNT; c++) {
		bool elsewhere = c == CODE_DENIED || c == CODE_OVERLOADED ||
				 c == CODE_SHUTTING_DOWN || c == CODE_INTERNAL;

		if (!played.codes[c] && !elsewhere)
			fail_msg("%s is not shown", code_name((enum code)c));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transcripts_agree_with_the_parsers),
		cmocka_unit_test(test_every_verb_is_shown),
		cmocka_unit_test(test_every_type_of_reply_is_shown),
		cmocka_unit_test(test_every_code_is_shown),
	};

	return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
