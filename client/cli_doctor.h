/* `clerk-token doctor`: looks at all that stands between a caller and its token, and says what is
 * wrong and what to do. It knows what any caller may: the socket, the answer to one GET, STATS. */
#pragma once

#include "client/cli_findings.h"
#include "client/clerktoken.h"

#define DOCTOR_STATUS_MAX 100 /* more problems count as that many */

struct doctor {
	struct clerktoken_client *client;
	const char *given_socket;	     /* by --socket, or NULL */
	const char *session, *template_name; /* to ask for, or NULL */
	int timeout_ms;
	struct findings findings;
	struct clerktoken_failure failure; /* of that GET */
};

/* Returns the number of problems. */
int doctor_run(struct doctor *d);

/* cli_doctor_stats.c: what the daemon says of itself, and of Clerk. */
void doctor_read_stats(struct doctor *d, const char *json);
