/* clerk-tokend: the command line. */
#include "daemon/app.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#ifndef CLERK_TOKEND_VERSION
#define CLERK_TOKEND_VERSION "0.0.0-dev"
#endif

static const char usage[] =
    "usage: clerk-tokend [--config FILE] [--socket PATH]\n"
    "                    [--check-config | --print-config | --version | --help]\n"
    "\n"
    "Keeps Clerk session tokens for the programs of this host.\n"
    "\n"
    "  --config FILE   read FILE, then FILE.d/*.conf\n"
    "                  (default: /etc/clerk-tokend/clerk-tokend.conf)\n"
    "  --socket PATH   listen there\n"
    "  --check-config  say what is wrong with the configuration or the secret key, and exit\n"
    "  --print-config  print the configuration in effect, and exit\n"
    "\n"
    "The secret key comes from the systemd credential clerk_secret_key, [clerk] secret_key_file,\n"
    "or $CLERK_SECRET_KEY.\n";

enum option_value {
	OPTION_CONFIG = 'c',
	OPTION_SOCKET = 's',
	OPTION_CHECK = 'k',
	OPTION_PRINT = 'p',
	OPTION_VERSION = 'V',
	OPTION_HELP = 'h',
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "check-config", no_argument, NULL, OPTION_CHECK },
	{ "print-config", no_argument, NULL, OPTION_PRINT },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

static int exit_status(enum app_result result)
{
	switch (result) {
	case APP_OK:
		return EXIT_SUCCESS;
	case APP_BAD_CONFIG:
		return EX_CONFIG;
	default:
		return EXIT_FAILURE;
	}
}

static int act(int action, const struct app_options *options)
{
	switch (action) {
	case OPTION_CHECK:
		return exit_status(app_check(options));
	case OPTION_PRINT:
		return exit_status(app_print_config(options));
	case OPTION_VERSION:
		return puts("clerk-tokend " CLERK_TOKEND_VERSION) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	case OPTION_HELP:
		return fputs(usage, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	default:
		return exit_status(app_run(options));
	}
}

int main(int argc, char **argv)
{
	struct app_options options = { 0 };
	int action = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (c == OPTION_CONFIG)
			options.config_path = optarg;
		else if (c == OPTION_SOCKET)
			options.socket = optarg;
		else if (c != '?')
			action = c;
		else
			return EX_USAGE;
	}
	if (optind < argc) {
		(void)fprintf(stderr, "clerk-tokend: unexpected argument: %s\n%s", argv[optind],
			      usage);
		return EX_USAGE;
	}
	return act(action, &options);
}
