/* See eviction.h. */
#include "daemon/core/eviction.h"

#define PASS_MIN 8	   /* entries that the hand passes for one that goes */
#define PASS_MAX 512	   /* until it finds a cold one */
#define PASS_BUCKETS 16384 /* while there are hardly any entries */
#define EPOCH_TURNOVERS 8
#define WARM_USES 2
#define USES_MAX 31 /* that are remembered beyond an epoch */

enum rank {
	RANK_WARM,
	RANK_WARM_OVER_SHARE,
	RANK_COLD,
	RANK_COLD_OVER_SHARE,
	RANK_NO_TOKEN,
};

/* Who goes first has the greater one, by its rank above all. */
struct worth {
	enum rank rank;
	uint64_t within;
};

static void fade(const struct cache *c, struct entry *e)
{
	uint8_t epochs = (uint8_t)(c->eviction.epoch - e->epoch);

	if (epochs == 0)
		return;
	if (e->frequency > USES_MAX)
		e->frequency = USES_MAX;
	e->frequency = (uint8_t)(e->frequency >> (epochs < 8 ? epochs : 7));
	e->epoch = c->eviction.epoch;
}

static struct worth worth_of(const struct cache *c, const struct entry *e)
{
	bool over = quota_is_over_share(c->quota, e->account, QUOTA_CACHE_BYTES);
	uint64_t unused = (UINT64_MAX >> 8) - (uint64_t)e->last_use.ms;

	if (!e->token_len)
		return (struct worth){ RANK_NO_TOKEN, unused };
	if (e->frequency < WARM_USES)
		return (struct worth){ over ? RANK_COLD_OVER_SHARE : RANK_COLD, unused };
	return (struct worth){ over ? RANK_WARM_OVER_SHARE : RANK_WARM,
			       (uint64_t)(UINT8_MAX - e->frequency) << 56 | unused };
}

static bool goes_before(struct worth a, struct worth b)
{
	return a.rank != b.rank ? a.rank > b.rank : a.within > b.within;
}

/* What the hand has seen on its way. */
struct pass {
	struct entry *first; /* to go, so far */
	struct worth worth;
	size_t count;
};

static void pass_chain(struct cache *c, const struct entry *keep, struct pass *pass)
{
	for (struct map_node *n = c->map.buckets[c->eviction.hand]; n; n = n->next) {
		struct entry *e = container_of(n, struct entry, chain);
		struct worth worth;

		pass->count++;
		if (e->demand || e == keep)
			continue;
		fade(c, e);
		worth = worth_of(c, e);
		if (!pass->first || goes_before(worth, pass->worth)) {
			pass->first = e;
			pass->worth = worth;
		}
	}
	c->eviction.hand = (c->eviction.hand + 1) & c->map.mask;
}

static bool is_enough(const struct pass *pass)
{
	if (pass->count < PASS_MIN)
		return false;
	return pass->count >= PASS_MAX || (pass->first && pass->worth.rank >= RANK_COLD);
}

struct entry *eviction_choose(struct cache *c, const struct entry *keep)
{
	size_t buckets = c->map.mask < PASS_BUCKETS ? c->map.mask + 1 : PASS_BUCKETS;
	struct pass pass = { 0 };

	while (buckets-- && !is_enough(&pass))
		pass_chain(c, keep, &pass);
	if (pass.first && ++c->eviction.chosen >= EPOCH_TURNOVERS * c->map.count) {
		c->eviction.chosen = 0;
		c->eviction.epoch++;
	}
	return pass.first;
}
