/* Who is let in: whoever the budget leaves room for in time; and who, having been let in, must be
 * told that it was not so.
 */
#pragma once

#include "daemon/core/state.h"

/* True if Clerk can't be asked for it within a caller's time; *ret says why and when. */
bool admission_refuses(struct engine *e, struct mono now, const struct demand *d,
		       struct account *account, struct mono deadline, struct reply *ret);

/* There is less room than there was: tells queued callers who can't be served in time any more. */
void admission_review(struct engine *e, struct mono now);
