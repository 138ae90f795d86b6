/* See cli_top.h: the page, written for 80 columns and 24 rows. Where there are more rows the plots
 * grow, where there are less the last ones are cut off; and so with columns. */
#include "client/cli_number.h"
#include "client/cli_top.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COLUMN_TEXT 11 /* where the values stand, */
#define COLUMN_MORE 48 /* and further ones */
#define BAR_WIDTH 10
#define SECONDS_A_COLUMN 4
#define ROWS_BESIDE 18 /* of all but the plots, with some of the busiest keys */
#define ROWS_MIN 2     /* of a plot */
#define ROWS_MAX 8
#define MIB (1 << 20)
#define USES_MAX 60000 /* of what is more the daemon knows no more than that */

static void heading(struct page *p, const char *text)
{
	page_put(p, STYLE_DIM, " %s", text);
	page_column(p, COLUMN_TEXT);
}

static void number(struct page *p, int64_t value, const char *of_what)
{
	char text[NUMBER_SIZE];

	page_put(p, STYLE_BOLD, "%s", format_number(text, value));
	page_put(p, STYLE_PLAIN, " %s", of_what);
}

static int64_t rate(const struct top *t, int64_t count)
{
	return t->has_last ? glance_per_second(count, &t->last, &t->now) : 0;
}

static struct glance_counts counts(const struct top *t)
{
	return t->has_last ? glance_between(&t->last, &t->now) : (struct glance_counts){ 0 };
}

static enum style style_of_clerk(const struct glance *g)
{
	if (strcmp(g->clerk, "up") == 0)
		return STYLE_GOOD;
	return strcmp(g->clerk, "down") == 0 ? STYLE_BAD : STYLE_WARN;
}

static enum style style_of_key(const struct glance *g)
{
	if (strcmp(g->key_state, "accepted") == 0)
		return STYLE_GOOD;
	return strcmp(g->key_state, "refused") == 0 ? STYLE_BAD : STYLE_WARN;
}

static void draw_title(const struct top *t, struct page *p)
{
	const struct glance *g = &t->now;

	page_put(p, STYLE_BOLD, " clerk-tokend %s", g->version);
	if (t->trouble) {
		page_put(p, STYLE_BAD, "   no answer: %s", t->trouble);
		page_newline(p);
		return;
	}
	page_put(p, STYLE_PLAIN, "   Clerk ");
	page_put(p, style_of_clerk(g), "%s", g->clerk);
	page_put(p, STYLE_PLAIN, "   %s key ", g->key);
	page_put(p, style_of_key(g), "%s", g->key_state);
	if (p->is_screen) {
		page_column(p, 72);
		page_put(p, STYLE_DIM, "q: quit");
	}
	page_newline(p);
	if (style_of_clerk(g) != STYLE_GOOD && g->clerk_reason[0]) {
		heading(p, "");
		page_put(p, STYLE_BAD, "%s", g->clerk_reason);
	}
	page_newline(p);
}

/* In tenths of a percent, cut: 99.97 is not all. */
static void percent(struct page *p, int64_t part, int64_t whole)
{
	int64_t tenths = whole > 0 ? (int64_t)((__int128)part * 1000 / whole) : 0;

	if (whole > 0)
		page_put(p, STYLE_BOLD, "%" PRId64 ".%" PRId64 " %%", tenths / 10, tenths % 10);
	else
		page_put(p, STYLE_BOLD, "-");
}

static void draw_requests(const struct top *t, struct page *p)
{
	struct glance_counts n = counts(t);

	heading(p, "hits");
	percent(p, n.hits, n.gets);
	page_put(p, STYLE_PLAIN, " of ");
	number(p, rate(t, n.gets), "gets a second");
	page_column(p, COLUMN_MORE);
	percent(p, t->now.counts.hits, t->now.counts.gets);
	page_put(p, STYLE_PLAIN, " since the start");
	page_newline(p);
	heading(p, "waits");
	number(p, rate(t, n.waits), "a second, for Clerk");
	page_column(p, COLUMN_MORE);
	number(p, t->now.waiting, "now");
	page_newline(p);
	heading(p, "errors");
	number(p, rate(t, n.errors), "a second");
	page_column(p, COLUMN_MORE);
	number(p, t->now.counts.errors, "since the start");
	page_newline(p);
}

static void draw_budget(const struct top *t, struct page *p)
{
	const struct glance *g = &t->now;
	char allowed[NUMBER_SIZE];

	heading(p, "budget");
	page_bar(p, BAR_WIDTH, g->budget_used, g->budget_allowed);
	page_put(p, STYLE_PLAIN, " ");
	number(p, g->budget_used, "of ");
	page_put(p, STYLE_PLAIN, "%s", format_number(allowed, g->budget_allowed));
	page_put(p, STYLE_PLAIN, " calls in %" PRId64 " s", g->budget_window_ms / 1000);
	page_column(p, COLUMN_MORE);
	if (g->budget_allowed < g->budget)
		page_put(p, STYLE_WARN, "Clerk's 429s took %" PRId64,
			 g->budget - g->budget_allowed);
	else
		number(p, g->slowest_ms, "ms, lately the slowest");
	page_newline(p);
}

