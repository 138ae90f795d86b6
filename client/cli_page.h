/* A page of text, as wide and high as there is room: what is beyond is cut off. With colours and
 * Unicode where the reader can show them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_WIDTH_MAX 300
#define PAGE_HEIGHT_MAX 100
#define PAGE_SIZE (1 << 17) /* a character takes at most three bytes, a change of style five */

enum style {
	STYLE_PLAIN,
	STYLE_BOLD,
	STYLE_DIM,
	STYLE_GOOD,
	STYLE_WARN,
	STYLE_BAD,
	STYLE_PLOT,
};

struct page {
	int width, height;
	bool has_colour, is_utf8;
	bool is_screen; /* drawn over what was there */
	int row, column;
	size_t len;
	char text[PAGE_SIZE];
};

void page_begin(struct page *p);

/* On the current row. What is not printable ASCII becomes '?'. */
void page_put(struct page *p, enum style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Blanks up to that column, one at least. */
void page_column(struct page *p, int column);

void page_newline(struct page *p);
void page_end(struct page *p);

/* How full something is, in brackets. */
void page_bar(struct page *p, int width, int64_t value, int64_t max);

/* A plot of `rows` rows, from the left edge: `values`, as many as there are columns, of which a
 * negative one is not known; the greatest of them, or 1, reaches the top. */
void page_plot(struct page *p, int rows, const int64_t values[], int count);
