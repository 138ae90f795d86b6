/* The commands of clerk-token, and what the command line says to them. */
#pragma once

#include "client/cli_report.h"
#include "client/cli_why.h"
#include "client/clerktoken.h"

struct arguments {
	const char *socket;
	const char *session, *template_name; /* or NULL */
	char **command;			     /* exec: the program and its arguments, then NULL */
	const char *file;		     /* watch: to write to, or NULL: standard output */
	bool as_json;
	bool once;	       /* top */
	bool is_about_another; /* why */
	struct clerktoken_get_options options;
	struct why_caller caller;
	int timeout_ms;
};

/* Each says what went wrong, and returns the exit status. */
enum status run_get(const struct arguments *a, struct clerktoken_client *client);
enum status run_drop(const struct arguments *a, struct clerktoken_client *client);
enum status run_flush(const struct arguments *a, struct clerktoken_client *client);
enum status run_why(const struct arguments *a, struct clerktoken_client *client);
enum status run_ping(const struct arguments *a, struct clerktoken_client *client);
enum status run_stats(const struct arguments *a, struct clerktoken_client *client);
enum status run_doctor(const struct arguments *a, struct clerktoken_client *client);
enum status run_watch(const struct arguments *a, struct clerktoken_client *client);
enum status run_exec(const struct arguments *a, struct clerktoken_client *client);
enum status run_top(const struct arguments *a, struct clerktoken_client *client);
