/* See numbers.h. */
#include "tests/replay/numbers.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the value of that name begins; NULL: there is none. */
static const char *find(const char *json, const char *name, size_t len)
{
	char quoted[64];
	const char *at;

	(void)snprintf(quoted, sizeof(quoted), "\"%.*s\":", (int)len, name);
	at = strstr(json, quoted);
	if (!at)
		return NULL;
	at += strlen(quoted);
	return at + (*at == '"');
}

const char *numbers_wrong(const char *json, const char *wanted, char *text, size_t size)
{
	size_t name_len = strcspn(wanted, "=<>"), len;
	const char *is = find(json, wanted, name_len);
	const char *value = wanted + name_len + 1;
	bool holds;

	(void)snprintf(text, size, "no %s in %s", wanted, json);
	if (!is || !wanted[name_len])
		return text;
	len = strcspn(is, ",\"}");
	if (wanted[name_len] == '=')
		holds = strlen(value) == len && strncmp(is, value, len) == 0;
	else if (wanted[name_len] == '<')
		holds = atoll(is) < atoll(value);
	else
		holds = atoll(is) > atoll(value);
	(void)snprintf(text, size, "expected: %s\n#   it is: %.*s", wanted, (int)len, is);
	return holds ? NULL : text;
}
