/* An asynchronous connection whose other side says anything. Each call ends once at most; a token
 * or text is one that was sent, under the number of a call that may have it; and nothing waits. */
#include "tests/fuzz/fuzz.h"

#include "client/clerktoken.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define INPUT_MAX 4096
#define ENOUGH_MS 100000
#define DISPATCHES_MAX 8

enum { GET = 1, WATCH, DROP, PING, STATS, CALLS = STATS };

static char directory[] = "/tmp/fuzz_async_XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static int listener = -1;

static void stop(void)
{
	(void)unlink(address.sun_path);
	(void)rmdir(directory);
}

static void start(void)
{
	fuzz_require(mkdtemp(directory));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", directory);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	fuzz_require(listener >= 0 &&
		     bind(listener, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
		     listen(listener, 16) == 0 && atexit(stop) == 0);
}

static void submit_all(struct clerktoken_async *a)
{
	uint64_t id = 0;

	fuzz_require(clerktoken_async_get(a, "s", "t", NULL, ENOUGH_MS, NULL, &id, NULL) ==
			 CLERKTOKEN_OK &&
		     id == GET);
	fuzz_require(clerktoken_async_watch(a, "s", "t", NULL, ENOUGH_MS, NULL, &id, NULL) ==
			 CLERKTOKEN_OK &&
		     id == WATCH);
	fuzz_require(clerktoken_async_drop(a, "s", NULL, ENOUGH_MS, NULL, &id, NULL) ==
			 CLERKTOKEN_OK &&
		     id == DROP);
	fuzz_require(clerktoken_async_ping(a, ENOUGH_MS, NULL, &id, NULL) == CLERKTOKEN_OK &&
		     id == PING);
	fuzz_require(clerktoken_async_stats(a, ENOUGH_MS, NULL, &id, NULL) == CLERKTOKEN_OK &&
		     id == STATS);
}

static void check_event(const struct clerktoken_event *event, bool *is_over, const uint8_t *data,
			size_t size)
{
	const char *sent = event->text;

	fuzz_require(event->id >= 1 && event->id <= CALLS && !is_over[event->id]);
	is_over[event->id] = event->is_over;
	fuzz_require(event->is_over || event->id == WATCH);
	if (event->token) {
		sent = clerktoken_token_jwt(event->token);
		fuzz_require(event->id == GET || event->id == WATCH);
		fuzz_require(strlen(sent) == clerktoken_token_length(event->token));
	}
	fuzz_require((event->text != NULL) ==
		     (event->id == STATS && event->error == CLERKTOKEN_OK));
	fuzz_require(!sent || !*sent || memmem(data, size, sent, strlen(sent)));
	fuzz_require(event->error == event->failure.error);
}

static void dispatch(struct clerktoken_async *a, bool *is_over, const uint8_t *data, size_t size)
{
	struct clerktoken_event event;

	for (int i = 0; i < DISPATCHES_MAX; i++) {
		clerktoken_async_dispatch(a);
		while (clerktoken_async_next(a, &event)) {
			check_event(&event, is_over, data, size);
			clerktoken_token_unref(event.token);
			clerktoken_string_free(event.text);
		}
	}
}

/* Says it on the first connection and ends that; later ones end without a word. */
static void say(const uint8_t *data, size_t size)
{
	int fd = accept(listener, NULL, NULL);

	fuzz_require(fd >= 0 && send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
	(void)close(fd); /* what was sent is there to be read */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct clerktoken_options options = { .size = sizeof(options), .no_copies = true };
	bool is_over[CALLS + 1] = { false };
	struct clerktoken_client *client;
	struct clerktoken_async *a;
	int fd;

	if (size == 0 || size > INPUT_MAX)
		return 0;
	if (listener < 0)
		start();
	options.socket = address.sun_path;
	fuzz_require(clerktoken_new(&options, &client, NULL) == CLERKTOKEN_OK);
	fuzz_require(clerktoken_async_new(client, &a, NULL) == CLERKTOKEN_OK);
	submit_all(a);
	clerktoken_async_dispatch(a);
	say(data, size);
	dispatch(a, is_over, data, size);
	(void)clerktoken_async_cancel(a, WATCH); /* it may be over */
	dispatch(a, is_over, data, size);
	clerktoken_async_free(a);
	clerktoken_free(client);
	while ((fd = accept(listener, NULL, NULL)) >= 0)
		(void)close(fd); /* nothing was written */
	return 0;
}
