/* See httphead.h. Lines are checked as they come, in order; what the fields say together, when all
 * are there. */
#include "daemon/core/httphead.h"

#include "proto/wire.h"

#define LENGTH_MAX (UINT64_C(1) << 53)

/* Classes of bytes. */
enum {
	TOKEN = 1, /* tchar of RFC 9110, section 5.6.2 */
	TEXT = 2,  /* may stand in a field's value */
	HOST = 4,  /* of a host and its port, RFC 3986, without what nobody needs */
};

/* clang-format off */
static const unsigned char classes[256] = {
	['\t']          = TEXT,
	[' ']           = TEXT,
	['!']           = TEXT | TOKEN,
	['"']           = TEXT,
	['#' ... '\'']  = TEXT | TOKEN,
	['(' ... ')']   = TEXT,
	['*' ... '+']   = TEXT | TOKEN,
	[',']           = TEXT,
	['-' ... '.']   = TEXT | TOKEN | HOST,
	['/']           = TEXT,
	['0' ... '9']   = TEXT | TOKEN | HOST,
	[':']           = TEXT | HOST,
	[';' ... '@']   = TEXT,
	['A' ... 'Z']   = TEXT | TOKEN | HOST,
	['[']           = TEXT | HOST,
	['\\']          = TEXT,
	[']']           = TEXT | HOST,
	['^']           = TEXT | TOKEN,
	['_']           = TEXT | TOKEN | HOST,
	['`']           = TEXT | TOKEN,
	['a' ... 'z']   = TEXT | TOKEN | HOST,
	['{']           = TEXT,
	['|']           = TEXT | TOKEN,
	['}']           = TEXT,
	['~']           = TEXT | TOKEN | HOST,
	[0x80 ... 0xff] = TEXT,
};
/* clang-format on */

static bool is_all(struct span s, unsigned class)
{
	for (size_t i = 0; i < s.len; i++)
		if (!(classes[(unsigned char)s.ptr[i]] & class))
			return false;
	return true;
}

