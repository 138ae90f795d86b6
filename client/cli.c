/* clerk-token: the command line client, on the public interface of the library alone.
 *
 * A token goes to standard output, all else to standard error; the exit status tells a script what
 * kind of failure it was (see cli_report.h).
 */
#include "client/clerktoken.h"
#include "client/cli_doctor.h"
#include "client/cli_number.h"
#include "client/cli_output.h"
#include "client/cli_report.h"
#include "client/cli_why.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIMEOUT_MS 5000	       /* of a call, where no --wait is given */
#define TIMEOUT_MARGIN_MS 1000 /* beyond --wait, to hear what the daemon says at its end */
#define WATCH_ROUND_MS 30000   /* how long a watch does without a daemon */
#define PAUSE_MIN_MS 1000

struct arguments {
	const char *socket;
	const char *session, *template_name; /* or NULL */
	bool as_json;
	const char *get_option; /* the latest option that only get and watch have, or NULL */
	const char *why_option; /* that only why has, or NULL */
	struct clerktoken_get_options options;
	struct why_caller caller;
	int timeout_ms;
};

struct command {
	const char *name;
	int arguments_min, arguments_max;
	bool has_get_options, has_why_options;
	enum status (*run)(const struct arguments *arguments, struct clerktoken_client *client);
};

static const char help[] =
    "Usage: clerk-token [OPTIONS] COMMAND\n"
    "\n"
    "  get SESSION [TEMPLATE]    print a valid token of the session; without TEMPLATE, or with -,\n"
    "                            the plain session token\n"
    "  watch SESSION [TEMPLATE]  print the token, and each that replaces it, a line each\n"
    "  drop SESSION [TEMPLATE]   have the daemon forget the session's tokens, or that one\n"
    "  flush                     have the daemon forget everything (administrators)\n"
    "  why SESSION [TEMPLATE]    tell whether you may have that token, and which rule decides\n"
    "  ping                      does the daemon answer?\n"
    "  stats                     print the daemon's statistics as JSON\n"
    "  doctor [SESSION [TEMPLATE]]\n"
    "                            say what is wrong and what to do; Clerk is asked for that\n"
    "                            token, or for one of no session\n"
    "\n"
    "  --min-ttl S       get, watch: the least life, in seconds, that the token must have left\n"
    "  --wait MS         get, watch: how long to wait for Clerk, in milliseconds\n"
    "  --expires-in S    get, watch: the lifetime to ask Clerk for, in seconds\n"
    "  --not ID          get, watch: the token of that id was refused: get another one\n"
    "  --uid USER        why: ask about that user and his groups (administrators)\n"
    "  --gid GROUP       why: ask about that group too; may be given more than once\n"
    "  --unit NAME       why: ask about a systemd unit, such as web@1.service\n"
    "  --json            print JSON, one object a line\n"
    "  --socket PATH     the daemon's socket; else $CLERK_TOKEND_SOCKET, else\n"
    "                    $XDG_RUNTIME_DIR/clerk-tokend/clerk-tokend.sock if it exists,\n"
    "                    else /run/clerk-tokend/clerk-tokend.sock\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0; 1 internal or other error; 2 usage; 3 no such session or template;\n"
    "4 denied, unauthorized or forbidden; 5 an error that a retry may mend; 6 no daemon.\n"
    "Of doctor: the number of problems, at most 100.\n";

static enum status print_token(const struct clerktoken_token *token, bool as_json)
{
	int error = output_token(token, as_json);

	return error ? report_output_error(error) : STATUS_OK;
}

static enum status print(const char *first, const char *second, const char *third)
{
	int error = output_text(first, second, third);

	return error ? report_output_error(error) : STATUS_OK;
}

static enum status run_get(const struct arguments *a, struct clerktoken_client *client)
{
	struct clerktoken_failure failure;
	struct clerktoken_token *token;
	enum status status;

	if (clerktoken_get(client, a->session, a->template_name, &a->options, a->timeout_ms, &token,
			   &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client));
	status = print_token(token, a->as_json);
	clerktoken_token_unref(token);
	return status;
}

/* Rides out what may pass. STATUS_OK: go on. */
static enum status outlast(const struct clerktoken_failure *failure, const char *socket)
{
	int64_t ms = failure->retry_ms;
	struct timespec pause;

	if (failure->error == CLERKTOKEN_DEADLINE) {
		int error = output_check();

		return error ? report_output_error(error) : STATUS_OK;
	}
	if (report_failure(failure, socket) != STATUS_RETRY)
		return report_status(failure);
	if (ms < PAUSE_MIN_MS)
		ms = PAUSE_MIN_MS;
	if (ms > WATCH_ROUND_MS)
		ms = WATCH_ROUND_MS;
	pause = (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	(void)nanosleep(&pause, NULL); /* a signal may end the pause early */
	return STATUS_OK;
}

static enum status follow(const struct arguments *a, struct clerktoken_client *client,
			  struct clerktoken_watch *watch)
{
	enum status status = STATUS_OK;

