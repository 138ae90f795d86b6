/* `clerk-token watch`: each token as it comes, on standard output or into a file.
 *
 * A file holds a token that is valid, or is not there: one that expires before another has come is
 * removed, and so is the last one when the program ends by itself, since nobody renews it any more.
 * A signal leaves it: whoever restarts the program finds the file in use as it was.
 */
#include "client/cli_command.h"
#include "client/cli_file.h"
#include "client/cli_output.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUND_MS 30000 /* how long a watch does without a daemon */
#define PAUSE_MIN_MS 1000

struct follower {
	const struct arguments *arguments;
	struct clerktoken_client *client;
	struct clerktoken_watch *watch;
	struct token_file *file;	/* NULL: standard output */
	struct clerktoken_token *token; /* that is in the file; NULL: none */
};

static enum status report_file_error(const struct arguments *a, const char *problem)
{
	report_other(a->as_json, "output", NULL, "can't write %s: %s", a->file, problem);
	return STATUS_OTHER;
}

/* Takes the token over. */
static enum status put(struct follower *f, struct clerktoken_token *token)
{
	const struct arguments *a = f->arguments;
	int error;

	if (!f->file) {
		error = output_token(STDOUT_FILENO, token, a->as_json ? TOKEN_JSON : TOKEN_LINE);
		clerktoken_token_unref(token);
		return error ? report_output_error(error, a->as_json) : STATUS_OK;
	}
	error = token_file_write(f->file, token, a->as_json);
	clerktoken_token_unref(f->token);
	f->token = token;
	return error ? report_file_error(a, strerror(error)) : STATUS_OK;
}

static void remove_file(struct follower *f, const char *code, const char *why)
{
	if (f->file && token_file_remove(f->file))
		report_other(f->arguments->as_json, code, NULL, "%s is removed: %s",
			     f->arguments->file, why);
	clerktoken_token_unref(f->token);
	f->token = NULL;
}

/* How long to wait for anything: until the token in the file expires at most. */
static int round_ms(const struct follower *f, int64_t ms)
{
	int64_t left_ms = f->token ? clerktoken_token_ttl_ms(f->token) : ROUND_MS;

	if (ms > ROUND_MS)
		ms = ROUND_MS;
	return (int)(ms < left_ms ? ms : left_ms);
}

static enum status check_output(const struct follower *f)
{
	int error = f->file ? 0 : output_check();

	return error ? report_output_error(error, f->arguments->as_json) : STATUS_OK;
}

/* Rides out what may pass. STATUS_OK: go on. */
static enum status outlast(const struct follower *f, const struct clerktoken_failure *failure,
			   bool was_short)
{
	struct timespec pause;
	int ms;

	if (failure->error == CLERKTOKEN_DEADLINE ||
	    (failure->error == CLERKTOKEN_NO_DAEMON && was_short))
		return check_output(f);
	if (report_failure(failure, clerktoken_socket(f->client), f->arguments->as_json) !=
	    STATUS_RETRY)
		return report_status(failure);
	ms = round_ms(f, failure->retry_ms > PAUSE_MIN_MS ? failure->retry_ms : PAUSE_MIN_MS);
	pause = (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
	(void)nanosleep(&pause, NULL); /* a signal may end the pause early */
	return STATUS_OK;
}

static enum status follow(struct follower *f)
{
	enum status status = STATUS_OK;

	while (status == STATUS_OK) {
		struct clerktoken_failure failure;
		struct clerktoken_token *token;
		int ms = round_ms(f, ROUND_MS);

		if (clerktoken_watch_next(f->watch, ms, &token, &failure) == CLERKTOKEN_OK)
			status = put(f, token);
		else if (clerktoken_watch_is_over(f->watch))
			return report_failure(&failure, clerktoken_socket(f->client),
					      f->arguments->as_json);
		else
			status = outlast(f, &failure, ms < ROUND_MS);
		if (f->token && clerktoken_token_ttl_ms(f->token) == 0)
			remove_file(f, "expired",
				    "its token has expired, and there is no other yet");
	}
	return status;
}

static enum status watch(struct follower *f)
{
	const struct arguments *a = f->arguments;
	struct clerktoken_failure failure;
	struct clerktoken_token *token;
	enum status status;

	if (clerktoken_watch(f->client, a->session, a->template_name, &a->options, a->timeout_ms,
			     &f->watch, &token, &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(f->client), a->as_json);
	status = put(f, token);
	if (status == STATUS_OK)
		status = follow(f);
	remove_file(f, "ended", "nobody renews its token any more");
	clerktoken_watch_free(f->watch);
	return status;
}

enum status run_watch(const struct arguments *a, struct clerktoken_client *client)
{
	struct follower f = { .arguments = a, .client = client };
	struct token_file file;
	const char *problem;
	enum status status;

	if (!a->file)
		return watch(&f);
	problem = token_file_open(&file, a->file);
	if (problem)
		return report_file_error(a, problem);
	f.file = &file;
	status = watch(&f);
	token_file_close(&file);
	return status;
}
