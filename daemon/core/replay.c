/* See replay.h. An id may stand in any place of the one bucket that its hash names. */
#include "daemon/core/replay.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>

#define WAYS 8
#define BUCKETS (REPLAY_PLACES / WAYS)

struct place {
	uint64_t hash;
	int64_t timestamp_s;
	struct mono end; /* free once it is due */
};

struct replay {
	struct hash_key key;
	struct place places[BUCKETS][WAYS];
};

int replay_new(const struct hash_key *key, struct replay **ret)
{
	struct replay *r = mem_zalloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->key = *key;
	for (size_t i = 0; i < REPLAY_PLACES; i++)
		r->places[i / WAYS][i % WAYS].end.ms = INT64_MIN;
	*ret = r;
	return 0;
}

void replay_free(struct replay *r)
{
	mem_free(r);
}

enum replay_verdict replay_note(struct replay *r, struct mono now, struct span id,
				int64_t timestamp_s, int64_t keep_ms)
{
	uint64_t hash = hash_bytes(&r->key, id);
	struct place *bucket = r->places[hash % BUCKETS];
	struct place *oldest = bucket;

	assert(id.len <= REPLAY_ID_MAX);
	for (struct place *p = bucket; p < bucket + WAYS; p++) {
		if (p->hash == hash && !mono_is_due(p->end, now))
			return p->timestamp_s == timestamp_s ? REPLAY_SAME : REPLAY_AGAIN;
		if (p->end.ms < oldest->end.ms)
			oldest = p;
	}
	*oldest = (struct place){ hash, timestamp_s, mono_add_ms(now, keep_ms) };
	return REPLAY_NEW;
}
