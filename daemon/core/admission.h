/* Who is let in: whoever the budget leaves room for in time, so that Clerk can answer before the
 * caller's time is over; and who, having been let in, must be told that it was not so.
 */
#pragma once

#include "daemon/core/state.h"

/* When at the latest a fetch is to be sent for a caller who waits until `deadline`: so that Clerk
 * has the time that it usually takes, or at once for who gives it less. */
struct mono admission_send_by(const struct engine *e, struct mono now, struct mono deadline);

/* True if Clerk can't be asked for it by then; *ret says why and when. */
bool admission_refuses(struct engine *e, struct mono now, const struct demand *d,
		       struct account *account, struct mono send_by, struct reply *ret);

/* The same for a call that is to be made by then. */
bool admission_refuses_call(struct engine *e, struct mono now, struct account *account,
			    struct mono admit_by, struct reply *ret);

/* There is less room than there was: tells queued callers who can't be served in time any more. */
void admission_review(struct engine *e, struct mono now);

/* The first of callers' places, or NULL, when those are refused for which it is too late now.
 * Without `calls_too`, of fetches only. */
struct place *admission_first_caller(struct engine *e, struct mono now, bool calls_too);
