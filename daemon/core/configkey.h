/* The one table of what can be configured: for each key its section and name, where its value is in
 * a struct config, how that is written and read, its default, and what is accepted.
 */
#pragma once

#include "base/buf.h"
#include "base/span.h"
#include "daemon/core/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_KEY_COUNT 29

/* With the type of the field. */
enum config_type {
	CONFIG_TYPE_TEXT,     /* char *, NULL: none */
	CONFIG_TYPE_DURATION, /* int64_t, ms; -1: auto */
	CONFIG_TYPE_SIZE,     /* size_t, bytes */
	CONFIG_TYPE_COUNT,    /* size_t */
	CONFIG_TYPE_PERCENT,  /* size_t; 0: auto */
	CONFIG_TYPE_RATE,     /* rate_limit_count and rate_limit_window_ms; 0: auto */
	CONFIG_TYPE_MODE,     /* unsigned */
	CONFIG_TYPE_LEVEL,    /* enum config_log_level */
	CONFIG_TYPE_SWITCH,   /* bool */
	CONFIG_TYPE_RULE,     /* one more of config.rules; `min` is its kind */
};

struct config_key {
	const char *section, *name;
	enum config_type type;
	size_t offset;			  /* of the field in struct config */
	const char *initial;		  /* the default as it would be written; NULL: no value */
	const char *other;		  /* "auto" or "off" where that is accepted too */
	uint64_t min, max;		  /* of numbers */
	bool (*check)(struct span value); /* of texts */
	const char *accepts;		  /* for messages, behind "expected" */
};

/* In the order in which they are printed; a section's keys stand together, rules last. */
extern const struct config_key config_keys[CONFIG_KEY_COUNT];

/* NULL if there is no such key. */
const struct config_key *config_key_find(const char *section, const char *name);

/* Not for rules, which have a place as well. 0, -ENOMEM or CONFIG_INVALID, the value then being
 * what it was or another. */
int config_key_set(const struct config_key *key, struct config *c, struct span value);

/* Frees a text; does nothing to other values. */
void config_key_clear(const struct config_key *key, struct config *c);

bool config_key_has_value(const struct config_key *key, const struct config *c);

/* Of a key that has a value, and no rule. 0, -ENOMEM or -EMSGSIZE. */
int config_key_print(const struct config_key *key, const struct config *c, struct buf *to);
