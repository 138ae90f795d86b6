/*
 * http.c: HTTP/1.1 messages.
 *
 * Model: a request's head is one block of bytes that is cut up in place; nothing is copied and
 * nothing survives the block. The parser is strict where two readings of the same bytes would be
 * possible (line ends, folded headers, two lengths), as a stand-in that forgives its client's
 * mistakes would hide them. Every refusal is the HTTP status to answer with.
 */
#include "http.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "number.h"

#define HTTP_MAX_METHOD 16u

static bool is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *string)
{
	const char *c = string;

	while (is_token_char(*c))
		c++;
	return c > string && !*c;
}

/* Cuts the line off *cursor, without its CR LF; NULL if there is none or it holds control bytes. */
static char *cut_line(char **cursor)
{
	char *line = *cursor;
	char *end = strstr(line, "\r\n");

	if (!end)
		return NULL;
	*end = 0;
	for (const char *c = line; *c; c++) {
		if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
			return NULL;
	}
	*cursor = end + 2;
	return line;
}

/* The absolute form (RFC 9112 section 3.2.2) names the host once more: that part is dropped. */
static char *origin_form(char *target)
{
	if (strncasecmp(target, "http://", 7) == 0)
		target = strchr(target + 7, '/');
	else if (strncasecmp(target, "https://", 8) == 0)
		target = strchr(target + 8, '/');
	return target && *target == '/' ? target : NULL;
}

static int parse_request_line(char *line, struct http_request *request)
{
	char *target = strchr(line, ' ');
	if (!target)
		return 400;
	*target++ = 0;
	char *version = strchr(target, ' ');
	if (!version)
		return 400;
	*version++ = 0;

	request->method = line;
	if (!is_token(line) || strlen(line) > HTTP_MAX_METHOD)
		return 400;
	request->http_1_0 = strcmp(version, "HTTP/1.0") == 0;
	if (!request->http_1_0 && strcmp(version, "HTTP/1.1") != 0)
		return strncmp(version, "HTTP/", 5) == 0 ? 505 : 400;

	target = origin_form(target);
	if (!target)
		return 400;
	request->path = target;
	request->query = "";
	char *query = strchr(target, '?');
	if (query) {
		*query = 0;
		request->query = query + 1;
	}
	return 0;
}

static int parse_header(char *line, struct http_request *request)
{
	char *value = strchr(line, ':');

	if (!value)
		return 400;
	*value++ = 0;
	if (!is_token(line)) /* also refuses a folded line, which begins with a blank */
		return 400;
	value += strspn(value, " \t");
	size_t length = strlen(value);
	while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t'))
		length--;
	value[length] = 0;
	if (request->n_headers == HTTP_MAX_HEADERS)
		return 431;
	request->headers[request->n_headers++] = (struct http_header){ line, value };
	return 0;
}

static int parse_framing(struct http_request *request)
{
	const char *coding = http_header_find(request, "Transfer-Encoding");
	const char *length = http_header_find(request, "Content-Length");

	for (size_t i = 0; length && i < request->n_headers; i++) {
		const struct http_header *header = &request->headers[i];
		if (strcasecmp(header->name, "Content-Length") == 0 &&
		    strcmp(header->value, length) != 0)
			return 400;
	}
	if (coding) {
		request->chunked = true;
		if (length)
			return 400;
		return strcasecmp(coding, "chunked") == 0 ? 0 : 501;
	}
	if (length) {
		int64_t value = 0;
		if (number_parse(length, strlen(length), 0, INT64_MAX, &value) < 0)
			return 400;
		if (value > HTTP_MAX_BODY)
			return 413;
		request->content_length = (size_t)value;
	}
	return 0;
}

static int parse_connection(struct http_request *request)
{
	const char *connection = http_header_find(request, "Connection");

	request->keep_alive = !request->http_1_0;
	if (connection && http_has_token(connection, "close"))
		request->keep_alive = false;
	else if (connection && http_has_token(connection, "keep-alive"))
		request->keep_alive = true;
	return request->http_1_0 || http_header_find(request, "Host") ? 0 : 400;
}

int http_parse_head(char *head, size_t length, struct http_request *ret_request)
{
	char *cursor = head;

	if (memchr(head, 0, length))
		return 400;
	*ret_request = (struct http_request){ .body = "" };
	char *line = cut_line(&cursor);
	int status = line ? parse_request_line(line, ret_request) : 400;
	while (status == 0) {
		line = cut_line(&cursor);
		if (!line)
			return 400;
		if (!*line)
			break;
		status = parse_header(line, ret_request);
	}
	if (status == 0)
		status = parse_connection(ret_request);
	if (status == 0)
		status = parse_framing(ret_request);
	return status;
}

const char *http_header_find(const struct http_request *request, const char *name)
{
	for (size_t i = 0; i < request->n_headers; i++) {
		if (strcasecmp(request->headers[i].name, name) == 0)
			return request->headers[i].value;
	}
	return NULL;
}

bool http_has_token(const char *value, const char *token)
{
	size_t length = strlen(token);

	while (*value) {
		value += strspn(value, ", \t");
		size_t word = strcspn(value, ", \t");
		if (word == length && strncasecmp(value, token, length) == 0)
			return true;
		value += word;
	}
	return false;
}

bool http_query_find(const char *query, const char *name, char *value, size_t size)
{
	size_t name_length = strlen(name);

	while (*query) {
		size_t length = strcspn(query, "&");
		size_t key = strcspn(query, "=&");
		if (key == name_length && memcmp(query, name, key) == 0) {
			size_t start = key < length ? key + 1 : key;
			size_t rest = length - start < size ? length - start : 0;
			memcpy(value, query + start, rest);
			value[rest] = 0;
			return true;
		}
		query += length;
		query += *query == '&';
	}
	return false;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int http_decode_segment(const char *bytes, size_t length, char *value, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		int c = (unsigned char)bytes[i];
		if (c == '%') {
			int high = i + 2 < length ? hex_digit(bytes[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(bytes[i + 2]) : -1;
			if (low < 0)
				return -EINVAL;
			c = high * 16 + low;
			i += 2;
		}
		if (c < 0x20 || c > 0x7e || used + 1 >= size)
			return -EINVAL;
		value[used++] = (char)c;
	}
	value[used] = 0;
	return 0;
}

const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 422, "Unprocessable Entity" },
		{ 423, "Locked" },
		{ 425, "Too Early" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "Unnamed";
}

void http_add_date(struct text *text, int64_t wall_s)
{
	char date[64];
	struct tm parts;
	time_t seconds = (time_t)wall_s;

	/* The program never calls setlocale, so the names are the English ones that HTTP wants. */
	if (gmtime_r(&seconds, &parts) &&
	    strftime(date, sizeof(date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts))
		text_puts(text, date);
}

int http_parse_chunk_size(const char *line, size_t *ret_size)
{
	size_t size = 0;
	const char *c = line;

	for (; hex_digit(*c) >= 0; c++) {
		size = size * 16 + (size_t)hex_digit(*c);
		if (size > HTTP_MAX_BODY)
			return -EINVAL;
	}
	if (c == line || (*c && *c != ';' && *c != ' ' && *c != '\t'))
		return -EINVAL;
	*ret_size = size;
	return 0;
}
