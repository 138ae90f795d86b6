/* What the command line client says on standard error, and its exit status. */
#pragma once

#include "client/clerktoken.h"

enum status {
	STATUS_OK = 0,
	STATUS_OTHER = 1, /* internal or other error */
	STATUS_USAGE = 2,
	STATUS_NOT_FOUND = 3,
	STATUS_DENIED = 4, /* denied, unauthorized, forbidden */
	STATUS_RETRY = 5,  /* a retry may mend it */
	STATUS_NO_DAEMON = 6,
};

/* Says what is wrong and what to do next. `socket`: where the daemon was looked for, or NULL. */
enum status report_failure(const struct clerktoken_failure *failure, const char *socket);

/* The status that the failure stands for. */
enum status report_status(const struct clerktoken_failure *failure);

/* A mistake on the command line; `what` may be NULL. STATUS_USAGE. */
enum status report_usage(const char *text, const char *what);

/* What could not be written, and why. STATUS_OTHER. */
enum status report_output_error(int error);
