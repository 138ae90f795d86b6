/* See cli_report.h. A message is a line on what is wrong, and mostly one on what to do. */
#include "client/cli_report.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
	enum clerktoken_error error;
	const char *text;
} hints[] = {
	{ CLERKTOKEN_NO_DAEMON, "Is it running? See: systemctl status clerk-tokend" },
	{ CLERKTOKEN_DENIED, "The [access] rules in clerk-tokend.conf decide who may do this; "
			     "clerk-token why tells which." },
	{ CLERKTOKEN_NOT_FOUND,
	  "Is the session's id right, has it ended, does the JWT template exist in Clerk?" },
	{ CLERKTOKEN_UNAUTHORIZED,
	  "The daemon needs a valid secret key of this Clerk instance; ask its administrator." },
	{ CLERKTOKEN_FORBIDDEN, "The daemon's secret key may not do this in Clerk." },
	{ CLERKTOKEN_UNAVAILABLE, "Does this host reach api.clerk.com? See: "
				  "journalctl -u clerk-tokend" },
	{ CLERKTOKEN_SHORT_LIVED, "Ask for less with --min-ttl, or give the template more life." },
	{ CLERKTOKEN_TIMEOUT, "A longer --wait may help." },
	{ CLERKTOKEN_DEADLINE, "A longer --wait may help; or see: systemctl status clerk-tokend" },
	{ CLERKTOKEN_UNKNOWN_COMMAND, "The daemon is older than this program: restart it." },
	{ CLERKTOKEN_PROTOCOL, "Is something else listening there, or another version?" },
	{ CLERKTOKEN_INTERNAL, "See: journalctl -u clerk-tokend" },
};

static void say(const char *text)
{
	fprintf(stderr, "  %s\n", text);
}

/* The socket could not be opened: who may? */
static void explain_mode(const char *socket)
{
	const struct group *group;
	struct stat st;

	if (stat(socket, &st) < 0) {
		say("The directory of the socket can't be searched by you.");
		return;
	}
	if (!(st.st_mode & S_IWGRP)) {
		say("Only its owner may; the daemon's socket_mode decides.");
		return;
	}
	group = getgrgid(st.st_gid);
	if (group)
		fprintf(stderr,
			"  Members of the group '%s' may: usermod --append --groups %s USER\n",
			group->gr_name, group->gr_name);
	else
		fprintf(stderr, "  Members of the group %ju may.\n", (uintmax_t)st.st_gid);
}

static void explain(const struct clerktoken_failure *failure, const char *socket)
{
	if (failure->error == CLERKTOKEN_DENIED && failure->system_error == EACCES && socket) {
		explain_mode(socket);
		return;
	}
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		if (hints[i].error == failure->error)
			say(hints[i].text);
	}
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

enum status report_failure(const struct clerktoken_failure *failure, const char *socket)
{
	enum status status = report_status(failure);

	fprintf(stderr, "clerk-token: %s: %s\n", clerktoken_error_name(failure->error),
		failure->text);
	explain(failure, socket);
	if (status == STATUS_RETRY && failure->retry_ms > 0)
		fprintf(stderr, "  Try again in %" PRId64 " ms.\n", failure->retry_ms);
	return status;
}

enum status report_usage(const char *text, const char *what)
{
	fprintf(stderr, "clerk-token: %s%s%s\n", text, what ? ": " : "", what ? what : "");
	say("See: clerk-token --help");
	return STATUS_USAGE;
}

enum status report_output_error(int error)
{
	fprintf(stderr, "clerk-token: can't write to standard output: %s\n", strerror(error));
	return STATUS_OTHER;
}
