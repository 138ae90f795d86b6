/* What a timeline expects of STATS: NAME=VALUE, NAME<NUMBER or NAME>NUMBER. */
#pragma once

#include <stddef.h>

/* NULL, or a text that says what is not so, in `text`. `json` is the answer to STATS. */
const char *numbers_wrong(const char *json, const char *wanted, char *text, size_t size);
