/* Gets the tokens of several sessions at the same time, in a loop with epoll(7), and prints for
 * each its session and the token, or why there is none. Nothing waits for anything but the loop.
 *
 *	cc epoll.c $(pkg-config --cflags --libs clerktoken) -o epoll && ./epoll hasura SESSION...
 */
#include <clerktoken.h>

#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

static int begin(struct clerktoken_async *async, const char *template_name, char **sessions)
{
	struct clerktoken_failure failure;
	int count = 0;

	for (; sessions[count]; count++) {
		if (clerktoken_async_get(async, sessions[count], template_name, NULL, 3000,
					 sessions[count], NULL, &failure) != CLERKTOKEN_OK) {
			fprintf(stderr, "%s: %s\n", sessions[count], failure.text);
			return -1;
		}
	}
	return count;
}

static int take(struct clerktoken_async *async, int *failed)
{
	struct clerktoken_event event;
	int count = 0;

	for (; clerktoken_async_next(async, &event); count++) {
		const char *session = event.userdata;

		if (event.error == CLERKTOKEN_OK)
			printf("%s %s\n", session, clerktoken_token_jwt(event.token));
		else
			fprintf(stderr, "%s: %s\n", session, event.failure.text);
		*failed |= event.error != CLERKTOKEN_OK;
		clerktoken_token_unref(event.token);
	}
	return count;
}

int main(int argc, char **argv)
{
	struct epoll_event ready = { .events = EPOLLIN };
	struct clerktoken_client *client = NULL;
	struct clerktoken_async *async = NULL;
	int loop = epoll_create1(EPOLL_CLOEXEC);
	int left = -1, failed = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: %s TEMPLATE SESSION...\n", argv[0]);
		return 2;
	}
	if (clerktoken_new(NULL, &client, NULL) == CLERKTOKEN_OK &&
	    clerktoken_async_new(client, &async, NULL) == CLERKTOKEN_OK &&
	    epoll_ctl(loop, EPOLL_CTL_ADD, clerktoken_async_fd(async), &ready) == 0)
		left = begin(async, argv[1], argv + 2);
	while (left > 0) {
		/* A server waits here for all of its descriptors. */
		epoll_wait(loop, &ready, 1, clerktoken_async_timeout_ms(async));
		clerktoken_async_dispatch(async);
		left -= take(async, &failed);
	}
	clerktoken_async_free(async);
	clerktoken_free(client);
	close(loop);
	return left == 0 && !failed ? 0 : 1;
}
