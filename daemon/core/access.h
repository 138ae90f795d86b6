/* The rules of [access]: who may have which token, and who is an administrator.
 *
 * In order, the first that matches decides; if none does, the answer is no. Without any rule
 * everybody may have every token, and root and the daemon's own user are administrators.
 *
 * Whether somebody is an administrator is asked of `deny` and `admin` rules alone, of those that
 * name no session and no template: "allow" is about tokens. An `admin` rule lets its callers have
 * tokens too, unless an earlier rule forbids it.
 *
 * What of the rules depends on the caller is worked out once, as its grant; what is left for each
 * request are sessions and templates.
 */
#pragma once

#include "daemon/core/rule.h"

struct access {
	bool names_groups, names_units; /* what of an identity matters */
	size_t n;
	struct rule rules[];
};

enum access_scope {
	ACCESS_NOTHING,
	ACCESS_SOME, /* it depends on session and template */
	ACCESS_ALL,
};

/* A rule that is about the caller. */
struct concern {
	uint16_t rule;
	bool unclear; /* or would be, if its unit were known: it forbids */
};

/* What the rules say of one caller; good for the rules that it was made with. */
struct grant {
	struct concern *concerns; /* no more than up to the first that covers every key */
	uint16_t n;
	uint8_t scope; /* enum access_scope */
	bool is_admin;
};

struct decision {
	bool allowed;
	bool unclear;		 /* forbidden by `rule` because the caller's unit isn't known */
	const struct rule *rule; /* NULL: none matches */
};

/* Parses the rules, which are borrowed; *ret is NULL if there are none. 0, -ENOMEM, or
 * CONFIG_INVALID. */
int access_new(const struct config_rule *rules, size_t n, const struct rule_names *names,
	       struct config_error *error, struct access **ret);
void access_free(struct access *access);

/* `access` may be NULL: no rules. 0 or -ENOMEM. */
int access_grant(const struct access *access, uid_t own_uid, const struct identity *who,
		 struct grant *ret);
void grant_deinit(struct grant *grant);

/* May the caller have that token? As on the wire: "-" is the plain one. With WIRE_ANY in the place
 * of the template, or of both: may it have one of them? */
struct decision access_decide(const struct access *access, const struct grant *grant,
			      struct span session, struct span template);
