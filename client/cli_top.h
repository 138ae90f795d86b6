/* `clerk-token top`: what it shows, and how. */
#pragma once

#include "client/cli_glance.h"
#include "client/cli_page.h"

#define TOP_HISTORY 1200 /* seconds: as much as the widest page shows */

/* What happened in one second; negative: not known. */
struct top_second {
	int64_t gets, fetches;
};

struct top {
	struct glance last, now;
	bool has_last;	     /* so that something can be said of what was between */
	const char *trouble; /* why `now` is not of now; NULL: it is */
	struct top_second history[TOP_HISTORY];
	int64_t seconds; /* looks; the latest at (seconds - 1) % TOP_HISTORY */
};

/* cli_top_view.c */
void top_draw(const struct top *t, struct page *p);
