/* What the command line client says on standard error, and its exit status.
 *
 * A message is a line on what is wrong, and mostly one on what to do; or one JSON object a line:
 * {"error":CODE,"text":TEXT,"retry_ms":MS or null,"advice":TEXT}, the last where there is some.
 */
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
	STATUS_CANT_EXECUTE = 126, /* as of env(1) and the shells */
	STATUS_NO_COMMAND = 127,
};

/* Says what is wrong and what to do next. `socket`: where the daemon was looked for, or NULL. */
enum status report_failure(const struct clerktoken_failure *failure, const char *socket,
			   bool as_json);

/* The status that the failure stands for. */
enum status report_status(const struct clerktoken_failure *failure);

/* A mistake on the command line. STATUS_USAGE. */
enum status report_usage(bool as_json, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Something else; `code` is for programs, `advice` may be NULL. */
void report_other(bool as_json, const char *code, const char *advice, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What could not be written to standard output, and why. STATUS_OTHER. */
enum status report_output_error(int error, bool as_json);
