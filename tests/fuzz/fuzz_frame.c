/* The same bytes give the same lines, however they were split.
 *
 * Of the input, the first byte says how long a line may be, the next four where the cuts are.
 */
#include "tests/fuzz/fuzz.h"

#include "base/buf.h"
#include "proto/frame.h"

#define HEAD 5
#define INPUT_MAX 2048

/* What a stream came to: its lines, each behind its length, and how it ended. */
struct outcome {
	struct buf lines;
	size_t consumed;
	bool too_long;
};

static void note_line(struct outcome *o, struct span line)
{
	fuzz_require(buf_append(&o->lines, &line.len, sizeof(line.len)) == 0);
	fuzz_require(buf_append(&o->lines, line.ptr, line.len) == 0);
}

static void take_lines(struct buf *b, size_t max, struct outcome *o)
{
	enum frame_result result;

	do {
		struct span input = buf_span(b);
		struct span whole = input;
		struct span line = SPAN_NONE;

		result = frame_next(&input, max, &line);
		o->too_long = result == FRAME_TOO_LONG;
		if (result == FRAME_LINE) {
			size_t taken = whole.len - input.len;

			fuzz_require(taken <= max && whole.ptr[taken - 1] == '\n');
			fuzz_require(line.ptr == whole.ptr && line.len < taken);
			fuzz_require(line.len == 0 || !memchr(line.ptr, '\n', line.len));
			note_line(o, line);
			buf_consume(b, taken);
			o->consumed += taken;
		}
	} while (result == FRAME_LINE);
}

/* In pieces whose sizes come from `cuts`; whole if it is 0. */
static struct outcome feed(struct span bytes, size_t max, uint32_t cuts)
{
	struct outcome o = { .lines = BUF_INIT(INPUT_MAX * (sizeof(size_t) + 1)) };
	struct buf b = BUF_INIT(INPUT_MAX);

	while (bytes.len && !o.too_long) {
		size_t n = cuts ? 1 + cuts % 17 : bytes.len;

		n = n < bytes.len ? n : bytes.len;
		cuts = cuts ? cuts * 1664525 + 1013904223 : 0;
		fuzz_require(buf_append(&b, bytes.ptr, n) == 0);
		bytes = span_of(bytes.ptr + n, bytes.len - n);
		take_lines(&b, max, &o);
	}
	fuzz_require(o.too_long || buf_len(&b) < max);
	buf_deinit(&b);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, split;
	struct span bytes;
	uint32_t cuts;
	size_t max;

	if (size < HEAD || size > INPUT_MAX)
		return 0;
	max = 1 + (size_t)data[0];
	memcpy(&cuts, data + 1, sizeof(cuts));
	bytes = span_of((const char *)data + HEAD, size - HEAD);
	whole = feed(bytes, max, 0);
	split = feed(bytes, max, cuts | 1);
	fuzz_require(whole.too_long == split.too_long && whole.consumed == split.consumed);
	fuzz_require(buf_len(&whole.lines) == buf_len(&split.lines));
	fuzz_require(buf_len(&whole.lines) == 0 ||
		     span_equal(buf_span(&whole.lines), buf_span(&split.lines)));
	buf_deinit(&whole.lines);
	buf_deinit(&split.lines);
	return 0;
}
