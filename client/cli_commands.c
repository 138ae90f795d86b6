/* See cli_command.h: the commands that are one question and one answer. */
#include "client/cli_command.h"
#include "client/cli_doctor.h"
#include "client/cli_output.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static enum status printed(const struct arguments *a, int error)
{
	return error ? report_output_error(error, a->as_json) : STATUS_OK;
}

enum status run_get(const struct arguments *a, struct clerktoken_client *client)
{
	struct clerktoken_failure failure;
	struct clerktoken_token *token;
	enum status status;

	if (clerktoken_get(client, a->session, a->template_name, &a->options, a->timeout_ms, &token,
			   &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client), a->as_json);
	status =
	    printed(a, output_token(STDOUT_FILENO, token, a->as_json ? TOKEN_JSON : TOKEN_LINE));
	clerktoken_token_unref(token);
	return status;
}

static enum status print_dropped(const struct arguments *a, uint64_t dropped)
{
	char number[24];

	(void)snprintf(number, sizeof(number), "%" PRIu64, dropped); /* it fits */
	return printed(a, a->as_json ? output_text("{\"dropped\":", number, "}\n")
				     : output_text("dropped=", number, "\n"));
}

enum status run_drop(const struct arguments *a, struct clerktoken_client *client)
{
	struct clerktoken_failure failure;
	enum clerktoken_error error;
	uint64_t dropped;

	if (a->template_name)
		error = clerktoken_drop(client, a->session, a->template_name, a->timeout_ms,
					&dropped, &failure);
	else
		error =
		    clerktoken_drop_session(client, a->session, a->timeout_ms, &dropped, &failure);
	if (error != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client), a->as_json);
	return print_dropped(a, dropped);
}

enum status run_flush(const struct arguments *a, struct clerktoken_client *client)
{
	struct clerktoken_failure failure;
	uint64_t dropped;

	if (clerktoken_flush(client, a->timeout_ms, &dropped, &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client), a->as_json);
	return print_dropped(a, dropped);
}

enum status run_ping(const struct arguments *a, struct clerktoken_client *client)
{
	struct clerktoken_failure failure;

	if (clerktoken_ping(client, a->timeout_ms, &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client), a->as_json);
	return printed(a, output_text(a->as_json ? "{\"pong\":true}" : "pong", "\n", ""));
}

enum status run_stats(const struct arguments *a, struct clerktoken_client *client)
{
	struct clerktoken_failure failure;
	enum status status;
	char *json;

	if (clerktoken_stats(client, a->timeout_ms, &json, &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client), a->as_json);
	status = printed(a, output_text(json, "\n", ""));
	clerktoken_string_free(json);
	return status;
}

enum status run_why(const struct arguments *a, struct clerktoken_client *client)
{
	const struct clerktoken_who *who = a->is_about_another ? &a->caller.who : NULL;
	struct clerktoken_failure failure;
	enum status status;
	bool allowed;
	char *text;
	int error;

	if (clerktoken_why(client, a->session, a->template_name, who, a->timeout_ms, &allowed,
			   &text, &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client), a->as_json);
	error = why_print(text, allowed, a->as_json);
	status = error	   ? report_output_error(error, a->as_json)
		 : allowed ? STATUS_OK
			   : STATUS_DENIED;
	clerktoken_string_free(text);
	return status;
}

enum status run_doctor(const struct arguments *a, struct clerktoken_client *client)
{
	struct doctor doctor = {
		.client = client,
		.given_socket = a->socket,
		.session = a->session,
		.template_name = a->template_name,
		.timeout_ms = a->timeout_ms,
		.findings = { .as_json = a->as_json },
	};
	int problems = doctor_run(&doctor);

	if (doctor.findings.error)
		return report_output_error(doctor.findings.error, a->as_json);
	return (enum status)problems; /* a number here, as the help says */
}
