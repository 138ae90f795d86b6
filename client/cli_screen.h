/* The terminal, while a page fills it: keys come at once and unseen, and it is as it was
 * afterwards, whatever ends the program. Signals are waited for, not handled. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <termios.h>

enum screen_event {
	SCREEN_TIMEOUT,
	SCREEN_KEY,
	SCREEN_CHANGED, /* to be drawn anew, maybe in another size */
	SCREEN_ENDED,	/* by a signal, or the terminal is gone */
};

struct screen {
	int signals;   /* signalfd(2) */
	int signal;    /* that ended it, or 0 */
	bool has_keys; /* standard input is a terminal */
	bool is_up;
	struct termios before;
	sigset_t mask_before;
};

/* True if standard output is a terminal that can be drawn on. */
bool screen_is_possible(void);

/* True where colours are wanted: not with $NO_COLOR. */
bool screen_has_colour(void);

/* True where the locale's characters are UTF-8. */
bool screen_is_utf8(void);

/* 0 or an errno. */
int screen_open(struct screen *s);

/* As it was. Ends the program by the signal that ended the screen, if one did. */
void screen_close(struct screen *s);

void screen_size(int *ret_width, int *ret_height);

/* Waits for whatever comes first. */
enum screen_event screen_wait(struct screen *s, int timeout_ms, char *ret_key);
