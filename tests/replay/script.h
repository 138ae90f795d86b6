/* The lines of a timeline: without comments, `repeat N` … `end` unrolled, {} in them being which
 * turn it is, from 1. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SCRIPT_LINE 1024
#define SCRIPT_WORDS 16

struct script {
	FILE *file;
	int number;		   /* of the line that came last */
	unsigned long turn, turns; /* of the loop; 0: there has been none */
	long loop_from;		   /* in the file */
	int loop_number;
	char text[SCRIPT_LINE], copy[SCRIPT_LINE];
};

struct line {
	char *verb;
	size_t count;
	char *words[SCRIPT_WORDS]; /* behind the verb, */
	char *rest;		   /* and the same as one text */
};

/* False at the end. What *ret points to is good until the next call. */
bool script_next(struct script *s, struct line *ret);

/* MS or MS..MS; *ret_rest is what follows. True if there was one. */
bool script_time(char *text, char **ret_rest, uint64_t *ret_from, uint64_t *ret_to);
