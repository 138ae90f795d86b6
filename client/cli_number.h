/* Numbers on the command line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits only. */
bool parse_number(const char *text, uint32_t *ret);
