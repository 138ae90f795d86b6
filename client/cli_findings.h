/* What the doctor finds, printed as it is found: a line each on what is so, and one on what to do;
 * or one JSON object. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum finding {
	FINDING_OK,
	FINDING_NOTE, /* worth knowing, or can't be seen from here */
	FINDING_PROBLEM,
};

struct findings {
	bool as_json;
	size_t count, problems;
	int error; /* errno of the first output that failed, else 0 */
};

/* `check` is the name of what was looked at, `advice` what to do, or NULL. Texts have no full stop
 * and may hold what others chose, paths say: control characters are shown as '?'. */
void findings_add(struct findings *f, enum finding kind, const char *check, const char *advice,
		  const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Says how many problems there are. */
void findings_end(struct findings *f);
