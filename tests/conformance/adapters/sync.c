/* libclerktoken's calls that block, for tests/conformance: see its README. */
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

static void decode(char *word)
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

static bool take_option(struct operation *operation, char *word)
{
	char *value = strchr(word, '=');
	uint32_t number;

	if (!value)
		return false;
	*value++ = '\0';
	decode(value);
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

static struct operation parse(char *line)
{
	struct operation operation = { .options.size = sizeof(operation.options) };
	size_t count = 0;
	char *rest = NULL;

	for (char *word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
		if (take_option(&operation, word) || count == WORDS_MAX - 1)
			continue;
		decode(word);
		operation.words[count++] = word;
	}
	return operation;
}

static void print_failure(const struct clerktoken_failure *failure)
{
	printf("error %s retry=", clerktoken_error_name(failure->error));
	if (failure->retry_ms == CLERKTOKEN_NEVER)
		puts("never");
	else
		printf("%" PRId64 "\n", failure->retry_ms);
}

static enum clerktoken_error drop(struct clerktoken_client *client, struct operation *operation,
				  struct clerktoken_failure *failure)
{
	char **words = operation->words;
	int timeout_ms = operation->timeout_ms;
	uint64_t dropped;
	enum clerktoken_error error =
	    words[2] ? clerktoken_drop(client, words[1], words[2], timeout_ms, &dropped, failure)
		     : clerktoken_drop_session(client, words[1], timeout_ms, &dropped, failure);

	if (error == CLERKTOKEN_OK)
		printf("ok dropped=%" PRIu64 "\n", dropped);
	return error;
}

static void run(struct clerktoken_client *client, struct clerktoken_watch **watch,
		struct operation *operation)
{
	struct clerktoken_failure failure;
	struct clerktoken_token *token = NULL;
	enum clerktoken_error error;
	char **words = operation->words;

	if (strcmp(words[0], "drop") == 0)
		error = drop(client, operation, &failure);
	else if (strcmp(words[0], "next") == 0)
		error = clerktoken_watch_next(*watch, operation->timeout_ms, &token, &failure);
	else if (strcmp(words[0], "watch") == 0)
		error = clerktoken_watch(client, words[1], words[2], &operation->options,
					 operation->timeout_ms, watch, &token, &failure);
	else
		error = clerktoken_get(client, words[1], words[2], &operation->options,
				       operation->timeout_ms, &token, &failure);
	if (error != CLERKTOKEN_OK)
		print_failure(&failure);
	else if (token)
		printf("ok %s id=%s\n", clerktoken_token_jwt(token), clerktoken_token_id(token));
	clerktoken_token_unref(token);
}

int main(void)
{
	struct clerktoken_client *client;
	struct clerktoken_watch *watch = NULL;
	char *line = NULL;
	size_t size = 0;

	if (clerktoken_new(NULL, &client, NULL) != CLERKTOKEN_OK)
		return 1;
	while (getline(&line, &size, stdin) > 0) {
		struct operation operation = parse(line);

		if (strcmp(operation.words[0], "capabilities") == 0)
			puts("capabilities drop min_ttl expires_in not watch");
		else
			run(client, &watch, &operation);
		(void)fflush(stdout); /* the runner sees what is missing */
	}
	free(line);
	clerktoken_watch_free(watch);
	clerktoken_free(client);
	return 0;
}
