/* libclerktoken's calls that don't block, for tests/conformance: see its README. */
#include "tests/conformance/adapters/operation.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

struct adapter {
	struct clerktoken_client *client;
	struct clerktoken_async *async;
	uint64_t watch; /* its id */
	bool is_busy;	/* with an operation that has no label */
	int64_t next_until_ms;
	bool wants_next;
};

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail */
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* `label` is NULL or what goes before the result; it ends here. */
static void print_result(struct adapter *adapter, char *label, const struct clerktoken_event *event)
{
	if (label)
		printf("%s ", label);
	else
		adapter->is_busy = false;
	free(label);
	if (event->error != CLERKTOKEN_OK)
		print_failure(&event->failure);
	else if (event->token)
		print_token(event->token);
	else
		printf("ok dropped=%" PRIu64 "\n", event->dropped);
}

static void say_next_is_late(struct adapter *adapter)
{
	puts("error deadline retry=0");
	adapter->wants_next = adapter->is_busy = false;
}

static void begin(struct adapter *adapter, struct operation *operation)
{
	char **words = operation->words;
	char *label = words[0][0] == '@' ? strdup(*words++) : NULL;
	struct clerktoken_async *async = adapter->async;
	struct clerktoken_event event = { 0 };
	int timeout_ms = operation->timeout_ms;

	adapter->is_busy = !label;
	adapter->wants_next = strcmp(words[0], "next") == 0;
	adapter->next_until_ms = now_ms() + timeout_ms;
	if (adapter->wants_next)
		return;
	if (strcmp(words[0], "drop") == 0 && words[2])
		event.error = clerktoken_async_drop(async, words[1], words[2], timeout_ms, label,
						    NULL, &event.failure);
	else if (strcmp(words[0], "drop") == 0)
		event.error = clerktoken_async_drop_session(async, words[1], timeout_ms, label,
							    NULL, &event.failure);
	else if (strcmp(words[0], "watch") == 0)
		event.error =
		    clerktoken_async_watch(async, words[1], words[2], &operation->options,
					   timeout_ms, label, &adapter->watch, &event.failure);
	else
		event.error = clerktoken_async_get(async, words[1], words[2], &operation->options,
						   timeout_ms, label, NULL, &event.failure);
	if (event.error != CLERKTOKEN_OK)
		print_result(adapter, label, &event);
}

/* Events of the watch stay in the queue until they are asked for, and all others behind them: the
 * transcripts do one thing at a time while they watch. */
static void take_events(struct adapter *adapter)
{
	struct clerktoken_event event;

	clerktoken_async_dispatch(adapter->async);
	while ((adapter->is_busy || !adapter->watch) &&
	       clerktoken_async_next(adapter->async, &event)) {
		adapter->wants_next = false;
		print_result(adapter, event.userdata, &event);
		clerktoken_token_unref(event.token);
	}
	if (adapter->wants_next && now_ms() >= adapter->next_until_ms)
		say_next_is_late(adapter);
}

/* Waits for the library, and for the next operation where that may be begun. */
static bool has_input(struct adapter *adapter)
{
	struct pollfd fds[] = { { .fd = clerktoken_async_fd(adapter->async), .events = POLLIN },
				{ .fd = STDIN_FILENO, .events = POLLIN } };
	int timeout_ms = clerktoken_async_timeout_ms(adapter->async);
	int64_t left_ms = adapter->next_until_ms - now_ms();

	if (adapter->wants_next && (timeout_ms < 0 || left_ms < timeout_ms))
		timeout_ms = left_ms > 0 ? (int)left_ms : 0;
	(void)poll(fds, adapter->is_busy ? 1 : 2, timeout_ms); /* what failed is tried again */
	return !adapter->is_busy && fds[1].revents;
}

int main(void)
{
	struct adapter adapter = { 0 };
	char *line = NULL;
	size_t size = 0;

	if (clerktoken_new(NULL, &adapter.client, NULL) != CLERKTOKEN_OK ||
	    clerktoken_async_new(adapter.client, &adapter.async, NULL) != CLERKTOKEN_OK)
		return 1;
	(void)setvbuf(stdin, NULL, _IONBF, 0); /* so that poll() sees what is left */
	for (;;) {
		struct operation operation;

		take_events(&adapter);
		(void)fflush(stdout); /* the runner sees what is missing */
		if (!has_input(&adapter))
			continue;
		if (getline(&line, &size, stdin) <= 0)
			break;
		operation = operation_parse(line);
		if (strcmp(operation.words[0], "capabilities") == 0)
			puts("capabilities concurrent drop min_ttl expires_in not watch");
		else
			begin(&adapter, &operation);
	}
	free(line);
	clerktoken_async_free(adapter.async);
	clerktoken_free(adapter.client);
	return 0;
}
