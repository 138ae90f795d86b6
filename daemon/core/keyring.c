/* See keyring.h. */
#include "daemon/core/keyring.h"

#include <string.h>

static void forget_other(struct keyring *k)
{
	secret_deinit(&k->other);
	k->other_id[0] = '\0';
	k->state = KEYRING_SETTLED;
}

static void swap(struct keyring *k)
{
	struct secret_digest digest = k->current_digest;
	struct secret key = k->current;
	char id[SECRET_ID_SIZE];

	memcpy(id, k->current_id, sizeof(id));
	k->current = k->other;
	memcpy(k->current_id, k->other_id, sizeof(id));
	k->other = key;
	memcpy(k->other_id, id, sizeof(id));
	k->current_digest = k->other_digest;
	k->other_digest = digest;
}

void keyring_deinit(struct keyring *k)
{
	secret_deinit(&k->current);
	secret_deinit(&k->other);
	*k = (struct keyring){ 0 };
}

const struct secret *keyring_configured(const struct keyring *k)
{
	return k->state == KEYRING_FALLBACK ? &k->other : &k->current;
}

static bool equals(const struct secret *a, const struct secret *b)
{
	return secret_equal(a, span_of(b->ptr, b->len));
}

static void use(struct keyring *k, struct secret *key)
{
	secret_deinit(&k->current);
	k->current = secret_take(key);
	secret_id(&k->current, k->current_id);
	secret_digest(span_of(k->current.ptr, k->current.len), &k->current_digest);
}

bool keyring_configure(struct keyring *k, struct secret *key)
{
	bool worked = k->state != KEYRING_SETTLED || k->standing == KEY_ACCEPTED;

	if (equals(&k->current, key)) {
		secret_deinit(key);
		if (k->state == KEYRING_FALLBACK)
			forget_other(k); /* what works is what is wanted again */
		return false;
	}
	if (k->state != KEYRING_TRIAL)
		swap(k); /* the last one that Clerk has accepted, if any, is the other now */
	if (equals(&k->other, key)) {
		secret_deinit(key);
		swap(k);
		forget_other(k);
		k->standing = KEY_ACCEPTED;
		return true;
	}
	use(k, key);
	k->standing = KEY_UNTRIED;
	k->state = KEYRING_TRIAL;
	if (!worked)
		forget_other(k);
	return true;
}

void keyring_start_over(struct keyring *k)
{
	forget_other(k);
	k->standing = KEY_UNTRIED;
}

enum key_verdict keyring_judge(const struct keyring *k, const char *key_id, enum outcome_kind kind)
{
	static const enum key_verdict refused[] = {
		[KEYRING_SETTLED] = KEY_IS_REFUSED,
		[KEYRING_TRIAL] = KEY_FALLS_BACK,
		[KEYRING_FALLBACK] = KEY_GIVES_UP,
	};
	bool accepts = kind == OUTCOME_TOKEN || kind == OUTCOME_DEFINITE;
	bool refuses = kind == OUTCOME_KEY_REFUSED;

	if (strcmp(key_id, k->current_id) == 0)
		return refuses	  ? refused[k->state]
		       : !accepts ? KEY_NO_NEWS
				  : (k->state == KEYRING_TRIAL ? KEY_PROVEN : KEY_WORKS);
	if (refuses && k->state == KEYRING_TRIAL && strcmp(key_id, k->other_id) == 0)
		return KEY_OTHER_IS_REFUSED;
	return KEY_NO_NEWS;
}

void keyring_follow(struct keyring *k, enum key_verdict verdict)
{
	switch (verdict) {
	case KEY_NO_NEWS:
		break;
	case KEY_WORKS:
		k->standing = KEY_ACCEPTED;
		break;
	case KEY_PROVEN:
		forget_other(k);
		k->standing = KEY_ACCEPTED;
		break;
	case KEY_FALLS_BACK:
		swap(k);
		k->state = KEYRING_FALLBACK;
		k->standing = KEY_ACCEPTED;
		break;
	case KEY_GIVES_UP:
		swap(k);
		forget_other(k);
		k->standing = KEY_REFUSED;
		break;
	case KEY_IS_REFUSED:
		k->standing = KEY_REFUSED;
		break;
	case KEY_OTHER_IS_REFUSED:
		forget_other(k);
		break;
	}
}

bool keyring_knows(const struct keyring *k, struct span key)
{
	struct secret_digest digest;
	bool is_current, is_other;

	secret_digest(key, &digest);
	is_current = secret_digest_equal(&digest, &k->current_digest) && k->current.ptr;
	is_other = secret_digest_equal(&digest, &k->other_digest) && k->other.ptr;
	return is_current || is_other;
}

const char *keyring_text(const struct keyring *k)
{
	static const char *const standings[] = {
		[KEY_UNTRIED] = "untried",
		[KEY_ACCEPTED] = "accepted",
		[KEY_REFUSED] = "refused",
	};

	if (k->state == KEYRING_SETTLED)
		return standings[k->standing];
	return k->state == KEYRING_TRIAL ? "trial" : "fallback";
}
