/* A body is the same in whatever pieces it comes, and ends where it ends. The first byte says how
 * long it is, or that it comes in chunks; the second how it is cut. */
#include "tests/fuzz/fuzz.h"

#include "daemon/core/httpbody.h"

struct decoded {
	enum httpbody_result result;
	size_t used, len;
	char bytes[1 << 16];
};

static void decode(struct httpbody body, struct span input, size_t piece, struct decoded *ret)
{
	struct span data, part;
	size_t at = 0;

	ret->result = HTTPBODY_MORE;
	ret->len = 0;
	do {
		part = span_of(input.ptr + at, input.len - at < piece ? input.len - at : piece);
		at += part.len;
		while ((ret->result = httpbody_next(&body, &part, &data)) == HTTPBODY_DATA) {
			fuzz_require(data.len > 0 && ret->len + data.len <= sizeof(ret->bytes));
			memcpy(ret->bytes + ret->len, data.ptr, data.len);
			ret->len += data.len;
		}
	} while (ret->result == HTTPBODY_MORE && at < input.len);
	ret->used = at - part.len;
	fuzz_require(httpbody_is_done(&body) == (ret->result == HTTPBODY_DONE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct decoded whole, cut;
	struct httphead head = { .is_chunked = false };
	struct span input;

	if (size < 2 || size > sizeof(whole.bytes))
		return 0;
	head.is_chunked = data[0] == 0;
	head.length = data[0];
	input = span_of((const char *)data + 2, size - 2);
	decode(httpbody_of(&head), input, input.len, &whole);
	decode(httpbody_of(&head), input, 1 + data[1] % 16, &cut);
	fuzz_require(whole.result == cut.result && whole.len == cut.len);
	fuzz_require(whole.result == HTTPBODY_BAD || whole.used == cut.used);
	fuzz_require(memcmp(whole.bytes, cut.bytes, whole.len) == 0);
	if (!head.is_chunked)
		fuzz_require(whole.len == (size - 2 < data[0] ? size - 2 : data[0]));
	return 0;
}
