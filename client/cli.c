/* clerk-token: the command line client, on the public interface of the library alone.
 *
 * A token goes to standard output, all else to standard error; the exit status tells a script what
 * kind of failure it was (see cli_report.h). This file reads the command line.
 */
#include "client/cli_command.h"
#include "client/cli_guess.h"
#include "client/cli_number.h"
#include "client/cli_output.h"

#include <getopt.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 5000	       /* of a call, where no --wait is given */
#define TIMEOUT_MARGIN_MS 1000 /* beyond --wait, to hear what the daemon says at its end */
#define WORDS_MAX 4	       /* a command, its two arguments, and one too many */

/* Options that only some commands have, in groups. */
enum group {
	GROUP_GET = 1,
	GROUP_WHY = 2,
	GROUP_WRITE = 4,
	GROUP_TOP = 8,
};

struct command {
	const char *name;
	int arguments_min, arguments_max;
	unsigned groups; /* of options that it has */
	enum status (*run)(const struct arguments *arguments, struct clerktoken_client *client);
	bool has_command; /* what stands behind -- is another program */
};

struct line {
	struct arguments arguments;
	const char *words[WORDS_MAX]; /* that are no options */
	int count;
	const char *last_option[GROUP_TOP + 1]; /* of each group; NULL: none was given */
};

static const char help[] =
    "Usage: clerk-token [OPTIONS] COMMAND\n"
    "\n"
    "  get SESSION [TEMPLATE]    print a valid token of the session; without TEMPLATE, or with -,\n"
    "                            the plain session token\n"
    "  watch SESSION [TEMPLATE]  print the token, and each that replaces it, a line each;\n"
    "                            or keep it in a file, with --write\n"
    "  exec SESSION [TEMPLATE] -- PROGRAM [ARGUMENT...]\n"
    "                            run a program with the token in $CLERK_TOKEN\n"
    "  drop SESSION [TEMPLATE]   have the daemon forget the session's tokens, or that one\n"
    "  flush                     have the daemon forget everything (administrators)\n"
    "  why SESSION [TEMPLATE]    tell whether you may have that token, and which rule decides\n"
    "  ping                      does the daemon answer?\n"
    "  stats                     print the daemon's statistics as JSON\n"
    "  top                       show how the daemon is doing, each second, until q is pressed\n"
    "  doctor [SESSION [TEMPLATE]]\n"
    "                            say what is wrong and what to do; Clerk is asked for that\n"
    "                            token, or for one of no session\n"
    "\n"
    "  --min-ttl S       get, watch, exec: the least life, in seconds, that the token must have\n"
    "                    left\n"
    "  --wait MS         get, watch, exec: how long to wait for Clerk, in milliseconds\n"
    "  --expires-in S    get, watch, exec: the lifetime to ask Clerk for, in seconds\n"
    "  --not ID          get, watch, exec: the token of that id was refused: get another one\n"
    "  --write FILE      watch: keep the token in FILE, which only you can read\n"
    "  --once            top: print it once, after a look of two seconds, as plain text\n"
    "  --uid USER        why: ask about that user and his groups (administrators)\n"
    "  --gid GROUP       why: ask about that group too; may be given more than once\n"
    "  --unit NAME       why: ask about a systemd unit, such as web@1.service\n"
    "  --json            print JSON, one object a line; messages on standard error too\n"
    "  --socket PATH     the daemon's socket; else $CLERK_TOKEND_SOCKET, else\n"
    "                    $XDG_RUNTIME_DIR/clerk-tokend/clerk-tokend.sock if it exists,\n"
    "                    else /run/clerk-tokend/clerk-tokend.sock\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0; 1 internal or other error; 2 usage; 3 no such session or template;\n"
    "4 denied, unauthorized or forbidden; 5 an error that a retry may mend; 6 no daemon.\n"
    "Of exec: 126 the program can't be run; 127 there is none; else its own.\n"
    "Of doctor: the number of problems, at most 100.\n";

