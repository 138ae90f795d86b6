/* See busy.h. */
#include "daemon/core/busy.h"

#define LOOK_MS 950	/* a clock that ticks seconds may be a bit early */
#define FORGET_MS 10000 /* without a look */
#define IDLE_MS 60000	/* since its last use: that is not busy */
#define LOOKS_MAX 16	/* the mean is of about so many */
#define USES_MIN 2
#define MEAN_ONE 512 /* a millisecond in a mean */
#define MINUTE_MS 60000

/* What a pass has found, the last used first. */
struct found {
	const struct entry *entries[BUSY_NEW];
	size_t count;
};

static struct key key_of(const struct busy_key *k)
{
	return (struct key){ span_of(k->names, k->session_len), busy_template(k), k->expires_in_s };
}

static bool is_busy(const struct entry *e, struct mono now)
{
	return e && e->token_len && e->frequency >= USES_MIN &&
	       mono_diff_ms(now, e->last_use) < IDLE_MS;
}

/* Of what the clock has cut off, half is left on average. */
static uint32_t gap_of(const struct entry *e, struct mono now)
{
	int64_t ms = mono_diff_ms(now, e->last_use);

	return (uint32_t)(ms > 0 ? ms : 0) * MEAN_ONE + MEAN_ONE / 2;
}

static void look_at(struct busy_key *k, const struct entry *e, struct mono now)
{
	int64_t gap = gap_of(e, now);

	k->looks += k->looks < LOOKS_MAX;
	k->gap = (uint32_t)(k->gap + (gap - k->gap) / k->looks);
	k->token_id = entry_token_id(e);
}

/* Without the factor it would be too many: a few looks may have come just after a use by chance.
 * One look says nothing. */
uint64_t busy_uses_per_minute(const struct busy_key *k)
{
	if (!busy_is_known(k))
		return 0;
	return (uint64_t)MINUTE_MS * MEAN_ONE * (k->looks - 1u) / ((uint64_t)k->gap * k->looks);
}

static void insert(struct busy_key *keys, size_t count, const struct busy_key *k)
{
	uint64_t uses = busy_uses_per_minute(k);
	struct busy_key key = *k;

	for (; count && busy_uses_per_minute(&keys[count - 1]) < uses; count--)
		keys[count] = keys[count - 1];
	keys[count] = key;
}

/* Of those that are known, the best stay. */
static void choose(struct busy *b)
{
	size_t known = 0;

	while (known < b->count && busy_is_known(&b->keys[known]))
		known++;
	if (known <= BUSY_KEPT)
		return;
	memmove(&b->keys[BUSY_KEPT], &b->keys[known], (b->count - known) * sizeof(b->keys[0]));
	b->count -= known - BUSY_KEPT;
}

/* Takes a sample of each candidate; those that are busy no more go. */
static void look_again(struct busy *b, const struct cache *c, struct mono now)
{
	size_t count = 0;

	for (size_t i = 0; i < b->count; i++) {
		const struct key key = key_of(&b->keys[i]);
		const struct entry *e = cache_find(c, &key);

		if (!is_busy(e, now))
			continue;
		look_at(&b->keys[i], e, now);
		insert(b->keys, count++, &b->keys[i]);
	}
	b->count = count;
	choose(b);
}

static bool is_known(const struct busy *b, const struct entry *e)
{
	const struct key key = entry_key(e);

	for (size_t i = 0; i < b->count; i++) {
		const struct key other = key_of(&b->keys[i]);

		if (span_equal(key.session, other.session) &&
		    span_equal(key.template, other.template) &&
		    key.expires_in_s == other.expires_in_s)
			return true;
	}
	return false;
}

static void consider(const struct busy *b, struct found *f, const struct entry *e)
{
	size_t i = f->count;

	if (i == BUSY_NEW && e->last_use.ms <= f->entries[i - 1]->last_use.ms)
		return;
	if (is_known(b, e))
		return;
	if (i == BUSY_NEW)
		i--;
	else
		f->count++;
	for (; i && f->entries[i - 1]->last_use.ms < e->last_use.ms; i--)
		f->entries[i] = f->entries[i - 1];
	f->entries[i] = e;
}

static void add(struct busy *b, const struct entry *e)
{
	struct busy_key *k = &b->keys[b->count++];
	const struct key key = entry_key(e);

	*k = (struct busy_key){ .session_len = (uint8_t)key.session.len,
				.template_len = (uint8_t)key.template.len,
				.expires_in_s = (uint32_t)key.expires_in_s };
	memcpy(k->names, key.session.ptr, key.session.len);
	memcpy(k->names + k->session_len, key.template.ptr, key.template.len);
}

static void discover(struct busy *b, const struct cache *c, struct mono now)
{
	size_t entries = c->timers.count;
	struct found found = { .count = 0 };

	for (size_t i = 0; i < BUSY_PASS && i < entries; i++) {
		const struct entry *e;

		b->hand = b->hand + 1 < entries ? b->hand + 1 : 0;
		e = container_of(c->timers.nodes[b->hand], struct entry, timer);
		if (is_busy(e, now))
			consider(b, &found, e);
	}
	for (size_t i = 0; i < found.count; i++)
		add(b, found.entries[i]);
}

void busy_look(struct busy *b, const struct cache *c, struct mono now)
{
	int64_t since_ms = mono_diff_ms(now, b->looked_at);

	if (since_ms < LOOK_MS)
		return;
	if (since_ms > FORGET_MS)
		b->count = 0;
	b->looked_at = now;
	look_again(b, c, now);
	discover(b, c, now);
}
