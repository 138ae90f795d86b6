/* libclerktoken: Clerk session tokens (JWTs) from clerk-tokend, the daemon that caches them.
 *
 *	struct clerktoken_client *client;
 *	struct clerktoken_token *token;
 *
 *	if (clerktoken_new(NULL, &client, NULL) == CLERKTOKEN_OK &&
 *	    clerktoken_get(client, "sess_2x", "hasura", NULL, 3000, &token, NULL) == CLERKTOKEN_OK)
 *		puts(clerktoken_token_jwt(token));
 *
 * Every function may be called from any thread, on the same client at the same time; only a watch
 * and a struct clerktoken_async belong to one thread at a time. The library starts no thread,
 * raises and handles no signal and has no global state. After fork() the child may go on using a
 * client of its parent: it opens connections of its own, and never writes on the inherited ones.
 *
 * `timeout_ms` is how long a call may take at most, in milliseconds. Connecting, reconnecting after
 * a restart of the daemon, and waiting for Clerk are all within it. A negative one counts as 0,
 * except where CLERKTOKEN_FOREVER is said to be allowed.
 *
 * A function that returns enum clerktoken_error leaves its `ret_` arguments untouched when it
 * fails, except `ret_failure`: if that isn't NULL, it is filled in on failure, and only then.
 */
#ifndef CLERKTOKEN_H
#define CLERKTOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __GNUC__
#define CLERKTOKEN_PUBLIC __attribute__((visibility("default")))
#else
#define CLERKTOKEN_PUBLIC
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers are part of the ABI. More may be added. */
enum clerktoken_error {
	CLERKTOKEN_OK = 0,

	/* What the daemon answers. */
	CLERKTOKEN_BAD_REQUEST = 1,
	CLERKTOKEN_TOO_LONG = 2,
	CLERKTOKEN_UNKNOWN_COMMAND = 3, /* the daemon is older than this library */
	CLERKTOKEN_UNSUPPORTED = 4,
	CLERKTOKEN_DENIED = 5,	     /* by the daemon's rules, or by the mode of its socket */
	CLERKTOKEN_NOT_FOUND = 6,    /* Clerk knows no such session or template */
	CLERKTOKEN_UNAUTHORIZED = 7, /* Clerk rejects the daemon's secret key */
	CLERKTOKEN_FORBIDDEN = 8,    /* Clerk answered 403 */
	CLERKTOKEN_REJECTED = 9,     /* Clerk answered another 4xx */
	CLERKTOKEN_RATE_LIMITED = 10,
	CLERKTOKEN_UNAVAILABLE = 11,  /* Clerk can't be reached or is failing */
	CLERKTOKEN_BAD_UPSTREAM = 12, /* Clerk's answer holds no usable token */
	CLERKTOKEN_TIMEOUT = 13,      /* `wait` passed before there was a token */
	CLERKTOKEN_SHORT_LIVED = 14,  /* no token of that template can have min_ttl left */
	CLERKTOKEN_OVERLOADED = 15,
	CLERKTOKEN_SHUTTING_DOWN = 16,
	CLERKTOKEN_INTERNAL = 17,      /* a fault of the daemon's */
	CLERKTOKEN_UNKNOWN_ERROR = 99, /* a code that this library doesn't know */

	/* What is found on this side. */
	CLERKTOKEN_NO_DAEMON = 100, /* nothing listens at the socket */
	CLERKTOKEN_IO = 101,	    /* the connection broke; see system_error */
	CLERKTOKEN_DEADLINE = 102,  /* timeout_ms passed */
	CLERKTOKEN_PROTOCOL = 103,  /* what answers is no clerk-tokend */
	CLERKTOKEN_INVALID_ARGUMENT = 104,
	CLERKTOKEN_NO_MEMORY = 105
};

#define CLERKTOKEN_NEVER (-1)
#define CLERKTOKEN_TEXT_SIZE 240

/* The story of one failed call. Its size is fixed for good. */
struct clerktoken_failure {
	enum clerktoken_error error;
	int system_error; /* an errno, where the system refused something; else 0 */
	int64_t retry_ms; /* when it may be worth asking again; CLERKTOKEN_NEVER; 0: at once */
	char text[CLERKTOKEN_TEXT_SIZE]; /* a sentence for people, without a full stop or LF */
};

/* The code's name as in the protocol: "not_found", "no_daemon". Static; never NULL. */
CLERKTOKEN_PUBLIC const char *clerktoken_error_name(enum clerktoken_error error);

/* A sentence for people, without a full stop. Static; never NULL. */
CLERKTOKEN_PUBLIC const char *clerktoken_error_text(enum clerktoken_error error);

/* True where the same call may succeed soon, without anybody changing anything. */
CLERKTOKEN_PUBLIC bool clerktoken_error_is_retryable(enum clerktoken_error error);

