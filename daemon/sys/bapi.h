/* How a request to Clerk's Backend API looks: its URL, its header fields, and what curl may do to
 * get it answered. A part of upstream and exchange, and like them an owner of libcurl.
 */
#pragma once

#include "base/secret.h"
#include "base/span.h"
#include "daemon/sys/upstream.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BAPI_BODY_SIZE 64 /* bytes, NUL included */

/* The header fields of all requests with one key; curl does not copy them. */
struct bapi_fields {
	size_t refs;
	struct curl_slist *list;
	char key_id[SECRET_ID_SIZE];
};

/* What all requests have in common. */
struct bapi {
	char *api_url, *api_version, *user_agent;
	char *ca_file; /* NULL: the system's */
	bool is_loopback;
	int64_t connect_timeout_ms, request_timeout_ms;
	size_t max_answer;
	struct bapi_fields *fields;
};

struct bapi_request {
	struct bapi_fields *fields;
	struct curl_slist no_body; /* in front of them */
	char body[BAPI_BODY_SIZE];
};

/* 0 or -ENOMEM; bapi_deinit() after either. */
int bapi_init(struct bapi *b, const struct upstream_config *config, const struct secret *key);
void bapi_deinit(struct bapi *b);

/* The first of them is the one with the key. */
struct bapi_fields *bapi_fields_ref(struct bapi_fields *f);
void bapi_fields_unref(struct bapi_fields *f);

/* Sets whom to trust, the way there and the limits of time and size: all that does not depend on
 * the request. 0 or -ENOMEM. */
int bapi_prepare(const struct bapi *b, CURL *easy);

/* Sets all options of `easy` but its callbacks. `r` must be zeroed, and outlive the transfer. 0,
 * -ENOMEM, or -EINVAL: a name that must not get into a URL. */
int bapi_request_init(struct bapi_request *r, const struct bapi *b, CURL *easy, struct span session,
		      struct span template, uint64_t expires_in_s);
void bapi_request_deinit(struct bapi_request *r);
