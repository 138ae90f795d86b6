/* See cli_report.h. */
#include "client/cli_report.h"

#include "client/cli_json.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_SIZE 512

static const struct {
	enum clerktoken_error error;
	const char *text;
} hints[] = {
	{ CLERKTOKEN_NO_DAEMON,
	  "Start it: systemctl start clerk-tokend.socket; or tell where it is: "
	  "--socket, $CLERK_TOKEND_SOCKET. clerk-token doctor looks further." },
	{ CLERKTOKEN_DENIED, "clerk-token why SESSION TEMPLATE tells which [access] rule decides, "
			     "and whether you are an administrator." },
	{ CLERKTOKEN_NOT_FOUND,
	  "Is the session's id right, has it ended, does the JWT template exist in Clerk?" },
	{ CLERKTOKEN_UNAUTHORIZED, "The daemon needs a valid secret key of this Clerk instance: "
				   "clerk-token doctor says more." },
	{ CLERKTOKEN_FORBIDDEN,
	  "Clerk answered 403: the user may be banned, or a quota of the instance used up." },
	{ CLERKTOKEN_REJECTED, "What Clerk answered is in: journalctl -u clerk-tokend" },
	{ CLERKTOKEN_RATE_LIMITED,
	  "clerk-token top shows what is left of the budget; clerk-token doctor, what to do." },
	{ CLERKTOKEN_UNAVAILABLE,
	  "clerk-token doctor says what stands between the daemon and Clerk." },
	{ CLERKTOKEN_BAD_UPSTREAM,
	  "Does [clerk] api_url lead to Clerk? clerk-token doctor says more." },
	{ CLERKTOKEN_SHORT_LIVED, "Ask for less with --min-ttl, or give the template more life." },
	{ CLERKTOKEN_TIMEOUT, "A longer --wait may help; clerk-token doctor says how Clerk is." },
	{ CLERKTOKEN_OVERLOADED, "clerk-token doctor says whether a limit is too low." },
	{ CLERKTOKEN_DEADLINE, "Does it hang? See: systemctl status clerk-tokend" },
	{ CLERKTOKEN_UNKNOWN_COMMAND, "The daemon is older than this program: restart it." },
	{ CLERKTOKEN_PROTOCOL, "Is something else listening there, or another version?" },
	{ CLERKTOKEN_INVALID_ARGUMENT, "See: clerk-token --help" },
	{ CLERKTOKEN_INTERNAL, "See: journalctl -u clerk-tokend" },
};

/* A message for people or, where it is for programs, as JSON. */
static void say(bool as_json, const char *code, int64_t retry_ms, const char *text,
		const char *advice)
{
	char escaped_text[2 * TEXT_SIZE], escaped_advice[2 * TEXT_SIZE];
	char retry[24] = "null";

	if (!as_json) {
		fprintf(stderr, "clerk-token: %s\n", text);
		if (advice)
			fprintf(stderr, "  %s\n", advice);
		return;
	}
	if (retry_ms >= 0)
		(void)snprintf(retry, sizeof(retry), "%" PRId64, retry_ms); /* it fits */
	json_escape(escaped_text, sizeof(escaped_text), text);
	json_escape(escaped_advice, sizeof(escaped_advice), advice ? advice : "");
	fprintf(stderr, "{\"error\":\"%s\",\"text\":\"%s\",\"retry_ms\":%s%s%s%s}\n", code,
		escaped_text, retry, advice ? ",\"advice\":\"" : "", escaped_advice,
		advice ? "\"" : "");
}

/* The socket could not be opened: who may? */
static void explain_mode(const char *socket, char advice[TEXT_SIZE])
{
	const struct group *group;
	struct stat st;

	if (stat(socket, &st) < 0) {
		(void)snprintf(advice, TEXT_SIZE,
			       "The directory of the socket can't be searched by you.");
		return;
	}
	if (!(st.st_mode & S_IWGRP)) {
		(void)snprintf(advice, TEXT_SIZE,
			       "Only its owner may; the daemon's socket_mode decides.");
		return;
	}
	group = getgrgid(st.st_gid);
	if (group)
		(void)snprintf(advice, TEXT_SIZE,
			       "Members of the group '%s' may: usermod --append --groups %s USER, "
			       "who then logs in again.",
			       group->gr_name, group->gr_name);
	else
		(void)snprintf(advice, TEXT_SIZE, "Members of the group %ju may.",
			       (uintmax_t)st.st_gid);
}

/* Empty: there is none. */
static void advise(const struct clerktoken_failure *failure, const char *socket,
		   char advice[TEXT_SIZE])
{
	advice[0] = '\0';
	if (failure->error == CLERKTOKEN_DENIED && failure->system_error == EACCES && socket) {
		explain_mode(socket, advice);
		return;
	}
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (hints[i].error == failure->error)
			(void)snprintf(advice, TEXT_SIZE, "%s", hints[i].text); /* it fits */
}

enum status report_status(const struct clerktoken_failure *failure)
{
	switch (failure->error) {
	case CLERKTOKEN_OK:
		return STATUS_OK;
	case CLERKTOKEN_NOT_FOUND:
		return STATUS_NOT_FOUND;
	case CLERKTOKEN_DENIED:
	case CLERKTOKEN_UNAUTHORIZED:
	case CLERKTOKEN_FORBIDDEN:
		return STATUS_DENIED;
	case CLERKTOKEN_NO_DAEMON:
		return STATUS_NO_DAEMON;
	case CLERKTOKEN_INVALID_ARGUMENT:
		return STATUS_USAGE;
	case CLERKTOKEN_INTERNAL:
	case CLERKTOKEN_NO_MEMORY:
		return STATUS_OTHER;
	default:
		return failure->retry_ms == CLERKTOKEN_NEVER ? STATUS_OTHER : STATUS_RETRY;
	}
}

/* What people are told beside the advice. */
static void say_retry(const struct clerktoken_failure *failure)
{
	if (report_status(failure) == STATUS_RETRY && failure->retry_ms > 0)
		fprintf(stderr, "  Try again in %" PRId64 " ms.\n", failure->retry_ms);
}

enum status report_failure(const struct clerktoken_failure *failure, const char *socket,
			   bool as_json)
{
	const char *code = clerktoken_error_name(failure->error);
	char text[TEXT_SIZE], advice[TEXT_SIZE];

	advise(failure, socket, advice);
	(void)snprintf(text, sizeof(text), "%s%s%s", as_json ? "" : code, as_json ? "" : ": ",
		       failure->text); /* it fits */
	say(as_json, code, failure->retry_ms, text, advice[0] ? advice : NULL);
	if (!as_json)
		say_retry(failure);
	return report_status(failure);
}

enum status report_usage(bool as_json, const char *format, ...)
{
	char text[TEXT_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* a long one may be cut */
	va_end(args);
	say(as_json, "usage", -1, text, "See: clerk-token --help");
	return STATUS_USAGE;
}

void report_other(bool as_json, const char *code, const char *advice, const char *format, ...)
{
	char text[TEXT_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* a long one may be cut */
	va_end(args);
	say(as_json, code, -1, text, advice);
}

enum status report_output_error(int error, bool as_json)
{
	report_other(as_json, "output", NULL, "can't write to standard output: %s",
		     strerror(error));
	return STATUS_OTHER;
}
