/* See quota.h. */
#include "daemon/core/quota.h"

#include "base/mem.h"

#include <assert.h>

#define BUCKETS 256
#define ADMIN_RESERVE_PARTS 64

int quota_init(struct quota *q)
{
	*q = (struct quota){ 0 };
	return map_init(&q->by_uid, BUCKETS);
}

void quota_deinit(struct quota *q)
{
	for (size_t i = 0; i < QUOTA_MAX_ACCOUNTS; i++)
		mem_free(q->accounts[i]);
	map_deinit(&q->by_uid);
}

static struct account *find(struct quota *q, uid_t uid)
{
	for (struct map_node *n = map_chain(&q->by_uid, uid); n; n = n->next) {
		struct account *a = container_of(n, struct account, chain);

		if (a->uid == uid)
			return a;
	}
	return NULL;
}

struct account *quota_account(struct quota *q, uid_t uid)
{
	struct account *a = find(q, uid);
	uint16_t index = 0;

	if (a || q->count == QUOTA_MAX_ACCOUNTS)
		return a;
	a = mem_zalloc(sizeof(*a));
	if (!a)
		return NULL;
	while (q->accounts[index])
		index++;
	a->uid = uid;
	a->index = index;
	list_init(&a->queue_node);
	list_init(&a->queued);
	q->accounts[index] = a;
	q->count++;
	map_add(&q->by_uid, uid, &a->chain);
	return a;
}

static bool has_room(const struct quota *q, const struct account *a, enum quota_kind kind, size_t n,
		     bool admin)
{
	size_t reserve = admin ? 0 : q->max[kind] / ADMIN_RESERVE_PARTS;
	size_t taken = q->held[kind] + reserve;
	size_t free_now = taken < q->max[kind] ? q->max[kind] - taken : 0;

	if (n > free_now)
		return false;
	return admin || a->held[kind] + n <= free_now;
}

int quota_take(struct quota *q, struct account *a, enum quota_kind kind, size_t n, bool admin)
{
	if (!has_room(q, a, kind, n, admin))
		return 1;
	quota_charge(q, a, kind, n);
	return 0;
}

void quota_charge(struct quota *q, struct account *a, enum quota_kind kind, size_t n)
{
	a->held[kind] += n;
	q->held[kind] += n;
}

void quota_forget(struct quota *q, struct account *a)
{
	for (size_t i = 0; i < QUOTA_KINDS; i++)
		if (a->held[i])
			return;
	if (a->queued_count)
		return;
	map_remove(&q->by_uid, a->uid, &a->chain);
	q->accounts[a->index] = NULL;
	q->count--;
	mem_free(a);
}

void quota_release(struct quota *q, struct account *a, enum quota_kind kind, size_t n)
{
	assert(a->held[kind] >= n);
	a->held[kind] -= n;
	q->held[kind] -= n;
	quota_forget(q, a);
}

bool quota_is_over_share(const struct quota *q, uint16_t account_index, enum quota_kind kind)
{
	const struct account *a = q->accounts[account_index];

	return a->held[kind] > q->held[kind] / q->count;
}
