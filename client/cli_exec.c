/* `clerk-token exec`: runs a program with a token in its environment.
 *
 * The program takes this one's place, so that its exit status and what signals do to it are its
 * own. The token is in no command line, which everybody could read; the environment is for the same
 * user and root. Neither the connection to the daemon nor an ignored SIGPIPE is left to the
 * program.
 */
#include "client/cli_command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE "CLERK_TOKEN"

/* As env(1) has it. */
static enum status report_no_exec(const struct arguments *a, int error)
{
	report_other(a->as_json, "exec",
		     error == E2BIG ? "The token and the arguments are too long for this system."
				    : NULL,
		     "can't run '%s': %s", a->command[0], strerror(error));
	return error == ENOENT ? STATUS_NO_COMMAND : STATUS_CANT_EXECUTE;
}

enum status run_exec(const struct arguments *a, struct clerktoken_client *client)
{
	struct clerktoken_failure failure;
	struct clerktoken_token *token;
	int result;

	if (clerktoken_get(client, a->session, a->template_name, &a->options, a->timeout_ms, &token,
			   &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client), a->as_json);
	result = setenv(VARIABLE, clerktoken_token_jwt(token), 1);
	clerktoken_token_unref(token);
	if (result == 0)
		(void)execvp(a->command[0], a->command); /* returns only to say why not */
	return report_no_exec(a, errno);
}
