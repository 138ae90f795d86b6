/*
 * options.c: the command line.
 *
 * Model: each option has one function that takes its argument and answers 0 or -EINVAL; whatever
 * is wrong is said once, on standard error, with the option's name.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "config.h"
#include "number.h"

#define DEFAULT_KEY "sk_test_sandbox"
#define NO_SHORT 256 /* above every character, so that no short option exists */

static int take_listen(struct options *options, const char *argument, bool secure)
{
	static const struct {
		const char *prefix;
		const char *address;
	} forms[] = {
		{ "127.0.0.1:", "127.0.0.1" },
		{ "localhost:", "127.0.0.1" },
		{ "[::1]:", "::1" },
	};
	int64_t port = 0;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t length = strlen(forms[i].prefix);
		if (strncmp(argument, forms[i].prefix, length) != 0)
			continue;
		argument += length;
		int r = number_parse(argument, strlen(argument), 0, UINT16_MAX, &port);
		if (r < 0 || options->n_listens == SERVER_MAX_LISTENERS)
			return -EINVAL;
		options->listens[options->n_listens++] =
		    (struct options_listen){ forms[i].address, (uint16_t)port, secure };
		return 0;
	}
	return -EINVAL;
}

static int take_http(struct options *options, const char *argument)
{
	return take_listen(options, argument, false);
}

static int take_https(struct options *options, const char *argument)
{
	return take_listen(options, argument, true);
}

static int take_directory(struct options *options, const char *argument)
{
	options->directory = argument;
	return *argument ? 0 : -EINVAL;
}

static int take_key(struct options *options, const char *argument)
{
	struct sandbox_setup *setup = &options->setup;

	for (const char *c = argument; *c; c++) {
		if (*c < 0x21 || *c > 0x7e)
			return -EINVAL;
	}
	if (!*argument || setup->n_keys == LIMIT_MAX_KEYS)
		return -EINVAL;
	setup->keys[setup->n_keys++] = argument;
	return 0;
}

static int take_number(const char *argument, int64_t min, int64_t max, int64_t *ret_number)
{
	return number_parse(argument, strlen(argument), min, max, ret_number);
}

static int take_lifetime(struct options *options, const char *argument)
{
	return take_number(argument, 1, SANDBOX_MAX_LIFETIME_S, &options->setup.config.lifetime_s);
}

static int take_template(struct options *options, const char *argument)
{
	struct sandbox_setup *setup = &options->setup;
	struct sandbox_template template = { .lifetime_s = 0 };
	size_t length = strspn(argument, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					 "0123456789-_.~");

	if (length == 0 || length > SANDBOX_MAX_TEMPLATE_NAME ||
	    setup->n_templates == SANDBOX_MAX_TEMPLATES)
		return -EINVAL;
	memcpy(template.name, argument, length);
	argument += length;
	if (*argument && *argument != ':')
		return -EINVAL;
	if (*argument &&
	    take_number(argument + 1, 1, SANDBOX_MAX_LIFETIME_S, &template.lifetime_s) < 0)
		return -EINVAL;
	setup->templates[setup->n_templates++] = template;
	return 0;
}

static int take_latency(struct options *options, const char *argument)
{
	return take_number(argument, 0, FAULT_MAX_DELAY_MS, &options->setup.config.latency_ms);
}

static int take_rate_limit(struct options *options, const char *argument)
{
	return limit_parse(&options->setup.config.limit, argument);
}

static int take_token_size(struct options *options, const char *argument)
{
	return take_number(argument, 0, TOKEN_MAX_SIZE, &options->setup.config.token_size);
}

static int take_strict(struct options *options, const char *argument)
{
	(void)argument; /* a flag has none */
	options->setup.strict_sessions = true;
	return 0;
}

static int take_fast(struct options *options, const char *argument)
{
	(void)argument; /* a flag has none */
	options->setup.fast = true;
	return 0;
}

