/* `clerk-token top`: a look at STATS each second, on the terminal until somebody has seen enough;
 * or once, as plain text or JSON, for what is no terminal. */
#include "client/cli_top.h"

#include "client/cli_command.h"
#include "client/cli_output.h"
#include "client/cli_screen.h"

#include <string.h>
#include <time.h>

#define ROUND_MS 1000
#define TIMEOUT_MS 1000 /* of a look, that keys wait for */
#define LOOKS_ONCE 3	/* the daemon tells the busiest keys with the third */
#define PLAIN_WIDTH 200

static int64_t clock_ms(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* there is always one */
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void note_second(struct top *t)
{
	struct top_second second = { -1, -1 };
	struct glance_counts n;

	if (t->has_last && !t->trouble) {
		n = glance_between(&t->last, &t->now);
		second.gets = glance_per_second(n.gets, &t->last, &t->now);
		second.fetches = glance_per_second(n.fetches, &t->last, &t->now);
	}
	t->history[t->seconds++ % TOP_HISTORY] = second;
}

/* The caller frees what the daemon said. */
static enum clerktoken_error look(struct top *t, struct clerktoken_client *client, char **ret_json,
				  struct clerktoken_failure *ret_failure)
{
	enum clerktoken_error error = clerktoken_stats(client, TIMEOUT_MS, ret_json, ret_failure);

	if (error == CLERKTOKEN_OK) {
		t->has_last = t->seconds && !t->trouble;
		t->last = t->now;
		t->now = glance_read(*ret_json, clock_ms());
		t->trouble = NULL;
	} else {
		t->trouble = clerktoken_error_text(error);
	}
	note_second(t);
	return error;
}

static int show(const struct top *t, bool is_screen)
{
	struct page page = { .is_screen = is_screen,
			     .width = PLAIN_WIDTH,
			     .height = PAGE_HEIGHT_MAX };

	if (is_screen) {
		screen_size(&page.width, &page.height);
		page.has_colour = screen_has_colour();
		page.is_utf8 = screen_is_utf8();
	}
	top_draw(t, &page);
	page.text[page.len] = '\0';
	return output_text(page.text, "", "");
}

/* What is wrong with a look shows on the page, which goes on with the next one. */
static int live(struct top *t, struct clerktoken_client *client, struct screen *screen)
{
	int64_t next_ms = clock_ms() + ROUND_MS;
	int error = show(t, true);

	while (error == 0) {
		int64_t left_ms = next_ms - clock_ms();
		struct clerktoken_failure failure;
		char *json = NULL;
		char key = '\0';

		switch (screen_wait(screen, left_ms > 0 ? (int)left_ms : 0, &key)) {
		case SCREEN_ENDED:
			return 0;
		case SCREEN_KEY:
			if (key == 'q' || key == 'Q')
				return 0;
			break;
		case SCREEN_CHANGED:
			error = show(t, true);
			break;
		case SCREEN_TIMEOUT:
			if (look(t, client, &json, &failure) == CLERKTOKEN_OK)
				clerktoken_string_free(json);
			next_ms = clock_ms() + ROUND_MS;
			error = show(t, true);
		}
	}
	return error;
}

static enum status run_live(const struct arguments *a, struct clerktoken_client *client,
			    struct top *t)
{
	struct clerktoken_failure failure;
	struct screen screen;
	char *json;
	int error;

	if (look(t, client, &json, &failure) != CLERKTOKEN_OK)
		return report_failure(&failure, clerktoken_socket(client), a->as_json);
	clerktoken_string_free(json);
	error = screen_open(&screen);
	if (error == 0)
		error = live(t, client, &screen);
	screen_close(&screen);
	return error ? report_output_error(error, a->as_json) : STATUS_OK;
}

static enum status run_once(const struct arguments *a, struct clerktoken_client *client,
			    struct top *t)
{
	static const struct timespec pause = { .tv_sec = ROUND_MS / 1000 };
	struct clerktoken_failure failure;
	int error = 0;

	for (int i = 0; i < LOOKS_ONCE; i++) {
		char *json;

		if (i)
			(void)nanosleep(&pause, NULL); /* a signal may end the pause early */
		if (look(t, client, &json, &failure) != CLERKTOKEN_OK)
			return report_failure(&failure, clerktoken_socket(client), a->as_json);
		if (a->as_json && i == LOOKS_ONCE - 1)
			error = output_text(json, "\n", "");
		clerktoken_string_free(json);
	}
	if (!a->as_json)
		error = show(t, false);
	return error ? report_output_error(error, a->as_json) : STATUS_OK;
}

enum status run_top(const struct arguments *a, struct clerktoken_client *client)
{
	struct top top = { .seconds = 0 };

	if (a->once || a->as_json || !screen_is_possible())
		return run_once(a, client, &top);
	return run_live(a, client, &top);
}
