/* libclerktoken's calls that block, for tests/conformance: see its README. */
#include "tests/conformance/adapters/operation.h"

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
		print_token(token);
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
		struct operation operation = operation_parse(line);

		if (strcmp(operation.words[0], "capabilities") == 0)
			puts("capabilities copies drop min_ttl expires_in not watch");
		else
			run(client, &watch, &operation);
		(void)fflush(stdout); /* the runner sees what is missing */
	}
	free(line);
	clerktoken_watch_free(watch);
	clerktoken_free(client);
	return 0;
}
