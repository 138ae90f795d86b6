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
	for (at += is_negative; *at >= '0' && *at <= '9'; at++) {
		value = value * 10 + (*at - '0');
		if (value > JSON_NUMBER_MAX)
			return false;
	}
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

/* How many bytes the character beyond ASCII that begins at `at` has; 0: there is none. */
static size_t utf8_len(const char *at)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = (unsigned char)*at;
	size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	uint32_t character = first & (0x7fu >> len);

	if (first < 0xc0 || first >= 0xf8)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0; /* a NUL, too */
		character = character << 6 | (at[i] & 0x3f);
	}
	return character < least[len] || character > 0x10ffff || character >> 11 == 0x1b ? 0 : len;
}

void json_escape(char to[], size_t size, const char *text)
{
	size_t n = 0, len;

	for (; *text && n + 4 < size; text += len) {
		bool is_ascii = (unsigned char)*text < 0x80;
		bool is_control = (unsigned char)*text < ' ' || *text == 0x7f;

		len = is_ascii ? 1 : utf8_len(text);
		if (*text == '"' || *text == '\\')
			to[n++] = '\\';
		if (is_control || len == 0)
			to[n++] = '?';
		else
			n = (size_t)((char *)mempcpy(to + n, text, len) - to);
		len += len == 0;
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
