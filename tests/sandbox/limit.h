/* limit.h: Clerk's rate limit, per secret key. */
#ifndef SANDBOX_LIMIT_H
#define SANDBOX_LIMIT_H

#include <stddef.h>
#include <stdint.h>

#define LIMIT_MAX_KEYS 16u

struct limit_window {
	int64_t start_ms;
	int64_t taken;
};

struct limit {
	int64_t requests; /* 0: no limit */
	int64_t window_s;
	struct limit_window windows[LIMIT_MAX_KEYS];
};

/* Reads "N/SECONDS", and "" or "off" as no limit; all windows begin anew. 0 or -EINVAL. */
int limit_parse(struct limit *limit, const char *string);

/* Begins all windows anew. */
void limit_reset(struct limit *limit);

/* Counts a request of the key of that index at monotonic time `now_ms`: 0 if it is within the
 * limit, else the whole seconds (1 or more) after which the next one will be. */
int64_t limit_take(struct limit *limit, size_t key, int64_t now_ms);

#endif
