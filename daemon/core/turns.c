/* See turns.h. */
#include "daemon/core/turns.h"

#define AHEAD_TENTHS 5
#define BURST_PARTS 2
#define SETTLED_TENTHS (15 * TURNS_TENTHS) /* then all windows with enough to do are alike */

static size_t *gone_in(struct turns *t, uint64_t tenth)
{
	return &t->gone[tenth % TURNS_TENTHS];
}

void turns_move(struct turns *t, uint64_t tenth)
{
	if (tenth - t->tenth >= TURNS_TENTHS)
		*t = (struct turns){ .tenth = tenth };
	while (t->tenth != tenth)
		*gone_in(t, ++t->tenth) = 0;
}

void turns_take(struct turns *t)
{
	++*gone_in(t, t->tenth);
}

/* How many may go in the last tenth. */
static size_t quota(struct turns *t, size_t usable)
{
	size_t most = usable, before = 0;

	for (uint64_t back = 1; back < TURNS_TENTHS; back++) {
		size_t stretch = TURNS_TENTHS - back, share;

		/* What went since then is not back in any of the tenths of the stretch ahead. */
		before += *gone_in(t, t->tenth + TURNS_TENTHS - back);
		if (stretch > AHEAD_TENTHS)
			continue;
		share = before < usable ? (usable - before + stretch - 1) / stretch : 0;
		if (share < most)
			most = share;
	}
	return before + most < usable / BURST_PARTS ? usable / BURST_PARTS - before : most;
}

uint64_t turns_give(struct turns *t, size_t usable, size_t count)
{
	for (size_t passed = 0;; passed++) {
		size_t *gone = gone_in(t, t->tenth);
		size_t may_go = quota(t, usable);
		size_t left = may_go > *gone ? may_go - *gone : 0;

		if (count < left) {
			*gone += count;
			return t->tenth;
		}
		count -= left;
		*gone += left;
		turns_move(t, t->tenth + 1);
		if (passed == SETTLED_TENTHS) {
			t->tenth += count / usable * TURNS_TENTHS;
			count %= usable;
		}
	}
}
