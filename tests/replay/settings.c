/* See settings.h. */
#include "tests/replay/settings.h"

bool settings_set(struct engine_config *c, const char *name, uint64_t value)
{
	const struct {
		const char *name;
		int64_t *ms;
		size_t *size;
	} all[] = {
		{ "min_ttl_ms", &c->freshness.min_ttl_ms, NULL },
		{ "renew_idle_ms", &c->freshness.renew_idle_ms, NULL },
		{ "negative_ttl_ms", &c->negative_ttl_ms, NULL },
		{ "default_wait_ms", &c->default_wait_ms, NULL },
		{ "budget_window_ms", &c->budget_window_ms, NULL },
		{ "request_timeout_ms", &c->request_timeout_ms, NULL },
		{ "max_connections", NULL, &c->max_connections },
		{ "budget", NULL, &c->budget },
		{ "max_memory", NULL, &c->max_memory },
		{ "max_clients", NULL, &c->max_clients },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (strcmp(all[i].name, name) != 0)
			continue;
		if (all[i].ms)
			*all[i].ms = (int64_t)value;
		else
			*all[i].size = value;
		return true;
	}
	return false;
}
