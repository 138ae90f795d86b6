/* Any bytes are the head of a request or not, and it doesn't matter in which pieces they come. */
#include "tests/fuzz/fuzz.h"

#include "daemon/core/httphead.h"
#include "daemon/core/openmetrics.h"

static bool is_within(struct span part, struct span whole)
{
	return part.len == 0 ||
	       (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = span_of((const char *)data, size);
	struct httphead head, early;
	enum httphead_result result = httphead_parse(input, &head), first = HTTPHEAD_INCOMPLETE;

	for (size_t len = 0; len <= size && first == HTTPHEAD_INCOMPLETE; len++)
		first = httphead_parse(span_of(input.ptr, len), &early);
	fuzz_require(first == result);
	if (result != HTTPHEAD_DONE)
		return 0;
	fuzz_require(is_within(head.method, input) && head.method.len > 0);
	fuzz_require(is_within(head.path, input) && span_starts(head.path, "/"));
	fuzz_require(is_within(head.accept, input));
	fuzz_require(span_equal(head.path, early.path) && span_equal(head.accept, early.accept));
	(void)openmetrics_choose(head.accept);
	return 0;
}
