/* See cli_screen.h. What it writes is ECMA-48, as each terminal of today takes it. */
#include "client/cli_screen.h"

#include "client/cli_output.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define UP "\033[?1049h\033[?25l"   /* the other screen, without a cursor */
#define DOWN "\033[?25h\033[?1049l" /* back */
#define WIDTH 80
#define HEIGHT 24

bool screen_is_possible(void)
{
	const char *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

bool screen_has_colour(void)
{
	const char *unwanted = getenv("NO_COLOR");

	return !unwanted || !*unwanted;
}

bool screen_is_utf8(void)
{
	return setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

void screen_size(int *ret_width, int *ret_height)
{
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col || !size.ws_row)
		size = (struct winsize){ .ws_col = WIDTH, .ws_row = HEIGHT };
	*ret_width = size.ws_col;
	*ret_height = size.ws_row;
}

static int bring_up(struct screen *s)
{
	struct termios raw = s->before;

	raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
	if (s->has_keys)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw); /* keys then need an Enter */
	s->is_up = true;
	return output_text(UP, "", "");
}

static void take_down(struct screen *s)
{
	if (!s->is_up)
		return;
	s->is_up = false;
	(void)output_text(DOWN, "", ""); /* the terminal may be gone: this, too */
	if (s->has_keys)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
}

int screen_open(struct screen *s)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH };
	sigset_t set;

	*s = (struct screen){ .signals = -1 };
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, &s->mask_before);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return errno;
	s->has_keys = tcgetattr(STDIN_FILENO, &s->before) == 0;
	return bring_up(s);
}

void screen_close(struct screen *s)
{
	take_down(s);
	if (s->signals >= 0)
		(void)close(s->signals); /* nothing was written */
	sigprocmask(SIG_SETMASK, &s->mask_before, NULL);
	if (s->signal) {
		signal(s->signal, SIG_DFL);
		raise(s->signal);
	}
}

/* Ctrl-Z: the shell has its terminal until it lets us go on. */
static enum screen_event pause_for_shell(struct screen *s)
{
	take_down(s);
	raise(SIGSTOP);
	return bring_up(s) == 0 ? SCREEN_CHANGED : SCREEN_ENDED;
}

static enum screen_event take_signal(struct screen *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != sizeof(info))
		return SCREEN_CHANGED;
	if (info.ssi_signo == SIGWINCH)
		return SCREEN_CHANGED;
	if (info.ssi_signo == SIGTSTP)
		return pause_for_shell(s);
	s->signal = (int)info.ssi_signo;
	return SCREEN_ENDED;
}

enum screen_event screen_wait(struct screen *s, int timeout_ms, char *ret_key)
{
	struct pollfd fds[] = {
		{ .fd = s->signals, .events = POLLIN },
		{ .fd = s->has_keys ? STDIN_FILENO : -1, .events = POLLIN },
	};

	if (poll(fds, 2, timeout_ms) <= 0)
		return SCREEN_TIMEOUT;
	if (fds[0].revents)
		return take_signal(s);
	return read(STDIN_FILENO, ret_key, 1) == 1 ? SCREEN_KEY : SCREEN_ENDED;
}
