/* The daemon's mind: which request is answered with what, and what is fetched when.
 *
 * Pure: no system call, no clock, no randomness of its own. Time comes in as a value with each
 * call; effects come out of engine_pop(), which must be called until it returns EFFECT_NONE after
 * every call that is marked "effects". What an effect or a reply borrows stays valid until then.
 *
 * Not reentrant: an effect is carried out between calls, never inside one.
 */
#pragma once

#include "daemon/core/about.h"
#include "daemon/core/access.h"
#include "daemon/core/answer.h"
#include "daemon/core/demand.h"
#include "daemon/core/freshness.h"
#include "daemon/core/keyring.h"
#include "daemon/core/skew.h"
#include "daemon/core/stats.h"
#include "daemon/core/webhook.h"
#include "proto/request.h"

struct call;
struct engine;

struct engine_config {
	struct freshness freshness;
	int64_t negative_ttl_ms;
	int64_t default_wait_ms;
	size_t max_memory;
	size_t max_clients;
	size_t budget; /* requests a window */
	int64_t budget_window_ms;
	int64_t request_timeout_ms; /* of a request to Clerk; 0: not known */
	size_t max_connections;	    /* to Clerk; 0: not known */
	uid_t own_uid;		    /* an administrator, beside root */
	bool audit; /* engine_lookup() finds nothing: each answer is one of submit's or an effect */
	const struct keyring *keys; /* for STATS */
	const char *greeting;	    /* the answer to HELLO, behind OK */
	struct about about;
};

/* Who asks: a connection, or a front of another kind. The caller's storage. */
struct client {
	struct account *account;
	uid_t uid;
	pid_t pid;
	bool admin;
	bool tracks;	     /* wants to be told of drops */
	struct grant grant;  /* what the rules say of it */
	struct list watches; /* struct watch.owner_node */
};

enum effect_type {
	EFFECT_NONE,
	EFFECT_FETCH,	 /* ask Clerk for `key`; engine_fetched(flight) brings the answer */
	EFFECT_CANCEL,	 /* forget `flight`, both requests where there is a second */
	EFFECT_REPLY,	 /* `reply` answers the request for `key` of `cookie` */
	EFFECT_PUSH,	 /* `watch` has news: engine_watch_read() when there is room for it */
	EFFECT_DROPPED,	 /* tell clients that track: `key`, as in the push */
	EFFECT_ADMITTED, /* the call of `cookie` is to be made now, and ended with engine_call_end()
			  */
	EFFECT_REFUSED,	 /* it is not, as `reply` says, and is gone */
};

struct effect {
	enum effect_type type;
	struct demand *flight;
	struct key key; /* of FETCH, REPLY, DROPPED */
	bool is_second; /* the first request hangs: on another connection */
	void *cookie;
	struct reply reply;
	struct watch *watch;
};

/* `hash_key` and `seed` are random. 0 or -ENOMEM. */
int engine_new(const struct engine_config *config, const struct hash_key *hash_key, uint64_t seed,
	       struct engine **ret);

/* All clients must have gone; fetches under way are forgotten. */
void engine_free(struct engine *e);

/* Takes on other values. What the cache holds beyond a smaller bound goes by and by, with each
 * tick. 0 or -ENOMEM. */
int engine_configure(struct engine *e, const struct engine_config *config);

/* From now on Clerk is asked no more: what can't be answered from memory is `shutting_down`.
 * Effects. */
void engine_stop(struct engine *e, struct mono now);

/* Nothing is waited for any longer: whoever waits is answered now. Effects. */
void engine_give_up(struct engine *e, struct mono now);

/* The secret key is another one: whatever Clerk thought of the last is void. What it objected to is
 * not: the other key is most often of the same instance, and shares its limit. Effects. */
void engine_key_changed(struct engine *e, struct mono now);

/* It is another Clerk from now on: what the last one said is forgotten. Effects. */
void engine_moved(struct engine *e, struct mono now);

/* Sets the rules, which stay the caller's (NULL: none). Where there are clients, each must be
 * judged anew, and what was in the making under the last rules is refused by engine_enforce().
 * Until then nothing else may be called. */
void engine_set_access(struct engine *e, const struct access *access);
int engine_client_judge(struct engine *e, struct client *client,
			const struct identity *who);	/* 0 or -ENOMEM: it may nothing then */
void engine_client_forbid(struct client *client);	/* who can't be told: it may nothing */
void engine_enforce(struct engine *e, struct mono now); /* effects */

/* Admits a client. 0, -ENOMEM, or 1 where the daemon or this user has no room for one more. */
int engine_client_init(struct engine *e, struct client *client, const struct identity *who);

