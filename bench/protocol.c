#define _GNU_SOURCE 1 /* memmem, mempcpy */
#include "protocol.h"

#include <stdio.h>
#include <string.h>
#include "bench.h"

enum protocol protocol_find(const char *name)
{
	static const char *const names[PROTOCOL_COUNT] = { "tokend", "get", "meta", "set" };
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

size_t protocol_request(enum protocol protocol, const char *session, size_t value_length, char *out)
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

bool protocol_reply(enum protocol protocol, const char *session, const char *text, size_t size,
		    struct reply *ret_reply)
{
	const char *lf = memchr(text, '\n', size);
	struct reply reply = { 0 };
	size_t line;

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
