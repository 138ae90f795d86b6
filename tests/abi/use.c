/* Every function of the library, as C99 and as C++11: see test_abi.py.
 *
 *	use SOCKET		prints what went wrong; a daemon with tokens for all sessions
 * answers
 */
#include <clerktoken.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 10000

static int failures;

static void check(int is_good, const char *what)
{
	if (is_good)
		return;
	printf("%s\n", what);
	failures++;
}

static void use_names(void)
{
	check(strcmp(clerktoken_error_name(CLERKTOKEN_NOT_FOUND), "not_found") == 0, "error_name");
	check(strlen(clerktoken_error_text(CLERKTOKEN_NO_DAEMON)) > 0, "error_text");
	check(clerktoken_error_is_retryable(CLERKTOKEN_TIMEOUT), "error_is_retryable");
	check(strcmp(clerktoken_state_name(CLERKTOKEN_STATE_DUE), "due") == 0, "state_name");
	check(strcmp(clerktoken_source_name(CLERKTOKEN_SOURCE_PUSH), "push") == 0, "source_name");
	check(strchr(clerktoken_version(), '.') != NULL, "version");
}

static void use_token(struct clerktoken_token *token)
{
	struct clerktoken_token *same = clerktoken_token_ref(token);

	check(clerktoken_token_length(same) == strlen(clerktoken_token_jwt(same)), "jwt, length");
	check(strlen(clerktoken_token_id(same)) == 16, "token_id");
	check(clerktoken_token_exp(same) > 1700000000, "token_exp");
	check(clerktoken_token_ttl_ms(same) > clerktoken_token_reuse_ms(same), "ttl_ms, reuse_ms");
	check(clerktoken_token_state(same) == CLERKTOKEN_STATE_FRESH, "token_state");
	check(clerktoken_token_source(same) == CLERKTOKEN_SOURCE_CLERK, "token_source");
	clerktoken_token_unref(same);
}

static void use_get(struct clerktoken_client *client)
{
	struct clerktoken_get_options options;
	struct clerktoken_failure failure;
	struct clerktoken_token *token = NULL;

	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	options.has_min_ttl = true;
	options.min_ttl_s = 1;
	if (clerktoken_get(client, "sess_1", "hasura", &options, TIMEOUT_MS, &token, &failure) !=
	    CLERKTOKEN_OK) {
		check(0, failure.text);
		return;
	}
	use_token(token);
	clerktoken_token_unref(token);
}

static void use_watch(struct clerktoken_client *client)
{
	struct clerktoken_token *token = NULL;
	struct clerktoken_watch *watch = NULL;

	check(clerktoken_watch(client, "sess_2", NULL, NULL, TIMEOUT_MS, &watch, &token, NULL) ==
		  CLERKTOKEN_OK,
	      "watch");
	clerktoken_token_unref(token);
	check(clerktoken_watch_next(watch, 0, &token, NULL) == CLERKTOKEN_DEADLINE, "watch_next");
	check(!clerktoken_watch_is_over(watch), "watch_is_over");
	clerktoken_watch_free(watch);
}

/* Waits for the call that was just begun. */
static void finish_call(struct clerktoken_async *async, enum clerktoken_error begun,
			const char *what)
{
	struct clerktoken_event event;
	struct pollfd pollfd;

	check(begun == CLERKTOKEN_OK, what);
	while (begun == CLERKTOKEN_OK && !clerktoken_async_next(async, &event)) {
		pollfd.fd = clerktoken_async_fd(async);
		pollfd.events = POLLIN;
		(void)poll(&pollfd, 1, clerktoken_async_timeout_ms(async));
		clerktoken_async_dispatch(async);
	}
	if (begun != CLERKTOKEN_OK)
		return;
	check(event.error == CLERKTOKEN_OK, what);
	clerktoken_token_unref(event.token);
	clerktoken_string_free(event.text);
}

static void use_async(struct clerktoken_client *client)
{
	struct clerktoken_async *async = NULL;
	uint64_t watch = 0;

	check(clerktoken_async_new(client, &async, NULL) == CLERKTOKEN_OK, "async_new");
	finish_call(async, clerktoken_async_ping(async, TIMEOUT_MS, NULL, NULL, NULL),
		    "async_ping");
	finish_call(async,
		    clerktoken_async_get(async, "sess_3", "-", NULL, TIMEOUT_MS, NULL, NULL, NULL),
		    "async_get");
	finish_call(
	    async,
	    clerktoken_async_watch(async, "sess_4", "hasura", NULL, TIMEOUT_MS, NULL, &watch, NULL),
	    "async_watch");
	check(clerktoken_async_cancel(async, watch), "async_cancel");
	finish_call(async,
		    clerktoken_async_drop(async, "sess_4", "hasura", TIMEOUT_MS, NULL, NULL, NULL),
		    "async_drop");
	finish_call(async,
		    clerktoken_async_drop_session(async, "sess_3", TIMEOUT_MS, NULL, NULL, NULL),
		    "async_drop_session");
	finish_call(async, clerktoken_async_stats(async, TIMEOUT_MS, NULL, NULL, NULL),
		    "async_stats");
	clerktoken_async_free(async);
}

static void use_rest(struct clerktoken_client *client)
{
	struct clerktoken_who who;
	uint64_t dropped = 0;
	bool allowed = false;
	char *text = NULL;

	memset(&who, 0, sizeof(who));
	who.size = sizeof(who);
	who.has_uid = true;
	who.uid = 1;
	check(clerktoken_ping(client, TIMEOUT_MS, NULL) == CLERKTOKEN_OK, "ping");
	check(clerktoken_drop(client, "sess_1", "hasura", TIMEOUT_MS, &dropped, NULL) ==
		      CLERKTOKEN_OK &&
		  dropped == 1,
	      "drop");
	check(clerktoken_drop_session(client, "sess_2", TIMEOUT_MS, &dropped, NULL) ==
		      CLERKTOKEN_OK &&
		  dropped == 1,
	      "drop_session");
	check(clerktoken_flush(client, TIMEOUT_MS, NULL, NULL) == CLERKTOKEN_OK, "flush");
	check(clerktoken_stats(client, TIMEOUT_MS, &text, NULL) == CLERKTOKEN_OK && text[0] == '{',
	      "stats");
	clerktoken_string_free(text);
	text = NULL;
	check(clerktoken_why(client, "sess_1", "-", &who, TIMEOUT_MS, &allowed, &text, NULL) ==
		      CLERKTOKEN_OK &&
		  allowed,
	      "why");
	clerktoken_string_free(text);
}

int main(int argc, char **argv)
{
	struct clerktoken_options options;
	struct clerktoken_client *client = NULL;

	if (argc != 2)
		return 2;
	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	options.socket = argv[1];
	if (clerktoken_new(&options, &client, NULL) != CLERKTOKEN_OK)
		return 1;
	check(strcmp(clerktoken_socket(client), argv[1]) == 0, "socket");
	use_names();
	use_get(client);
	use_watch(client);
	use_async(client);
	use_rest(client);
	clerktoken_free(client);
	return failures ? 1 : 0;
}