static const struct command commands[] = {
	{ "get", 1, 2, GROUP_GET, run_get, false },
	{ "watch", 1, 2, GROUP_GET | GROUP_WRITE, run_watch, false },
	{ "exec", 1, 2, GROUP_GET, run_exec, true },
	{ "drop", 1, 2, 0, run_drop, false },
	{ "flush", 0, 0, 0, run_flush, false },
	{ "why", 1, 2, GROUP_WHY, run_why, false },
	{ "ping", 0, 0, 0, run_ping, false },
	{ "stats", 0, 0, 0, run_stats, false },
	{ "top", 0, 0, GROUP_TOP, run_top, false },
	{ "doctor", 0, 2, 0, run_doctor, false },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

enum choice {
	OPTION_SOCKET = 256, /* beyond all characters */
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_MIN_TTL,
	OPTION_WAIT,
	OPTION_EXPIRES_IN,
	OPTION_NOT,
	OPTION_WRITE,
	OPTION_ONCE,
	OPTION_UID,
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
	{ "write", required_argument, NULL, OPTION_WRITE },
	{ "once", no_argument, NULL, OPTION_ONCE },
	{ "uid", required_argument, NULL, OPTION_UID },
	{ "gid", required_argument, NULL, OPTION_GID },
	{ "unit", required_argument, NULL, OPTION_UNIT },
	{ NULL, 0, NULL, 0 },
};

/* Which commands have it; 0: all. */
static unsigned group_of(int option)
{
	switch (option) {
	case OPTION_MIN_TTL:
	case OPTION_WAIT:
	case OPTION_EXPIRES_IN:
	case OPTION_NOT:
		return GROUP_GET;
	case OPTION_UID:
	case OPTION_GID:
	case OPTION_UNIT:
		return GROUP_WHY;
	case OPTION_WRITE:
		return GROUP_WRITE;
	case OPTION_ONCE:
		return GROUP_TOP;
	default:
		return 0;
	}
}

/* NULL, or what the option takes instead. */
static const char *take_get_option(int option, const char *value, struct arguments *a)
{
	struct clerktoken_get_options *o = &a->options;

	switch (option) {
	case OPTION_MIN_TTL:
		o->has_min_ttl = parse_number(value, &o->min_ttl_s);
		return o->has_min_ttl ? NULL : "--min-ttl takes a number of seconds";
	case OPTION_WAIT:
		o->has_wait = parse_number(value, &o->wait_ms) && o->wait_ms <= 3600000;
		if (!o->has_wait)
			return "--wait takes milliseconds, at most 3600000";
		a->timeout_ms = (int)o->wait_ms + TIMEOUT_MARGIN_MS;
		return NULL;
	case OPTION_EXPIRES_IN:
		if (parse_number(value, &o->expires_in_s) && o->expires_in_s)
			return NULL;
		return "--expires-in takes 30 to 315360000 seconds";
	default:
		o->refused_id = value;
		return NULL;
	}
}

static const char *take_why_option(int option, const char *value, struct arguments *a)
{
	a->is_about_another = true;
	if (option == OPTION_UID)
		return why_set_user(&a->caller, value);
	if (option == OPTION_GID)
		return why_add_group(&a->caller, value);
	a->caller.who.unit = value;
	return NULL;
}

static enum status take_value(int option, const char *value, struct line *line)
{
	struct arguments *a = &line->arguments;
	unsigned group = group_of(option);
	const char *problem = NULL;

	line->last_option[group] = long_options[option - OPTION_SOCKET].name;
	if (group == GROUP_GET)
		problem = take_get_option(option, value, a);
	else if (group == GROUP_WHY)
		problem = take_why_option(option, value, a);
	else if (group == GROUP_WRITE)
		a->file = value;
	else if (group == GROUP_TOP)
		a->once = true;
	else
		a->socket = value;
	return problem ? report_usage(a->as_json, "%s: %s", problem, value) : STATUS_OK;
}

static enum status take_word(const char *word, struct line *line)
{
	if (line->count == WORDS_MAX)
		return report_usage(line->arguments.as_json, "more arguments than expected: %s",
				    word);
	line->words[line->count++] = word;
	return STATUS_OK;
}

static enum status refuse_option(const char *word, bool as_json)
{
	struct guess guess = guess_init(word);

	if (strncmp(word, "--", 2) != 0)
		return report_usage(as_json, "no such option: %s", word);
	guess.word += 2;
	for (const struct option *o = long_options; o->name; o++)
		guess_consider(&guess, o->name);
	if (!guess.best || guess.distance == 0)
		return report_usage(as_json, "no such option, or not that way: %s", word);
	return report_usage(as_json, "no such option: %s; did you mean --%s?", word, guess.best);
}

static enum status print(const char *first, const char *second, const char *third, bool as_json)
{
	int error = output_text(first, second, third);

	return error ? report_output_error(error, as_json) : STATUS_OK;
}

/* 0 and up: the exit status, all is said; -1: go on. */
static int take_option(int option, const char *word, struct line *line)
{
	bool as_json = line->arguments.as_json;
	enum status status;

	switch (option) {
	case OPTION_JSON:
		line->arguments.as_json = true;
		return -1;
	case OPTION_HELP:
		return (int)print(help, "", "", as_json);
	case OPTION_VERSION:
		return (int)print("clerk-token ", clerktoken_version(), "\n", as_json);
	case ':':
		return (int)report_usage(as_json, "a value is missing behind: %s", word);
	case '?':
		return (int)refuse_option(word, as_json);
	case 1: /* no option: see getopt(3) */
		status = take_word(optarg, line);
		break;
	default:
		status = take_value(option, optarg, line);
	}
	return status == STATUS_OK ? -1 : (int)status;
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
		return report_failure(&failure, NULL, arguments->as_json);
	status = command->run(arguments, client);
	clerktoken_free(client);
	return status;
}

static enum status refuse_command(const char *name, bool as_json)
{
	struct guess guess = guess_init(name);

	for (size_t i = 0; i < COMMAND_COUNT; i++)
		guess_consider(&guess, commands[i].name);
	if (!guess.best)
		return report_usage(as_json, "no such command: %s", name);
	return report_usage(as_json, "no such command: %s; did you mean %s?", name, guess.best);
}

/* Takes what stands behind --. */
static enum status take_rest(const struct command *command, int count, char **rest,
			     struct line *line)
{
	enum status status = STATUS_OK;

	if (command->has_command) {
		line->arguments.command = rest;
		return count ? STATUS_OK
			     : report_usage(line->arguments.as_json,
					    "%s needs a program to run: clerk-token %s SESSION "
					    "[TEMPLATE] -- PROGRAM",
					    command->name, command->name);
	}
	for (int i = 0; i < count && status == STATUS_OK; i++)
		status = take_word(rest[i], line);
	return status;
}

static enum status check(const struct command *command, const struct line *line)
{
	int count = line->count - 1;
	bool as_json = line->arguments.as_json;

	if (count < command->arguments_min)
		return report_usage(as_json, "a session id is missing behind: %s", command->name);
	if (count > command->arguments_max)
		return report_usage(as_json, "more arguments than expected: %s",
				    line->words[command->arguments_max + 1]);
	for (unsigned group = 1; group <= GROUP_TOP; group *= 2)
		if (line->last_option[group] && !(command->groups & group))
			return report_usage(as_json, "%s doesn't have this option: --%s",
					    command->name, line->last_option[group]);
	return STATUS_OK;
}

static enum status take_command(int count, char **rest, struct line *line)
{
	const char *name = line->count ? line->words[0] : count ? rest[0] : NULL;
	const struct command *command = name ? find_command(name) : NULL;
	struct arguments *a = &line->arguments;
	enum status status;

	if (!name)
		return report_usage(a->as_json, "a command is missing");
	if (!command)
		return refuse_command(name, a->as_json);
	status = take_rest(command, count, rest, line);
	if (status == STATUS_OK)
		status = check(command, line);
	if (status != STATUS_OK)
		return status;
	a->session = line->count > 1 ? line->words[1] : NULL;
	a->template_name = line->count > 2 ? line->words[2] : NULL;
	return run(command, a);
}

/* Before all else, so that whatever is wrong can be told that way. */
static bool wants_json(char **argv)
{
	while (*argv && strcmp(*argv, "--") != 0)
		if (strcmp(*argv++, "--json") == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	struct line line = { .arguments = {
				 .options = { .size = sizeof(struct clerktoken_get_options) },
				 .timeout_ms = TIMEOUT_MS,
				 .as_json = wants_json(argv),
			     } };
	int error = output_init();
	int option;

	why_init(&line.arguments.caller);
	if (error)
		return (int)report_output_error(error, line.arguments.as_json);
	while ((option = getopt_long(argc, argv, "-:", long_options, NULL)) != -1) {
		int status = take_option(option, argv[optind - 1], &line);

		if (status >= 0)
			return status;
	}
	return (int)take_command(argc - optind, argv + optind, &line);
}
