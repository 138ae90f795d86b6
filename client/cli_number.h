/* Numbers on the command line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits only. */
bool parse_number(const char *text, uint32_t *ret);

/* "1,234,567"; returns `to`. */
#define NUMBER_SIZE 32
const char *format_number(char to[NUMBER_SIZE], int64_t value);
