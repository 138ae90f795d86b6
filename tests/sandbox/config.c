/*
 * config.c: the settings that can change at run time.
 *
 * Model: a table of members with their ranges; the rate limit, which is a string, stands beside it.
 * A change is made on a copy and takes effect whole.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "number.h"

#define RATE_LIMIT "rate_limit"

struct member {
	const char *name;
	size_t offset;
	bool is_bool;
	int64_t min;
	int64_t max;
};

#define OFFSET(member) offsetof(struct sandbox_config, member)

static const struct member members[] = {
	{ "latency_ms", OFFSET(latency_ms), false, 0, FAULT_MAX_DELAY_MS },
	{ "latency_jitter_ms", OFFSET(latency_jitter_ms), false, 0, FAULT_MAX_DELAY_MS },
	{ "lifetime_s", OFFSET(lifetime_s), false, 1, SANDBOX_MAX_LIFETIME_S },
	{ "token_size", OFFSET(token_size), false, 0, TOKEN_MAX_SIZE },
	{ "date_skew_s", OFFSET(date_skew_s), false, -SANDBOX_MAX_SKEW_S, SANDBOX_MAX_SKEW_S },
	{ "ended_status", OFFSET(ended_status), false, 401, 422 },
	{ "refuse", OFFSET(refuse), true, 0, 0 },
	{ "date", OFFSET(date), true, 0, 0 },
};

#define N_MEMBERS (sizeof(members) / sizeof(members[0]))

void config_default(struct sandbox_config *config)
{
	*config = (struct sandbox_config){ .lifetime_s = 60, .ended_status = 404, .date = true };
}

static bool ended_status_is_valid(int64_t status)
{
	return status == 401 || status == 403 || status == 404 || status == 422;
}

static int change_limit(struct sandbox_config *config, const cJSON *item)
{
	if (cJSON_IsNull(item))
		return limit_parse(&config->limit, "off");
	return cJSON_IsString(item) ? limit_parse(&config->limit, item->valuestring) : -EINVAL;
}

static int change_member(struct sandbox_config *config, const struct member *member,
			 const cJSON *item)
{
	char *place = (char *)config + member->offset;
	int64_t number = 0;

	if (member->is_bool) {
		bool flag = cJSON_IsTrue(item);
		if (!cJSON_IsBool(item))
			return -EINVAL;
		memcpy(place, &flag, sizeof(flag));
		return 0;
	}
	if (!cJSON_IsNumber(item))
		return -EINVAL;
	int r = number_from_double(item->valuedouble, member->min, member->max, &number);
	if (r == 0)
		memcpy(place, &number, sizeof(number));
	return r;
}

static int change_any(struct sandbox_config *config, const cJSON *item)
{
	if (strcmp(item->string, RATE_LIMIT) == 0)
		return change_limit(config, item);
	for (size_t i = 0; i < N_MEMBERS; i++) {
		if (strcmp(item->string, members[i].name) == 0)
			return change_member(config, &members[i], item);
	}
	return -EINVAL;
}

int config_change(struct sandbox_config *config, const cJSON *json, const char **ret_member)
{
	struct sandbox_config changed = *config;
	const cJSON *item = NULL;

	*ret_member = NULL;
	if (!cJSON_IsObject(json))
		return -EINVAL;
	cJSON_ArrayForEach(item, json)
	{
		if (change_any(&changed, item) < 0 ||
		    !ended_status_is_valid(changed.ended_status)) {
			*ret_member = item->string;
			return -EINVAL;
		}
	}
	*config = changed;
	return 0;
}

void config_print(const struct sandbox_config *config, struct text *text)
{
	text_puts(text, "{");
	for (size_t i = 0; i < N_MEMBERS; i++) {
		const char *place = (const char *)config + members[i].offset;
		if (members[i].is_bool) {
			text_printf(text, "\"%s\":%s,", members[i].name, *place ? "true" : "false");
		} else {
			int64_t number = 0;
			memcpy(&number, place, sizeof(number));
			text_printf(text, "\"%s\":%" PRId64 ",", members[i].name, number);
		}
	}
	if (config->limit.requests)
		text_printf(text, "\"" RATE_LIMIT "\":\"%" PRId64 "/%" PRId64 "\"}",
			    config->limit.requests, config->limit.window_s);
	else
		text_puts(text, "\"" RATE_LIMIT "\":null}");
}
