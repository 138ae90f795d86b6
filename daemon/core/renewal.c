/* See renewal.h. */
#include "daemon/core/renewal.h"

#define LOAD_MS 60000
#define LOAD_HIGH 900  /* per mille */
#define LOAD_TIGHT 700 /* per mille: from here on, renew_idle alone does not do */
#define MILLION INT64_C(1000000)
#define LATE_MAX 100000 /* per million: more renewals are not to be late */

/* When a steady key is to be fetched for its next use, and until when it can be for that one. */
struct forecast {
	struct mono fetch_at, over_at;
};

static bool foretell(const struct engine *e, const struct entry *entry, int64_t span_ms,
		     struct forecast *ret)
{
	int64_t ahead_ms = freshness_ahead_ms(e->slowest_ms);
	int64_t from_ms, to_ms;

	if (e->config.freshness.refresh_percent ||
	    !rhythm_foretell(&entry->beat, &from_ms, &to_ms) ||
	    to_ms - from_ms + ahead_ms > span_ms)
		return false;
	ret->fetch_at = mono_add_ms(entry->last_use, from_ms - ahead_ms);
	ret->over_at = mono_add_ms(entry->last_use, to_ms);
	return true;
}

/* How long after its last use a key may be renewed at all. */
static int64_t idle_limit(const struct engine *e, int64_t lifetime_ms)
{
	if (e->config.freshness.renew_idle_ms >= 0)
		return e->config.freshness.renew_idle_ms;
	return lifetime_ms > RHYTHM_KEEP_MS ? lifetime_ms : RHYTHM_KEEP_MS;
}

/* How much of the budget is in use, per mille: smoothed, since what is worth a call must not
 * depend on chance, but when there is hardly anything left that counts at once. */
static unsigned load(struct engine *e, struct mono now)
{
	int64_t used = (int64_t)(limiter_used(&e->limiter, now) * RHYTHM_CERTAIN /
				 limiter_allowed(&e->limiter, now));
	int64_t passed_ms = mono_diff_ms(now, e->load_at);

	if (passed_ms > LOAD_MS)
		passed_ms = LOAD_MS;
	e->load += (used * 1000 - e->load) * passed_ms / LOAD_MS;
	e->load_at = now;
	return (unsigned)(used >= LOAD_HIGH && used > e->load / 1000 ? used : e->load / 1000);
}

unsigned renewal_chance(const struct engine *e, struct mono now, const struct entry *entry)
{
	int64_t lifetime_ms = mono_diff_ms(entry->expires_at, entry->fetched_at);

	return rhythm_chance(&e->rhythm, &entry->beat, entry->frequency,
			     mono_diff_ms(now, entry->last_use), lifetime_ms - entry->lead_ms);
}

/* Whether a key that is not foreseen to be used is worth a renewal. */
static bool is_worth_a_call(struct engine *e, struct mono now, const struct entry *entry,
			    int64_t lifetime_ms)
{
	int64_t idle_ms = mono_diff_ms(now, entry->last_use);
	unsigned used;

	if (idle_ms >= idle_limit(e, lifetime_ms))
		return false;
	used = load(e, now);
	if (e->config.freshness.renew_idle_ms >= 0 && used < LOAD_TIGHT)
		return true;
	return renewal_chance(e, now, entry) >= freshness_least_chance(used);
}

/* How slow an answer may be for a renewal to come in time. A key in use has a caller before a late
 * one is there: it gets as long as the slowest takes. Any other has one only perhaps, and what an
 * earlier renewal saves him is to be worth the share of a call that the shorter life of its token
 * costs: the fewer may be late, the likelier a caller is. */
static int64_t allowance_ms(struct engine *e, struct mono now, const struct entry *entry,
			    int64_t lifetime_ms)
{
	int64_t idle_ms = mono_diff_ms(now, entry->last_use);
	int64_t ahead_ms = freshness_ahead_ms(e->slowest_ms);
	int64_t chance, late;

	if (idle_ms < RHYTHM_VISIT_MS)
		return e->slowest_ms;
	chance = rhythm_chance(&e->rhythm, &entry->beat, entry->frequency, idle_ms, ahead_ms);
	late = MILLION * freshness_least_chance(load(e, now)) * ahead_ms /
	       ((chance + 1) * (lifetime_ms + 1));
	return latency_exceeded_ms(&e->latency, late < LATE_MAX ? late : LATE_MAX);
}

/* The last moment for the renewal of a key that is not foreseen to be used. */
static struct mono last_moment(struct engine *e, struct mono now, const struct entry *entry,
			       int64_t lifetime_ms)
{
	struct random jitter = { entry_token_id(entry) };
	int64_t took_ms = allowance_ms(e, now, entry, lifetime_ms);
	int64_t lead_ms = entry->lead_ms;

	if (took_ms < e->slowest_ms)
		lead_ms =
		    freshness_idle_lead_ms(&e->config.freshness, lifetime_ms, took_ms, &jitter);
	return mono_add_ms(entry->expires_at, -lead_ms);
}

static enum renewal decide(struct engine *e, struct mono now, const struct entry *entry,
			   struct mono *ret_at)
{
	int64_t lifetime_ms = mono_diff_ms(entry->expires_at, entry->fetched_at);
	struct forecast forecast;
	struct mono at;
	bool foreseen;

	if (entry->demand && !list_is_empty(&entry->demand->watchers))
		return RENEWAL_NOW;
	if (e->config.freshness.renew_idle_ms == 0)
		return RENEWAL_NONE;
	foreseen = foretell(e, entry, lifetime_ms - entry->lead_ms, &forecast) &&
		   !mono_is_due(forecast.over_at, now);
	if (foreseen)
		at = forecast.fetch_at;
	else if (entry->token_len)
		at = last_moment(e, now, entry, lifetime_ms);
	else
		return RENEWAL_NONE;
	if (!mono_is_due(at, now)) {
		*ret_at = at;
		return RENEWAL_LATER;
	}
	if (foreseen && !entry->token_len)
		*ret_at = forecast.over_at;
	if ((foreseen && e->config.freshness.renew_idle_ms > 0) ||
	    is_worth_a_call(e, now, entry, lifetime_ms))
		return RENEWAL_NOW;
	return RENEWAL_NONE;
}

struct mono renewal_keep_until(const struct entry *entry)
{
	return mono_add_ms(entry->last_use, RHYTHM_KEEP_MS);
}

enum renewal renewal_plan(struct engine *e, struct mono now, const struct entry *entry,
			  struct mono *ret_at)
{
	struct mono end = entry->token_len ? entry->expires_at : renewal_keep_until(entry);
	struct mono at = end;
	enum renewal renewal = decide(e, now, entry, &at);

	*ret_at = renewal == RENEWAL_NONE ? end : mono_min(at, end);
	return renewal;
}
