/* options.h: the command line. */
#ifndef SANDBOX_OPTIONS_H
#define SANDBOX_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "sandbox.h"

struct options_listen {
	const char *address; /* numeric, without brackets */
	uint16_t port;
	bool secure;
};

enum options_outcome {
	OPTIONS_RUN,
	OPTIONS_HELP,
	OPTIONS_VERSION,
	OPTIONS_WRONG, /* the reason was printed on standard error */
};

struct options {
	struct options_listen listens[SERVER_MAX_LISTENERS];
	size_t n_listens;
	const char *directory; /* for ca.pem; NULL: one made for the run */
	bool die_with_parent;
	struct sandbox_setup setup;
};

/* Reads the command line; strings in *ret_options point into it. */
enum options_outcome options_parse(int argc, char **argv, struct options *ret_options);

/* Prints how the program is used. */
void options_print_usage(FILE *file);

#endif
