/* Any line is a request, which comes back as it was when it is written, or is refused. */
#include "tests/fuzz/fuzz.h"

#include "proto/request.h"

#include <errno.h>

static bool is_same(const struct request *a, const struct request *b)
{
	return a->verb == b->verb && span_equal(a->tag, b->tag) &&
	       span_equal(a->session, b->session) && span_equal(a->template, b->template) &&
	       a->all_templates == b->all_templates && a->on == b->on &&
	       a->has_min_ttl == b->has_min_ttl && a->min_ttl_s == b->min_ttl_s &&
	       a->has_wait == b->has_wait && a->wait_ms == b->wait_ms && a->has_not == b->has_not &&
	       a->not_id == b->not_id && a->expires_in_s == b->expires_in_s &&
	       a->version == b->version && a->has_uid == b->has_uid && a->uid == b->uid &&
	       span_equal(a->groups, b->groups) && span_equal(a->unit, b->unit);
}

static bool is_within(struct span part, struct span whole)
{
	return part.len == 0 ||
	       (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check_accepted(struct span line, const struct request *r)
{
	struct buf text = BUF_INIT(WIRE_REQUEST_MAX);
	struct request again;
	struct request_error error;

	fuzz_require(wire_is_all(line, CLASS_PRINT) && !request_is_http(line));
	fuzz_require(is_within(r->session, line) && is_within(r->template, line));
	fuzz_require(request_write(&text, r) == 0);
	fuzz_require(text.ptr[text.end - 1] == '\n');
	fuzz_require(request_parse(span_of(text.ptr, buf_len(&text) - 1), &again, &error) == 0);
	fuzz_require(is_same(r, &again));
	buf_deinit(&text);
}

static void check_refused(struct span line, const struct request_error *error)
{
	fuzz_require(error->code == CODE_BAD_REQUEST || error->code == CODE_UNKNOWN_COMMAND ||
		     error->code == CODE_UNSUPPORTED);
	fuzz_require(error->text && error->text[0] &&
		     wire_is_all(span_str(error->text), CLASS_PRINT));
	fuzz_require(error->close == (!wire_is_all(line, CLASS_PRINT) || request_is_http(line)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span line = span_of((const char *)data, size);
	struct request r;
	struct request_error error = { 0 };
	int result = request_parse(line, &r, &error);

	fuzz_require(result == 0 || result == -EBADMSG);
	fuzz_require(is_within(r.tag, line) && r.tag.len <= WIRE_TAG_MAX &&
		     wire_is_all(r.tag, CLASS_TAG));
	if (result == 0)
		check_accepted(line, &r);
	else
		check_refused(line, &error);
	return 0;
}