	while (status == STATUS_OK) {
		struct clerktoken_failure failure;
		struct clerktoken_token *token;

		if (clerktoken_watch_next(watch, WATCH_ROUND_MS, &token, &failure) ==
		    CLERKTOKEN_OK) {
			status = print_token(token, a->as_json);
			clerktoken_token_unref(token);
		} else if (clerktoken_watch_is_over(watch)) {
			return report_failure(&failure, clerktoken_socket(client));
		} else {
			status = outlast(&failure, clerktoken_socket(client));
		}
	}
	return status;
}

static enum status run_watch(const struct arguments *a, struct clerktoken_client *client)
{
	struct clerktoken_failure failure;
	struct clerktoken_watch *watch;
	struct clerktoken_token *token;
	enum status status;

	if (clerktoken_watch(client, a->session, a->template_name, &a->options, a->timeout_ms,
			     &watch, &token, &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client));
	status = print_token(token, a->as_json);
	clerktoken_token_unref(token);
	if (status == STATUS_OK)
		status = follow(a, client, watch);
	clerktoken_watch_free(watch);
	return status;
}

static enum status print_dropped(const struct arguments *a, uint64_t dropped)
{
	char number[24];

	(void)snprintf(number, sizeof(number), "%" PRIu64, dropped); /* it fits */
	return a->as_json ? print("{\"dropped\":", number, "}\n") : print("dropped=", number, "\n");
}

static enum status run_drop(const struct arguments *a, struct clerktoken_client *client)
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
		return report_failure(&failure, clerktoken_socket(client));
	return print_dropped(a, dropped);
}

static enum status run_flush(const struct arguments *a, struct clerktoken_client *client)
{
	struct clerktoken_failure failure;
	uint64_t dropped;

	if (clerktoken_flush(client, a->timeout_ms, &dropped, &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client));
	return print_dropped(a, dropped);
}

static enum status run_ping(const struct arguments *a, struct clerktoken_client *client)
{
	struct clerktoken_failure failure;

	if (clerktoken_ping(client, a->timeout_ms, &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client));
	return a->as_json ? print("{\"pong\":true}", "\n", "") : print("pong", "\n", "");
}

static enum status run_stats(const struct arguments *a, struct clerktoken_client *client)
{
	struct clerktoken_failure failure;
	enum status status;
	char *json;

	if (clerktoken_stats(client, a->timeout_ms, &json, &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client));
	status = print(json, "\n", "");
	clerktoken_string_free(json);
	return status;
}

static enum status run_why(const struct arguments *a, struct clerktoken_client *client)
{
	const struct clerktoken_who *who = a->why_option ? &a->caller.who : NULL;
	struct clerktoken_failure failure;
	enum status status;
	bool allowed;
	char *text;
	int error;

	if (clerktoken_why(client, a->session, a->template_name, who, a->timeout_ms, &allowed,
			   &text, &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client));
	error = why_print(text, allowed, a->as_json);
	status = error ? report_output_error(error) : allowed ? STATUS_OK : STATUS_DENIED;
	clerktoken_string_free(text);
	return status;
}

static enum status run_doctor(const struct arguments *a, struct clerktoken_client *client)
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
		return report_output_error(doctor.findings.error);
	return (enum status)problems; /* a number here, as the help says */
}

static const struct command commands[] = {
	{ "get", 1, 2, true, false, run_get },	    { "watch", 1, 2, true, false, run_watch },
	{ "drop", 1, 2, false, false, run_drop },   { "flush", 0, 0, false, false, run_flush },
	{ "why", 1, 2, false, true, run_why },	    { "ping", 0, 0, false, false, run_ping },
	{ "stats", 0, 0, false, false, run_stats }, { "doctor", 0, 2, false, false, run_doctor },
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

enum choice {
	OPTION_SOCKET = 256, /* beyond all characters */
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_MIN_TTL, /* from here on: options of get and watch */
	OPTION_WAIT,
	OPTION_EXPIRES_IN,
	OPTION_NOT,
	OPTION_UID, /* from here on: options of why */
	OPTION_GID,
	OPTION_UNIT,
};

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "min-ttl", required_argument, NULL, OPTION_MIN_TTL },
	{ "wait", required_argument, NULL, OPTION_WAIT },
	{ "expires-in", required_argument, NULL, OPTION_EXPIRES_IN },
	{ "not", required_argument, NULL, OPTION_NOT },
	{ "uid", required_argument, NULL, OPTION_UID },
	{ "gid", required_argument, NULL, OPTION_GID },
	{ "unit", required_argument, NULL, OPTION_UNIT },
	{ NULL, 0, NULL, 0 },
};

