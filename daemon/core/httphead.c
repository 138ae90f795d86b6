/* See httphead.h. Lines end with CRLF or LF; folded lines, control characters and blanks where none
 * belong are refused, so that nobody else can understand the request in another way. */
#include "daemon/core/httphead.h"

#include "proto/wire.h"

static bool is_text(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* tchar of RFC 9110, section 5.6.2. */
static bool is_name(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return s.len > 0;
}

static bool is_named(struct span s, const char *lower)
{
	if (s.len != strlen(lower))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if ((s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] + ('a' - 'A') : s.ptr[i]) !=
		    lower[i])
			return false;
	return true;
}

static bool parse_request_line(struct span line, struct httphead *ret)
{
	struct span target;

	return span_split(&line, ' ', &ret->method) && is_name(ret->method) &&
	       span_split(&line, ' ', &target) && wire_is_all(target, CLASS_PRINT) &&
	       span_split(&target, '?', &ret->path) && span_starts(ret->path, "/") &&
	       (span_is(line, "HTTP/1.1") || span_is(line, "HTTP/1.0"));
}

static bool parse_field(struct span line, struct httphead *ret)
{
	struct span name;

	if (!span_split(&line, ':', &name) || !line.ptr || !is_name(name))
		return false;
	if (is_named(name, "accept") && !ret->accept.ptr)
		ret->accept = span_trim(line);
	return true;
}

enum httphead_result httphead_parse(struct span input, struct httphead *ret)
{
	struct span rest = span_of(input.ptr, input.len < HTTPHEAD_MAX ? input.len : HTTPHEAD_MAX);
	bool is_first = true;
	struct span line;

	*ret = (struct httphead){ 0 };
	while (span_split(&rest, '\n', &line) && rest.ptr) {
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (line.len == 0)
			return is_first ? HTTPHEAD_BAD : HTTPHEAD_DONE;
		if (!is_text(line) ||
		    !(is_first ? parse_request_line(line, ret) : parse_field(line, ret)))
			return HTTPHEAD_BAD;
		is_first = false;
	}
	return input.len < HTTPHEAD_MAX ? HTTPHEAD_INCOMPLETE : HTTPHEAD_TOO_LONG;
}
