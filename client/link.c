/* See link.h. */
#include "client/link.h"

#include "proto/frame.h"

#include <errno.h>

void link_init(struct link *link)
{
	*link = (struct link){
		.in = BUF_INIT(LINK_LINE_MAX + LINK_CHUNK_MAX),
		.out = BUF_INIT(LINK_OUTPUT_MAX),
	};
}

void link_deinit(struct link *link)
{
	buf_deinit(&link->in);
	buf_deinit(&link->out);
}

int link_ask_as(struct link *link, const struct request *request, uint64_t number)
{
	struct request tagged = *request;
	char tag[FORMAT_U64_ROOM];
	int result;

	tagged.tag = span_of(tag, (size_t)(format_u64(tag, number) - tag));
	result = request_write(&link->out, &tagged);
	if (result < 0)
		return result == -EMSGSIZE ? -EINVAL : result;
	if (number > link->asked)
		link->asked = number;
	link->is_answering = false;
	return 0;
}

int link_ask(struct link *link, const struct request *request)
{
	return link_ask_as(link, request, link->asked + 1);
}

bool link_has_room(const struct link *link)
{
	return buf_len(&link->out) <= LINK_OUTPUT_MAX - WIRE_REQUEST_MAX;
}

struct span link_output(const struct link *link)
{
	return buf_span(&link->out);
}

void link_sent(struct link *link, size_t len)
{
	buf_consume(&link->out, len);
}

char *link_input(struct link *link, size_t want)
{
	return buf_reserve(&link->in, want);
}

void link_received(struct link *link, size_t len)
{
	buf_commit(&link->in, len);
	link->is_answering = true;
}

/* Takes a line off the input; bytes that were searched for LF once are not searched again. */
static enum frame_result take_line(struct link *link, struct span *ret)
{
	struct span input = buf_span(&link->in);
	size_t len = input.len;
	enum frame_result result;

	if (len < LINK_LINE_MAX && (len == link->scanned || !memchr(input.ptr + link->scanned, '\n',
								    len - link->scanned))) {
		link->scanned = len;
		return FRAME_INCOMPLETE;
	}
	result = frame_next(&input, LINK_LINE_MAX, ret);
	if (result == FRAME_LINE) {
		buf_consume(&link->in, len - input.len);
		link->scanned = 0;
	}
	return result;
}

static int classify(struct link *link, const struct reply *reply)
{
	uint64_t number;

	if (reply->type >= PUSH_TOKEN)
		return LINK_PUSH;
	if (reply->tag.len == 0)
		return reply->type == REPLY_ERROR ? LINK_REFUSAL : -EBADMSG;
	if (span_parse_u64(reply->tag, link->asked, &number) < 0 || number == 0)
		return -EBADMSG;
	link->answered = number;
	return LINK_ANSWER;
}

int link_next(struct link *link, struct reply *ret)
{
	struct span line;
	struct reply reply;
	int result;

	switch (take_line(link, &line)) {
	case FRAME_LINE:
		break;
	case FRAME_INCOMPLETE:
		return LINK_WANTS_INPUT;
	default:
		return -EBADMSG;
	}
	if (reply_parse(line, &reply) < 0)
		return -EBADMSG;
	result = classify(link, &reply);
	if (result >= 0)
		*ret = reply;
	return result;
}

bool link_is_quiet(const struct link *link)
{
	return buf_len(&link->in) == 0 && buf_len(&link->out) == 0;
}

void link_rest(struct link *link)
{
	buf_deinit(&link->in);
	link->scanned = 0;
}
