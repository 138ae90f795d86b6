/* Whatever Clerk's answer holds, there is one outcome; a token comes with that of tokens only, and
 * what is kept of a refusal is JSON that can stand in an answer of ours. The first two bytes are
 * the tens and ones of a status from 400 on, or begin with a T: 200. */
#include "tests/fuzz/fuzz.h"

#include "daemon/core/answer.h"
#include "daemon/core/refusal.h"

#define TOKEN_MAX 256

static void check_refusal(struct span text, int status)
{
	struct refusal r;
	struct json *body;

	fuzz_require(text.len <= REFUSAL_MAX && refusal_read(text, &r) && r.status == status);
	fuzz_require(wire_is_all(r.trace_id, CLASS_TAG));
	for (size_t i = 0; i < text.len; i++)
		fuzz_require((unsigned char)text.ptr[i] >= ' ');
	fuzz_require(json_parse(r.body, &body) == 0);
	fuzz_require(json_first(json_member(body, "errors")));
	json_free(body);
}

static void check(const struct outcome *o, int status)
{
	struct span refusal = buf_span(&o->refusal);

	fuzz_require((o->kind == OUTCOME_TOKEN) == (o->jwt.ptr != NULL));
	fuzz_require((o->kind == OUTCOME_TOKEN) == (o->code == CODE_OK));
	if (o->kind == OUTCOME_TOKEN)
		fuzz_require(o->lifetime_ms > 0 && o->jwt.len <= TOKEN_MAX);
	if (refusal.len == 0)
		return;
	fuzz_require(o->kind == OUTCOME_DEFINITE || o->kind == OUTCOME_KEY_REFUSED);
	fuzz_require(status >= 400 && status < 500);
	check_refusal(refusal, status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_set_up;
	struct answer a = { .date = SPAN_LITERAL("Tue, 14 Nov 2023 22:13:20 GMT") };
	struct outcome o;

	if (!is_set_up)
		json_global_init();
	is_set_up = true;
	if (size < 2)
		return 0;
	a.status = data[0] == 'T' ? 200 : 400 + (data[0] & 15) * 10 + (data[1] & 15);
	a.body = span_of((const char *)data + 2, size - 2);
	a.trace_id = a.body;
	answer_judge(&a, TOKEN_MAX, &o);
	check(&o, a.status);
	outcome_deinit(&o);
	return 0;
}
