/* A connection gives the same answers wherever its bytes were cut in two, borrows only from its
 * input, and takes no answer to what was never asked. The first byte says where they are cut. */
#include "tests/fuzz/fuzz.h"

#include "client/link.h"

#include <errno.h>

#define REPLIES_MAX 512
#define ASKED 5

struct outcome {
	int next;
	uint64_t answered;
	enum reply_type type;
	size_t text_len, jwt_len, session_len;
};

struct outcomes {
	struct outcome list[REPLIES_MAX];
	size_t n;
};

static void feed(struct link *link, const uint8_t *data, size_t size)
{
	char *to = link_input(link, size + 1);

	fuzz_require(to);
	memcpy(to, data, size);
	link_received(link, size);
}

static void check_span(const struct link *link, struct span part)
{
	fuzz_require(part.len == 0 || (part.ptr >= link->in.ptr &&
				       part.ptr + part.len <= link->in.ptr + link->in.size));
}

/* False: nothing more comes. */
static bool take(struct link *link, struct outcomes *outcomes)
{
	struct reply reply = { .type = REPLY_DONE };
	int next = link_next(link, &reply);

	if (next == LINK_WANTS_INPUT)
		return true;
	fuzz_require(next >= 0 || next == -EBADMSG);
	if (next >= 0) {
		check_span(link, reply.text);
		check_span(link, reply.token.jwt);
		check_span(link, reply.session);
	}
	if (next == LINK_ANSWER)
		fuzz_require(link->answered >= 1 && link->answered <= ASKED);
	if (outcomes->n < REPLIES_MAX)
		outcomes->list[outcomes->n++] =
		    (struct outcome){ next,
				      next == LINK_ANSWER ? link->answered : 0,
				      reply.type,
				      reply.text.len,
				      reply.token.jwt.len,
				      reply.session.len };
	return next >= 0 && take(link, outcomes);
}

static void run(const uint8_t *data, size_t size, size_t cut, struct outcomes *outcomes)
{
	struct request ping = { .verb = VERB_PING };
	struct link link;
	bool goes_on;

	link_init(&link);
	for (int i = 0; i < ASKED; i++)
		fuzz_require(link_ask(&link, &ping) == 0);
	feed(&link, data, cut);
	goes_on = take(&link, outcomes);
	if (goes_on) {
		feed(&link, data + cut, size - cut);
		(void)take(&link, outcomes); /* the end of the input comes next */
	}
	link_deinit(&link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcomes whole, parts;

	if (size == 0 || size > LINK_CHUNK)
		return 0;
	whole.n = parts.n = 0;
	memset(&whole, 0, sizeof(whole));
	memset(&parts, 0, sizeof(parts));
	run(data + 1, size - 1, size - 1, &whole);
	run(data + 1, size - 1, data[0] * (size - 1) / UINT8_MAX, &parts);
	fuzz_require(whole.n == parts.n);
	fuzz_require(memcmp(whole.list, parts.list, sizeof(whole.list)) == 0);
	return 0;
}
