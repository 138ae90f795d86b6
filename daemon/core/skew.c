/* See skew.h. */
#include "daemon/core/skew.h"

bool skew_note(struct skew *k, struct wall now, int64_t clerk_date_s)
{
	bool was_wide = k->is_wide;
	int64_t apart_s;

	k->is_known = true;
	k->s = now.ms / MS_PER_S - clerk_date_s;
	apart_s = k->s < 0 ? -k->s : k->s;
	k->is_wide = apart_s >= (was_wide ? SKEW_NARROW_S : SKEW_WIDE_S);
	return k->is_wide != was_wide;
}
