/* The numbers of an engine's configuration by name, for timelines. */
#pragma once

#include "daemon/core/engine.h"

/* False if there is none of that name. */
bool settings_set(struct engine_config *c, const char *name, uint64_t value);
