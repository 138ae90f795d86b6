#define _GNU_SOURCE 1 /* memmem, mempcpy */
#include "protocol.h"

#include <stdio.h>
#include <string.h>
#include "bench.h"

enum protocol protocol_find(const char *name)
{
	static const char *const names[PROTOCOL_COUNT] = { "tokend", "get", "meta", "set", "http" };
	enum protocol protocol = 0;

	while (protocol < PROTOCOL_COUNT && strcmp(names[protocol], name) != 0)
		protocol++;
	return protocol;
}

size_t protocol_request_max(enum protocol protocol, size_t value_length)
{
	return REQUEST_MAX + (protocol == PROTOCOL_SET ? value_length : 0);
}

/* A value that is filled up to length and ends with its key. */
static size_t write_set(const char *session, size_t length, char *out)
{
	size_t head = (size_t)snprintf(out, REQUEST_MAX, "set %s" BENCH_TEMPLATE " 0 0 %zu\r\n",
				       session, length);
	size_t key = strlen(session) < length ? strlen(session) : length;

	memset(out + head, 'v', length);
	memcpy(out + head + length - key, session, key);
	memcpy(out + head + length, "\r\n", 2);
	return head + length + 2;
}

/* What @clerk/backend sends. */
static size_t write_http(const char *host, const char *session, char *out)
{
	int length = snprintf(out, REQUEST_MAX,
			      "POST /v1/sessions/%s/tokens/" BENCH_TEMPLATE " HTTP/1.1\r\n"
			      "host: %s\r\n"
			      "connection: keep-alive\r\n"
			      "Clerk-API-Version: 2026-05-12\r\n"
			      "user-agent: @clerk/backend@3.25.0\r\n"
			      "authorization: Bearer sk_test_sandbox\r\n"
			      "Content-Type: application/json\r\n"
			      "accept: */*\r\n"
			      "accept-language: *\r\n"
			      "sec-fetch-mode: cors\r\n"
			      "accept-encoding: gzip, deflate\r\n"
			      "content-length: 0\r\n\r\n",
			      session, host);

	if (length < 0 || length >= REQUEST_MAX)
		bench_die("the host's name is too long: %s", host);
	return (size_t)length;
}

size_t protocol_request(enum protocol protocol, const char *host, const char *session,
			size_t value_length, char *out)
{
	static const struct {
		const char *before, *after; /* the session */
	} parts[PROTOCOL_COUNT] = {
		[PROTOCOL_TOKEND] = { "GET ", " " BENCH_TEMPLATE "\n" },
		[PROTOCOL_GET] = { "get ", BENCH_TEMPLATE "\r\n" },
		[PROTOCOL_META] = { "mg ", BENCH_TEMPLATE " v\r\n" },
	};
	char *p = out;

	if (protocol == PROTOCOL_SET)
		return write_set(session, value_length, out);
	if (protocol == PROTOCOL_HTTP)
		return write_http(host, session, out);
	p = stpcpy(p, parts[protocol].before);
	p = mempcpy(p, session, BENCH_SESSION_SIZE - 1);
	p = stpcpy(p, parts[protocol].after);
	return (size_t)(p - out);
}

/* What came instead of a success. A refusal is quoted; anything else might be a token. */
static _Noreturn void die_of(const char *line, size_t length)
{
	size_t shown = length < 200 ? length : 200;

	if (length >= 3 && memcmp(line, "OK ", 3) == 0)
		bench_die("a malformed reply of %zu bytes", length);
	bench_die("not the reply asked for: \"%.*s\"", (int)shown, line);
}

/* "OK TOKEN SP fields" */
static void parse_tokend(const char *line, size_t length, struct reply *reply)
{
	const char *end;

	if (length < 3 || memcmp(line, "OK ", 3) != 0)
		die_of(line, length);
	end = memchr(line + 3, ' ', length - 3);
	if (!end || length - (size_t)(end - line) < 4 || memcmp(end, " id=", 4) != 0)
		die_of(line, length);
	reply->value = line + 3;
	reply->length = (size_t)(end - reply->value);
}

/* Whether the line goes on with text; then *position is moved past it. */
static bool skip(const char *line, size_t length, const char *text, size_t *position)
{
	size_t size = strlen(text);

	if (length - *position < size || memcmp(line + *position, text, size) != 0)
		return false;
	*position += size;
	return true;
}

