/* What an adapter is told to do, and how it says what came of it: see ../README.md. */
#pragma once

#include "client/clerktoken.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 8

struct operation {
	char *words[WORDS_MAX]; /* without options; NULL where there are no more */
	struct clerktoken_get_options options;
	int timeout_ms;
};

static inline void operation_decode(char *word)
{
	char *to = word;

	for (char *from = word; *from; to++) {
		unsigned byte = (unsigned char)*from;

		if (byte == '%') {
			char digits[3] = { from[1], from[2], '\0' };

			byte = (unsigned)strtoul(digits, NULL, 16);
			from += 2;
		}
		*to = (char)byte;
		from++;
	}
	*to = '\0';
}

static inline bool operation_take_option(struct operation *operation, char *word)
{
	char *value = strchr(word, '=');
	uint32_t number;

	if (!value)
		return false;
	*value++ = '\0';
	operation_decode(value);
	number = (uint32_t)strtoul(value, NULL, 10);
	if (strcmp(word, "timeout") == 0)
		operation->timeout_ms = (int)number;
	if (strcmp(word, "expires_in") == 0)
		operation->options.expires_in_s = number;
	if (strcmp(word, "not") == 0)
		operation->options.refused_id = value;
	if (strcmp(word, "min_ttl") == 0) {
		operation->options.has_min_ttl = true;
		operation->options.min_ttl_s = number;
	}
	return true;
}

static inline struct operation operation_parse(char *line)
{
	struct operation operation = { .options.size = sizeof(operation.options) };
	size_t count = 0;
	char *rest = NULL;

	for (char *word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
		if (operation_take_option(&operation, word) || count == WORDS_MAX - 1)
			continue;
		operation_decode(word);
		operation.words[count++] = word;
	}
	return operation;
}

static inline void print_failure(const struct clerktoken_failure *failure)
{
	printf("error %s retry=", clerktoken_error_name(failure->error));
	if (failure->retry_ms == CLERKTOKEN_NEVER)
		puts("never");
	else
		printf("%" PRId64 "\n", failure->retry_ms);
}

static inline void print_token(const struct clerktoken_token *token)
{
	printf("ok %s id=%s\n", clerktoken_token_jwt(token), clerktoken_token_id(token));
}
