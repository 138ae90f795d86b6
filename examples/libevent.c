/* Keeps the tokens of some sessions at hand in a libevent loop: prints session and id (which is
 * safe to log) of each new token, until SIGINT or SIGTERM.
 *
 *	cc libevent.c $(pkg-config --cflags --libs clerktoken libevent_core) -o libevent &&
 *	./libevent hasura SESSION...
 */
#include <clerktoken.h>

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>

struct watcher {
	struct event_base *base;
	struct event *wake; /* the library's descriptor, and when it wants to be called */
	struct clerktoken_async *async;
};

static void wait_for_more(struct watcher *watcher)
{
	int ms = clerktoken_async_timeout_ms(watcher->async);
	struct timeval time = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(watcher->wake, ms < 0 ? NULL : &time);
}

static void on_wake(evutil_socket_t fd, short what, void *userdata)
{
	struct watcher *watcher = userdata;
	struct clerktoken_event event;

	(void)fd;
	(void)what;
	clerktoken_async_dispatch(watcher->async);
	while (clerktoken_async_next(watcher->async, &event)) {
		const char *session = event.userdata;

		if (event.error == CLERKTOKEN_OK)
			printf("%s %s\n", session, clerktoken_token_id(event.token));
		else
			fprintf(stderr, "%s: %s%s\n", session, event.failure.text,
				event.is_over ? ", for good" : "");
		clerktoken_token_unref(event.token);
	}
	fflush(stdout);
	wait_for_more(watcher);
}

static void watch(struct clerktoken_async *async, const char *template_name, char *session)
{
	struct clerktoken_failure failure;

	if (clerktoken_async_watch(async, session, template_name, NULL, 3000, session, NULL,
				   &failure) != CLERKTOKEN_OK)
		fprintf(stderr, "%s: %s\n", session, failure.text);
}

static void on_signal(evutil_socket_t number, short what, void *userdata)
{
	(void)number;
	(void)what;
	event_base_loopbreak(userdata);
}

int main(int argc, char **argv)
{
	struct clerktoken_client *client;
	struct watcher watcher = { .base = event_base_new() };
	struct event *interrupt, *terminate;

	if (argc < 3 || !watcher.base)
		return 2;
	if (clerktoken_new(NULL, &client, NULL) != CLERKTOKEN_OK ||
	    clerktoken_async_new(client, &watcher.async, NULL) != CLERKTOKEN_OK)
		return 1;
	for (char **session = argv + 2; *session; session++)
		watch(watcher.async, argv[1], *session);
	watcher.wake =
	    event_new(watcher.base, clerktoken_async_fd(watcher.async), EV_READ, on_wake, &watcher);
	interrupt = evsignal_new(watcher.base, SIGINT, on_signal, watcher.base);
	terminate = evsignal_new(watcher.base, SIGTERM, on_signal, watcher.base);
	event_add(interrupt, NULL);
	event_add(terminate, NULL);
	wait_for_more(&watcher);
	event_base_dispatch(watcher.base);

	event_free(watcher.wake);
	event_free(interrupt);
	event_free(terminate);
	clerktoken_async_free(watcher.async);
	clerktoken_free(client);
	event_base_free(watcher.base);
	return 0;
}
