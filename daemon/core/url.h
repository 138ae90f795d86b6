/* The address of Clerk's Backend API: http[s]://HOST[:PORT][/PATH], and nothing else.
 *
 * No user, query or fragment, and no character that could mean something else to somebody who reads
 * the URL again: what passes here gets a path appended and goes to the HTTP library as it is.
 */
#pragma once

#include "base/span.h"

#include <stdbool.h>

#define URL_MAX 512 /* bytes */

/* http:// is accepted for loopback addresses only. */
bool url_is_acceptable(struct span url);

/* Of an acceptable one: 127.0.0.0/8, [::1] or localhost. */
bool url_is_loopback(struct span url);

/* 127.0.0.1:80 or [::1]:80, an address in numbers; a loopback address. */
bool url_is_ip_and_port(struct span s);
bool url_is_loopback_and_port(struct span s);

/* True if a Host field names the listener of that loopback address and port, in numbers: whoever
 * was led here by a name of his own (DNS rebinding) has another one. */
bool url_names(struct span host, struct span address);
