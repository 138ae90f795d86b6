/* See configkey.h. */
#include "daemon/core/configkey.h"

#include "base/instant.h"
#include "base/mem.h"
#include "daemon/core/setting.h"
#include "daemon/core/url.h"
#include "proto/wire.h"

#include <assert.h>
#include <errno.h>

#define SECOND (INT64_C(1) * MS_PER_S)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define TIB (UINT64_C(1) << 40)

#define FIELD(field) offsetof(struct config, field)

#define A_DURATION "a duration with its unit (ms, s, m, h) "

/* In the order in which they are printed; a section's keys stand together. */
const struct config_key config_keys[] = {
	{ "clerk", "api_url", CONFIG_TYPE_TEXT, FIELD(api_url), "https://api.clerk.com",
	  .check = url_is_acceptable,
	  .accepts = "https://HOST[:PORT][/PATH], or http:// for a loopback address" },
	{ "clerk", "api_version", CONFIG_TYPE_TEXT, FIELD(api_version), "2025-11-10",
	  .check = setting_is_version, .accepts = "a date like 2025-11-10" },
	{ "clerk", "secret_key_file", CONFIG_TYPE_TEXT, FIELD(secret_key_file),
	  .check = setting_is_path, .accepts = "an absolute path" },
	{ "clerk", "webhook_secret_file", CONFIG_TYPE_TEXT, FIELD(webhook_secret_file),
	  .check = setting_is_path, .accepts = "an absolute path" },
	{ "clerk", "ca_file", CONFIG_TYPE_TEXT, FIELD(ca_file), .check = setting_is_path,
	  .accepts = "an absolute path" },
	{ "clerk", "connect_timeout", CONFIG_TYPE_DURATION, FIELD(connect_timeout_ms), "2s",
	  .min = 10, .max = 10 * MINUTE, .accepts = A_DURATION "from 10ms to 10m" },
	{ "clerk", "request_timeout", CONFIG_TYPE_DURATION, FIELD(request_timeout_ms), "5s",
	  .min = 10, .max = 10 * MINUTE, .accepts = A_DURATION "from 10ms to 10m" },
	{ "clerk", "max_connections", CONFIG_TYPE_COUNT, FIELD(max_connections), "8", .min = 1,
	  .max = 256, .accepts = "a number from 1 to 256" },
	{ "clerk", "rate_limit", CONFIG_TYPE_RATE, FIELD(rate_limit_count), "auto", "auto",
	  .accepts = "auto, or requests per duration like 1000/10s (at most 100000, and 1h)" },
	{ "clerk", "budget", CONFIG_TYPE_PERCENT, FIELD(budget_percent), "80%", .min = 1,
	  .max = 100, .accepts = "a percentage from 1% to 100%" },

	{ "cache", "max_memory", CONFIG_TYPE_SIZE, FIELD(max_memory), "256M", .min = MIB,
	  .max = TIB, .accepts = "a size with its unit (K, M, G) from 1M to 1024G" },
	{ "cache", "max_token_size", CONFIG_TYPE_SIZE, FIELD(max_token_size), "64K", .min = 4 * KIB,
	  .max = MIB, .accepts = "a size with its unit (K, M) from 4K to 1M" },
	{ "cache", "refresh_at", CONFIG_TYPE_PERCENT, FIELD(refresh_at_percent), "auto", "auto",
	  .min = 1, .max = 99, .accepts = "auto, or a percentage of the lifetime from 1% to 99%" },
	{ "cache", "renew_idle", CONFIG_TYPE_DURATION, FIELD(renew_idle_ms), "auto", "auto",
	  .max = 720 * HOUR, .accepts = "auto, or " A_DURATION "up to 720h" },
	{ "cache", "min_ttl", CONFIG_TYPE_DURATION, FIELD(min_ttl_ms), "5s", .max = 24 * HOUR,
	  .accepts = A_DURATION "up to 24h" },
	{ "cache", "negative_ttl", CONFIG_TYPE_DURATION, FIELD(negative_ttl_ms), "10s", .max = HOUR,
	  .accepts = A_DURATION "up to 1h" },
	{ "cache", "default_wait", CONFIG_TYPE_DURATION, FIELD(default_wait_ms), "3s",
	  .max = WIRE_WAIT_MAX_MS, .accepts = A_DURATION "up to 1h" },

	{ "listen", "socket", CONFIG_TYPE_TEXT, FIELD(socket), .check = setting_is_socket,
	  .accepts = "an absolute path of at most 107 bytes" },
	{ "listen", "socket_mode", CONFIG_TYPE_MODE, FIELD(socket_mode), "0660",
	  .accepts = "an octal mode from 0000 to 0777" },
	{ "listen", "socket_group", CONFIG_TYPE_TEXT, FIELD(socket_group),
	  .check = setting_is_group, .accepts = "the name or number of a group" },
	{ "listen", "max_clients", CONFIG_TYPE_COUNT, FIELD(max_clients), "10000", .min = 1,
	  .max = 1000000, .accepts = "a number from 1 to 1000000" },
	{ "listen", "http", CONFIG_TYPE_TEXT, FIELD(http), "off", "off",
	  .check = setting_is_address,
	  .accepts = "off, a loopback ADDRESS:PORT in numbers, or unix:PATH" },
	{ "listen", "metrics", CONFIG_TYPE_TEXT, FIELD(metrics), "off", "off",
	  .check = setting_is_address,
	  .accepts = "off, a loopback ADDRESS:PORT in numbers, or unix:PATH" },
	{ "listen", "webhooks", CONFIG_TYPE_TEXT, FIELD(webhooks), "off", "off",
	  .check = setting_is_public_address,
	  .accepts = "off, ADDRESS:PORT in numbers, or unix:PATH" },

	{ "log", "level", CONFIG_TYPE_LEVEL, FIELD(log_level), "info",
	  .accepts = "error, warning, info or debug" },
	{ "log", "audit", CONFIG_TYPE_SWITCH, FIELD(audit), "off", .accepts = "on or off" },

	{ "access", "allow", CONFIG_TYPE_RULE, .min = CONFIG_RULE_ALLOW, .accepts = "a rule" },
	{ "access", "deny", CONFIG_TYPE_RULE, .min = CONFIG_RULE_DENY, .accepts = "a rule" },
	{ "access", "admin", CONFIG_TYPE_RULE, .min = CONFIG_RULE_ADMIN, .accepts = "a rule" },
};

