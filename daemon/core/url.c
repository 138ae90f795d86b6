/* See url.h. */
#include "daemon/core/url.h"

#include "daemon/core/httphead.h"
#include "proto/wire.h"

#include <arpa/inet.h>
#include <string.h>

#define HTTP_PORT 80

struct url {
	bool secure;
	bool bracketed;		      /* the host was in brackets */
	struct span host, port, path; /* `port` is SPAN_NONE and `path` empty where there is none */
};

static bool split_scheme(struct span *rest, bool *ret_secure)
{
	static const char https[] = "https://", http[] = "http://";
	size_t len;

	*ret_secure = span_starts(*rest, https);
	if (!*ret_secure && !span_starts(*rest, http))
		return false;
	len = *ret_secure ? sizeof(https) - 1 : sizeof(http) - 1;
	*rest = span_of(rest->ptr + len, rest->len - len);
	return true;
}

/* `authority` is HOST, HOST:PORT, [HOST] or [HOST]:PORT. */
static bool split_authority(struct span authority, struct url *ret)
{
	struct span rest = authority;

	ret->bracketed = span_starts(rest, "[");
	if (!ret->bracketed) {
		ret->port = rest;
		return span_split(&ret->port, ':', &ret->host);
	}
	rest = span_of(rest.ptr + 1, rest.len - 1);
	if (!span_split(&rest, ']', &ret->host) || !rest.ptr)
		return false;
	ret->port = rest.len ? span_of(rest.ptr + 1, rest.len - 1) : SPAN_NONE;
	return rest.len == 0 || rest.ptr[0] == ':';
}

static bool split(struct span url, struct url *ret)
{
	size_t authority_len = 0;

	if (!split_scheme(&url, &ret->secure))
		return false;
	while (authority_len < url.len && url.ptr[authority_len] != '/')
		authority_len++;
	ret->path = span_of(url.ptr + authority_len, url.len - authority_len);
	return split_authority(span_of(url.ptr, authority_len), ret);
}

static bool parse_ip(int family, struct span s, unsigned char ret[sizeof(struct in6_addr)])
{
	char text[INET6_ADDRSTRLEN];

	if (s.len == 0 || s.len >= sizeof(text))
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	return inet_pton(family, text, ret) == 1;
}

static bool is_host(const struct url *u)
{
	unsigned char ip[sizeof(struct in6_addr)];

	if (u->bracketed)
		return parse_ip(AF_INET6, u->host, ip);
	for (size_t i = 0; i < u->host.len; i++)
		if (strchr("_~", u->host.ptr[i]))
			return false;
	return u->host.len > 0 && u->host.len < 254 && u->host.ptr[0] != '-' &&
	       u->host.ptr[0] != '.' && wire_is_all(u->host, CLASS_TEMPLATE);
}

static bool is_port(struct span port)
{
	uint64_t number;

	return !port.ptr || (span_parse_u64(port, UINT16_MAX, &number) == 0 && number != 0);
}

/* Segments of unreserved characters (RFC 3986, section 2.3), none of them "." or "..". */
static bool is_path(struct span path)
{
	struct span segment;

	while (span_split(&path, '/', &segment))
		if (!wire_is_all(segment, CLASS_TEMPLATE) || span_is(segment, ".") ||
		    span_is(segment, ".."))
			return false;
	return true;
}

static bool is_loopback(const struct url *u)
{
	static const unsigned char ipv6_loopback[sizeof(struct in6_addr)] = { [15] = 1 };
	unsigned char ip[sizeof(struct in6_addr)];

	if (u->bracketed)
		return parse_ip(AF_INET6, u->host, ip) &&
		       memcmp(ip, ipv6_loopback, sizeof(ip)) == 0;
	if (span_is(u->host, "localhost"))
		return true;
	return parse_ip(AF_INET, u->host, ip) && ip[0] == 127;
}

bool url_is_acceptable(struct span url)
{
	struct url u;

	return url.len <= URL_MAX && split(url, &u) && is_host(&u) && is_port(u.port) &&
	       is_path(u.path) && (u.secure || is_loopback(&u));
}

bool url_is_loopback(struct span url)
{
	struct url u;

	return split(url, &u) && is_loopback(&u);
}

bool url_is_ip_and_port(struct span s)
{
	unsigned char ip[sizeof(struct in6_addr)];
	struct url u = { 0 };

	return split_authority(s, &u) && u.port.ptr && is_port(u.port) &&
	       parse_ip(u.bracketed ? AF_INET6 : AF_INET, u.host, ip);
}

bool url_is_loopback_and_port(struct span s)
{
	struct url u = { 0 };

	return url_is_ip_and_port(s) && split_authority(s, &u) && is_loopback(&u);
}

/* NAME:PORT; of HTTP's own port NAME alone, too. */
static bool split_port(struct span authority, struct span *ret_name, uint64_t *ret_port)
{
	const char *colon = memrchr(authority.ptr, ':', authority.len);
	const char *end = authority.ptr + authority.len;

	*ret_name = authority;
	*ret_port = HTTP_PORT;
	if (!colon || end[-1] == ']')
		return true;
	*ret_name = span_of(authority.ptr, (size_t)(colon - authority.ptr));
	return span_parse_u64(span_of(colon + 1, (size_t)(end - colon - 1)), UINT16_MAX,
			      ret_port) == 0;
}

bool url_names(struct span host, struct span address)
{
	uint64_t port, own_port;
	struct span name, own;

	if (!host.len || !split_port(host, &name, &port) || !split_port(address, &own, &own_port) ||
	    port != own_port)
		return false;
	return span_equal(name, own) || httphead_is(name, "localhost") ||
	       (span_starts(own, "[") && span_is(name, "[::1]"));
}
