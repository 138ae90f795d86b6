/* The daemon's state in a line for people, as `systemctl status` shows it. */
#pragma once

#include "base/buf.h"
#include "base/instant.h"

#define STATUS_MAX 400 /* bytes; a struct buf of that maximum holds any */

struct engine;

/* Appends it: Clerk, tokens and memory, the share of gets that memory answered, clients, the budget
 * in use. Printable ASCII. 0, -ENOMEM, -EMSGSIZE. */
int status_write(struct engine *e, struct mono now, struct buf *to);
