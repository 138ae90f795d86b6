/* See cli_json.h. */
#include "client/cli_json.h"

#include <string.h>

/* Behind the string that begins at `at`; NULL: it doesn't end. */
static const char *skip_string(const char *at)
{
	for (at++; *at && *at != '"'; at++)
		if (*at == '\\' && *++at == '\0')
			return NULL;
	return *at ? at + 1 : NULL;
}

/* At the comma, brace or bracket behind the value at `at`; NULL: there is none. */
static const char *skip_value(const char *at)
{
	size_t depth = 0;

	while (at && *at) {
		if (depth == 0 && (*at == ',' || *at == '}' || *at == ']'))
			return at;
		if (*at == '"') {
			at = skip_string(at);
			continue;
		}
		if (*at == '{' || *at == '[')
			depth++;
		else if (*at == '}' || *at == ']')
			depth--;
		at++;
	}
	return NULL;
}

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

const char *json_member(const char *json, const char *name)
{
	const char *at = skip_blanks(json);
	size_t len = strlen(name);

	while (at && (*at == '{' || *at == ',')) {
		const char *begin = skip_blanks(at + 1);
		const char *end = *begin == '"' ? skip_string(begin) : NULL;

		if (!end)
			return NULL;
		at = skip_blanks(end);
		if (*at != ':')
			return NULL;
		at = skip_blanks(at + 1);
		if ((size_t)(end - begin) == len + 2 && memcmp(begin + 1, name, len) == 0)
			return at;
		at = skip_value(at);
	}
	return NULL;
}

bool json_number(const char *json, const char *name, int64_t *ret)
{
	const char *at = json_member(json, name);
	bool is_negative = at && *at == '-';
	int64_t value = 0;

	if (!at || at[is_negative] < '0' || at[is_negative] > '9')
		return false;
	for (at += is_negative; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *at - '0', &value))
			return false;
	*ret = is_negative ? -value : value;
	return true;
}

bool json_word(const char *json, const char *name, char to[], size_t size)
{
	const char *at = json_member(json, name);
	size_t len;

	to[0] = '\0';
	if (!at || *at != '"')
		return false;
	len = strcspn(at + 1, "\"\\");
	if (at[1 + len] != '"')
		return false;
	if (len >= size)
		len = size - 1;
	memcpy(to, at + 1, len);
	to[len] = '\0';
	return true;
}

void json_escape(char to[], size_t size, const char *text)
{
	size_t n = 0;

	for (; *text && n + 2 < size; text++) {
		bool is_control = (unsigned char)*text < ' ' || *text == 0x7f;

		if (*text == '"' || *text == '\\')
			to[n++] = '\\';
		to[n++] = is_control ? '?' : *text;
	}
	to[n] = '\0';
}

const char *json_next(const char *array, const char *item)
{
	const char *at = item ? skip_value(item) : array;

	if (!at || *at != (item ? ',' : '['))
		return NULL;
	at = skip_blanks(at + 1);
	return *at == ']' ? NULL : at;
}