static enum status take_get_option(int option, const char *value, struct arguments *a)
{
	struct clerktoken_get_options *o = &a->options;

	switch (option) {
	case OPTION_MIN_TTL:
		o->has_min_ttl = parse_number(value, &o->min_ttl_s);
		return o->has_min_ttl ? STATUS_OK
				      : report_usage("--min-ttl takes a number of seconds", value);
	case OPTION_WAIT:
		o->has_wait = parse_number(value, &o->wait_ms) && o->wait_ms <= 3600000;
		if (!o->has_wait)
			return report_usage("--wait takes milliseconds, at most 3600000", value);
		a->timeout_ms = (int)o->wait_ms + TIMEOUT_MARGIN_MS;
		return STATUS_OK;
	case OPTION_EXPIRES_IN:
		if (parse_number(value, &o->expires_in_s) && o->expires_in_s)
			return STATUS_OK;
		return report_usage("--expires-in takes 30 to 315360000 seconds", value);
	default:
		o->refused_id = value;
		return STATUS_OK;
	}
}

static enum status take_why_option(int option, const char *value, struct arguments *a)
{
	const char *problem = NULL;

	if (option == OPTION_UID)
		problem = why_set_user(&a->caller, value);
	else if (option == OPTION_GID)
		problem = why_add_group(&a->caller, value);
	else
		a->caller.who.unit = value;
	return problem ? report_usage(problem, value) : STATUS_OK;
}

/* 0 and up: the exit status, all is said; -1: go on. */
static int take_option(int option, const char *word, struct arguments *a)
{
	enum status status;

	switch (option) {
	case OPTION_SOCKET:
		a->socket = optarg;
		return -1;
	case OPTION_JSON:
		a->as_json = true;
		return -1;
	case OPTION_HELP:
		return (int)print(help, "", "");
	case OPTION_VERSION:
		return (int)print("clerk-token ", clerktoken_version(), "\n");
	case ':':
		return (int)report_usage("a value is missing behind", word);
	case '?':
		return (int)report_usage("no such option, or not that way", word);
	case OPTION_UID:
	case OPTION_GID:
	case OPTION_UNIT:
		a->why_option = long_options[option - OPTION_SOCKET].name;
		status = take_why_option(option, optarg, a);
		return status == STATUS_OK ? -1 : (int)status;
	default:
		a->get_option = long_options[option - OPTION_SOCKET].name;
		status = take_get_option(option, optarg, a);
		return status == STATUS_OK ? -1 : (int)status;
	}
}

static enum status run(const struct command *command, const struct arguments *arguments)
{
	struct clerktoken_options options = {
		.size = sizeof(options),
		.socket = arguments->socket,
		.no_copies = true, /* one call, one question */
	};
	struct clerktoken_client *client;
	struct clerktoken_failure failure;
	enum status status;

	if (clerktoken_new(&options, &client, &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, NULL);
	status = command->run(arguments, client);
	clerktoken_free(client);
	return status;
}

static enum status take_command(int count, char **words, struct arguments *a)
{
	const struct command *command;

	if (count == 0)
		return report_usage("a command is missing", NULL);
	command = find_command(words[0]);
	if (!command)
		return report_usage("no such command", words[0]);
	if (count - 1 < command->arguments_min)
		return report_usage("a session id is missing behind", command->name);
	if (count - 1 > command->arguments_max)
		return report_usage("more arguments than expected",
				    words[command->arguments_max + 1]);
	if (a->get_option && !command->has_get_options)
		return report_usage("only get and watch have this option", a->get_option);
	if (a->why_option && !command->has_why_options)
		return report_usage("only why has this option", a->why_option);
	a->session = count > 1 ? words[1] : NULL;
	a->template_name = count > 2 ? words[2] : NULL;
	return run(command, a);
}

int main(int argc, char **argv)
{
	struct arguments arguments = {
		.options = { .size = sizeof(struct clerktoken_get_options) },
		.timeout_ms = TIMEOUT_MS,
	};
	int error = output_init();
	int option;

	why_init(&arguments.caller);
	if (error)
		return (int)report_output_error(error);
	while ((option = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		int status = take_option(option, argv[optind - 1], &arguments);

		if (status >= 0)
			return status;
	}
	return (int)take_command(argc - optind, argv + optind, &arguments);
}
