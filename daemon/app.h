/* The composition root: builds the parts, wires them, carries effects between them, reloads, stops.
 */
#pragma once

struct app;

struct app_options {
	const char *config_path; /* NULL: the default */
	const char *socket;	 /* NULL: as configured */
};

enum app_result {
	APP_OK,
	APP_FAILED,	/* at run time */
	APP_BAD_CONFIG, /* said on standard error */
};

/* Reads the configuration; says what is wrong with it on standard error. */
enum app_result app_check(const struct app_options *options);

/* Prints the configuration in effect on standard output. */
enum app_result app_print_config(const struct app_options *options);

/* Runs the daemon until it is told to stop. */
enum app_result app_run(const struct app_options *options);
