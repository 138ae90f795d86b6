/* Configuration text -> validated values; the only owner of inih.
 *
 * One table says for each key where its value goes, how it is read and written, and what is
 * accepted; parsing, error messages, defaults and printing all follow it. A struct config holds
 * only values that passed; after an error it is good for config_deinit() alone.
 *
 * Several texts may be parsed one after the other: a later value takes the place of an earlier
 * one, access rules add up in order. Within one text a key stands once.
 */
#pragma once

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_RULES_MAX 1000
#define CONFIG_PRINT_MAX (1024 * 1024) /* a struct buf of that maximum holds any config_print() */

/* The names of syslog(3), which is not part of the core. */
enum config_log_level {
	CONFIG_LOG_ERR,
	CONFIG_LOG_WARNING,
	CONFIG_LOG_INFO,
	CONFIG_LOG_DEBUG,
};

enum config_rule_kind {
	CONFIG_RULE_ALLOW,
	CONFIG_RULE_DENY,
	CONFIG_RULE_ADMIN,
};

struct access;
struct rule_names;

/* A rule as it was written, for the access module to understand. */
struct config_rule {
	enum config_rule_kind kind;
	char *text;
	char *file; /* where it stands, for messages */
	unsigned line;
};

struct config {
	/* [clerk] */
	char *api_url; /* without a slash at its end */
	char *api_version;
	char *secret_key_file;	   /* NULL: none */
	char *webhook_secret_file; /* the same */
	char *ca_file;		   /* NULL: the system's */
	int64_t connect_timeout_ms;
	int64_t request_timeout_ms;
	size_t max_connections;
	size_t rate_limit_count;      /* 0, and the window too: by the kind of the key */
	int64_t rate_limit_window_ms; /* 0 as above */
	size_t budget_percent;

	/* [cache] */
	size_t max_memory;	   /* bytes */
	size_t max_token_size;	   /* bytes */
	size_t refresh_at_percent; /* 0: auto */
	int64_t renew_idle_ms;	   /* -1: auto; 0: only what is watched is renewed */
	int64_t min_ttl_ms;
	int64_t negative_ttl_ms;
	int64_t default_wait_ms;

	/* [listen] */
	char *socket; /* NULL: the user's or the system's default */
	unsigned socket_mode;
	char *socket_group; /* NULL: whatever it comes with */
	size_t max_clients;
	char *http;	/* ADDRESS:PORT or unix:PATH; NULL: off */
	char *metrics;	/* the same */
	char *webhooks; /* the same, any ADDRESS */

	/* [access], in the order in which they were written */
	struct config_rule *rules;
	size_t n_rules;
	struct access
	    *access; /* what they mean; NULL: there are none, or see config_understand() */

	/* [log] */
	enum config_log_level log_level;
	bool audit;
};

/* What is wrong, and where; line 0: it is in no line. */
struct config_error {
	char file[256];
	unsigned line;
	char text[320];
};

/* A documented outcome, beside 0 and -ENOMEM: *ret says what is wrong. */
#define CONFIG_INVALID 1

/* 0 or -ENOMEM. config_deinit() is fine after either, and on zeroed memory. */
int config_init_defaults(struct config *c);
void config_deinit(struct config *c);

/* `file` is for messages. 0, -ENOMEM or CONFIG_INVALID. */
int config_parse(struct config *c, struct span text, const char *file, struct config_error *ret);

/* Values from outside of the files, under the same rules: `origin`, such as "$CLERK_API_URL",
 * stands for the file in messages. 0, -ENOMEM or CONFIG_INVALID. */
int config_override_api_url(struct config *c, const char *url, const char *origin,
			    struct config_error *ret);
int config_override_socket(struct config *c, const char *path, const char *origin,
			   struct config_error *ret);

/* Where one of the servers is, whose key in [listen] is `name`. */
int config_override_server(struct config *c, const char *name, const char *address,
			   const char *origin, struct config_error *ret);

/* Makes sense of the rules of access, when all are known. 0, -ENOMEM or CONFIG_INVALID. */
int config_understand(struct config *c, const struct rule_names *names, struct config_error *ret);

/* What only shows when all values are known; call it last. 0 or CONFIG_INVALID. */
int config_finish(const struct config *c, struct config_error *ret);

/* How many requests this daemon may send in any window: its share of what the configuration says,
 * or of what Clerk gives a secret key of that kind. One at least. */
struct config_budget {
	size_t count;
	int64_t window_ms;
};

struct config_budget config_budget(const struct config *c, struct span secret_key);

/* Appends the values in effect as a configuration that config_parse() reads back to the same; keys
 * that have no value are commented out. It holds no secret. 0, -ENOMEM or -EMSGSIZE. */
int config_print(const struct config *c, struct buf *to);

/* Appends "FILE:LINE: TEXT" and no newline. 0, -ENOMEM or -EMSGSIZE. */
int config_error_print(const struct config_error *e, struct buf *to);
