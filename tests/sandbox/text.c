/*
 * text.c: a growing byte string.
 *
 * Model: whoever builds a text appends without looking and asks once, at the end, whether it came
 * out whole: a failed allocation empties the text and marks it, and from then on every addition is
 * a no-op. Invariant: data == NULL, or data[length] == 0 and length < capacity.
 */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MIN_CAPACITY 256u
#define TEXT_MAX_CAPACITY ((size_t)256 << 20)

void text_deinit(struct text *text)
{
	free(text->data);
	*text = (struct text){ .data = NULL };
}

static void text_fail(struct text *text)
{
	text_deinit(text);
	text->failed = true;
}

/* Makes room for `more` bytes and the NUL. */
static bool text_reserve(struct text *text, size_t more)
{
	if (text->failed)
		return false;
	if (text->capacity > more && text->capacity - more > text->length)
		return true;
	if (more > TEXT_MAX_CAPACITY - 1 || text->length > TEXT_MAX_CAPACITY - 1 - more) {
		text_fail(text);
		return false;
	}

	size_t capacity = text->capacity ? text->capacity : TEXT_MIN_CAPACITY;
	while (capacity <= text->length + more)
		capacity *= 2;
	char *data = realloc(text->data, capacity);
	if (!data) {
		text_fail(text);
		return false;
	}
	text->data = data;
	text->capacity = capacity;
	return true;
}

void text_add(struct text *text, const void *bytes, size_t length)
{
	if (!text_reserve(text, length))
		return;
	if (length)
		memcpy(text->data + text->length, bytes, length);
	text->length += length;
	text->data[text->length] = 0;
}

void text_puts(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

void text_printf(struct text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0) {
		text_fail(text);
		return;
	}
	if (!text_reserve(text, (size_t)length))
		return;
	va_start(arguments, format);
	(void)vsnprintf(text->data + text->length, (size_t)length + 1, format, arguments);
	va_end(arguments);
	text->length += (size_t)length;
}

void text_fill(struct text *text, char byte, size_t count)
{
	if (!text_reserve(text, count))
		return;
	memset(text->data + text->length, byte, count);
	text->length += count;
	text->data[text->length] = 0;
}

static void text_json_escape(struct text *text, unsigned char byte)
{
	static const char hex[] = "0123456789abcdef";
	char escape[6] = { '\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15] };

	if (byte == '"' || byte == '\\') {
		escape[1] = (char)byte;
		text_add(text, escape, 2);
	} else {
		text_add(text, escape, sizeof(escape));
	}
}

void text_json(struct text *text, const char *string)
{
	const char *run = string;

	text_add(text, "\"", 1);
	for (; *string; string++) {
		unsigned char byte = (unsigned char)*string;
		if (byte >= 0x20 && byte != '"' && byte != '\\')
			continue;
		text_add(text, run, (size_t)(string - run));
		text_json_escape(text, byte);
		run = string + 1;
	}
	text_add(text, run, (size_t)(string - run));
	text_add(text, "\"", 1);
}

void text_base64url(struct text *text, const void *bytes, size_t length)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const unsigned char *in = bytes;

	if (length > TEXT_MAX_CAPACITY) {
		text_fail(text);
		return;
	}
	if (!text_reserve(text, length / 3 * 4 + 4))
		return;
	char *out = text->data + text->length;
	while (length > 0) {
		size_t take = length < 3 ? length : 3;
		unsigned group = (unsigned)in[0] << 16;
		group |= take > 1 ? (unsigned)in[1] << 8 : 0;
		group |= take > 2 ? (unsigned)in[2] : 0;
		for (size_t i = 0; i <= take; i++)
			*out++ = alphabet[group >> (18 - 6 * i) & 63];
		in += take;
		length -= take;
	}
	*out = 0;
	text->length = (size_t)(out - text->data);
}

char *text_take(struct text *text, size_t *ret_length)
{
	text_add(text, "", 0); /* so that an empty text is a string too */
	char *data = text->data;
	if (data && ret_length)
		*ret_length = text->length;
	*text = (struct text){ .failed = text->failed };
	return data;
}