_Static_assert(sizeof(config_keys) / sizeof(*config_keys) == CONFIG_KEY_COUNT, "see configkey.h");

static const char *const levels[] = { "error", "warning", "info", "debug" };

const struct config_key *config_key_find(const char *section, const char *name)
{
	for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
		if (strcmp(config_keys[i].section, section) == 0 &&
		    strcmp(config_keys[i].name, name) == 0)
			return &config_keys[i];
	return NULL;
}

static void *field_of(struct config *c, const struct config_key *key)
{
	return (char *)c + key->offset;
}

static const void *field_in(const struct config *c, const struct config_key *key)
{
	return (const char *)c + key->offset;
}

static bool is_other(const struct config_key *key, struct span value)
{
	return key->other && span_is(value, key->other);
}

static int set_text(struct config *c, const struct config_key *key, struct span value)
{
	char **field = field_of(c, key);
	char *copy = NULL;

	while (key->check == url_is_acceptable && value.len && value.ptr[value.len - 1] == '/')
		value.len--;
	if (!is_other(key, value)) {
		if (!key->check(value))
			return CONFIG_INVALID;
		copy = mem_alloc(value.len + 1);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, value.ptr, value.len);
		copy[value.len] = '\0';
	}
	mem_free(*field);
	*field = copy;
	return 0;
}

static bool set_duration(int64_t *field, const struct config_key *key, struct span value)
{
	if (is_other(key, value)) {
		*field = -1;
		return true;
	}
	return setting_parse_duration(value, (int64_t)key->max, field) &&
	       *field >= (int64_t)key->min;
}

static bool set_size(size_t *field, const struct config_key *key, struct span value)
{
	uint64_t count;

	if (is_other(key, value)) {
		*field = 0;
		return true;
	}
	if (key->type == CONFIG_TYPE_SIZE)
		return setting_parse_size(value, key->max, field) && *field >= key->min;
	if (key->type == CONFIG_TYPE_PERCENT)
		return setting_parse_percent(value, key->max, field) && *field >= key->min;
	if (span_parse_u64(value, key->max, &count) != 0)
		return false;
	*field = count;
	return *field >= key->min;
}