/* The version of the library that runs, such as "1.0.0". Static. */
CLERKTOKEN_PUBLIC const char *clerktoken_version(void);

/* The client: where the daemon is, and a few idle connections to it. */
struct clerktoken_client;

struct clerktoken_options {
	size_t size;		 /* sizeof(struct clerktoken_options); all else may be zero */
	const char *socket;	 /* path of the daemon's socket. NULL: $CLERK_TOKEND_SOCKET, else
				  * $XDG_RUNTIME_DIR/clerk-tokend/clerk-tokend.sock if it exists,
				  * else /run/clerk-tokend/clerk-tokend.sock */
	bool no_copies;		 /* ask the daemon each time */
	size_t copies_max_bytes; /* of tokens that may be handed out again; 0: 16 MiB */
};

/* Doesn't connect yet. `options` may be NULL. The environment is read here, and only here. */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_new(const struct clerktoken_options *options,
						       struct clerktoken_client **ret,
						       struct clerktoken_failure *ret_failure);

/* No call on the client may be running. NULL is accepted. Tokens and watches live on. */
CLERKTOKEN_PUBLIC void clerktoken_free(struct clerktoken_client *client);

/* The path at which the daemon is looked for now. Lives as long as the client. */
CLERKTOKEN_PUBLIC const char *clerktoken_socket(const struct clerktoken_client *client);

/* A token: immutable, counted, wiped from memory with its last reference. */
struct clerktoken_token;

enum clerktoken_state {
	CLERKTOKEN_STATE_FRESH = 0,
	CLERKTOKEN_STATE_DUE = 1,  /* its renewal is under way */
	CLERKTOKEN_STATE_STALE = 2 /* its renewal is failing; it is still valid */
};

enum clerktoken_source {
	CLERKTOKEN_SOURCE_CACHE = 0, /* answered from the daemon's memory */
	CLERKTOKEN_SOURCE_CLERK = 1, /* the call waited for Clerk */
	CLERKTOKEN_SOURCE_PUSH = 2   /* renewed while it was watched */
};

struct clerktoken_get_options {
	size_t size;		/* sizeof(struct clerktoken_get_options); all else may be zero */
	bool has_min_ttl;	/* else the daemon's default holds */
	bool has_wait;		/* else a bit less than timeout_ms */
	uint32_t min_ttl_s;	/* the least life that the token must have left */
	uint32_t wait_ms;	/* how long the daemon may wait for Clerk, 3600000 at most */
	uint32_t expires_in_s;	/* lifetime to ask Clerk for, 30 to 315360000; 0: the template's */
	const char *refused_id; /* the id of a token that was refused: get another one. Or NULL */
};

/* The session's token for a template; NULL or "-": the plain session token. The caller owns the
 * reference that it gets.
 *
 * The client keeps copies of its own, unless that is turned off. While the daemon allows it (see
 * clerktoken_token_reuse_ms()) a call is answered from there, with the same token, at once, and
 * without a system call but for two every few milliseconds; its state and source are what they
 * were when it came. `min_ttl_s` and `refused_id` hold as ever. The client hears of what is
 * dropped anywhere on the host: a token that was dropped is handed out for 20 ms more at most, and
 * not at all after a drop by this client has returned. What ends is wiped by later calls: a client
 * that is used no more keeps it in memory. */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_get(
    struct clerktoken_client *client, const char *session, const char *template_name,
    const struct clerktoken_get_options *options, int timeout_ms, struct clerktoken_token **ret,
    struct clerktoken_failure *ret_failure);

CLERKTOKEN_PUBLIC struct clerktoken_token *clerktoken_token_ref(struct clerktoken_token *token);
CLERKTOKEN_PUBLIC void clerktoken_token_unref(struct clerktoken_token *token); /* NULL accepted */

/* The strings end with a NUL and live as long as the token. */
CLERKTOKEN_PUBLIC const char *clerktoken_token_jwt(const struct clerktoken_token *token);
CLERKTOKEN_PUBLIC size_t clerktoken_token_length(const struct clerktoken_token *token);

/* 16 hex digits, the same for the same token. Safe to log, which the token isn't. */
CLERKTOKEN_PUBLIC const char *clerktoken_token_id(const struct clerktoken_token *token);

/* The token's own claim `exp`, in Unix seconds. To judge life left, use the ttl. */
CLERKTOKEN_PUBLIC int64_t clerktoken_token_exp(const struct clerktoken_token *token);

/* Milliseconds of life left now, whatever the wall clock says, suspend counted; 0: expired. */
CLERKTOKEN_PUBLIC int64_t clerktoken_token_ttl_ms(const struct clerktoken_token *token);

