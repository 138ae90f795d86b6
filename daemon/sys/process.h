/* What this process takes of the host: processor time, memory, descriptors. */
#pragma once

#include "base/instant.h"

struct engine;

/* Tells the engine, for its statistics, unless it has been told just now. */
void process_tell(struct engine *e, struct mono now);
