/* See about.h. */
#include "daemon/core/about.h"

struct about about_of(const struct config *c, struct span key, const char *version)
{
	bool is_secure = span_starts(span_str(c->api_url), "https:");

	return (struct about){
		.version = version,
		.key = span_starts(key, "sk_live_")   ? "production"
		       : span_starts(key, "sk_test_") ? "development"
						      : "unknown",
		.tls = !is_secure   ? "off"
		       : c->ca_file ? "file"
				    : "system",
		.rules = c->n_rules,
	};
}
