/* See cli_page.h. */
#include "client/cli_page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_SIZE 512
#define CELL_ROOM 16 /* a character, with its style */

static const char *const codes[] = {
	[STYLE_PLAIN] = "",	   [STYLE_BOLD] = "\033[1m",  [STYLE_DIM] = "\033[2m",
	[STYLE_GOOD] = "\033[32m", [STYLE_WARN] = "\033[33m", [STYLE_BAD] = "\033[31m",
	[STYLE_PLOT] = "\033[36m",
};

static void append(struct page *p, const char *text)
{
	size_t len = strlen(text);

	if (p->len + len + CELL_ROOM > sizeof(p->text))
		return; /* can't be: see PAGE_SIZE */
	memcpy(p->text + p->len, text, len);
	p->len += len;
}

static void begin_style(struct page *p, enum style style)
{
	if (p->has_colour)
		append(p, codes[style]);
}

static void end_style(struct page *p, enum style style)
{
	if (p->has_colour && style != STYLE_PLAIN)
		append(p, "\033[0m");
}

static bool is_within(const struct page *p)
{
	return p->row < p->height && p->column < p->width;
}

/* One that takes a column. */
static void put_cell(struct page *p, const char *character)
{
	if (is_within(p))
		append(p, character);
	p->column++;
}

void page_begin(struct page *p)
{
	p->width = p->width < PAGE_WIDTH_MAX ? p->width : PAGE_WIDTH_MAX;
	p->height = p->height < PAGE_HEIGHT_MAX ? p->height : PAGE_HEIGHT_MAX;
	p->row = p->column = 0;
	p->len = 0;
	if (p->is_screen)
		append(p, "\033[H");
}

void page_put(struct page *p, enum style style, const char *format, ...)
{
	char text[TEXT_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* a long one may be cut */
	va_end(args);
	begin_style(p, style);
	for (const char *at = text; *at; at++) {
		char character[] = { *at >= ' ' && *at <= '~' ? *at : '?', '\0' };

		put_cell(p, character);
	}
	end_style(p, style);
}

void page_column(struct page *p, int column)
{
	do
		put_cell(p, " ");
	while (p->column < column);
}

/* The rest of the row is cleared before what follows, so that nothing is left of the last page. */
void page_newline(struct page *p)
{
	if (p->row < p->height && p->is_screen)
		append(p, "\033[K");
	if (p->row + 1 < p->height)
		append(p, "\n");
	p->row++;
	p->column = 0;
}

void page_end(struct page *p)
{
	if (p->is_screen && p->row < p->height)
		append(p, "\033[J");
}

void page_bar(struct page *p, int width, int64_t value, int64_t max)
{
	int64_t full = max > 0 ? (value * width + max - 1) / max : 0;
	enum style style = full * 10 >= width * 9 ? STYLE_WARN : STYLE_GOOD;

	page_put(p, STYLE_PLAIN, "[");
	begin_style(p, style);
	for (int i = 0; i < width; i++)
		put_cell(p, i < full ? "|" : " ");
	end_style(p, style);
	page_put(p, STYLE_PLAIN, "]");
}

/* The character for so many levels of a cell, from 0 to all. */
static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
static const char *const ascii[] = { " ", ".", ":", "#" };

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Its height, in levels: whatever is more than nothing shows. */
static int64_t levels_of(int64_t value, int64_t max, int64_t levels)
{
	return value > 0 ? (int64_t)(((__int128)value * levels + max - 1) / max) : 0;
}

void page_plot(struct page *p, int rows, const int64_t values[], int count)
{
	const char *const *cells = p->is_utf8 ? blocks : ascii;
	int levels = (p->is_utf8 ? COUNT(blocks) : COUNT(ascii)) - 1;
	int64_t max = 1;

	for (int i = 0; i < count; i++)
		max = values[i] > max ? values[i] : max;
	for (int row = rows - 1; row >= 0; row--) {
		begin_style(p, STYLE_PLOT);
		for (int i = 0; i < count; i++) {
			int64_t level = levels_of(values[i], max, (int64_t)rows * levels) -
					(int64_t)row * levels;

			put_cell(p, cells[level < 0 ? 0 : level > levels ? levels : level]);
		}
		end_style(p, STYLE_PLOT);
		page_newline(p);
	}
}