static int take_die_with_parent(struct options *options, const char *argument)
{
	(void)argument; /* a flag has none */
	options->die_with_parent = true;
	return 0;
}

static const struct {
	const char *name;
	int (*take)(struct options *options, const char *argument);
	const char *argument; /* NULL: a flag */
	const char *help;
} table[] = {
	{ "http", take_http, "ADDRESS:PORT", "serve plain HTTP there; loopback only, port 0: any" },
	{ "https", take_https, "ADDRESS:PORT", "serve HTTPS there" },
	{ "dir", take_directory, "DIR", "write ca.pem there (default: a temporary directory)" },
	{ "secret-key", take_key, "KEY", "accept this key (" DEFAULT_KEY "); may be repeated" },
	{ "lifetime", take_lifetime, "SECONDS", "lifetime of tokens (60)" },
	{ "template", take_template, "NAME[:SECONDS]", "only the templates named so exist" },
	{ "strict-sessions", take_strict, NULL, "only sessions that were created exist" },
	{ "latency", take_latency, "MS", "delay every answer (0)" },
	{ "rate-limit", take_rate_limit, "N/SECONDS", "answer 429 past so many requests (off)" },
	{ "token-size", take_token_size, "BYTES", "pad tokens to that length" },
	{ "fast", take_fast, NULL, "don't sign, use random bytes as signature" },
	{ "die-with-parent", take_die_with_parent, NULL, "end when the parent process ends" },
	{ "help", NULL, NULL, "print this" },
	{ "version", NULL, NULL, "print the version" },
};

#define N_OPTIONS (sizeof(table) / sizeof(table[0]))

void options_print_usage(FILE *file)
{
	(void)fprintf(file, "usage: clerk-bapi-sandbox [options]\n\n"
			    "A stand-in for Clerk's Backend API, for demos and tests.\n\n");
	for (size_t i = 0; i < N_OPTIONS; i++)
		(void)fprintf(file, "  --%s %-*s %s\n", table[i].name,
			      (int)(30 - strlen(table[i].name)),
			      table[i].argument ? table[i].argument : "", table[i].help);
}

static void fill_defaults(struct options *options)
{
	if (options->n_listens == 0) {
		(void)take_http(options, "127.0.0.1:0");
		(void)take_https(options, "127.0.0.1:0");
	}
	if (options->setup.n_keys == 0)
		(void)take_key(options, DEFAULT_KEY);
}

static enum options_outcome wrong(const char *what, const char *detail)
{
	(void)fprintf(stderr, "clerk-bapi-sandbox: %s%s\n", what, detail);
	options_print_usage(stderr);
	return OPTIONS_WRONG;
}

static enum options_outcome take(struct options *options, size_t i)
{
	if (strcmp(table[i].name, "help") == 0)
		return OPTIONS_HELP;
	if (strcmp(table[i].name, "version") == 0)
		return OPTIONS_VERSION;
	if (table[i].take(options, optarg) < 0)
		return wrong("bad value, or too many, of --", table[i].name);
	return OPTIONS_RUN;
}

enum options_outcome options_parse(int argc, char **argv, struct options *ret_options)
{
	struct option known[N_OPTIONS + 1] = { 0 };

	for (size_t i = 0; i < N_OPTIONS; i++) {
		known[i].name = table[i].name;
		known[i].has_arg = table[i].argument ? required_argument : no_argument;
		known[i].val = NO_SHORT + (int)i;
	}
	*ret_options = (struct options){ .n_listens = 0 };
	config_default(&ret_options->setup.config);

	int choice = 0;
	while ((choice = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (choice < NO_SHORT) { /* getopt has named the option */
			options_print_usage(stderr);
			return OPTIONS_WRONG;
		}
		enum options_outcome outcome = take(ret_options, (size_t)(choice - NO_SHORT));
		if (outcome != OPTIONS_RUN)
			return outcome;
	}
	if (optind < argc)
		return wrong("unexpected argument: ", argv[optind]);
	fill_defaults(ret_options);
	return OPTIONS_RUN;
}