/* The value's length, from position to the CR that ends a memcached header line. */
static size_t parse_length(const char *line, size_t length, size_t position)
{
	size_t value = 0;

	if (length < position + 2 || line[length - 1] != '\r')
		die_of(line, length);
	for (size_t i = position; i < length - 1; i++) {
		if (line[i] < '0' || line[i] > '9' || value > VALUE_MAX)
			die_of(line, length);
		value = value * 10 + (size_t)(line[i] - '0');
	}
	return value;
}

/* "VALUE KEY 0 LENGTH" or "VA LENGTH"; then the value; then what ends it. */
static bool parse_memcached(enum protocol protocol, const char *session, const char *text,
			    size_t size, size_t line, struct reply *reply)
{
	const char *tail = protocol == PROTOCOL_GET ? "\r\nEND\r\n" : "\r\n";
	size_t at = 0;

	if (protocol == PROTOCOL_META
		? !skip(text, line, "VA ", &at)
		: !skip(text, line, "VALUE ", &at) || !skip(text, line, session, &at) ||
		      !skip(text, line, BENCH_TEMPLATE " 0 ", &at))
		die_of(text, line);
	reply->length = parse_length(text, line, at);
	reply->value = text + line + 1;
	reply->size = line + 1 + reply->length + strlen(tail);
	if (size < reply->size)
		return false;
	if (memcmp(reply->value + reply->length, tail, strlen(tail)) != 0)
		bench_die("a value of %zu bytes without its end", reply->length);
	return true;
}

/* A 200 with Content-Length and {"object":"token","jwt":"..."}. */
static bool parse_http(const char *text, size_t size, struct reply *reply)
{
	static const char field[] = "\r\nContent-Length: ", before[] = "\"jwt\":\"";
	const char *end = memmem(text, size, "\r\n\r\n", 4), *length, *value;
	size_t body = 0;

	if (!end)
		return false;
	length = memmem(text, (size_t)(end - text), field, sizeof(field) - 1);
	if (strncmp(text, "HTTP/1.1 200 ", 13) != 0 || !length)
		die_of(text, (size_t)(end - text));
	for (const char *c = length + sizeof(field) - 1; *c >= '0' && *c <= '9'; c++)
		body = body * 10 + (size_t)(*c - '0');
	reply->size = (size_t)(end + 4 - text) + body;
	if (body > VALUE_MAX)
		bench_die("a body of %zu bytes", body);
	if (size < reply->size)
		return false;
	value = memmem(end + 4, body, before, sizeof(before) - 1);
	if (!value || text[reply->size - 2] != '"')
		bench_die("a body of %zu bytes without a token", body);
	reply->value = value + sizeof(before) - 1;
	reply->length = (size_t)(text + reply->size - 2 - reply->value);
	return true;
}

bool protocol_reply(enum protocol protocol, const char *session, const char *text, size_t size,
		    struct reply *ret_reply)
{
	const char *lf = memchr(text, '\n', size);
	struct reply reply = { 0 };
	size_t line;

	if (protocol == PROTOCOL_HTTP)
		return parse_http(text, size, ret_reply);
	if (!lf)
		return false;
	line = (size_t)(lf - text);
	reply.size = line + 1;
	if (protocol == PROTOCOL_TOKEND)
		parse_tokend(text, line, &reply);
	else if (protocol == PROTOCOL_SET && (line != 7 || memcmp(text, "STORED\r", 7) != 0))
		die_of(text, line);
	else if (protocol != PROTOCOL_SET &&
		 !parse_memcached(protocol, session, text, size, line, &reply))
		return false;
	*ret_reply = reply;
	return true;
}

static int base64url_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Decodes text up to its first '.'. Returns the bytes in out (VALUE_MAX); 0: no such text. */
static size_t decode_part(const char *text, size_t length, char *out)
{
	const char *dot = memchr(text, '.', length);
	uint32_t bits = 0;
	size_t size = 0;

	for (size_t i = 0; dot && text + i < dot; i++) {
		int digit = base64url_digit(text[i]);

		if (digit < 0)
			return 0;
		bits = bits << 6 | (uint32_t)digit;
		if (i % 4)
			out[size++] = (char)(bits >> (6 - i % 4 * 2));
	}
	return size;
}

bool protocol_owns(const char *session, const struct reply *reply)
{
	const char *dot = memchr(reply->value, '.', reply->length);
	char claims[VALUE_MAX];
	size_t size;

	if (!dot || reply->length > VALUE_MAX)
		return false;
	size = decode_part(dot + 1, reply->length - (size_t)(dot + 1 - reply->value), claims);
	return memmem(claims, size, session + 5, strlen(session + 5)) != NULL;
}