/* Admits somebody who is known by no uid, but by the daemon's own secret key: it may have
 * everything, and what it holds is charged to one account that is no user's. */
int engine_client_init_trusted(struct engine *e, struct client *client);

/* May it have that token? See access_decide() for what the names may be. */
bool engine_client_may(const struct engine *e, const struct client *client, struct span session,
		       struct span template);

/* It has gone: its watches end. Its waiters must have been abandoned, its calls ended.
 * Effects. */
void engine_client_deinit(struct engine *e, struct client *client);

enum submission {
	SUBMIT_REPLIED, /* *ret_reply is the answer */
	SUBMIT_PENDING, /* *ret_waiter stands for it, until EFFECT_REPLY or engine_abandon(); its
			   `cookie` is the caller's to set, and comes back with that effect */
};

/* A request. `scratch` holds the text of STATS. Effects. */
enum submission engine_submit(struct engine *e, struct mono now, struct client *client,
			      const struct request *request, struct buf *scratch,
			      struct reply *ret_reply, struct waiter **ret_waiter);

/* The answer to a GET without options, if a fresh token is in memory: `args` is the text behind
 * "GET ", as it came, `hash` what engine_hash() said of it. False: it is to be parsed and
 * submitted. No effects. See cache_find_text() for the steps. */
uint64_t engine_hash(const struct engine *e, struct span args);
void engine_prefetch(const struct engine *e, uint64_t hash);
bool engine_lookup(struct engine *e, struct mono now, struct span args, uint64_t hash,
		   struct token_view *ret);

/* The session has ended: as a DROP of all its tokens, by nobody. Effects. */
void engine_drop_session(struct engine *e, struct mono now, struct span session);

/* A call of BAPI that the client makes itself, through the daemon, takes a place in the budget:
 * asks for it. SUBMIT_REPLIED: *ret_reply says why there is none. Else an effect with `cookie` says
 * so, within default_wait. Who may not have everything may call nothing. Effects. */
enum submission engine_call(struct engine *e, struct mono now, struct client *client, void *cookie,
			    struct reply *ret_reply, struct call **ret_call);

/* What Clerk answered to one that was admitted. `retry_after_ms` < 0: nothing of that. Effects. */
void engine_call_answered(struct engine *e, struct mono now, const struct call *call, int status,
			  int64_t retry_after_ms);

/* It is over, or given up in whatever state; effects of it that are not carried out yet go.
 * Effects.
 */
void engine_call_end(struct engine *e, struct mono now, struct call *call);

/* Nobody waits for that answer any more; the fetch goes on. Effects. */
void engine_abandon(struct engine *e, struct waiter *waiter);

/* What Clerk answered, or that it didn't. `outcome` stays the caller's, and there until the effects
 * are carried out. Effects. */
void engine_fetched(struct engine *e, struct mono now, struct demand *flight,
		    const struct outcome *outcome);

/* What Clerk's clock says, held against the host's, which nothing else depends on. True if the
 * operator is to be told: *ret_skew is what. */
bool engine_note_clock(struct engine *e, struct wall now, const struct outcome *outcome,
		       struct skew *ret_skew);

/* The time by Clerk's clock, as far as is known. */
struct wall engine_clerk_time(const struct engine *e, struct wall now);

/* Counts a webhook. */
void engine_note_webhook(struct engine *e, enum webhook_verdict verdict);

/* Does what is due, or, of much, a part: then the next one is due at once. Effects. */
void engine_tick(struct engine *e, struct mono now);

/* When engine_tick() is to be called next; MONO_NEVER if nothing is due. */
struct mono engine_next_deadline(struct engine *e);

/* True while there are effects, or something that was borrowed. */
bool engine_has_effects(const struct engine *e);

/* Takes the next effect; EFFECT_NONE when there is none, and then frees what was borrowed. */
void engine_pop(struct engine *e, struct effect *ret);

/* The news of a watch, to be written as a push, in *ret; false if there is none any more. After a
 * PUSH_GONE was written the watch is to be ended. */
bool engine_watch_read(struct engine *e, struct mono now, struct watch *watch, struct reply *ret);
void engine_watch_end(struct engine *e, struct watch *watch);

/* Requests that wait for Clerk. */
size_t engine_pending(const struct engine *e);

/* True if Clerk's last answers were of use, or nothing has needed it. */
bool engine_is_ready(const struct engine *e);

/* Counts an error that was answered without asking the engine. */
void engine_note_error(struct engine *e, enum code code);

const struct stats *engine_stats(const struct engine *e);
