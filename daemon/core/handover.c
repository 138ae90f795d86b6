/* See handover.h.
 *
 * The content of an image: a prologue, the times of the requests of this window, then entries up to
 * the end, each with its key's text and its token. All is checked as if anybody could have made it,
 * though nobody can but who has the secret key: what comes in keeps the cache's invariants.
 */
#include "daemon/core/handover.h"

#include "base/mem.h"
#include "daemon/core/jwt.h"
#include "daemon/core/renewal.h"

#include <assert.h>
#include <errno.h>

#define KEY_TEXT_MAX (2 * WIRE_NAME_MAX + 1)

struct prologue {
	int64_t written_ms;
	int64_t hold_until_ms;
	uint64_t sent; /* so many times follow */
};

struct item {
	int64_t fetched_ms, expires_ms, last_use_ms, due_ms;
	uint64_t id, exp_s;
	uint32_t lead_ms, expires_in_s, refused_s;
	uint32_t token_len; /* 0: only the key's uses are known */
	uint32_t uid;
	uint16_t key_len, gap, spread;
	uint8_t session_len, flags, frequency, failures;
	uint16_t nothing; /* 0 */
};

/* What is in an image has changed where these have: then IMAGE_VERSION has to. */
static_assert(sizeof(struct prologue) == 24, "");
static_assert(sizeof(struct item) == 80, "");

struct writing {
	struct engine *engine;
	struct mono now;
	struct image_writer *image;
};

static bool is_kept_for_uses(const struct entry *e)
{
	return !e->demand && entry_is_empty(e) && e->expires_at.ms != INT64_MIN &&
	       e->timer.slot != HEAP_NOWHERE;
}

/* When the next process is to look at it. What is renewed right now, or would be if the daemon were
 * not stopping, has its end for a deadline: there it is decided again. */
static struct mono due_at(const struct entry *e)
{
	struct mono at = e->timer.slot == HEAP_NOWHERE ? e->expires_at : e->timer.at;

	if (e->token_len && at.ms >= e->expires_at.ms)
		return mono_add_ms(e->expires_at, -(int64_t)e->lead_ms);
	return at;
}

static void write_entry(void *arg, struct entry *e)
{
	const struct writing *writing = arg;
	struct engine *engine = writing->engine;
	bool has_token = e->token_len && !mono_is_due(e->expires_at, writing->now);
	struct item item;

	if (!has_token && !is_kept_for_uses(e))
		return;
	item = (struct item){
		.fetched_ms = e->fetched_at.ms,
		.expires_ms = e->expires_at.ms,
		.last_use_ms = e->last_use.ms,
		.due_ms = due_at(e).ms,
		.id = has_token ? entry_token_id(e) : 0,
		.exp_s = has_token ? entry_token_exp_s(e) : 0,
		.lead_ms = e->lead_ms,
		.expires_in_s = e->expires_in_s,
		.refused_s = e->refused_s,
		.token_len = e->token_len,
		.uid = cache_account(&engine->cache, e)->uid,
		.key_len = e->key_len,
		.gap = e->beat.gap,
		.spread = e->beat.spread,
		.session_len = e->session_len,
		.flags = e->flags,
		.frequency = e->frequency,
		.failures = e->failures,
	};
	image_put(writing->image, &item, sizeof(item));
	image_put(writing->image, e->bytes, (size_t)e->key_len + e->token_len);
}

static void write_budget(struct limiter *l, struct mono now, struct image_writer *image)
{
	struct prologue prologue = {
		.written_ms = now.ms,
		.hold_until_ms = l->hold_until.ms,
		.sent = limiter_used(l, now),
	};

	image_put(image, &prologue, sizeof(prologue));
	for (size_t i = 0; i < prologue.sent; i++)
		image_put(image, &l->sent[(l->first + i) % l->size].ms, sizeof(int64_t));
}

int64_t handover_write(struct engine *e, struct mono now, const struct image_owner *owner,
		       const unsigned char salt[IMAGE_SALT_SIZE], void *to, size_t room)
{
	cleanup_mem struct image_writer *image = mem_alloc(sizeof(*image));
	struct writing writing = { e, now, image };

	if (!image)
		return -ENOMEM;
	image_begin(image, owner, salt, to, room);
	write_budget(&e->limiter, now, image);
	cache_visit_all(&e->cache, write_entry, &writing);
	return (int64_t)image_end(image);
}

struct reading {
	struct engine *engine;
	struct mono now;
	struct image_reader *image;
	struct mono written_at;
	size_t image_len, max_token_size;
	size_t entries; /* that are worth to come over */
};

/* A moment before the image was written. */
static bool is_past(const struct reading *r, int64_t ms)
{
	return ms >= 0 && ms <= r->written_at.ms;
}

static int read_budget(struct reading *r)
{
	struct limiter *l = &r->engine->limiter;
	struct prologue prologue;
	int64_t sent_ms, last_ms = 0;

	if (!image_get(r->image, &prologue, sizeof(prologue)) || prologue.written_ms < 0 ||
	    prologue.written_ms > r->now.ms ||
	    prologue.hold_until_ms > prologue.written_ms + ANSWER_RETRY_AFTER_MAX_MS)
		return IMAGE_DAMAGED;
	r->written_at.ms = prologue.written_ms;
	for (uint64_t i = 0; i < prologue.sent; i++) {
		if (!image_get(r->image, &sent_ms, sizeof(sent_ms)) || !is_past(r, sent_ms) ||
		    sent_ms < last_ms)
			return IMAGE_DAMAGED;
		last_ms = sent_ms;
		/* Of a budget that is smaller now, the last ones say all. */
		if (prologue.sent - i <= l->limit)
			limiter_take(l, (struct mono){ sent_ms });
	}
	l->hold_until.ms = prologue.hold_until_ms;
	return IMAGE_OK;
}

