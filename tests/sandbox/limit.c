/*
 * limit.c: a fixed window per secret key.
 *
 * Model: the window opens with the first request after the last one closed, takes so many requests,
 * and refuses the others until it closes. Refused requests neither count nor prolong it. Of the
 * usual kinds this one is the plainest to predict in a test, and its Retry-After is exact.
 */
#include "limit.h"

#include <errno.h>
#include <string.h>

#include "number.h"

#define LIMIT_MAX_REQUESTS 1000000000
#define LIMIT_MAX_WINDOW 86400

int limit_parse(struct limit *limit, const char *string)
{
	struct limit parsed = { .requests = 0 };
	const char *slash = strchr(string, '/');

	if (*string && strcmp(string, "off") != 0) {
		if (!slash)
			return -EINVAL;
		int r = number_parse(string, (size_t)(slash - string), 1, LIMIT_MAX_REQUESTS,
				     &parsed.requests);
		if (r == 0)
			r = number_parse(slash + 1, strlen(slash + 1), 1, LIMIT_MAX_WINDOW,
					 &parsed.window_s);
		if (r < 0)
			return r;
	}
	*limit = parsed;
	return 0;
}

void limit_reset(struct limit *limit)
{
	memset(limit->windows, 0, sizeof(limit->windows));
}

int64_t limit_take(struct limit *limit, size_t key, int64_t now_ms)
{
	struct limit_window *window = &limit->windows[key];

	if (limit->requests == 0)
		return 0;
	int64_t left_ms = window->start_ms + limit->window_s * 1000 - now_ms;
	if (window->taken == 0 || left_ms <= 0)
		*window = (struct limit_window){ .start_ms = now_ms };
	if (window->taken < limit->requests) {
		window->taken++;
		return 0;
	}
	return (left_ms + 999) / 1000;
}