/* Milliseconds for which this copy may still be handed out without asking again. */
CLERKTOKEN_PUBLIC int64_t clerktoken_token_reuse_ms(const struct clerktoken_token *token);

CLERKTOKEN_PUBLIC enum clerktoken_state clerktoken_token_state(
    const struct clerktoken_token *token);
CLERKTOKEN_PUBLIC enum clerktoken_source clerktoken_token_source(
    const struct clerktoken_token *token);

/* As in the protocol: "fresh", "due", "stale"; "cache", "clerk", "push". Static. */
CLERKTOKEN_PUBLIC const char *clerktoken_state_name(enum clerktoken_state state);
CLERKTOKEN_PUBLIC const char *clerktoken_source_name(enum clerktoken_source source);

/* A watch: the daemon keeps the token renewed, and tells when it has a new one. It has a connection
 * of its own, which it opens again when the daemon restarts. */
struct clerktoken_watch;

/* As clerktoken_get(); then the watch is there too. `ret_first` may be NULL. */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_watch(
    struct clerktoken_client *client, const char *session, const char *template_name,
    const struct clerktoken_get_options *options, int timeout_ms, struct clerktoken_watch **ret,
    struct clerktoken_token **ret_first, struct clerktoken_failure *ret_failure);

#define CLERKTOKEN_FOREVER (-1)

/* Waits for the next token; where several have come, the latest is taken. timeout_ms may be 0 (only
 * what is there already) or CLERKTOKEN_FOREVER.
 *
 * CLERKTOKEN_DEADLINE: nothing new. If clerktoken_watch_is_over(), it can be renewed no more, and
 * the error says why, now and on every later call. After any other error the watch lives on: call
 * again, not before retry_ms.
 *
 * How long a token lay waiting can't be known; its ttl is counted from the end of the call before,
 * the earliest moment at which it may have come. A thread that waits in here loses nothing. */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_watch_next(
    struct clerktoken_watch *watch, int timeout_ms, struct clerktoken_token **ret,
    struct clerktoken_failure *ret_failure);

CLERKTOKEN_PUBLIC bool clerktoken_watch_is_over(const struct clerktoken_watch *watch);
CLERKTOKEN_PUBLIC void clerktoken_watch_free(struct clerktoken_watch *watch); /* NULL accepted */

/* For programs with an event loop: many requests on one connection, and nothing that waits.
 *
 *	clerktoken_async_get(async, "sess_2x", "hasura", NULL, 3000, userdata, NULL, NULL);
 *
 * and, whenever clerktoken_async_fd() is readable or clerktoken_async_timeout_ms() has passed:
 *
 *	clerktoken_async_dispatch(async);
 *	while (clerktoken_async_next(async, &event))
 *		use(event.userdata, event.error, event.token);
 *
 * A call that is accepted ends with exactly one event that is_over, unless it is cancelled.
 * Failures of the connection are mended inside of each call's timeout_ms: what has had no answer is
 * asked again on the next connection. No function waits or calls back, and no two may run at the
 * same time. A child after fork() that goes on with its copy asks for itself what its parent has
 * asked, with another descriptor. */
struct clerktoken_async;

/* Calls and watches, with those whose last event was not taken. */
#define CLERKTOKEN_ASYNC_MAX 4096

/* Doesn't connect yet. */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_async_new(
    struct clerktoken_client *client, struct clerktoken_async **ret,
    struct clerktoken_failure *ret_failure);

/* Calls and watches end without an event. NULL is accepted. */
CLERKTOKEN_PUBLIC void clerktoken_async_free(struct clerktoken_async *async);

/* Wait for it to be readable (POLLIN), for nothing else, and not by EPOLLET: a dispatch may leave
 * some for the next one. It is an epoll(7) descriptor and stays the same through all reconnects,
 * but not in a child after fork(). Not to be read or closed. -1, where there are no descriptors
 * left. */
CLERKTOKEN_PUBLIC int clerktoken_async_fd(struct clerktoken_async *async);

/* In how many milliseconds to dispatch where nothing becomes readable; 0: now; -1: never. To be
 * asked again after each other call: as the last thing before waiting. */
CLERKTOKEN_PUBLIC int clerktoken_async_timeout_ms(const struct clerktoken_async *async);

/* Does what can be done without waiting: connects, sends, receives, sees to what is late. */
CLERKTOKEN_PUBLIC void clerktoken_async_dispatch(struct clerktoken_async *async);