static bool is_token(struct span s)
{
	return s.len > 0 && is_all(s, TOKEN);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool httphead_is(struct span s, const char *name)
{
	for (size_t i = 0; i < s.len; i++)
		if (!name[i] || lower(s.ptr[i]) != name[i])
			return false;
	return s.ptr && name[s.len] == '\0';
}

bool httphead_lists(struct span list, const char *name)
{
	struct span element;

	while (span_split(&list, ',', &element))
		if (httphead_is(span_trim(element), name))
			return true;
	return false;
}

struct span httphead_find(const struct httphead *head, const char *name, size_t *ret_count)
{
	struct span value = SPAN_NONE;
	size_t count = 0;

	for (size_t i = 0; i < head->n_fields; i++)
		if (httphead_is(head->fields[i].name, name) && count++ == 0)
			value = head->fields[i].value;
	if (ret_count)
		*ret_count = count;
	return value;
}

/* Takes the scheme and the authority off a target in absolute form. */
static bool take_authority(struct span *target, struct httphead *ret)
{
	static const char scheme[] = "http://";
	size_t len = sizeof(scheme) - 1, end = len;

	if (span_starts(*target, "/"))
		return true;
	if (target->len < len || !httphead_is(span_of(target->ptr, len), scheme))
		return false;
	while (end < target->len && target->ptr[end] != '/' && target->ptr[end] != '?')
		end++;
	ret->host = span_of(target->ptr + len, end - len);
	*target = span_of(target->ptr + end, target->len - end);
	return span_starts(*target, "/");
}

static bool is_target(struct span s)
{
	return s.len > 0 && wire_is_all(s, CLASS_PRINT) && !memchr(s.ptr, '#', s.len);
}

static enum httphead_result parse_version(struct span version, struct httphead *ret)
{
	ret->is_1_0 = span_is(version, "HTTP/1.0");
	if (ret->is_1_0 || span_is(version, "HTTP/1.1"))
		return HTTPHEAD_DONE;
	return version.len == 8 && span_starts(version, "HTTP/") ? HTTPHEAD_VERSION : HTTPHEAD_BAD;
}

static enum httphead_result parse_request_line(struct span line, struct httphead *ret)
{
	struct span target;
	enum httphead_result result;

	if (!span_split(&line, ' ', &ret->method) || !is_token(ret->method) ||
	    !span_split(&line, ' ', &target) || !is_target(target))
		return HTTPHEAD_BAD;
	result = parse_version(line, ret);
	if (result != HTTPHEAD_DONE)
		return result;
	if (!take_authority(&target, ret))
		return HTTPHEAD_BAD;
	(void)span_split(&target, '?', &ret->path); /* there is one */
	ret->query = target;
	return HTTPHEAD_DONE;
}

static enum httphead_result parse_field(struct span line, struct httphead *ret)
{
	struct httpfield *field = &ret->fields[ret->n_fields];

	if (ret->n_fields == HTTPHEAD_FIELDS_MAX)
		return HTTPHEAD_TOO_LONG;
	if (!span_split(&line, ':', &field->name) || !line.ptr || !is_token(field->name) ||
	    !is_all(line, TEXT))
		return HTTPHEAD_BAD;
	field->value = span_trim(line);
	ret->n_fields++;
	return HTTPHEAD_DONE;
}

/* The authority of a target in absolute form, if there was one, must be the same. */
static bool understand_host(struct httphead *head)
{
	struct span authority = head->host;
	size_t count;

	head->host = httphead_find(head, "host", &count);
	if (count == 0)
		return head->is_1_0 && !authority.ptr;
	return count == 1 && head->host.len > 0 && is_all(head->host, HOST) &&
	       (!authority.ptr || span_equal(authority, head->host));
}

static bool understand_body(struct httphead *head)
{
	size_t codings, lengths;
	struct span coding = httphead_find(head, "transfer-encoding", &codings);
	struct span length = httphead_find(head, "content-length", &lengths);

	head->is_chunked = codings > 0;
	if (codings)
		return codings == 1 && lengths == 0 && !head->is_1_0 &&
		       httphead_is(coding, "chunked");
	return lengths == 0 ||
	       (lengths == 1 && span_parse_u64(length, LENGTH_MAX, &head->length) == 0);
}

static void understand_connection(struct httphead *head)
{
	bool closes = false, keeps = false;

	for (size_t i = 0; i < head->n_fields; i++) {
		if (!httphead_is(head->fields[i].name, "connection"))
			continue;
		closes |= httphead_lists(head->fields[i].value, "close");
		keeps |= httphead_lists(head->fields[i].value, "keep-alive");
	}
	head->keep_alive = !closes && (keeps || !head->is_1_0);
}

static enum httphead_result understand(struct httphead *head)
{
	struct span expect = httphead_find(head, "expect", NULL);

	if (!understand_host(head) || !understand_body(head))
		return HTTPHEAD_BAD;
	understand_connection(head);
	if (expect.ptr && !httphead_is(expect, "100-continue"))
		return HTTPHEAD_EXPECTATION;
	head->expects_continue = expect.ptr && !head->is_1_0;
	return HTTPHEAD_DONE;
}

static enum httphead_result parse_lines(struct span input, struct httphead *ret)
{
	struct span rest = input, line;
	enum httphead_result result = HTTPHEAD_DONE;
	bool is_first = true;

	while (result == HTTPHEAD_DONE && span_split(&rest, '\n', &line) && rest.ptr) {
		if (line.len == 0 || line.ptr[--line.len] != '\r')
			return HTTPHEAD_BAD;
		if (line.len == 0) {
			ret->size = (size_t)(rest.ptr - input.ptr);
			return is_first ? HTTPHEAD_BAD : understand(ret);
		}
		result = is_first ? parse_request_line(line, ret) : parse_field(line, ret);
		is_first = false;
	}
	return result == HTTPHEAD_DONE ? HTTPHEAD_INCOMPLETE : result;
}

enum httphead_result httphead_parse(struct span input, struct httphead *ret)
{
	bool is_full = input.len >= HTTPHEAD_MAX;
	enum httphead_result result;

	ret->host = SPAN_NONE;
	ret->length = 0;
	ret->n_fields = 0;
	result = parse_lines(span_of(input.ptr, is_full ? HTTPHEAD_MAX : input.len), ret);
	return result == HTTPHEAD_INCOMPLETE && is_full ? HTTPHEAD_TOO_LONG : result;
}
