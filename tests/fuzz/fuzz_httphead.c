/* Any bytes are the head of a request or not, and it doesn't matter in which pieces they come. */
#include "tests/fuzz/fuzz.h"

#include "daemon/core/frontrequest.h"
#include "daemon/core/openmetrics.h"

static bool is_within(struct span part, struct span whole)
{
	return part.len == 0 ||
	       (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

/* What would let somebody else see more lines, or others. */
static bool has_line_end(struct span s)
{
	return s.len && (memchr(s.ptr, '\r', s.len) || memchr(s.ptr, '\n', s.len) ||
			 memchr(s.ptr, '\0', s.len));
}

/* What is let through to be looked up or fetched is made of names. */
static void check_front(const struct httphead *head, struct span input)
{
	static const struct keyring no_keys;
	struct frontrequest r;

	fuzz_require(frontrequest_check(head, "127.0.0.1:80", &no_keys, &r));
	if (frontrequest_check(head, NULL, &no_keys, &r) || !r.is_for_token)
		return;
	fuzz_require(is_within(r.session, input) && wire_is_session(r.session));
	fuzz_require(r.template.len == 0 ||
		     (is_within(r.template, input) && wire_is_template(r.template)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = span_of((const char *)data, size);
	static struct httphead head, early;
	enum httphead_result result = httphead_parse(input, &head), first = HTTPHEAD_INCOMPLETE;
	size_t hosts, lengths, codings;

	for (size_t len = 0; len <= size && first == HTTPHEAD_INCOMPLETE; len++)
		first = httphead_parse(span_of(input.ptr, len), &early);
	fuzz_require(first == result);
	if (result != HTTPHEAD_DONE)
		return 0;
	fuzz_require(head.size == early.size && head.size <= size);
	fuzz_require(memcmp(data + head.size - 4, "\r\n\r\n", 4) == 0);
	fuzz_require(is_within(head.method, input) && head.method.len > 0);
	fuzz_require(is_within(head.path, input) && span_starts(head.path, "/"));
	fuzz_require(is_within(head.query, input) && is_within(head.host, input));
	for (size_t i = 0; i < head.n_fields; i++)
		fuzz_require(is_within(head.fields[i].name, input) &&
			     is_within(head.fields[i].value, input) &&
			     !has_line_end(head.fields[i].name) &&
			     !has_line_end(head.fields[i].value));
	(void)httphead_find(&head, "host", &hosts);
	(void)httphead_find(&head, "content-length", &lengths);
	(void)httphead_find(&head, "transfer-encoding", &codings);
	fuzz_require(hosts == 1 || (hosts == 0 && head.is_1_0));
	fuzz_require(lengths + codings <= 1 && head.is_chunked == (codings == 1));
	check_front(&head, input);
	(void)openmetrics_choose(httphead_find(&head, "accept", NULL));
	return 0;
}