static void draw_memory(const struct top *t, struct page *p)
{
	const struct glance *g = &t->now;
	int64_t tenths = g->memory_bytes * 10 / MIB;

	heading(p, "memory");
	page_bar(p, BAR_WIDTH, g->memory_bytes, g->cache_max_bytes);
	page_put(p, STYLE_BOLD, " %" PRId64 ".%" PRId64, tenths / 10, tenths % 10);
	page_put(p, STYLE_PLAIN, " of %" PRId64 " MiB", g->cache_max_bytes / MIB);
	page_column(p, COLUMN_MORE);
	number(p, g->tokens, "tokens, ");
	number(p, g->counts.evictions, "evicted");
	page_newline(p);
}

static void draw_clients(const struct top *t, struct page *p)
{
	const struct glance *g = &t->now;
	struct glance_counts n = counts(t);

	heading(p, "clients");
	page_bar(p, BAR_WIDTH, g->clients, g->max_clients);
	page_put(p, STYLE_PLAIN, " ");
	number(p, g->clients, "");
	page_put(p, STYLE_PLAIN, "of %" PRId64, g->max_clients);
	page_column(p, COLUMN_MORE);
	number(p, g->watches, "watches");
	page_newline(p);
	heading(p, "calls");
	number(p, rate(t, n.fetches), "a second, ");
	number(p, g->in_flight, "in flight, ");
	number(p, g->queued, "queued");
	page_column(p, COLUMN_MORE);
	number(p, g->resident_bytes / MIB, "MiB, ");
	number(p, rate(t, n.cpu_ms) / 10, "% CPU");
	page_newline(p);
}

static int64_t value_of(const struct top_second *s, bool is_fetches)
{
	return is_fetches ? s->fetches : s->gets;
}

/* The mean of the seconds that a column stands for, rounded up; they are the same ones at each
 * look, so that a column doesn't change when it moves. */
static int64_t column_value(const struct top *t, int64_t column, bool is_fetches)
{
	int64_t sum = 0, known = 0;

	for (int64_t s = column * SECONDS_A_COLUMN; s < (column + 1) * SECONDS_A_COLUMN; s++) {
		int64_t value;

		if (s < 0 || s >= t->seconds || s < t->seconds - TOP_HISTORY)
			continue;
		value = value_of(&t->history[s % TOP_HISTORY], is_fetches);
		sum += value > 0 ? value : 0;
		known += value >= 0;
	}
	return known ? (sum + known - 1) / known : -1;
}

static void draw_plot(const struct top *t, struct page *p, const char *what, int rows,
		      bool is_fetches)
{
	int64_t values[PAGE_WIDTH_MAX], latest = (t->seconds - 1) / SECONDS_A_COLUMN, most = 0;
	int count = p->width;
	char number_text[NUMBER_SIZE];

	for (int i = 0; i < count; i++) {
		values[i] = column_value(t, latest - (count - 1 - i), is_fetches);
		most = values[i] > most ? values[i] : most;
	}
	page_put(p, STYLE_DIM, " %s a second, %d s a column; most: ", what, SECONDS_A_COLUMN);
	page_put(p, STYLE_BOLD, "%s", format_number(number_text, most));
	page_newline(p);
	page_plot(p, rows, values, count);
}

static void draw_plots(const struct top *t, struct page *p)
{
	int rows = (p->height - ROWS_BESIDE) / 2;

	rows = rows < ROWS_MIN ? ROWS_MIN : rows > ROWS_MAX ? ROWS_MAX : rows;
	draw_plot(t, p, "gets", rows, false);
	draw_plot(t, p, "calls to Clerk", (rows + 1) / 2, true);
}

static void draw_busiest(const struct top *t, struct page *p)
{
	const struct glance *g = &t->now;

	page_put(p, STYLE_DIM, " busiest tokens   uses a minute, about   template");
	page_newline(p);
	for (size_t i = 0; i < g->n_busiest; i++) {
		const struct glance_key *k = &g->busiest[i];
		bool is_more = k->uses_per_minute > USES_MAX;
		char uses[NUMBER_SIZE + 1] = ">";

		(void)format_number(uses + is_more, is_more ? USES_MAX : k->uses_per_minute);
		page_put(p, STYLE_PLAIN, " %-16s%21s", k->id, uses);
		page_column(p, 41);
		page_put(p, STYLE_PLAIN, "%s",
			 strcmp(k->template_name, "-") == 0 ? "- (session token)"
							    : k->template_name);
		page_newline(p);
	}
}

void top_draw(const struct top *t, struct page *p)
{
	page_begin(p);
	draw_title(t, p);
	draw_requests(t, p);
	draw_budget(t, p);
	draw_memory(t, p);
	draw_clients(t, p);
	if (p->is_screen) {
		page_newline(p);
		draw_plots(t, p);
	}
	page_newline(p);
	draw_busiest(t, p);
	page_end(p);
}
