/* The daemon's numbers as Prometheus reads them: one table says how each is called, what it is and
 * in which unit. Nothing in here is a secret, a session or a template; the labels are ours. */
#pragma once

#include "base/buf.h"
#include "base/instant.h"
#include "base/span.h"

#define OPENMETRICS_MAX (64 * 1024) /* bytes; a struct buf of that maximum holds the text */

enum openmetrics_format {
	OPENMETRICS_TEXT, /* Prometheus' own, 0.0.4 */
	OPENMETRICS_1_0,
};

struct engine;

/* What the client likes best, by its Accept field (RFC 9110, 12.5.1; SPAN_NONE: there is none):
 * OpenMetrics only if it is named. */
enum openmetrics_format openmetrics_choose(struct span accept);

const char *openmetrics_content_type(enum openmetrics_format format);

/* Appends the text. 0, -ENOMEM, -EMSGSIZE. */
int openmetrics_write(struct engine *e, struct mono now, enum openmetrics_format format,
		      struct buf *to);
