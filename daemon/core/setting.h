/* The kinds of values that a configuration holds: how each is written, read and checked.
 *
 * Numbers carry their unit; without one they are refused rather than guessed at, except for 0.
 * What is printed reads back as the same value.
 */
#pragma once

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETTING_PATH_MAX 4095	/* bytes */
#define SETTING_SOCKET_MAX 107	/* bytes: of sun_path in unix(7), less the NUL */
#define SETTING_GROUP_MAX 32	/* bytes */
#define SETTING_RATE_MAX 100000 /* requests */

/* False: not of that form, or above `max`. */
bool setting_parse_duration(struct span s, int64_t max_ms, int64_t *ret_ms); /* 250ms 5s 2m 1h */
bool setting_parse_size(struct span s, uint64_t max, size_t *ret);	     /* 64K 256M 1G */
bool setting_parse_percent(struct span s, uint64_t max, size_t *ret);	     /* 80% */
bool setting_parse_rate(struct span s, size_t *ret_count, int64_t *ret_window_ms); /* 1000/10s */
bool setting_parse_mode(struct span s, unsigned *ret); /* 0660, at most 0777 */

bool setting_is_path(struct span s); /* absolute */
bool setting_is_socket(struct span s);
bool setting_is_address(struct span s); /* a loopback one, 127.0.0.1:80 or [::1]:80, or unix:PATH */
bool setting_is_public_address(struct span s); /* the same, or any other in numbers */

/* Of an address: the socket's path in it, or SPAN_NONE. */
struct span setting_socket_of(struct span address);
bool setting_is_version(struct span s); /* 2025-11-10 */
bool setting_is_group(struct span s);	/* a name or a number */

/* May a message repeat what is wrong? If it is short and printable, and no secret key has got into
 * the wrong place. */
#define SETTING_QUOTED_MAX 32 /* characters */
bool setting_is_quotable(struct span s);

/* 0, -ENOMEM or -EMSGSIZE. */
int setting_print_duration(int64_t ms, struct buf *to);
int setting_print_size(uint64_t size, struct buf *to);
int setting_print_mode(unsigned mode, struct buf *to);