static bool is_lifetime(const struct item *item)
{
	int64_t life_ms = item->expires_ms - item->fetched_ms;

	return life_ms > 0 && life_ms <= (int64_t)ANSWER_LIFETIME_MAX_S * MS_PER_S &&
	       item->lead_ms <= life_ms;
}

static bool is_item(const struct reading *r, const struct item *item)
{
	uint64_t expires_in_s = item->expires_in_s;
	bool ended = item->expires_ms <= r->written_at.ms;

	return is_past(r, item->fetched_ms) && is_past(r, item->last_use_ms) &&
	       item->expires_ms >= 0 && is_lifetime(item) && ended == !item->token_len &&
	       item->exp_s <= JWT_TIME_MAX_S && item->token_len <= r->image_len &&
	       item->refused_s <= r->written_at.ms / MS_PER_S + 1 &&
	       (expires_in_s == 0 ||
		(expires_in_s >= WIRE_EXPIRES_IN_MIN_S && expires_in_s <= WIRE_TTL_MAX_S)) &&
	       item->key_len > item->session_len && item->key_len <= KEY_TEXT_MAX &&
	       (item->flags & ~(unsigned)ENTRY_FAILING) == 0 && item->nothing == 0;
}

/* "SESSION TEMPLATE". */
static bool read_key(const struct item *item, struct span text, struct key *ret)
{
	struct span session;

	if (!span_split(&text, ' ', &session) || session.len != item->session_len ||
	    !wire_is_session(session))
		return false;
	*ret = (struct key){ session, text, item->expires_in_s };
	if (span_is(text, WIRE_NO_TEMPLATE))
		ret->template = span_of(text.ptr, 0);
	else if (!wire_is_template(text))
		return false;
	return true;
}

/* An entry of that key with its token; NULL: no room, or no memory. */
static struct entry *add_entry(struct reading *r, const struct item *item, const struct key *key,
			       struct span jwt)
{
	struct cache *cache = &r->engine->cache;
	struct quota *quota = &r->engine->quota;
	struct account *account = quota_account(quota, item->uid);
	struct entry *e, *with_token;
	struct token token = {
		.jwt = jwt,
		.id = item->id,
		.exp_s = item->exp_s,
		.fetched_at = { item->fetched_ms },
		.expires_at = { item->expires_ms },
	};

	if (!account)
		return NULL;
	e = cache_obtain(cache, key, account);
	if (!e)
		quota_forget(quota, account);
	if (!e || !jwt.len)
		return e;
	with_token = cache_store(cache, e, &token);
	if (!with_token)
		cache_remove(cache, e);
	return with_token;
}

static void fill_entry(struct reading *r, const struct item *item, struct entry *e)
{
	struct mono due = { item->due_ms };

	e->fetched_at.ms = item->fetched_ms;
	e->expires_at.ms = item->expires_ms;
	e->last_use.ms = item->last_use_ms;
	e->lead_ms = item->lead_ms;
	e->refused_s = item->refused_s;
	e->flags = item->flags;
	e->frequency = item->frequency;
	e->failures = item->failures;
	e->beat = (struct beat){ item->gap, item->spread };
	cache_arm(&r->engine->cache, e,
		  mono_min(due, item->token_len ? e->expires_at : renewal_keep_until(e)));
}

static int take_item(struct reading *r, const struct item *item, struct span text)
{
	struct span jwt = span_of(text.ptr + item->key_len, item->token_len);
	struct key key;
	struct entry *e;

	if (!read_key(item, span_of(text.ptr, item->key_len), &key) ||
	    (jwt.len && !wire_is_jwt(jwt)) || cache_find(&r->engine->cache, &key))
		return IMAGE_DAMAGED;
	if (jwt.len && item->expires_ms <= r->now.ms)
		return IMAGE_OK;
	r->entries++;
	e = jwt.len <= r->max_token_size ? add_entry(r, item, &key, jwt) : NULL;
	if (e)
		fill_entry(r, item, e);
	cache_bury(&r->engine->cache);
	return IMAGE_OK;
}

static int read_entries(struct reading *r)
{
	struct buf text = BUF_INIT(r->image_len + KEY_TEXT_MAX);
	struct item item;
	size_t len;
	char *to;
	int result = IMAGE_OK;

	while (result == IMAGE_OK && !image_is_over(r->image)) {
		if (!image_get(r->image, &item, sizeof(item)) || !is_item(r, &item)) {
			result = IMAGE_DAMAGED;
			break;
		}
		len = (size_t)item.key_len + item.token_len;
		to = buf_reserve(&text, len);
		if (!to)
			result = -ENOMEM;
		else if (!image_get(r->image, to, len))
			result = IMAGE_DAMAGED;
		else
			result = take_item(r, &item, span_of(to, len));
	}
	buf_deinit(&text);
	return result;
}

int handover_read(struct engine *e, struct mono now, const struct image_owner *owner,
		  struct span image, size_t max_token_size, struct handover *ret)
{
	cleanup_mem struct image_reader *reader = mem_alloc(sizeof(*reader));
	struct reading reading = { e, now, reader, now, image.len, max_token_size, 0 };
	int result;

	if (!reader)
		return -ENOMEM;
	result = (int)image_open(reader, owner, image);
	if (result == IMAGE_OK)
		result = read_budget(&reading);
	if (result == IMAGE_OK)
		result = read_entries(&reading);
	if (result != IMAGE_OK)
		return result;
	*ret = (struct handover){
		.tokens = e->cache.tokens,
		.left = reading.entries - e->cache.map.count,
		.age_ms = mono_diff_ms(now, reading.written_at),
	};
	return 0;
}
