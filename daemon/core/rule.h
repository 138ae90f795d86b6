/* One rule of [access]: parsed, and matched against a caller and a key.
 *
 *     allow = unit=web@*.service template=hasura,supabase session=*
 *
 * It matches if each of its fields does, and a field if one of its values does. In units, sessions
 * and templates `*` stands for any characters, none included, and `?` for one; all others stand
 * for themselves, the backslash of escaped unit names too. "*" in the place of the fields matches
 * everything.
 *
 * Who asks is looked at apart from what is asked for: the first stays the same for a connection.
 */
#pragma once

#include "base/span.h"
#include "daemon/core/config.h"

#include <sys/types.h>

/* Who asks. Everything is borrowed. */
struct identity {
	uid_t uid;
	pid_t pid;	   /* for messages only */
	const gid_t *gids; /* supplementary ones too; may be left out if no rule names a group */
	size_t n_gids;
	struct span unit;     /* empty: in none, or no rule names one */
	bool unit_is_unclear; /* it has gone, or its unit can't be told */
};

/* How users and groups are found, at load time only. 0, 1 (there is none), or negative errno. */
struct rule_names {
	int (*user)(const char *name, uint32_t *ret);
	int (*group)(const char *name, uint32_t *ret);
};

enum rule_field {
	RULE_UID,
	RULE_GID,
	RULE_UNIT,
	RULE_SESSION,
	RULE_TEMPLATE,
	RULE_FIELDS,
};

struct rule_value {
	uint32_t id;	  /* of a user, of a group */
	struct span glob; /* of the others; borrowed from the rule's text */
};

struct rule_values {
	struct rule_value *items;
	size_t n; /* 0: the field isn't there */
};

struct rule {
	const struct config_rule *source;
	struct rule_values fields[RULE_FIELDS];
};

/* `source` is borrowed. 0, -ENOMEM, or CONFIG_INVALID. rule_deinit() in any case. */
int rule_parse(const struct config_rule *source, const struct rule_names *names,
	       struct config_error *error, struct rule *ret);
void rule_deinit(struct rule *rule);

enum rule_match {
	RULE_NO,
	RULE_MAYBE, /* where several keys are meant: for some of them, perhaps */
	RULE_YES,
	RULE_UNCLEAR, /* it would depend on a unit that isn't known */
};

/* Is it about this caller? Never RULE_MAYBE. */
enum rule_match rule_concerns(const struct rule *rule, const struct identity *who);

/* Is it about this key? As on the wire: "-" is the plain token, WIRE_ANY means several. Never
 * RULE_UNCLEAR. */
enum rule_match rule_covers(const struct rule *rule, struct span session, struct span template);

/* True if it names a session or a template. */
bool rule_is_limited(const struct rule *rule);