/* Each begins a call, as the function of the same name does without "async". `userdata` comes back
 * with each event. *ret_id, never 0 and never used again, is for clerktoken_async_cancel();
 * `ret_id` may be NULL. What is wrong with the arguments is told at once, and so are
 * CLERKTOKEN_OVERLOADED, with CLERKTOKEN_ASYNC_MAX calls, and CLERKTOKEN_NO_MEMORY; there is no
 * event then. timeout_ms 0: only what is known at once. */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_async_get(
    struct clerktoken_async *async, const char *session, const char *template_name,
    const struct clerktoken_get_options *options, int timeout_ms, void *userdata, uint64_t *ret_id,
    struct clerktoken_failure *ret_failure);

/* Its first event comes within timeout_ms, and ends it where it is an error. From then on there is
 * an event for each new token; where several have come, the latest is told. An error that isn't
 * over is told too, and the watch goes on by itself. One watch for a session and template. */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_async_watch(
    struct clerktoken_async *async, const char *session, const char *template_name,
    const struct clerktoken_get_options *options, int timeout_ms, void *userdata, uint64_t *ret_id,
    struct clerktoken_failure *ret_failure);
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_async_drop(
    struct clerktoken_async *async, const char *session, const char *template_name, int timeout_ms,
    void *userdata, uint64_t *ret_id, struct clerktoken_failure *ret_failure);
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_async_drop_session(
    struct clerktoken_async *async, const char *session, int timeout_ms, void *userdata,
    uint64_t *ret_id, struct clerktoken_failure *ret_failure);
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_async_ping(
    struct clerktoken_async *async, int timeout_ms, void *userdata, uint64_t *ret_id,
    struct clerktoken_failure *ret_failure);
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_async_stats(
    struct clerktoken_async *async, int timeout_ms, void *userdata, uint64_t *ret_id,
    struct clerktoken_failure *ret_failure);

/* Ends a call or a watch: no event of it comes any more. What was sent may still be carried out.
 * False: there is none, or its last event was taken. */
CLERKTOKEN_PUBLIC bool clerktoken_async_cancel(struct clerktoken_async *async, uint64_t id);

/* Its size is fixed for good. */
struct clerktoken_event {
	uint64_t id;
	void *userdata;
	enum clerktoken_error error;
	bool is_over;			   /* nothing more comes of this id */
	struct clerktoken_token *token;	   /* get, watch: a reference for the caller; else NULL */
	char *text;			   /* stats: for clerktoken_string_free(); else NULL */
	uint64_t dropped;		   /* drop, drop_session */
	struct clerktoken_failure failure; /* if there is an error */
	uint64_t reserved[4];		   /* zero */
};

/* Takes the next event; false: there is none. */
CLERKTOKEN_PUBLIC bool clerktoken_async_next(struct clerktoken_async *async,
					     struct clerktoken_event *ret);

/* Forget the session's token of one template (NULL or "-": the plain token): a token fetched before
 * is never served afterwards. `ret_dropped`, how many were in memory, may be NULL. */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_drop(struct clerktoken_client *client,
							const char *session,
							const char *template_name, int timeout_ms,
							uint64_t *ret_dropped,
							struct clerktoken_failure *ret_failure);

/* Forget all tokens of the session. */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_drop_session(
    struct clerktoken_client *client, const char *session, int timeout_ms, uint64_t *ret_dropped,
    struct clerktoken_failure *ret_failure);

/* Forget everything. For the daemon's administrators. */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_flush(struct clerktoken_client *client,
							 int timeout_ms, uint64_t *ret_dropped,
							 struct clerktoken_failure *ret_failure);

/* Does the daemon answer? */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_ping(struct clerktoken_client *client,
							int timeout_ms,
							struct clerktoken_failure *ret_failure);

/* One line of JSON, to be freed with clerktoken_string_free(). */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_stats(struct clerktoken_client *client,
							 int timeout_ms, char **ret_json,
							 struct clerktoken_failure *ret_failure);

CLERKTOKEN_PUBLIC void clerktoken_string_free(char *string); /* NULL accepted */

/* Somebody, as the daemon's rules see them; what isn't set here is not so of them. */
struct clerktoken_who {
	size_t size; /* sizeof(struct clerktoken_who); all else may be zero */
	bool has_uid;
	uint32_t uid;
	const uint32_t *gids; /* all groups, 128 at most */
	size_t n_gids;
	const char *unit; /* of systemd, such as "web@1.service". Or NULL */
};

/* May the caller have that token, or `who`, if that isn't NULL (administrators may ask)? Which rule
 * decides is told by `ret_text`, as by the protocol's WHY: "allowed because=…"; to be freed with
 * clerktoken_string_free(). */
CLERKTOKEN_PUBLIC enum clerktoken_error clerktoken_why(
    struct clerktoken_client *client, const char *session, const char *template_name,
    const struct clerktoken_who *who, int timeout_ms, bool *ret_allowed, char **ret_text,
    struct clerktoken_failure *ret_failure);

#ifdef __cplusplus
}
#endif

#endif