static bool set_rate(struct config *c, const struct config_key *key, struct span value)
{
	if (is_other(key, value)) {
		c->rate_limit_count = 0;
		c->rate_limit_window_ms = 0;
		return true;
	}
	return setting_parse_rate(value, &c->rate_limit_count, &c->rate_limit_window_ms);
}

static bool set_level(enum config_log_level *field, struct span value)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		if (span_is(value, levels[i])) {
			*field = (enum config_log_level)i;
			return true;
		}
	}
	return false;
}

static bool set_switch(bool *field, struct span value)
{
	*field = span_is(value, "on");
	return *field || span_is(value, "off");
}

int config_key_set(const struct config_key *key, struct config *c, struct span value)
{
	void *field = field_of(c, key);
	bool ok = false;

	switch (key->type) {
	case CONFIG_TYPE_TEXT:
		return set_text(c, key, value);
	case CONFIG_TYPE_DURATION:
		ok = set_duration(field, key, value);
		break;
	case CONFIG_TYPE_SIZE:
	case CONFIG_TYPE_COUNT:
	case CONFIG_TYPE_PERCENT:
		ok = set_size(field, key, value);
		break;
	case CONFIG_TYPE_RATE:
		ok = set_rate(c, key, value);
		break;
	case CONFIG_TYPE_MODE:
		ok = setting_parse_mode(value, field);
		break;
	case CONFIG_TYPE_LEVEL:
		ok = set_level(field, value);
		break;
	case CONFIG_TYPE_SWITCH:
		ok = set_switch(field, value);
		break;
	case CONFIG_TYPE_RULE:
		assert(false);
	}
	return ok ? 0 : CONFIG_INVALID;
}

static int print_number(const struct config *c, const struct config_key *key, struct buf *to)
{
	const void *field = field_in(c, key);
	int r;

	switch (key->type) {
	case CONFIG_TYPE_DURATION:
		return setting_print_duration(*(const int64_t *)field, to);
	case CONFIG_TYPE_SIZE:
		return setting_print_size(*(const size_t *)field, to);
	case CONFIG_TYPE_MODE:
		return setting_print_mode(*(const unsigned *)field, to);
	case CONFIG_TYPE_PERCENT:
		r = buf_append_u64(to, *(const size_t *)field);
		return r ? r : buf_append_str(to, "%");
	case CONFIG_TYPE_RATE:
		r = buf_append_u64(to, c->rate_limit_count);
		r = r ? r : buf_append_str(to, "/");
		return r ? r : setting_print_duration(c->rate_limit_window_ms, to);
	default:
		return buf_append_u64(to, *(const size_t *)field);
	}
}

/* Whether the value is what `other` stands for. */
static bool is_set_to_other(const struct config *c, const struct config_key *key)
{
	const void *field = field_in(c, key);

	if (!key->other)
		return false;
	if (key->type == CONFIG_TYPE_TEXT)
		return !*(char *const *)field;
	if (key->type == CONFIG_TYPE_DURATION)
		return *(const int64_t *)field < 0;
	return *(const size_t *)field == 0;
}

int config_key_print(const struct config_key *key, const struct config *c, struct buf *to)
{
	const void *field = field_in(c, key);

	if (is_set_to_other(c, key))
		return buf_append_str(to, key->other);
	if (key->type == CONFIG_TYPE_TEXT)
		return buf_append_str(to, *(char *const *)field);
	if (key->type == CONFIG_TYPE_LEVEL)
		return buf_append_str(to, levels[*(const enum config_log_level *)field]);
	if (key->type == CONFIG_TYPE_SWITCH)
		return buf_append_str(to, *(const bool *)field ? "on" : "off");
	return print_number(c, key, to);
}

bool config_key_has_value(const struct config_key *key, const struct config *c)
{
	return key->type != CONFIG_TYPE_TEXT || key->other || *(char *const *)field_in(c, key);
}

void config_key_clear(const struct config_key *key, struct config *c)
{
	char **field = field_of(c, key);

	if (key->type != CONFIG_TYPE_TEXT)
		return;
	mem_free(*field);
	*field = NULL;
}
