/* text.h: a growing byte string that remembers whether memory ran out. */
#ifndef SANDBOX_TEXT_H
#define SANDBOX_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty text. `data` is NULL while nothing was added, else it ends in a NUL that
 * `length` doesn't count. Once `failed` is set, additions do nothing. */
struct text {
	char *data;
	size_t length;
	size_t capacity;
	bool failed;
};

/* Frees the bytes and leaves an empty text. */
void text_deinit(struct text *text);

/* Appends `length` bytes. */
void text_add(struct text *text, const void *bytes, size_t length);

/* Appends a C string. */
void text_puts(struct text *text, const char *string);

/* Appends what printf would print. */
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends `string` as a JSON string, quotes included (RFC 8259 section 7). Bytes from 0x80 up pass
 * as they are: valid UTF-8 in, valid UTF-8 out. */
void text_json(struct text *text, const char *string);

/* Appends `byte` `count` times. */
void text_fill(struct text *text, char byte, size_t count);

/* Appends the bytes in base64url without padding (RFC 4648 section 5). */
void text_base64url(struct text *text, const void *bytes, size_t length);

/* Moves the bytes out: the caller frees them. NULL if memory ran out, a string otherwise.
 * `ret_length` may be NULL. */
char *text_take(struct text *text, size_t *ret_length);

#endif
