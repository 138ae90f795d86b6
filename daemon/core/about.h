/* What the configuration says of the daemon, for the operator; it holds no secret. */
#pragma once

#include "base/span.h"
#include "daemon/core/config.h"

struct about {
	const char *version;
	const char *key; /* "production", "development" or "unknown": the kind of the secret key */
	const char *tls; /* whom it trusts: "system", "file" (ca_file), or "off": plain HTTP */
	size_t rules;	 /* of [access] */
};

/* `key` is the secret key; `version` must outlive the result. */
struct about about_of(const struct config *c, struct span key, const char *version);
